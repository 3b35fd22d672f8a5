"""Assignment of values to the entries of a codebook: nearest, or cheapest with rates."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qcodec.search import kmeans

small = st.integers(-50, 50).map(lambda n: n / 4)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def array(*values):
    return np.array(values, np.float32)


def test_value_halfway_takes_the_lower_entry():
    codebook = array(-1, 1, 2)
    np.testing.assert_array_equal(
        kmeans.assign(array(-9, -1, 0, 1.5, 1.5000001, 9), codebook), [0, 0, 0, 1, 2, 2]
    )


@given(
    hnp.arrays(np.float32, st.integers(1, 50), elements=finite),
    hnp.arrays(np.float32, st.integers(1, 9), elements=finite, unique=True),
)
@example(array(3), array(1, 5, 1e30))
def test_nearest_entry_is_that_of_a_search_through_all(values, codebook):
    codebook = np.unique(codebook + np.float32(0))
    # The middle of two entries, rounded to float64, decides: the lower one has it.
    middle = codebook[:-1] * np.float64(0.5) + codebook[1:] * np.float64(0.5)
    expected = (values[:, None] > middle).sum(axis=1)
    np.testing.assert_array_equal(kmeans.assign(values, codebook), expected)


@given(
    hnp.arrays(np.float32, st.integers(1, 50), elements=small),
    hnp.arrays(np.float32, st.integers(1, 9), elements=small, unique=True),
    st.sampled_from([0.25, 1.0, 16.0]),
    st.booleans(),
    st.data(),
)
def test_cheapest_entry_is_that_of_a_search_through_all(values, book, strength, weighted, data):
    # Quarters and powers of two: costs are exact, so that ties are ties.
    codebook = np.sort(book)
    rates = data.draw(hnp.arrays(np.float64, book.size, elements=st.integers(0, 9)))
    weights = np.resize(array(1, 2, 3, 2), values.size // 4 * 4 + 4)[: values.size]
    w = weights / (weights.sum(dtype=np.float64) / values.size) if weighted else 1
    squares = (values[:, None].astype(np.float64) - codebook) ** 2
    cost = (squares.T * w).T + strength * rates
    indices = kmeans.assign(
        values, codebook, rates=rates, strength=strength, weights=weights if weighted else None
    )
    taken = cost[np.arange(values.size), indices]
    np.testing.assert_allclose(taken, cost.min(axis=1), rtol=1e-12)
    if not weighted:
        np.testing.assert_array_equal(indices, cost.argmin(axis=1))


def test_rates_move_a_boundary_worked_out_by_hand():
    # Entries 0 and 4 at 1 and 3 bits, 8 per bit: x**2 + 8 = (x - 4)**2 + 24 at x = 4.
    rates = np.array([1.0, 3.0])
    values = array(1, 3, 4, 4.001)
    np.testing.assert_array_equal(
        kmeans.assign(values, array(0, 4), rates=rates, strength=8.0), [0, 0, 0, 1]
    )


@pytest.mark.parametrize(
    ("codebook", "options"),
    [
        (array(), {}),
        (array(1), {"keep_zeros": True}),
        (array(0), {"keep_zeros": True}),
        (array(1, 2), {"rates": np.ones(3), "strength": 1.0}),
        (array(1, 2), {"strength": math.inf}),
        (np.arange(257, dtype=np.float32), {}),
    ],
)
def test_codebook_that_cannot_serve_is_refused(codebook, options):
    with pytest.raises(ValueError, match=r"codebook|entry|entries|strength"):
        kmeans.assign(array(1, 2), codebook, **options)
