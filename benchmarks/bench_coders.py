"""Coders on bare symbols, beside zstd's Huff0 on the same ones.

Huff0 is reached through zstandard with parameters that find next to no matches, so that all but a
few symbols are Huffman-coded literals. Streams are 1 Mi symbols for the engine, as in files.
Each is dropped before the next is made: kept ones would measure the first touch of their pages.
"""

from typing import Any

import numpy as np
import pytest
import zstandard
from data import entropy, symbols

from qcodec import _core

CODERS = ["rans", "huffman"]
NAMES = ["chan4", "g64", "chan8", "bf16exp", "sparse", "tern", "gauss"]
CHUNK = 1 << 20


def bits_of(data: Any) -> int:
    return max(int(data.max()).bit_length(), 1)


def chunks_of(name: str) -> list[Any]:
    data = symbols(name)[: 16 * CHUNK]
    return [data[i : i + CHUNK] for i in range(0, data.size // CHUNK * CHUNK, CHUNK)]


def literals_only() -> Any:
    return zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(
            strategy=zstandard.STRATEGY_FAST, min_match=7, hash_log=6, chain_log=6, search_log=1,
            target_length=0, window_log=17,
        )
    )  # fmt: skip


def note(benchmark: Any, name: str, coded: int, role: str) -> None:
    data = np.concatenate(chunks_of(name))
    benchmark.extra_info.update(
        weights=data.size, bits=8 * coded / data.size, entropy=entropy(data), role=role
    )


@pytest.mark.parametrize("name", NAMES)
def test_huff0_decode(benchmark: Any, name: str) -> None:
    benchmark.group = f"decode {name}"
    blobs = [literals_only().compress(c) for c in chunks_of(name)]
    out = np.ones(CHUNK, np.uint8)
    decompressor = zstandard.ZstdDecompressor()

    def run() -> None:
        for blob in blobs:
            with decompressor.stream_reader(blob) as reader:
                reader.readinto(out)

    run()
    np.testing.assert_array_equal(out, chunks_of(name)[-1])
    note(benchmark, name, sum(map(len, blobs)), "huff0")
    benchmark.pedantic(run, rounds=15, warmup_rounds=1)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("name", NAMES)
def test_decode(benchmark: Any, name: str, coder: str) -> None:
    benchmark.group = f"decode {name}"
    number = _core.coders()[coder]
    chunks = chunks_of(name)
    bits = bits_of(symbols(name))
    blobs = [np.frombuffer(_core.stream_encode(number, c, bits), np.uint8) for c in chunks]

    def run() -> None:
        for blob in blobs:
            _core.stream_decode(number, blob, CHUNK, bits)

    note(benchmark, name, sum(b.size for b in blobs), coder)
    benchmark.pedantic(run, rounds=15, warmup_rounds=1)


@pytest.mark.parametrize("name", NAMES)
def test_huff0_encode(benchmark: Any, name: str) -> None:
    benchmark.group = f"encode {name}"
    chunks = chunks_of(name)
    compressor = literals_only()
    blobs = [compressor.compress(c) for c in chunks]
    note(benchmark, name, sum(map(len, blobs)), "huff0")

    def run() -> None:
        for chunk in chunks:
            compressor.compress(chunk)

    benchmark.pedantic(run, rounds=9, warmup_rounds=1)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("name", NAMES)
def test_encode(benchmark: Any, name: str, coder: str) -> None:
    benchmark.group = f"encode {name}"
    number = _core.coders()[coder]
    chunks = chunks_of(name)
    bits = bits_of(symbols(name))
    coded = sum(len(_core.stream_encode(number, c, bits)) for c in chunks)
    note(benchmark, name, coded, coder)

    def run() -> None:
        for chunk in chunks:
            _core.stream_encode(number, chunk, bits)

    benchmark.pedantic(run, rounds=9, warmup_rounds=1)
