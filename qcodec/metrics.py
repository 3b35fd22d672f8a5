"""What compression gains and what it costs: ratios, and the error between two tensors."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK = 1 << 18  # elements compared at once: 2 MiB of float64


@dataclass(frozen=True)
class QuantizationError:
    """How far one tensor is from another.

    Attributes
    ----------
    max_abs : float
        Largest absolute difference.
    mse : float
        Mean of the squared differences.
    snr_db : float
        Energy of the original over energy of the difference, in dB; infinite for equal tensors.
    relative_l2 : float
        L2 norm of the difference over that of the original.
    """

    max_abs: float
    mse: float
    snr_db: float
    relative_l2: float


def compression_ratio(original_bytes: int, encoded_bytes: int) -> float:
    """How many times smaller: original over encoded.

    Raises
    ------
    ValueError
        `original_bytes` is negative or `encoded_bytes` is not positive.

    Examples
    --------
    >>> from qcodec.metrics import compression_ratio
    >>> compression_ratio(200, 50)
    4.0
    """
    if original_bytes < 0 or encoded_bytes <= 0:
        raise ValueError(f"no compression ratio of {original_bytes} to {encoded_bytes} bytes")
    return original_bytes / encoded_bytes


def speed_up(before_s: float, after_s: float) -> float:
    """How many times faster: time before over time after, both in seconds.

    Raises
    ------
    ValueError
        `before_s` is negative or `after_s` is not positive.

    Examples
    --------
    >>> from qcodec.metrics import speed_up
    >>> speed_up(3.0, 1.5)
    2.0
    """
    if not (before_s >= 0 and after_s > 0):
        raise ValueError(f"no speed-up from {before_s} s to {after_s} s")
    return before_s / after_s


def pruning_rate(removed: int, total: int) -> float:
    """Share of the weights that are removed, 0..1.

    Raises
    ------
    ValueError
        Not 0 <= removed <= total, or `total` is 0.

    Examples
    --------
    >>> from qcodec.metrics import pruning_rate
    >>> pruning_rate(3_000_000, 10_000_000)
    0.3
    """
    if not 0 <= removed <= total or total == 0:
        raise ValueError(f"no pruning rate of {removed} removed from {total}")
    return removed / total


def quantization_error(original: npt.ArrayLike, decoded: npt.ArrayLike) -> QuantizationError:
    """Error of `decoded` against `original`, accumulated in float64 in little memory.

    Parameters
    ----------
    original, decoded : array_like
        Of the same shape; any numeric dtypes.

    Returns
    -------
    QuantizationError

    Raises
    ------
    ValueError
        The shapes differ.

    Notes
    -----
    NaN against NaN, and an infinity against the same infinity, are no error and carry no energy; a
    non-finite value against anything else is an infinite error. An original without energy has
    an SNR of minus infinity unless the difference is zero too. Empty tensors are equal.

    Examples
    --------
    >>> from qcodec.metrics import quantization_error
    >>> error = quantization_error([3.0, 4.0], [3.0, 4.5])
    >>> error.max_abs, error.mse, error.relative_l2
    (0.5, 0.125, 0.1)
    """
    a, b = np.asarray(original), np.asarray(decoded)
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {list(a.shape)} and {list(b.shape)}")
    a, b = a.reshape(-1), b.reshape(-1)
    max_abs = noise = signal = 0.0
    for at in range(0, a.size, _BLOCK):
        difference, energy = _compare(a[at : at + _BLOCK], b[at : at + _BLOCK])
        max_abs = max(max_abs, float(difference.max()))
        with np.errstate(over="ignore"):
            noise += float(np.square(difference).sum())
        signal += energy
    if noise == 0:
        return QuantizationError(max_abs, 0.0, math.inf, 0.0)
    if signal == 0 or math.isinf(noise):
        return QuantizationError(max_abs, noise / a.size, -math.inf, math.inf)
    snr_db = 10 * (math.log10(signal) - math.log10(noise))
    return QuantizationError(max_abs, noise / a.size, snr_db, math.sqrt(noise / signal))


def _compare(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], float]:
    """Absolute differences of two blocks, and the energy of the first."""
    if a.dtype == b.dtype and a.dtype.kind in "iu":
        # Modulo 2**64, so that neighbours beyond 2**53 differ, which float64 cannot tell.
        x, y = a.astype(np.uint64), b.astype(np.uint64)
        difference = np.where(a > b, x - y, y - x).astype(np.float64)
        return difference, float(np.square(a.astype(np.float64)).sum())
    wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
    # Converting a signalling NaN sets the flag; infinity minus infinity is sorted out below.
    with np.errstate(invalid="ignore", over="ignore"):
        x, y = a.astype(wide), b.astype(wide)
        difference = np.abs(x - y)
        same = (x == y) | (np.isnan(x) & np.isnan(y))
        difference[same] = 0
        difference[np.isnan(difference)] = np.inf
        energy = float(np.square(np.abs(x[np.isfinite(x)])).sum())
    return difference, energy
