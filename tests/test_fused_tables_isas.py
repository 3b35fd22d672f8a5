"""Large outputs by way of a table or of windows: every instruction set has the portable values."""

import ml_dtypes
import numpy as np
import pytest
from conftest import level

import qcodec

pytestmark = pytest.mark.usefixtures("touched")

N = 4_300_803  # five chunks, of which the last ends within a block; 8 MiB even of two bytes
DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]
CODECS = [
    "trellis(step=0.28) | rans",  # tables with escapes
    "trellis(step=1.0) | rans",
    "trellis(step=0.27) | rans",  # with outliers, which are patched
    "trellis(states=8, bits=2.0, group=64) | rans",
    "trellis(states=8, snr=35.0, group=192) | rans",  # groups end within chunks, and escapes
    "trellis(states=8, bits=5.0, group=1000) | rans",
    "kmeans(k=12) | rans",
    "kmeans(k=3) | bitpack",
    "kmeans(k=12) | bitpack",
    "kmeans(k=27) | bitpack",
    "kmeans(k=64) | bitpack",
    "kmeans(k=100) | bitpack",
    "kmeans(k=12) | huffman",
    "kmeans(k=100) | zero_run(then='huffman')",
    "ternary | rans",  # masks and values
    "kmeans(k=12, keep_zeros=True) | bloomier(bits=6)",
    "kmeans(k=100, keep_zeros=True) | bloomier(bits=8)",
    "kmeans(k=100, keep_zeros=True) | bloomier(bits=9)",
    "uniform(bits=4) | bloomier(bits=5)",
    "uniform(bits=7, group=64) | bloomier(bits=8)",
    "uniform(bits=7, group=64) | bloomier(bits=12)",
]


def with_values(blob):
    with qcodec.safe_open(blob) as f:
        return blob, {dtype: f.get_tensor("", dtype=dtype) for dtype in DTYPES}


@pytest.fixture(scope="module")
def decoded():
    """By codec: a blob, and what portable code makes of it in each dtype."""
    rng = np.random.default_rng(5)
    weights = rng.standard_normal(N, np.float32) * np.repeat([1, 0.3, 1], [N // 2, 1 << 20, N])[:N]
    weights = weights.astype(np.float32)
    weights[1 << 20 : 2 << 20] = 0  # a chunk of one symbol
    sparse = weights * (rng.random(N) < 0.08)
    outliers = weights.copy()
    outliers[::400_001] = 60

    def weights_for(codec):
        if "bloomier" not in codec:
            return outliers if "0.27" in codec else weights
        # The last chunk of two ends with a part of a window that is whole lines.
        return sparse[:-259] if "group" in codec or "k=12" in codec else sparse

    with level("portable"):
        return {codec: with_values(qcodec.encode(weights_for(codec), codec)) for codec in CODECS}


@pytest.mark.parametrize("offset", [0, 4, 16, 20])
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("codec", CODECS)
def test_large_output_by_a_table_equals_the_portable_one(isa, decoded, codec, dtype, offset):
    blob, portable = decoded[codec]
    size = portable[dtype].nbytes
    raw = np.full(size + 192, 0xA5, np.uint8)
    begin = 64 - raw.ctypes.data % 64 + offset
    with qcodec.safe_open(blob, threads=1) as f:
        f.get_tensor("", out=raw[begin : begin + size].view(dtype))
    np.testing.assert_array_equal(raw[begin : begin + size], portable[dtype].view(np.uint8))
    assert (raw[:begin] == 0xA5).all()
    assert (raw[begin + size :] == 0xA5).all()
