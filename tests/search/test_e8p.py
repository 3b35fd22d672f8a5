"""E8P: the codebook against the lattice's definition, its search against trying all points."""

import numpy as np
import pytest

from qcodec import InputError
from qcodec.search.e8p import nearest_codes, patterns, points

ALL = np.arange(65536, dtype=np.uint16)


def test_all_points_are_distinct_points_of_e8_moved_by_a_quarter():
    # In quarters, v - 1 is 4 times a point of E8: all coordinates 0 or all 2 mod 4, sum 0 mod 8.
    v = (4 * points(ALL)).astype(int) - 1
    assert len(np.unique(v, axis=0)) == 65536
    assert np.isin(v % 4, (0, 2)).all()
    assert (v % 4 == v[:, :1] % 4).all()
    assert (v.sum(1) % 8 == 0).all()


def test_patterns_are_the_227_of_least_norm_and_29_of_the_next():
    table = patterns().astype(int)
    norms, counts = np.unique((table**2).sum(1), return_counts=True)
    # 2, 4, 6, 8, 10 and 12 in units of the points: 1, 8, 28, 56 + 8, 70 + 56, and 29.
    assert norms.tolist() == [8, 16, 24, 32, 40, 48]
    assert counts.tolist() == [1, 8, 28, 64, 126, 29]
    assert set(table.ravel()) == {1, 3, 5}
    assert table[0].tolist() == [1] * 8
    assert table[1].tolist() == [1, 1, 1, 1, 1, 1, 1, 3]
    assert table[227].tolist() == [1, 1, 1, 3, 3, 3, 3, 3]


def test_points_worked_out_by_hand():
    # Pattern 0 is (1/2, ..., 1/2), sum 4: an even number of minus signs. Code 2 turns coordinate 1,
    # so coordinate 0 turns as well. Pattern 1 ends in 3/2 and has sum 5: an odd number.
    expected = [
        [0.75] * 8,
        [0.25] * 8,
        [-0.25, -0.25] + [0.75] * 6,
        [-0.25] + [0.75] * 6 + [1.75],
        [0.25] * 7 + [-1.75],
    ]
    codes = np.array([0, 1, 2, 256, 256 + 128 + 1], np.uint16)
    np.testing.assert_array_equal(points(codes), np.array(expected, np.float32))


def test_nearest_of_all_points_is_found():
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(0, 1, (60, 8)), rng.normal(0, 4, (20, 8)), np.zeros((1, 8))])
    book = points(ALL).astype(np.float64)
    for row, code in zip(y, nearest_codes(y), strict=True):
        distances = ((book - row) ** 2).sum(1)
        assert distances[code] == pytest.approx(distances.min(), rel=1e-13)


def test_points_of_the_codebook_are_their_own_nearest():
    np.testing.assert_array_equal(nearest_codes(points(ALL)), ALL)


def test_error_of_a_gaussian_at_the_best_scale():
    # Measured: 0.0917 of the variance for two bits; the bound is 0.0625, Lloyd-Max has 0.1175.
    w = np.random.default_rng(1).standard_normal((20_000, 8))
    errors = [((points(nearest_codes(w / s)) * s - w) ** 2).mean() for s in (0.9, 0.97, 1.04)]
    assert errors[1] == pytest.approx(0.0917, rel=0.01)
    assert errors[1] < min(errors[0], errors[2])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weight_that_is_not_finite_is_named_by_index(bad):
    y = np.zeros((2, 8))
    y[1, 3] = bad
    with pytest.raises(InputError, match="e8p: weight 11 is"):
        nearest_codes(y)


def test_vectors_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"takes shape \(n, 8\), got \(4, 4\)"):
        nearest_codes(np.zeros((4, 4)))
