"""Memory that has never been touched: what is decoded to it, and what arrays share."""

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


def test_loaded_arrays_share_memory_but_no_byte(tmp_path):
    rng = np.random.default_rng(4)
    sizes = [0, 1, 65_535, 65_536, 65_537, 70_001, 4_194_303, 4_194_304, 5_000_000]
    sizes += [3_999_999] * 6  # more than one block
    model = {f"{k}": rng.integers(0, 256, n, np.uint8) for k, n in enumerate(sizes)}
    model["f64"] = rng.standard_normal((100, 301))
    model["shared chunk"] = rng.standard_normal((7, 9000), np.float32)
    model["flags"] = rng.random(70_000) < 0.5
    qcodec.save_file(model, tmp_path / "model.qc")
    loaded = qcodec.load_file(tmp_path / "model.qc")
    for array in loaded.values():
        assert array.flags.writeable
        assert array.flags.aligned
        array.reshape(-1).view("u1")[:] ^= 0x55
    for name, array in loaded.items():
        assert array.dtype == model[name].dtype
        assert array.shape == model[name].shape
        np.testing.assert_array_equal(
            array.reshape(-1).view("u1") ^ 0x55, model[name].reshape(-1).view("u1")
        )
    assert loaded["4"].base is loaded["5"].base
    assert loaded["2"].base is not loaded["5"].base  # small enough to stand alone
