"""Chunks of one tensor whose streams are decoded side by side, where one thread has several.

The portable decoder takes one chunk after another, so it is what values and errors must equal.
"""

import functools

import forge
import numpy as np
import pytest
from conftest import level

import qcodec
from qcodec import CorruptError, TruncatedError

pytestmark = pytest.mark.usefixtures("touched")

CHUNK = 2**20
COLUMNS = 512
CODECS = [
    "dithered(step=0.3) | rans",
    "dithered(step=0.02) | rans",  # raw bits
    "lattice(lattice='d4', step=0.3) | rans",
    "lattice(lattice='e8', step=0.3) | rans",
    "lattice(lattice='leech', step=0.5) | rans",
    "uniform(step=0.3, profile=True) | rans",
    "uniform(step=0.02, profile=True) | rans",  # raw bits
    "dct(block=8) | uniform(step=0.3) | rans",
    "dct(block=4) | dithered(step=0.3) | rans",
]


def weights(n):
    """Chunks that differ: in scale, so in bits of a symbol; one constant; outliers; one uniform."""
    w = np.random.default_rng(5).standard_normal(n).astype(np.float32)
    w[CHUNK : 2 * CHUNK] *= 9
    w[2 * CHUNK : 3 * CHUNK : 777] = 40
    w[4 * CHUNK : 5 * CHUNK] = 0
    w[5 * CHUNK : 6 * CHUNK] = np.linspace(-4, 4, len(w[5 * CHUNK : 6 * CHUNK]), dtype=np.float32)
    return w.reshape(-1, COLUMNS)


@functools.cache
def blob(codec, rows):
    return qcodec.encode(weights(rows * COLUMNS), codec)


ROWS_OF_CHUNK = CHUNK // COLUMNS
SIZES = {
    "2 chunks": 2 * ROWS_OF_CHUNK,
    "3 and a row": 3 * ROWS_OF_CHUNK + 1,
    "6 and a half": 6 * ROWS_OF_CHUNK + ROWS_OF_CHUNK // 2,
}


def same_bits(a, b):
    return np.array_equal(a.view(np.uint8), b.view(np.uint8))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("codec", CODECS)
def test_values_are_those_of_chunks_decoded_alone(isa, codec, size):
    with level("portable"):
        expected = qcodec.decode(blob(codec, SIZES[size]), threads=2)
    for threads in (1, 2):
        assert same_bits(qcodec.decode(blob(codec, SIZES[size]), threads=threads), expected)


@pytest.mark.parametrize("codec", CODECS[::3])
def test_range_may_begin_and_end_within_chunks(isa, codec):
    data = blob(codec, SIZES["6 and a half"])
    whole = qcodec.decode(data, threads=1)
    with qcodec.safe_open(data, threads=1) as f:
        for begin, end in (
            (5, 6 * ROWS_OF_CHUNK + 3),
            (0, 5 * ROWS_OF_CHUNK),
            (ROWS_OF_CHUNK, 6 * ROWS_OF_CHUNK),
        ):
            assert same_bits(f.get_slice("")[begin:end], whole[begin:end])


def outcome(data):
    """Values, or an error and what it says: of which chunk, and where."""
    try:
        with qcodec.safe_open(data, threads=1, verify="never") as f:
            return f.get_tensor("")
    except (CorruptError, TruncatedError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("codec", CODECS)
def test_damage_is_named_as_where_chunks_are_decoded_alone(isa, codec):
    parts = forge.take_apart(blob(codec, SIZES["6 and a half"]))
    chunks = list(parts.rows[0].chunks)
    rng = np.random.default_rng(6)
    named = 0
    for k in (0, 1, 3, 6):
        for place in (0.02, 0.5, 0.97, 1):
            bad = bytearray(chunks[k])
            bad[min(int(place * len(bad)), len(bad) - 1)] ^= 1 << int(rng.integers(8))
            parts.rows[0].chunks = [*chunks[:k], bytes(bad), *chunks[k + 1 :]]
            data = forge.put_together(parts)
            got = outcome(data)
            with level("portable"):
                expected = outcome(data)
            if isinstance(expected, tuple):
                assert got == expected
                assert f"chunk {k}" in expected[1]
                named += 1
            else:
                assert same_bits(got, expected)
    assert named > 4


def test_first_of_two_damaged_chunks_is_named(isa):
    parts = forge.take_apart(blob(CODECS[0], SIZES["6 and a half"]))
    chunks = parts.rows[0].chunks
    for k in (2, 1):
        chunks[k] = chunks[k][:-1]
        with pytest.raises(TruncatedError, match=f"chunk {k}"):
            qcodec.decode(forge.put_together(parts), threads=1)


def test_chunk_whose_hash_is_wrong_is_named(isa):
    data = bytearray(blob(CODECS[0], SIZES["3 and a row"]))
    second = forge.take_apart(data).rows[0].chunks[1]
    data[data.find(second) + len(second) // 2] ^= 16
    with pytest.raises(CorruptError, match=r"chunk 1.*hash"):
        qcodec.decode(bytes(data), threads=1)
