"""XXH3-64 of the engine against the xxhash package."""

import numpy as np
import pytest
import xxhash

from qcodec import _core

DATA = np.random.default_rng(0).integers(0, 256, 70_000, dtype=np.uint8).tobytes()
SEEDS = [0, 1, 2**32 - 1, 2**32, 0x9E3779B97F4A7C15, 2**63, 2**64 - 1]
# Short inputs have forms of their own up to 240 bytes; long ones are hashed in blocks of 1,024.
LENGTHS = [
    *range(301),
    *(k * 1024 + d for k in (1, 2, 3, 8, 64) for d in (-65, -64, -1, 0, 1, 63, 64)),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_hash_equals_that_of_the_xxhash_package(isa, seed):
    for n in LENGTHS:
        assert _core.xxh3_64(DATA[:n], seed) == xxhash.xxh3_64_intdigest(DATA[:n], seed), n


def test_hash_does_not_depend_on_alignment(isa):
    buffer = np.zeros(5000, np.uint8)
    for offset in range(64):
        view = buffer[offset : offset + 4000]
        view[:] = np.frombuffer(DATA[:4000], np.uint8)
        assert _core.xxh3_64(view, 7) == xxhash.xxh3_64_intdigest(DATA[:4000], 7)


def test_hash_of_nothing_is_the_published_constant():
    # XXH3-64 of the empty input with seed 0, from the specification's test vectors.
    assert _core.xxh3_64(b"", 0) == 0x2D06800538D394C2


def test_memory_that_is_not_contiguous_is_refused():
    with pytest.raises(ValueError, match="not contiguous"):
        _core.xxh3_64(np.zeros(10, np.uint8)[::2], 0)
