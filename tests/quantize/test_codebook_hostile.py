"""Sections and symbols of codebooks that no writer writes; large outputs in one loop."""

import struct

import ml_dtypes
import numpy as np
import pytest
from codebook_chunks import CHUNK, blob_of, chunks_of, slow_decode
from reference_coders import RejectedError

import qcodec
from qcodec import CorruptError, TruncatedError, _core

pytestmark = pytest.mark.usefixtures("touched")

F32 = struct.Struct("<f").pack
NAN, INF = bytes.fromhex("0000c07f"), bytes.fromhex("0000807f")


def outcome(codec, shape, chunk, dtype="F32"):
    """The values, or the class of the error; the slow decoder must agree."""
    try:
        slow = slow_decode([chunk], codec, dtype, shape)
    except (RejectedError, AssertionError):
        slow = None
    try:
        fast = qcodec.decode(blob_of(codec, dtype, shape, chunk))
    except (CorruptError, TruncatedError) as error:
        assert slow is None
        return type(error)
    assert slow is not None
    assert fast.tobytes() == slow.tobytes()
    return fast.tolist()


# ---- kmeans: chunks of four elements with symbols 0, 1, 0, 0

STORED = bytes.fromhex("0004")  # width 2
TWO = F32(-1) + F32(2)
KMEANS = {
    "as a writer writes it": (b"\x01\x01" + TWO + STORED, [-1, 2, -1, -1]),
    "entries of 16 bits": (b"\x09\x01" + bytes.fromhex("80bf0040") + STORED, [-1, 2, -1, -1]),
    "a size for each codebook": (b"\x11\x01" + TWO + STORED, [-1, 2, -1, -1]),
    "subnormal entries": (
        b"\x01\x01" + F32(-1e-45) + F32(1e-45) + STORED,
        [-1.401298464324817e-45, 1.401298464324817e-45] + [-1.401298464324817e-45] * 2,
    ),
    "wider symbols than needed": (b"\x07\x01" + TWO + b"\0\0\1\0\0", [-1, 2, -1, -1]),
    "an unknown form": (b"\x21\x01" + TWO + STORED, CorruptError),
    "the highest bit of the form": (b"\x81\x01" + TWO + STORED, CorruptError),
    "more entries than k": (b"\x01\x03" + F32(-1) + F32(0) + TWO + STORED, CorruptError),
    "more entries than symbols": (b"\x00\x02" + F32(-2) + TWO + b"\0\2", CorruptError),
    "256 entries": (b"\x07\xff" + b"".join(map(F32, range(256))) + b"\1\0", CorruptError),
    "entries that are equal": (b"\x01\x01" + F32(1) + F32(1) + STORED, CorruptError),
    "two zeros": (b"\x01\x01" + F32(-0.0) + F32(0) + STORED, CorruptError),
    "entries that descend": (b"\x01\x01" + F32(2) + F32(1) + STORED, CorruptError),
    "an entry that is no number": (b"\x01\x01" + F32(1) + NAN + STORED, CorruptError),
    "a first entry that is no number": (b"\x01\x00" + NAN + b"\1\0", CorruptError),
    "an infinite entry": (b"\x01\x01" + F32(1) + INF + STORED, CorruptError),
    "an infinite entry of 16 bits": (b"\x09\x01\0\0\x80\x7f" + STORED, CorruptError),
    "a stored symbol without an entry": (b"\x01\x01" + TWO + b"\0\x08", CorruptError),
    "the last symbol without an entry": (b"\x01\x01" + TWO + b"\0\x80", CorruptError),
    "a constant symbol without an entry": (b"\x01\x01" + TWO + b"\1\2", CorruptError),
    "a symbol beyond its width": (b"\x01\x01" + TWO + b"\1\4", CorruptError),
    "a byte more": (b"\x01\x01" + TWO + STORED + b"\0", CorruptError),
}  # fmt: skip


@pytest.mark.parametrize("name", KMEANS)
def test_forged_codebook(isa, name):
    chunk, expected = KMEANS[name]
    assert outcome("kmeans(k=3) | bitpack", (4,), chunk) == expected


@pytest.mark.parametrize("name", ["as a writer writes it", "entries of 16 bits"])
def test_codebook_that_ends_early_is_truncated(name):
    chunk, _ = KMEANS[name]
    for length in range(1, len(chunk)):
        assert outcome("kmeans(k=3) | bitpack", (4,), chunk[:length]) is TruncatedError


GROUPS = "kmeans(k=3, group=2) | bitpack"
GROUPED = {
    "sizes of two and one": (b"\x11\x01\x00" + TWO + F32(5) + STORED, [-1, 2, 5, 5]),
    "one size for both": (b"\x01\x01" + TWO + F32(0) + F32(5) + STORED, [-1, 2, 0, 0]),
    "a symbol of the neighbour": (b"\x11\x00\x01" + F32(5) + TWO + STORED, CorruptError),
    "the second does not ascend": (b"\x01\x01" + TWO + F32(5) + F32(0) + STORED, CorruptError),
    "a size that is missing": (b"\x11\x01", TruncatedError),
    "a codebook that is missing": (b"\x11\x01\x00" + TWO, TruncatedError),
}


