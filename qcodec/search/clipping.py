"""Scales of least squared error for a fixed number of bits: how much of a group to clip."""

import numpy as np
import numpy.typing as npt

from qcodec.search._jit import kernel

F32 = npt.NDArray[np.float32]

# Candidates below the scale that clips nothing; two octaves, for one outlier in a long row.
_CANDIDATES = 64


def clip_scales(values: F32, inner: int, scales: F32, grid: F32, reach: int) -> F32:
    """For each group the scale, of a grid, of least squared error.

    Parameters
    ----------
    values : float32 array, shape (n,)
        Finite elements in C order; element i is of group ``(i // inner) % scales.size``.
    inner : int
        Consecutive elements of one group.
    scales : float32 array, shape (groups,)
        Scales that clip nothing: the largest that are tried. Zero stays zero.
    grid : float32 array, ascending
        All scales that may be chosen.
    reach : int
        Largest magnitude of an integer.

    Returns
    -------
    float32 array, shape (groups,)

    Notes
    -----
    Exhaustive: the error is no convex function of the scale where a group is small.
    """
    first = np.minimum(np.searchsorted(grid, scales), grid.size - 1)
    errors = np.zeros((scales.size, _CANDIDATES), np.float64)
    _errors(values, inner, first, grid, reach, errors)
    best = np.argmin(errors, axis=1)  # of equals the largest scale: nothing clipped
    chosen = grid[np.maximum(first - best, 0)]
    return np.where(scales > 0, chosen, np.float32(0)).astype(np.float32)


@kernel
def _errors(
    values: F32,
    inner: int,
    first: npt.NDArray[np.int64],
    grid: F32,
    reach: int,
    errors: npt.NDArray[np.float64],
) -> None:
    groups = first.size
    scale, inverse = np.empty(_CANDIDATES, np.float32), np.empty(_CANDIDATES, np.float32)
    total = np.empty(_CANDIDATES, np.float64)
    top = np.float32(reach)
    for at in range(0, values.size, inner):
        group = at // inner % groups
        for c in range(_CANDIDATES):
            scale[c] = grid[max(first[group] - c, 0)]
            inverse[c] = np.float32(1) / scale[c]
            total[c] = 0.0
        for i in range(at, min(at + inner, values.size)):
            x = abs(values[i])
            for c in range(_CANDIDATES):  # side by side: each one's sum is a chain
                q = min(np.rint(x * inverse[c]), top)
                off = np.float64(x - q * scale[c])
                total[c] += off * off
        for c in range(_CANDIDATES):
            errors[group, c] += total[c]
