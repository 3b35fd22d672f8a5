"""Train LeNet-5 on MNIST and write the files that ``qcodec.demo.lenet5`` ships.

Needs PyTorch and ``mnist.npz`` with ``train_images`` uint8 [60000, 28, 28], ``train_labels``,
``test_images`` [10000, 28, 28], ``test_labels``, in any order. Writes ``lenet5.safetensors``
(float32) and ``mnist1000.npz`` (100 test images of each digit, drawn with a fixed seed). The
weights are those after the last epoch; test images decide nothing. Another PyTorch version or
processor gives slightly different weights.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from qcodec.demo import lenet5

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parent.parent
SEED = 20
IMAGES_PER_DIGIT = 100
MAX_SHIFT = 2  # pixels, each way


def build_network() -> "torch.nn.Module":
    """Return an untrained LeNet-5 taking (n, 1, 28, 28) float32 in 0..1."""
    from torch import nn

    class LeNet5(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
            self.conv2 = nn.Conv2d(6, 16, 5)
            self.fc1 = nn.Linear(400, 120)
            self.fc2 = nn.Linear(120, 84)
            self.fc3 = nn.Linear(84, 10)

        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            pool = nn.functional.max_pool2d
            x = pool(self.conv1(x).relu(), 2)
            x = pool(self.conv2(x).relu(), 2)
            x = self.fc1(x.flatten(1)).relu()
            scores: torch.Tensor = self.fc3(self.fc2(x).relu())
            return scores

    return LeNet5()


def shift(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Move each image of (n, 28, 28) by -2..2 pixels along both axes, filling with 0."""
    padded = np.pad(images, ((0, 0), (MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (28, 28), axis=(1, 2))
    down, right = rng.integers(0, 2 * MAX_SHIFT + 1, size=(2, len(images)))
    shifted: NDArray[np.uint8] = windows[np.arange(len(images)), down, right]
    return shifted


def to_input(images: NDArray[np.uint8]) -> "torch.Tensor":
    """(n, 28, 28) grey levels 0..255 to (n, 1, 28, 28) float32 in 0..1."""
    import torch

    return torch.from_numpy(images).unsqueeze(1).float() / 255


def train(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], epochs: int, batch: int = 128
) -> "torch.nn.Module":
    """Adam with a cosine schedule on randomly shifted images, in a new order every epoch."""
    import torch

    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    network = build_network()
    steps_per_epoch = -(-len(images) // batch)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps_per_epoch)
    for epoch in range(epochs):
        order = rng.permutation(len(images))
        total = 0.0
        for start in range(0, len(images), batch):
            chosen = order[start : start + batch]
            scores = network(to_input(shift(images[chosen], rng)))
            target = torch.from_numpy(labels[chosen].astype(np.int64))
            loss = torch.nn.functional.cross_entropy(scores, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        print(f"epoch {epoch + 1}/{epochs}: training loss {total / len(images):.4f}", flush=True)
    return network.eval()


def pick_balanced(labels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Positions of 100 items of each digit, drawn with a fixed seed, in shuffled order."""
    rng = np.random.default_rng(SEED)
    per_digit = [
        rng.choice(np.flatnonzero(labels == digit), IMAGES_PER_DIGIT, replace=False)
        for digit in range(10)
    ]
    return rng.permutation(np.concatenate(per_digit))


def main() -> None:
    """Train, write both files, and check numpy inference against PyTorch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default_data = ROOT.parent / "shared" / "data" / "mnist.npz"
    parser.add_argument("data", nargs="?", type=Path, default=default_data)
    parser.add_argument("--out", type=Path, default=ROOT / "qcodec" / "demo")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    try:
        import torch
    except ImportError:
        raise SystemExit("training needs PyTorch: pip install torch") from None
    torch.set_num_threads(args.threads)

    with np.load(args.data, allow_pickle=False) as data:
        train_images, train_labels = data["train_images"], data["train_labels"]
        test_images, test_labels = data["test_images"], data["test_labels"]
    network = train(train_images, train_labels, args.epochs)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}

    chosen = pick_balanced(test_labels)
    images, labels = test_images[chosen], test_labels[chosen]
    with torch.inference_mode():
        scores = network(to_input(test_images)).numpy()
    predicted = scores.argmax(axis=1)
    if not np.array_equal(lenet5.logits(weights, images).argmax(axis=1), predicted[chosen]):
        raise SystemExit("qcodec.demo.lenet5 and PyTorch disagree: nothing written")

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "lenet5.safetensors").write_bytes(save(weights))
    np.savez_compressed(args.out / "mnist1000.npz", images=images, labels=labels)
    print(f"parameters: {sum(tensor.size for tensor in weights.values()):,}")
    correct = predicted == test_labels
    print(f"top-1, {len(test_labels):,} test images: {100 * correct.mean():.2f} %")
    print(f"top-1, {len(labels):,} shipped images: {100 * correct[chosen].mean():.2f} %")


if __name__ == "__main__":
    main()
