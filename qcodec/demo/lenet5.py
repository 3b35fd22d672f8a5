"""LeNet-5 on MNIST in plain numpy: shipped weights, 1,000 shipped test images, inference.

Measures what a lossy codec costs in accuracy without a deep-learning framework. The weights and
the choice of images come from ``benchmarks/train_lenet5.py``, which checks `logits` against
PyTorch.
"""

import io
from collections.abc import Mapping
from importlib.resources import files

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_BATCH = 50  # images per pass; the unfolded first layer takes 78,400 bytes per image


def weights() -> dict[str, NDArray[np.float32]]:
    """Load the shipped weights.

    Returns
    -------
    dict of str to ndarray of float32
        61,706 values. ``conv1.weight`` (6, 1, 5, 5), ``conv2.weight`` (16, 6, 5, 5),
        ``fc1.weight`` (120, 400), ``fc2.weight`` (84, 120), ``fc3.weight`` (10, 84), output
        units first, each with a one-dimensional ``.bias``.

    Raises
    ------
    ImportError
        The package ``safetensors`` is not installed.
    """
    from safetensors.numpy import load

    return load(files("qcodec.demo").joinpath("lenet5.safetensors").read_bytes())


def test_images() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Load the shipped part of the MNIST test set: 100 images of each digit, shuffled.

    Returns
    -------
    images : ndarray of uint8, shape (1000, 28, 28)
        Grey levels, 0 for background and 255 for full ink.
    labels : ndarray of uint8, shape (1000,)
        Digits 0..9.
    """
    content = files("qcodec.demo").joinpath("mnist1000.npz").read_bytes()
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return archive["images"], archive["labels"]


def convolve(
    inputs: NDArray[np.float32], kernels: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cross-correlate a batch with a bank of kernels: stride 1, no padding.

    Parameters
    ----------
    inputs : ndarray of float32, shape (n, channels, height, width)
        Height and width at least k.
    kernels : ndarray of float32, shape (n_kernels, channels, k, k)
        Not flipped: element (0, 0) meets the upper left pixel of each window.
    bias : ndarray of float32, shape (n_kernels,)
        Added to every sum of its kernel.

    Returns
    -------
    ndarray of float32, shape (n, n_kernels, height - k + 1, width - k + 1)

    Examples
    --------
    >>> ramp = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> kernels = np.ones((1, 1, 2, 2), dtype=np.float32)
    >>> convolve(ramp, kernels, np.zeros(1, dtype=np.float32))[0, 0]
    array([[ 8., 12.],
           [20., 24.]], dtype=float32)
    """
    n_kernels, channels, k, _ = kernels.shape
    windows = sliding_window_view(inputs, (k, k), axis=(2, 3))
    n, _, height, width = windows.shape[:4]
    # Pixels last: the copy made by reshape then moves whole rows of the image.
    columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, channels * k * k, height * width)
    sums = kernels.reshape(n_kernels, -1) @ columns + bias[:, None]
    return sums.reshape(n, n_kernels, height, width)


def logits(
    weights: Mapping[str, NDArray[np.float32]], images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Run the network: two convolutions with ReLU and 2x2 max pooling, three dense layers.

    Parameters
    ----------
    weights : mapping of str to ndarray of float32
        Names and shapes as in `weights`.
    images : ndarray of uint8, shape (n, 28, 28)
        Grey levels 0..255.

    Returns
    -------
    ndarray of float32, shape (n, 10)
        Scores before the softmax, one column per digit.

    Raises
    ------
    ValueError
        `images` has another dtype or shape.

    References
    ----------
    .. [1] Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition",
       Proc. IEEE 86(11), 1998, section II.B. Here with ReLU, max pooling, a full second
       convolution and a dense output layer.
    """
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"images must be uint8 of shape (n, 28, 28), got {images.dtype} of {images.shape}"
        )
    scores = np.empty((len(images), 10), dtype=np.float32)
    for start in range(0, len(images), _BATCH):
        end = start + _BATCH
        padded = np.pad(images[start:end, None], ((0, 0), (0, 0), (2, 2), (2, 2)))
        x = padded.astype(np.float32) / np.float32(255)
        x = _pool(convolve(x, weights["conv1.weight"], weights["conv1.bias"]))
        x = _pool(convolve(x, weights["conv2.weight"], weights["conv2.bias"]))
        x = x.reshape(len(x), -1)
        x = np.maximum(x @ weights["fc1.weight"].T + weights["fc1.bias"], 0)
        x = np.maximum(x @ weights["fc2.weight"].T + weights["fc2.bias"], 0)
        scores[start:end] = x @ weights["fc3.weight"].T + weights["fc3.bias"]
    return scores


def top1(
    weights: Mapping[str, NDArray[np.float32]],
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> float:
    """Share of images whose highest score is at the right digit.

    Parameters
    ----------
    weights : mapping of str to ndarray of float32
        Names and shapes as in `weights`.
    images : ndarray of uint8, shape (n, 28, 28)
        At least one image.
    labels : ndarray of uint8, shape (n,)
        Digits 0..9.

    Returns
    -------
    float
        Percent, 0..100.

    Raises
    ------
    ValueError
        `images` has another dtype or shape, or there is not one label per image.
    """
    if labels.shape != images.shape[:1] or labels.size == 0:
        raise ValueError(f"need one label per image, got {labels.shape} for {images.shape}")
    hits = np.count_nonzero(logits(weights, images).argmax(axis=1) == labels)
    return 100.0 * hits / labels.size


def _pool(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """ReLU and 2x2 max pooling of (n, channels, height, width), both sides even."""
    rows = np.maximum(x[:, :, 0::2], x[:, :, 1::2])
    return np.maximum(np.maximum(rows[..., 0::2], rows[..., 1::2]), 0)
