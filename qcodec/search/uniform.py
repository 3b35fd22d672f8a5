"""Integers for `uniform` and `dithered`: by error alone, or by error and what coding them costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec.search._jit import kernel
from qcodec.search._log2 import log2

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]

# Beyond this magnitude all integers cost the same: too rare for tables of their own.
_MAX_PRICED = 127
# Symbols that the whole chunk lends to the statistics of one class.
_PRIOR = 24.0
_PASSES = 5
# Of a large chunk, all passes but the last look at a part.
_SAMPLE_FROM = 1 << 18
_SAMPLE_RUN = 67
_SAMPLE_STRIDE = 8
# Squared error, in squares of the step, that a bit is worth at high rate: 2 ln 2 / 12.
_NATURAL_RDO = 0.1155
# FORMAT.md, "uniform": shifts of reconstruction points, in this part of a step.
_SHIFT_UNIT = 128
_MAX_SHIFTS = 31


def choose_levels(
    values: Sequence[F32],
    classes: Sequence[U8 | None],
    step: np.float32,
    rdo: float,
    dead_zone: float,
) -> tuple[list[I32], npt.NDArray[np.int8]]:
    """Integers of the parts of a chunk, and shifts of the points that they stand for.

    Parameters
    ----------
    values : sequence of float32 arrays, shape (n,) each
        Finite, within 2**24 steps of zero.
    classes : sequence of uint8 arrays or None
        Class of each value; symbols of one class share coding tables. None: all are of one class.
    step : float32
        Distance of neighbouring integers, > 0.
    rdo : float
        Squared error, in squares of the step, that one bit is worth; 0 looks at the error alone.
    dead_zone : float
        By how many steps a magnitude must pass the middle to be rounded up.

    Returns
    -------
    levels : list of int32 arrays
        As `values`.
    shifts : int8 array, shape (m,), m <= 31
        Magnitude j stands for ``(j - shifts[j - 1] / 128) * step``; empty where that does not pay.

    References
    ----------
    .. [1] P. Chou, T. Lookabaugh, R. Gray, "Entropy-constrained vector quantization", IEEE Trans.
       ASSP 37(1), 1989.
    """
    x = np.concatenate(values) / step
    kinds = np.zeros(0, np.uint8) if classes[0] is None else np.concatenate(classes)  # type: ignore[arg-type]
    levels = _rounded(x, dead_zone)
    shifts = np.zeros(0, np.int8)
    if rdo > 0:
        most = min(int(np.abs(levels).max()), _MAX_PRICED)
        few, few_kinds = (_sampled(x), _sampled(kinds)) if x.size >= _SAMPLE_FROM else (x, kinds)
        chosen = levels if few is x else _rounded(few, dead_zone)
        for left in reversed(range(_PASSES)):
            costs = _costs(_rates(chosen, few_kinds, most), np.float32(rdo))
            if left == 0:
                few, few_kinds, chosen = x, kinds, levels
            _choose(few, few_kinds, costs, _points(shifts, most), chosen)
            shifts = _shifts(few, chosen, rdo)
    elif dead_zone > 0:
        shifts = _shifts(x, levels, _NATURAL_RDO)
    ends = np.cumsum([part.size for part in values])
    return np.split(levels, ends[:-1]), shifts


def _rounded(x: F32, dead_zone: float) -> I32:
    levels = np.empty(x.size, np.int32)
    if dead_zone > 0:
        _round_beyond(x, np.float32(0.5 - dead_zone), levels)
    else:
        levels[:] = np.rint(x)
    return levels


def _sampled(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Short runs from all over: neighbours stand for each other, rows and columns do not."""
    runs = values[: values.size // _SAMPLE_RUN * _SAMPLE_RUN].reshape(-1, _SAMPLE_RUN)
    return runs[::_SAMPLE_STRIDE].reshape(-1)


def _points(shifts: npt.NDArray[np.int8], most: int) -> F32:
    """Magnitudes 0..most as they are decoded, in steps, and one that is never chosen."""
    points = np.arange(most + 2, dtype=np.float32)
    m = min(shifts.size, most)
    points[1 : m + 1] -= shifts[:m].astype(np.float32) / _SHIFT_UNIT
    return points


def _costs(rates: F32, rdo: np.float32) -> F32:
    """What bits of each class are worth, for positive and for other integers, by magnitude."""
    kinds, size = rates.shape
    most = size // 2
    costs = np.full((kinds, 2, most + 2), np.inf, np.float32)
    costs[:, 0, : most + 1] = rdo * rates[:, most:]
    costs[:, 1, : most + 1] = rdo * rates[:, most::-1]
    return costs


def _shifts(x: F32, levels: I32, price: float) -> npt.NDArray[np.int8]:
    """Centroids of the cells, as shifts, where they save more than their bytes are worth."""
    count, total = _cells(x, levels)
    m = int(np.flatnonzero(count).max(initial=-1)) + 1
    shifts = np.zeros(m, np.int8)
    gain = 0.0
    for j in range(m):
        if count[j] > 0:
            off = total[j] / count[j]  # how far the mean magnitude is below j + 1
            shift = min(max(round(off * _SHIFT_UNIT), -127), 127)
            shifts[j] = shift
            gain += count[j] * (2 * off - shift / _SHIFT_UNIT) * (shift / _SHIFT_UNIT)
    return shifts if gain > price * 8 * (m + 1) else np.zeros(0, np.int8)


def _rates(levels: I32, classes: U8, most: int) -> F32:
    """Bits of each integer -most..most in each class, from the counts of the last choice."""
    kinds = 1 if classes.size == 0 else int(classes.max()) + 1
    counts = np.zeros((kinds, 2 * most + 1), np.int64)
    _count(levels, classes, counts)
    rates = np.empty(counts.shape, np.float32)
    _price(counts, _PRIOR, rates)
    return rates


@kernel
def _round_beyond(x: F32, half: np.float32, levels: I32) -> None:
    for i in range(x.size):
        q = np.int32(np.floor(abs(x[i]) + half))
        levels[i] = q if x[i] > 0 else -q


@kernel
def _cells(x: F32, levels: I32) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    # By turns into two rows: equal neighbours would wait for each other. Place 0 takes the others.
    count = np.zeros((2, _MAX_SHIFTS + 1), np.int64)
    total = np.zeros((2, _MAX_SHIFTS + 1), np.float64)
    for i in range(x.size):
        q = levels[i]
        magnitude = abs(q) if abs(q) <= _MAX_SHIFTS else 0
        value = np.float64(x[i])
        count[i & 1, magnitude] += 1
        total[i & 1, magnitude] += magnitude - (value if q > 0 else -value)
    return (count[0] + count[1])[1:], (total[0] + total[1])[1:]


@kernel
def _count(levels: I32, classes: U8, counts: npt.NDArray[np.int64]) -> None:
    most = counts.shape[1] // 2
    for i in range(levels.size):
        at = min(max(levels[i] + most, 0), 2 * most)
        counts[classes[i] if classes.size > 0 else 0, at] += 1


@kernel
def _price(counts: npt.NDArray[np.int64], prior: float, rates: F32) -> None:
    """Bits by frequencies in 1/256, as the tables of `rans` have them, rare integers escaped."""
    kinds, size = counts.shape
    pooled = np.zeros(size, np.float64)
    everything = 0.0
    used = 0
    for s in range(size):
        for k in range(kinds):
            pooled[s] += counts[k, s]
        everything += pooled[s]
        used += pooled[s] > 0
    escape_bits = np.ceil(log2(float(max(used, 2))))
    share = np.empty(size + 1, np.float64)
    frequency = np.empty(size + 1, np.int64)
    for k in range(kinds):
        total = prior
        for s in range(size):
            total += counts[k, s]
        share[size] = 0.0  # of the escape
        for s in range(size):
            lent = prior * (pooled[s] + 0.25) / (everything + 0.25 * size)
            share[s] = (counts[k, s] + lent) / total
            if share[s] * 177 * escape_bits <= 1:  # a slot would cost the others more
                share[size] += share[s]
                share[s] = 0.0
        _normalise(share, frequency)
        escape = escape_bits + 8 - log2(float(frequency[size]) if frequency[size] > 0 else 1.0)
        for s in range(size):
            rates[k, s] = 8 - log2(frequency[s]) if frequency[s] > 0 else escape


@kernel
def _normalise(share: npt.NDArray[np.float64], frequency: npt.NDArray[np.int64]) -> None:
    """Frequencies that add up to 256: each at least 1, where its share is not 0."""
    total = 0
    for s in range(share.size):
        frequency[s] = 0 if share[s] == 0 else max(1, int(share[s] * 256))
        total += frequency[s]
    while total != 256:
        step = 1 if total < 256 else -1
        best = -1
        most = -np.inf
        for s in range(share.size):
            f = frequency[s]
            if f == 0 or f + step == 0:
                continue
            gain = share[s] * (log2(f + step) - log2(f))
            if gain > most:
                most = gain
                best = s
        frequency[best] += step
        total += step


@kernel
def _choose(x: F32, classes: U8, costs: F32, points: F32, levels: I32) -> None:
    # No branches but the first, no signed indices: both would cost more than the arithmetic.
    most = points.size - 2
    for i in range(x.size):
        magnitude = abs(x[i])
        if magnitude >= most:
            continue  # at the end of the grid, or beyond: stays rounded
        negative = x[i] <= 0
        row = costs[classes[i] if classes.size > 0 else 0, 1 if negative else 0]
        near = np.uint64(magnitude + np.float32(0.5))
        below = near - np.uint64(near > np.uint64(0))
        above = near + np.uint64(1)
        off = magnitude - points[below]
        off_near = magnitude - points[near]
        off_above = magnitude - points[above]
        cost = off * off + row[below]
        cost_near = off_near * off_near + row[near]
        cost_above = off_above * off_above + row[above]
        least = magnitude * magnitude + row[np.uint64(0)]
        best = below if cost < least else np.uint64(0)
        least = min(cost, least)
        best = near if cost_near < least else best
        least = min(cost_near, least)
        best = above if cost_above < least else best
        q = np.int32(best)
        levels[i] = -q if negative else q