@pytest.mark.parametrize("name", GROUPED)
def test_forged_codebooks_of_groups(isa, name):
    chunk, expected = GROUPED[name]
    assert outcome(GROUPS, (4,), chunk) == expected


def test_symbol_without_an_entry_in_a_long_group_is_refused(isa):
    w = np.tile(np.array([1, 2, 3], np.float32), 60)
    codec = "kmeans(k=3, group=90) | bitpack"
    [chunk] = chunks_of(w, codec)
    assert outcome(codec, w.shape, chunk) == w.tolist()
    for at in range(45):  # the plane: 180 symbols of 2 bits, the last 45 bytes
        forged = bytearray(chunk)
        forged[len(chunk) - 45 + at] |= 0xC0
        assert outcome(codec, w.shape, bytes(forged)) is CorruptError


def test_config_that_names_what_the_quantizer_refuses_is_corrupt():
    chunk, _ = KMEANS["as a writer writes it"]
    good = qcodec.parse("kmeans(k=3) | bitpack").get_config()
    for option, value in [("k", 0), ("k", 257), ("group", 0), ("rate", 2.0), ("keep_zeros", 1)]:
        blob = blob_of("kmeans(k=3) | bitpack", "F32", (4,), chunk)
        config = good | {"quantizer": good["quantizer"] | {option: value}}
        with pytest.raises(CorruptError):
            qcodec.Codec.from_config(config)
        assert qcodec.decode(blob).shape == (4,)


# ---- ternary: chunks of four elements with symbols 0, 1, 2, 1

SYMBOLS = bytes.fromhex("0064")
TERNARY = {
    "as a writer writes it": (F32(1.5) + SYMBOLS, [-1.5, 0, 1.5, 0]),
    "a scale of zero": (F32(0) + SYMBOLS, [-0.0, 0, 0, 0]),
    "the smallest scale": (F32(1e-45) + b"\1\2", [1.401298464324817e-45] * 4),
    "a negative zero": (F32(-0.0) + SYMBOLS, CorruptError),
    "a negative scale": (F32(-1) + SYMBOLS, CorruptError),
    "an infinite scale": (INF + SYMBOLS, CorruptError),
    "a scale that is no number": (NAN + SYMBOLS, CorruptError),
    "a symbol of three": (F32(1) + bytes.fromhex("0067"), CorruptError),
    "a constant of three": (F32(1) + b"\1\3", CorruptError),
    "a byte more": (F32(1) + SYMBOLS + b"\0", CorruptError),
    "a scale cut short": (F32(1)[:3], TruncatedError),
    "no plane": (F32(1), TruncatedError),
}


@pytest.mark.parametrize("name", TERNARY)
def test_forged_ternary(isa, name):
    chunk, expected = TERNARY[name]
    assert outcome("ternary | bitpack", (4,), chunk) == expected


# ---- outputs of more than 8 MiB: symbols go from registers to entries, and are checked there

N = 5 * CHUNK - 13
DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]
SIZES = [2, 3, 16, 23, 64, 100, 256]


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(8).standard_normal(N, dtype=np.float32)


def made_of(weights, k, coder, short):
    """A blob of k values, without the search for them: places are those of even steps."""
    values = np.linspace(-3, 3, k).astype(np.float32)
    form = (max(1, (k - 1).bit_length()) - 1) | 8 * short
    if short:
        values = (values.view(np.uint32) & 0xFFFF0000).view(np.float32)
        table = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    else:
        table = values.tobytes()
    places = np.clip(np.rint((weights + 3) * ((k - 1) / 6)), 0, k - 1).astype(np.uint8)
    section = bytes([form, k - 1]) + table
    width = (form & 7) + 1
    number = _core.coders()[coder]
    chunks = [
        section + _core.stream(number, places[at : at + CHUNK], width, False)
        for at in range(0, N, CHUNK)
    ]
    return blob_of(f"kmeans(k={k}) | {coder}", "F32", (N,), *chunks), values[places], chunks


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("coder", ["bitpack", "rans"])
@pytest.mark.parametrize("k", SIZES)
def test_large_output_equals_the_entries(weights, k, coder, short):
    blob, expected, _ = made_of(weights, k, coder, short)
    for dtype in DTYPES:
        out = np.ones(N + 3, dtype)[3:]  # not at the beginning of a line
        qcodec.decode(blob, out=out)
        assert out.tobytes() == expected.astype(dtype).tobytes(), np.dtype(dtype).name
    with qcodec.safe_open(blob) as f:
        np.testing.assert_array_equal(f.get_slice("")[77 : N - 5], expected[77 : N - 5])


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("k", [3, 23, 100])
def test_symbol_without_an_entry_in_a_large_output_is_refused(isa, weights, k, dtype):
    # As many entries as symbols are fine; with one entry less, some symbol has none.
    for coder in ("bitpack", "rans"):
        _, _, chunks = made_of(weights, k, coder, False)
        section = 2 + 4 * k
        cut = chunks[2][:1] + bytes([k - 2]) + chunks[2][2 : section - 4] + chunks[2][section:]
        codec = f"kmeans(k={k}) | {coder}"
        blob = blob_of(codec, "F32", (N,), *chunks[:2], cut, *chunks[3:])
        out = np.ones(N, dtype)
        with pytest.raises(CorruptError, match=r"chunk 2.*a symbol without an entry"):
            qcodec.decode(blob, out=out)
