"""Lossless floats beside ZipNN and blosc2, one thread, on MiniLM; the copy is of the raw floats.

The engine encodes into and decodes into reused buffers (``out=``); the peers have no such
argument, so a row of the engine with fresh outputs stands beside them as well.
"""

import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from data import minilm

import qcodec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs
    import blosc2
    import zipnn

DTYPES = {"bf16": ml_dtypes.bfloat16, "f32": np.float32, "f16": np.float16}
ZIPNN = {"bf16": "bfloat16", "f32": "float32", "f16": "float16"}


def weights(dtype: str) -> Any:
    return minilm().astype(DTYPES[dtype])


def note(benchmark: Any, dtype: str, coded: int, role: str) -> None:
    raw = weights(dtype)
    benchmark.extra_info.update(weights=raw.size, bits=8 * coded / raw.size, role=role)


@pytest.mark.parametrize("dtype", DTYPES)
def test_copy(benchmark: Any, dtype: str) -> None:
    benchmark.group = f"lossless {dtype}: decode"
    raw = weights(dtype)
    out = np.ones_like(raw)
    note(benchmark, dtype, raw.nbytes, "memcpy")
    benchmark.pedantic(np.copyto, (out, raw), rounds=25, warmup_rounds=2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fresh", [False, True])
def test_qcodec_decode(benchmark: Any, dtype: str, fresh: bool) -> None:
    benchmark.group = f"lossless {dtype}: decode"
    raw = weights(dtype)
    blob = qcodec.encode(raw)
    out = None if fresh else np.ones_like(raw)
    assert qcodec.decode(blob).tobytes() == raw.tobytes()
    note(benchmark, dtype, len(blob), "")
    run = {"out": out, "threads": 1}
    benchmark.pedantic(qcodec.decode, (blob,), run, rounds=15, warmup_rounds=2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zipnn_decode(benchmark: Any, dtype: str) -> None:
    benchmark.group = f"lossless {dtype}: decode"
    raw = weights(dtype).view(np.uint8).tobytes()
    peer = zipnn.ZipNN(bytearray_dtype=ZIPNN[dtype], threads=1)
    blob = bytes(peer.compress(raw))
    note(benchmark, dtype, len(blob), "zipnn")
    benchmark.pedantic(peer.decompress, (blob,), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_blosc2_decode(benchmark: Any, dtype: str) -> None:
    benchmark.group = f"lossless {dtype}: decode"
    raw = weights(dtype)
    blosc2.set_nthreads(1)
    step = 1 << 28
    blob = blosc2.compress2(
        raw.view(np.uint8)[:step], typesize=raw.itemsize, codec=blosc2.Codec.ZSTD, clevel=1,
        filters=[blosc2.Filter.SHUFFLE], nthreads=1,
    )  # fmt: skip
    note(benchmark, dtype, len(blob), "blosc2")
    benchmark.pedantic(blosc2.decompress2, (blob,), {"nthreads": 1}, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fresh", [False, True])
def test_qcodec_encode(benchmark: Any, dtype: str, fresh: bool) -> None:
    benchmark.group = f"lossless {dtype}: encode"
    raw = weights(dtype)
    coded = len(qcodec.encode(raw))
    note(benchmark, dtype, coded, "")
    run: dict[str, Any] = {"threads": 1}
    if not fresh:
        run["out"] = np.ones(coded, np.uint8)
    benchmark.pedantic(qcodec.encode, (raw,), run, rounds=9, warmup_rounds=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zipnn_encode(benchmark: Any, dtype: str) -> None:
    benchmark.group = f"lossless {dtype}: encode"
    raw = weights(dtype).view(np.uint8).tobytes()
    peer = zipnn.ZipNN(bytearray_dtype=ZIPNN[dtype], threads=1)
    note(benchmark, dtype, len(bytes(peer.compress(raw))), "zipnn")
    # ZipNN changes the buffer that it is given, so each round gets a copy, made outside the clock.
    benchmark.pedantic(
        peer.compress, setup=lambda: ((bytearray(raw),), {}), rounds=7, warmup_rounds=1
    )
