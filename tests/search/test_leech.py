"""Leech lattice: nearest points against all 8192 candidates, and what the lattice is known for."""

import numpy as np
import pytest
from search import twin_lattice as twin

from qcodec.search.golay import GENERATOR, codewords
from qcodec.search.lattice import LEECH, nearest


@pytest.fixture(scope="module")
def shortest():
    return twin.shortest_vectors("leech")


def best_distance(y):
    """Squared distance to the nearest point: for each parity and codeword, round all coordinates.

    Where the sum of z comes out with the wrong parity, the coordinate whose next value costs least
    is moved: all 24 are tried.
    """
    least = np.inf
    for h in (0, 1):
        offset = y - h - 2 * twin.golay_words()
        z = np.rint(offset / 4)
        error = offset - 4 * z
        distance = (error**2).sum(1)
        moved = distance[:, None] - error**2 + (4 - np.abs(error)) ** 2
        wrong = z.sum(1) % 2 != h
        least = min(least, np.where(wrong, moved.min(1), distance).min())
    return least


def test_codewords_are_those_of_the_polynomial():
    bits = codewords()[:, None] >> np.arange(24) & 1
    np.testing.assert_array_equal(bits, twin.golay_words())


def test_code_is_the_extended_golay_code():
    words = codewords()
    weights = np.array([int(word).bit_count() for word in words])
    values, counts = np.unique(weights, return_counts=True)
    assert dict(zip(values, counts, strict=True)) == {0: 1, 8: 759, 12: 2576, 16: 759, 24: 1}
    # Linear: the sum of any two of a basis' words is a word; and systematic in the low 12 bits.
    assert {int(a ^ b) for a in words[:64] for b in words[::64]} <= set(words.tolist())
    np.testing.assert_array_equal(words & 4095, np.arange(4096))
    assert [int(words[1 << k]) for k in range(12)] == list(GENERATOR)


def test_no_point_is_nearer_than_the_nearest():
    rng = np.random.default_rng(0)
    # Multiples of 1/2 give many ties.
    tied = rng.integers(-8, 8, (40, 24)) / 2
    y = np.concatenate([rng.uniform(-32, 32, (40, 24)), tied, rng.normal(0, 1, (40, 24))])
    points = nearest(y, LEECH)
    assert twin.is_point(points, "leech").all()
    got = ((y - points) ** 2).sum(1)
    np.testing.assert_allclose(got, [best_distance(row) for row in y], rtol=1e-13, atol=1e-12)


def test_kissing_number_is_196560(shortest):
    assert len(np.unique(shortest, axis=0)) == 196_560
    assert ((shortest.astype(int) ** 2).sum(1) == 32).all()


def test_shortest_vectors_are_their_own_nearest_points(shortest):
    np.testing.assert_array_equal(nearest(shortest, LEECH), shortest)


def test_shortest_vectors_own_the_half_of_the_way_that_is_theirs(shortest):
    some = shortest[::20]
    np.testing.assert_array_equal(nearest(0.51 * some, LEECH), some)
    assert not nearest(0.49 * some, LEECH).any()


def test_deep_hole_is_as_far_as_the_covering_radius():
    # (4, 0, ..., 0) is no point; the squared covering radius is 16 in these coordinates, 2 in those
    # of unit volume: Conway and Sloane, chapter 23.
    y = np.zeros((1, 24))
    y[0, 5] = 4
    assert ((y - nearest(y, LEECH)) ** 2).sum() == 16


def test_of_equally_near_points_the_even_one_is_taken():
    # Half way between 0 and the odd point (-3, 1, ..., 1), which are neighbours.
    y = np.full((1, 24), 0.5)
    y[0, 0] = -1.5
    assert not nearest(y, LEECH).any()
    y *= 1.02
    np.testing.assert_array_equal(nearest(y, LEECH), [[-3, *[1] * 23]])


def test_a_translation_by_a_point_moves_the_nearest_point_with_it(shortest):
    rng = np.random.default_rng(1)
    y = rng.integers(-(2**20), 2**20, (200, 24)) / 2**16  # so that sums are exact
    moves = 5 * shortest[rng.integers(0, len(shortest), 200)].astype(int)
    np.testing.assert_array_equal(nearest(y + moves, LEECH), nearest(y, LEECH) + moves)
