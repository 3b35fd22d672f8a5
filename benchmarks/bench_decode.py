"""Whole-call decode and encode of MiniLM from Python, beside memcpy of the same output.

And of 64 Mi normal weights, of which even an output of two bytes each is far beyond any cache.

One thread, preallocated output: ``qcodec.decode(blob, out=out, threads=1)``; or a new array, whose
pages are touched for the first time.
"""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from data import minilm

import qcodec

CODECS = [
    "uniform(bits=8, axis=0) | bitpack",
    "uniform(bits=4, group=64) | bitpack",
    "uniform(bits=8, axis=0) | rans",
    "uniform(bits=4, group=64) | rans",
    "uniform(bits=8, axis=0) | huffman",
    "uniform(bits=4, group=64) | huffman",
    "trellis(states=8, snr=20) | rans",
    "trellis(snr=20) | rans",
]
DTYPES = {"f32": np.float32, "bf16": ml_dtypes.bfloat16, "f16": np.float16}


def rows() -> Any:
    """MiniLM as one matrix with 384 columns."""
    w = minilm()
    return w[: w.size // 384 * 384].reshape(-1, 384)


@pytest.mark.parametrize("dtype", DTYPES)
def test_copy(benchmark: Any, dtype: str) -> None:
    benchmark.group = f"decode to {dtype}"
    source = rows().astype(DTYPES[dtype])
    out = np.ones_like(source)
    benchmark.extra_info.update(weights=source.size, role="memcpy")
    benchmark.pedantic(np.copyto, (out, source), rounds=25, warmup_rounds=2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("codec", CODECS)
def test_decode(benchmark: Any, codec: str, dtype: str) -> None:
    benchmark.group = f"decode to {dtype}"
    weights = rows()
    blob = qcodec.encode(weights, codec)
    out = np.ones(weights.shape, DTYPES[dtype])
    benchmark.extra_info.update(weights=weights.size, bits=8 * len(blob) / weights.size)
    benchmark.pedantic(
        qcodec.decode, (blob,), {"out": out, "threads": 1}, rounds=25, warmup_rounds=2
    )


LARGE = [
    "uniform(bits=4, group=64) | bitpack",
    "uniform(bits=4, group=64) | rans",
    "trellis(step=0.6) | rans",
    "trellis(step=0.3) | rans",
    "trellis(step=0.14) | rans",
    "lossless | rans",
]


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("codec", ["copy", *LARGE])
def test_large_decode(benchmark: Any, codec: str, dtype: str) -> None:
    benchmark.group = f"64 Mi to {dtype}"
    weights = np.random.default_rng(0).standard_normal((16384, 4096), np.float32)
    out = np.ones(weights.shape, DTYPES[dtype])
    benchmark.extra_info.update(weights=weights.size)
    if codec == "copy":
        benchmark.extra_info.update(role="memcpy")
        source = weights.astype(DTYPES[dtype])
        benchmark.pedantic(np.copyto, (out, source), rounds=15, warmup_rounds=2)
        return
    source = weights.astype(DTYPES[dtype]) if codec.startswith("lossless") else weights
    blob = qcodec.encode(source, codec)
    benchmark.extra_info.update(bits=8 * len(blob) / weights.size)
    benchmark.pedantic(
        qcodec.decode, (blob,), {"out": out, "threads": 1}, rounds=15, warmup_rounds=2
    )


@pytest.mark.parametrize("codec", ["copy", *LARGE[1:4:2], "lossless | rans"])
def test_new_array(benchmark: Any, codec: str) -> None:
    benchmark.group = "64 Mi to a new f32 array"
    weights = np.random.default_rng(0).standard_normal((16384, 4096), np.float32)
    benchmark.extra_info.update(weights=weights.size)
    if codec == "copy":
        benchmark.extra_info.update(role="memcpy")
        benchmark.pedantic(weights.copy, rounds=9, warmup_rounds=2)
        return
    blob = qcodec.encode(weights, codec)
    benchmark.extra_info.update(bits=8 * len(blob) / weights.size)
    benchmark.pedantic(qcodec.decode, (blob,), {"threads": 1}, rounds=9, warmup_rounds=2)


@pytest.mark.parametrize("codec", CODECS)
def test_encode(benchmark: Any, codec: str) -> None:
    benchmark.group = "encode from f32"
    weights = rows()
    benchmark.extra_info.update(weights=weights.size)
    benchmark.pedantic(qcodec.encode, (weights, codec), {"threads": 1}, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("codec", ["uniform(bits=8, axis=0) | huffman", "lossless | huffman"])
def test_threads(benchmark: Any, codec: str, threads: int) -> None:
    benchmark.group = f"threads: {codec}"
    weights = rows()
    blob = qcodec.encode(weights, codec)
    out = np.ones_like(weights)
    role = "one thread" if threads == 1 else ""
    benchmark.extra_info.update(weights=weights.size, role=role)
    benchmark.pedantic(
        qcodec.decode, (blob,), {"out": out, "threads": threads}, rounds=25, warmup_rounds=2
    )
