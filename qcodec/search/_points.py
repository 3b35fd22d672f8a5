"""A tensor as at most some thousand weighted points: its distinct values, or a fine histogram."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qcodec.search._jit import kernel

Values = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]

_BINS = 8192
_SLOTS = 4 * _BINS  # of the hash table: at most a quarter full, so that runs stay short
_SAMPLE = 1 << 14  # values whose quantiles set the width of the bins
_PER_OCTAVE = 128  # bins of a tail that cover a doubling of the distance
_TAIL = 288 * _PER_OCTAVE  # float32 spans less than 2**279 times its smallest step


class Points(NamedTuple):
    """Weighted points in ascending order, shape (n,) each.

    Attributes
    ----------
    x : ndarray of float64
        Weighted mean of the elements that the point stands for.
    mass : ndarray of float64
        Sum of their weights.
    number : ndarray of float64
        How many elements it stands for.
    """

    x: Reals
    mass: Reals
    number: Reals


def points_of(values: Values, weights: Values | None) -> Points:
    """The distinct values where at most 8192 are, else the means of the bins of a histogram.

    The bins are equally wide over the bulk of the values and grow with the distance beyond it:
    a few outliers must not make the bins of all other values wide.
    """
    # -0.0 + 0.0 is 0.0. Sorting leaves open which of two equal points would come first.
    zeros_alike = (values + np.float32(0)).view(np.uint32)
    keys, mass, count = _distinct(zeros_alike, weights)
    if keys.size:
        x = keys.view(np.float32).astype(np.float64)
        order = np.argsort(x)
        return Points(x[order], mass[order], count[order])
    low, high = _bulk(values)
    x, mass, count = _histogram(values, weights, low, _BINS / (high - low))
    return Points(x, mass, count)


def _bulk(values: Values) -> tuple[float, float]:
    """The range that holds nearly all values, with half of it again on either side."""
    low, high = float(values.min()), float(values.max())
    sample = np.sort(values[:: max(1, values.size // _SAMPLE)])
    cut = sample.size // 256
    left, right = float(sample[cut]), float(sample[-1 - cut])
    if left == right:
        return low, high
    margin = (right - left) / 2
    return max(low, left - margin), min(high, right + margin)


@kernel
def _distinct(
    keys: npt.NDArray[np.uint32], weights: Values | None
) -> tuple[npt.NDArray[np.uint32], Reals, Reals]:
    """Distinct keys with mass and count in no special order; nothing where they are too many."""
    table = np.zeros(_SLOTS, np.uint32)
    mass = np.zeros(_SLOTS)
    count = np.zeros(_SLOTS)
    found = 0
    for i in range(keys.size):
        key = np.int64(keys[i])
        slot = (key * 0x61C88647 >> 17) & (_SLOTS - 1)
        while count[slot] and table[slot] != key:
            slot = (slot + 1) & (_SLOTS - 1)
        if count[slot] == 0:
            if found == _BINS:
                return table[:0], mass[:0], count[:0]
            found += 1
            table[slot] = keys[i]
        count[slot] += 1.0
        mass[slot] += 1.0 if weights is None else np.float64(weights[i])
    used = count > 0
    return table[used], mass[used], count[used]


@kernel
def _tail_bin(distance: float) -> int:
    """Bin of a value `distance` > 0 ranges beyond the bulk; doubling 1 + distance adds 128."""
    mantissa, exponent = math.frexp(1.0 + distance)
    return int((exponent - 1) * _PER_OCTAVE + (2.0 * mantissa - 1.0) * _PER_OCTAVE)


@kernel
def _histogram(
    values: Values, weights: Values | None, low: float, scale: float
) -> tuple[Reals, Reals, Reals]:
    """Means, masses and counts of the bins that hold anything."""
    n_bins = _TAIL + _BINS + _TAIL
    count = np.zeros(n_bins)
    total = np.zeros(n_bins)
    mass = count if weights is None else np.zeros(n_bins)
    plain = np.zeros(n_bins if weights is not None else 0)
    for i in range(values.size):
        x = np.float64(values[i])
        t = (x - low) * scale
        if t < 0.0:
            at = _TAIL - 1 - _tail_bin(-t / _BINS)
        elif t < _BINS:
            at = _TAIL + int(t)
        else:
            at = _TAIL + _BINS + _tail_bin(t / _BINS - 1.0)
        count[at] += 1.0
        if weights is None:
            total[at] += x
        else:
            weight = np.float64(weights[i])
            mass[at] += weight
            total[at] += weight * x
            plain[at] += x
    used = np.flatnonzero(count)
    x_mean = np.empty(used.size)
    for i, b in enumerate(used):
        # Without mass only where there are weights, and then with a plain sum.
        x_mean[i] = total[b] / mass[b] if mass[b] > 0.0 else plain[b] / count[b]
    return x_mean, mass[used], count[used]
