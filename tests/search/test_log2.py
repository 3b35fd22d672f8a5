"""The logarithm that gives the same bits on every CPU, beside the C library's."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qcodec.search._log2 import log2


@given(st.floats(min_value=5e-324, allow_infinity=False))
def test_logarithm_keeps_its_stated_accuracy(x):
    assert abs(log2(x) - math.log2(x)) <= 3e-16 * (1 + abs(math.log2(x)))


def test_logarithm_keeps_its_stated_accuracy_around_one_and_on_a_dense_grid():
    grid = [*np.linspace(0.4, 2.1, 20001), 1 - 2.0**-53, 1 + 2.0**-52]
    for x in grid:
        assert abs(log2(x) - math.log2(x)) <= 3e-16 * (1 + abs(math.log2(x)))


def test_logarithm_of_powers_of_two_is_exact():
    assert [log2(2.0**e) for e in range(-1074, 1024)] == list(range(-1074, 1024))
