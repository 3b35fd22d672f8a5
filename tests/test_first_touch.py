"""Memory that has never been touched, which is not written around the caches."""

import mmap

import ml_dtypes
import numpy as np
import pytest

import qcodec

CHUNK = 2**20
N = 4 * CHUNK + 333  # 8 MiB even of two bytes
CODECS = [
    "uniform(bits=4, group=64) | rans",
    "uniform(bits=4, group=64) | bitpack",
    "trellis(states=8, step=0.3) | rans",
    "dithered(step=0.3) | rans",
    "lossless",
]


def new_pages(nbytes):
    return np.frombuffer(mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), "u1")


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("codec", CODECS)
def test_new_pages_get_what_touched_ones_get(isa, codec, dtype):
    blob = qcodec.encode(np.random.default_rng(3).standard_normal(N, np.float32), codec)
    touched = np.ones(N, dtype)
    qcodec.decode(blob, out=touched)
    for first_touched in (0, 2 * CHUNK):  # nothing, or the chunks in the middle
        out = new_pages(touched.nbytes).view(dtype)
        out[first_touched : 2 * first_touched - CHUNK // 2] = 1
        qcodec.decode(blob, out=out, threads=1)
        np.testing.assert_array_equal(out.view("u1"), touched.view("u1"))
