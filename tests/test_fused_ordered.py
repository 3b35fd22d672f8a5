"""Large outputs of tensors with profiles: rows put in order, then symbols to elements in one loop.

The portable code writes no elements around the caches, so it is what the values must equal.
"""

import functools

import ml_dtypes
import numpy as np
import pytest
from conftest import level

import qcodec

pytestmark = pytest.mark.usefixtures("touched")

SHAPE = (1500, 331, 3, 3)  # rows of 2979: 4.5 million elements, more than 8 MiB in two bytes each
DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]
CODECS = [
    "uniform(step=0.25, profile=True) | rans",
    "uniform(step=0.004, profile=True) | rans",  # escapes in some of the blocks
    "uniform(step=0.25, rdo=0.05, profile=True) | rans",  # points that are off the grid
    "uniform(step=0.25, profile=True) | huffman",
    "trellis(states=8, step=0.25, profile=True) | rans",  # two outliers, which are patched
]


@functools.cache
def encoded(codec):
    rng = np.random.default_rng(11)
    w = rng.standard_normal(SHAPE, np.float32) / 10
    w *= np.exp2(rng.integers(-3, 4, (1, SHAPE[1], 1, 1)) / 2).astype(np.float32)
    w[:700:7] *= 0.001  # rows whose classes are clamped
    w[3, 5], w[1200, 330] = 90.0, -70.0
    return qcodec.encode(w, codec)


def decoded(codec, dtype):
    with qcodec.safe_open(encoded(codec), threads=1, verify="never") as f:
        return f.get_tensor("", dtype=dtype)


@functools.cache
def portable(codec, dtype):
    with level("portable"):
        return decoded(codec, dtype)


@pytest.mark.parametrize("isa", ["avx2", "avx512"], indirect=True)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("codec", CODECS)
def test_large_tensors_with_profiles_decode_as_small_ones_do(isa, codec, dtype):
    got = decoded(codec, dtype)
    np.testing.assert_array_equal(got.view("u1"), portable(codec, dtype).view("u1"))
