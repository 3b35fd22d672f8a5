"""Assignments to the entries of a codebook, and the steps of Lloyd's iteration built on them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qcodec.search._jit import kernel
from qcodec.search._points import Reals, Values

_CELLS = 1 << 15  # many: a far entry must not leave all others in a few cells

Indices = npt.NDArray[np.uint8]


class Cells(NamedTuple):
    """Which entry is nearest, as a table over the range of the thresholds between entries.

    Attributes
    ----------
    thresholds : ndarray of float32, shape (k - 1,)
        The largest value that still belongs to the entry on the left.
    first : ndarray of uint8, shape (cells + 1,)
        How many thresholds lie in lower cells: the first entry that a value of the cell can have.
    low, scale : float
        Value x is in cell ``clip((x - low) * scale, -1, cells - 2) + 1``, rounded down. Rounding
        cannot reorder values and thresholds, which pass through the same formula.
    """

    thresholds: Values
    first: npt.NDArray[np.uint8]
    low: float
    scale: float


def cells_of(entries: Reals) -> Cells:
    """Cells of ascending entries, shape (k,), k >= 1."""
    middles = entries[:-1] * 0.5 + entries[1:] * 0.5
    thresholds = middles.astype(np.float32)
    above = thresholds > middles
    thresholds[above] = np.nextafter(thresholds[above], np.float32(-np.inf))
    low, scale = 0.0, 0.0
    if thresholds.size and thresholds[0] < thresholds[-1]:
        low = float(thresholds[0])
        scale = (_CELLS - 2) / (float(thresholds[-1]) - low)
    return Cells(thresholds, _first_of_cells(thresholds, low, scale), low, scale)


@kernel
def _cell(x: float, low: float, scale: float) -> int:
    return int(min(max((x - low) * scale, -1.0), _CELLS - 2.0) + 1.0)


@kernel
def _first_of_cells(thresholds: Values, low: float, scale: float) -> npt.NDArray[np.uint8]:
    first = np.zeros(_CELLS + 1, np.uint8)
    for threshold in thresholds:
        first[_cell(np.float64(threshold), low, scale) + 1] += 1
    for cell in range(_CELLS):
        first[cell + 1] += first[cell]
    return first


@kernel
def _nearest(x: float, cells: Cells) -> int:
    cell = _cell(x, cells.low, cells.scale)
    low, high = np.int64(cells.first[cell]), np.int64(cells.first[cell + 1])
    while low < high:
        middle = (low + high) // 2
        if x > cells.thresholds[middle]:
            low = middle + 1
        else:
            high = middle
    return int(low)


@kernel
def assign_nearest(values: Values, cells: Cells, indices: Indices) -> None:
    """Index of the nearest entry of each value, the lower of two as near."""
    for i in range(values.size):
        indices[i] = _nearest(np.float64(values[i]), cells)


@kernel
def _sums(values: Values, weights: Values | None, cells: Cells) -> tuple[Reals, Reals]:
    """Mass and weighted sum of the values nearest to each entry."""
    mass = np.zeros(cells.thresholds.size + 1)
    total = np.zeros(cells.thresholds.size + 1)
    for i in range(values.size):
        x = np.float64(values[i])
        j = _nearest(x, cells)
        weight = 1.0 if weights is None else np.float64(weights[i])
        mass[j] += weight
        total[j] += weight * x
    return mass, total


def lloyd(values: Values, weights: Values | None, entries: Reals, limit: int) -> Reals:
    """Entries after Lloyd steps until none moves, or `limit` of them; empty clusters go."""
    for _ in range(limit):
        mass, total = _sums(values, weights, cells_of(entries))
        moved = total[mass > 0] / mass[mass > 0]
        if np.array_equal(moved, entries):
            break
        entries = moved
    return entries


@kernel
def _cheapest(x: float, mass: float, count: float, entries: Reals, costs: Reals, at: int) -> int:
    """Entry with the least ``mass * squared error + count * cost``, the lower of two as cheap.

    The search walks away from the nearest entry `at`, as far as an entry at the least of all
    costs, the last of `costs`, could still win.
    """
    floor = count * costs[-1]
    best = at
    least = mass * (x - entries[at]) * (x - entries[at]) + count * costs[at]
    for j in range(at - 1, -1, -1):
        error = mass * (x - entries[j]) * (x - entries[j])
        if error + floor > least:
            break
        if error + count * costs[j] <= least:
            least = error + count * costs[j]
            best = j
    for j in range(at + 1, entries.size):
        error = mass * (x - entries[j]) * (x - entries[j])
        if error + floor >= least:
            break
        if error + count * costs[j] < least:
            least = error + count * costs[j]
            best = j
    return best


@kernel
def assign_cheapest(
    values: Values,
    weights: Values | None,
    cells: Cells,
    entries: Reals,
    costs: Reals,
    indices: Indices,
) -> None:
    """Index of the entry with the least ``weight * squared error + cost`` for each value."""
    for i in range(values.size):
        x = np.float64(values[i])
        weight = 1.0 if weights is None else np.float64(weights[i])
        indices[i] = _cheapest(x, weight, 1.0, entries, costs, _nearest(x, cells))


@kernel
def rate_sums(
    x: npt.NDArray[np.floating],
    mass: npt.NDArray[np.floating] | None,
    count: Reals | None,
    cells: Cells,
    entries: Reals,
    costs: Reals,
) -> tuple[float, Reals, Reals, Reals]:
    """Total cost of the cheapest assignment; mass, weighted sum and number at each entry.

    `mass` and `count` are 1 for each element where they are None.
    """
    cost = 0.0
    masses = np.zeros(entries.size)
    totals = np.zeros(entries.size)
    counts = np.zeros(entries.size)
    for i in range(x.size):
        at = np.float64(x[i])
        m = 1.0 if mass is None else np.float64(mass[i])
        c = 1.0 if count is None else count[i]
        j = _cheapest(at, m, c, entries, costs, _nearest(at, cells))
        cost += m * (at - entries[j]) * (at - entries[j]) + c * costs[j]
        masses[j] += m
        totals[j] += m * at
        counts[j] += c
    return cost, masses, totals, counts


@kernel
def plus_plus(values: Values, weights: Values | None, draws: Reals) -> Reals:
    """Starting entries by k-means++ [1]_, one for each draw in 0..1, in order of drawing.

    Each is a value drawn with a probability in proportion to its weight times its squared
    distance from the nearest entry so far. Fewer where no value is left at a distance.

    References
    ----------
    .. [1] D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    n = values.size
    pull = np.ones(n) if weights is None else weights.astype(np.float64)
    entries = np.empty(draws.size)
    for j in range(draws.size):
        total = 0.0
        for i in range(n):
            total += pull[i]
        if total == 0.0:
            return entries[:j]
        at = -1
        passed = 0.0
        for i in range(n):
            if pull[i] > 0.0:
                passed += pull[i]
                at = i
                if passed > draws[j] * total:
                    break
        entries[j] = values[at]
        for i in range(n):
            d = values[i] - entries[j]
            weight = 1.0 if weights is None else np.float64(weights[i])
            pull[i] = weight * d * d if j == 0 else min(pull[i], weight * d * d)
    return entries
