"""LeNet-300-100 and MNIST, for the benchmarks that train it. PyTorch is imported on first use."""

from typing import Any

import numpy as np
import pytest
from data import shared


def mnist() -> tuple[Any, ...]:
    """Images in 0..1, shape (n, 784), and labels, of training and test."""
    import torch

    try:
        path = shared("mnist.npz")
    except pytest.skip.Exception as reason:
        raise SystemExit(f"skipped: {reason}") from None
    with np.load(path, allow_pickle=False) as data:
        arrays = [data[k] for k in ("train_images", "train_labels", "test_images", "test_labels")]
    images, labels, test_images, test_labels = (torch.from_numpy(a) for a in arrays)
    return (
        images.reshape(-1, 784).float() / 255, labels.long(),
        test_images.reshape(-1, 784).float() / 255, test_labels.long(),
    )  # fmt: skip


def lenet(seed: int = 300) -> Any:
    """LeNet-300-100, 266,610 parameters, the same for one seed."""
    import torch

    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(784, 300), torch.nn.ReLU(), torch.nn.Linear(300, 100), torch.nn.ReLU(),
        torch.nn.Linear(100, 10),
    )  # fmt: skip


def accuracy(net: Any, images: Any, labels: Any) -> float:
    """Per cent."""
    import torch

    with torch.inference_mode():
        return 100 * float((net(images).argmax(1) == labels).float().mean())
