"""Scales of least squared error, against trying all of them."""

import numpy as np
import pytest

from qcodec import _core
from qcodec.search.clipping import clip_scales

GRID = _core.scale_grid()


def squared_error(values, scale, reach):
    """As the search adds it up, one element after the other."""
    inverse = np.float32(1) / scale
    q = np.minimum(np.rint(np.abs(values) * inverse), np.float32(reach))
    off = (np.abs(values) - q * scale).astype(np.float64)
    return np.cumsum(off * off)[-1]


@pytest.mark.parametrize("reach", [1, 7, 127])
@pytest.mark.parametrize("inner", [1, 5, 64, 333])
def test_scale_is_the_best_of_two_octaves(inner, reach):
    rng = np.random.default_rng(inner)
    values = rng.standard_t(3, 7 * inner).astype(np.float32)
    peaks = np.abs(values).reshape(7, inner).max(axis=1)
    scales = GRID[np.searchsorted(GRID, peaks / np.float32(reach))]
    got = clip_scales(values, inner, scales, GRID, reach)
    for group, scale in enumerate(scales):
        own = values[group * inner :][:inner]
        at = int(np.searchsorted(GRID, scale))
        errors = [squared_error(own, GRID[at - c], reach) for c in range(64)]
        assert got[group] == GRID[at - int(np.argmin(errors))]


def test_groups_that_come_again_are_summed_and_zero_stays_zero():
    values = np.float32([1, -1, 0, 0, 0.6, 0.6, 0, 0, 3, 1])  # groups 0, 1, 0, 1, 0 of two
    got = clip_scales(values, 2, np.float32([3, 0]), GRID, 1)
    assert got[1] == 0
    of_zero = values[[0, 1, 4, 5, 8, 9]]
    at = int(np.searchsorted(GRID, np.float32(3)))
    errors = [squared_error(of_zero, GRID[at - c], 1) for c in range(64)]
    assert squared_error(of_zero, got[0], 1) == min(errors)
