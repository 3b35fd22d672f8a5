"""CIFAR-10 ResNets (20, 32, ... layers) in PyTorch, to score compressed weights.

Key names and layers as in github.com/akamaster/pytorch_resnet_cifar10: 3x3 convolutions, batch
norm, option-A shortcuts (every second pixel, channels padded with zeros). The depth is read from
the key names. PyTorch is imported on first use. Run as a script for the float32 figures.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

ROOT = Path(__file__).resolve().parent.parent
MEAN = (0.485, 0.456, 0.406)  # of pixels / 255, red green blue
STD = (0.229, 0.224, 0.225)


def import_torch() -> Any:
    """Return the module ``torch``.

    Raises
    ------
    ImportError
        PyTorch is not installed; the message says how to get it.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("the CIFAR-10 benchmark needs PyTorch: pip install torch") from error
    return torch


def build(blocks_per_stage: int) -> "Module":
    """Return an untrained network of ``6 * blocks_per_stage + 2`` layers.

    It takes (n, 3, 32, 32) float32, normalised with `MEAN` and `STD`, and returns (n, 10) scores.

    References
    ----------
    .. [1] K. He et al., "Deep Residual Learning for Image Recognition", arXiv:1512.03385, 2015,
       section 4.2.
    """
    torch = import_torch()
    nn = torch.nn

    def conv3x3(inputs: int, outputs: int, stride: int) -> "Module":
        return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = conv3x3(inputs, outputs, stride)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = conv3x3(outputs, outputs, 1)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.stride = stride
            self.padding = (outputs - inputs) // 2

        def forward(self, x: "Tensor") -> "Tensor":
            y = self.bn1(self.conv1(x)).relu()
            y = self.bn2(self.conv2(y))
            if self.padding:
                x = x[:, :, :: self.stride, :: self.stride]
                x = nn.functional.pad(x, (0, 0, 0, 0, self.padding, self.padding))
            return (y + x).relu()

    def stage(inputs: int, outputs: int, stride: int) -> "Module":
        rest = [Block(outputs, outputs, 1) for _ in range(blocks_per_stage - 1)]
        return nn.Sequential(Block(inputs, outputs, stride), *rest)

    class ResNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = conv3x3(3, 16, 1)
            self.bn1 = nn.BatchNorm2d(16)
            self.layer1 = stage(16, 16, 1)
            self.layer2 = stage(16, 32, 2)
            self.layer3 = stage(32, 64, 2)
            self.linear = nn.Linear(64, 10)

        def forward(self, x: "Tensor") -> "Tensor":
            x = self.bn1(self.conv1(x)).relu()
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.linear(x.mean(dim=(2, 3)))

    network: Module = ResNet().to(memory_format=torch.channels_last)
    return network


def load_state(tensors: Mapping[str, NDArray[Any]]) -> "Module":
    """Return a network in evaluation mode that holds copies of `tensors`.

    Parameters
    ----------
    tensors : mapping of str to ndarray of a real dtype
        All parameters and batch-norm buffers, converted to float32. ``num_batches_tracked`` may
        be left out.

    Raises
    ------
    RuntimeError
        A tensor is missing, unknown or of the wrong shape; the message names it.
    """
    torch = import_torch()
    first_convolutions = {f"layer1.{block}.conv1.weight" for block in range(len(tensors))}
    network = build(len(first_convolutions & tensors.keys()))
    state = {
        name: torch.from_numpy(np.array(tensor, dtype=np.float32, order="C"))
        for name, tensor in tensors.items()
    }
    network.load_state_dict(state)
    return network.eval()


def normalise(images: NDArray[np.uint8]) -> "Tensor":
    """(n, 32, 32, 3) RGB bytes to (n, 3, 32, 32) network input in channels-last memory."""
    torch = import_torch()
    pixels = torch.tensor(images).float() / 255
    normalised: Tensor = (pixels - torch.tensor(MEAN)) / torch.tensor(STD)
    return normalised.permute(0, 3, 1, 2)


def top1(
    tensors: Mapping[str, NDArray[Any]],
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    batch: int = 500,
) -> float:
    """Share of images whose highest score is at the right class.

    Parameters
    ----------
    tensors : mapping of str to ndarray of a real dtype
        As for `load_state`.
    images : ndarray of uint8, shape (n, 32, 32, 3)
        RGB, at least one image.
    labels : ndarray of uint8, shape (n,)
        Classes 0..9.
    batch : int, default 500
        Images per pass, a matter of memory and speed only.

    Returns
    -------
    float
        Percent, 0..100. One image of the 10,000 is 0.01.
    """
    torch = import_torch()
    network = load_state(tensors)
    hits = 0
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            scores = network(normalise(images[start : start + batch]))
            predicted = scores.argmax(dim=1).numpy()
            hits += int(np.count_nonzero(predicted == labels[start : start + batch]))
    return 100.0 * hits / len(images)


def main() -> None:
    """Print the float32 figures of both networks."""
    from safetensors.numpy import load_file

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=500)
    args = parser.parse_args()
    import_torch().set_num_threads(args.threads)
    with np.load(args.data / "cifar10_test.npz", allow_pickle=False) as data:
        images, labels = data["images"], data["labels"]
    for name in ("resnet20", "resnet32"):
        tensors = load_file(args.data / f"{name}.safetensors")
        start = time.perf_counter()
        percent = top1(tensors, images, labels, args.batch)
        print(f"{name}: top-1 {percent:.2f} %, {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
