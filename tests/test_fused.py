"""Outputs of more than 8 MiB: written around the caches, and from symbols to elements in one loop.

The portable code does neither, so it is what the values must equal.
"""

import functools

import forge
import ml_dtypes
import numpy as np
import pytest
from conftest import level

import qcodec
from qcodec import CorruptError, TruncatedError, _core

pytestmark = pytest.mark.usefixtures("touched")

RANS = _core.coders()["rans"]
MEGA = 2**20
COLUMNS = 384
N = 11_201 * COLUMNS  # 4.3 million: five chunks; 525 blocks of 8192 and 384 more
DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]
LARGE = 8 * MEGA  # bytes of output from which on the loops fuse

QUANTIZERS = {
    "uniform(bits=4, group=64)": 0,  # symbols that are left out, so that sizes are odd
    "uniform(bits=1, group=128)": 61,
    "uniform(bits=2)": 8191,
    "uniform(bits=8, axis=0)": 0,
    "uniform(bits=3, group=192, symmetric=False)": 1,
    "uniform(bits=5, group=64)": 384 + 64,
    "uniform(bits=4, group=96)": 0,  # symbols that go two ways, by what a block begins with
    "uniform(bits=3, group=32)": 7,
    "uniform(bits=6, group=64)": 255,
    "uniform(bits=7, axis=0, symmetric=False)": 0,
    "uniform(step=0.05)": 5,
    "uniform(step=0.02)": 384,  # with outliers: escapes
}
CODECS = [f"{quantizer} | {coder}" for quantizer in QUANTIZERS for coder in ("bitpack", "rans")]
CODECS += [  # read again from where the coder left them
    "uniform(bits=4, group=64) | huffman",
    "uniform(bits=6, group=64) | zero_run(then='huffman')",
    "uniform(step=0.05) | huffman",
]
SLICED = [
    "uniform(bits=4, group=64) | rans",
    "uniform(bits=4, group=64) | bitpack",
    "uniform(bits=3, group=192, symmetric=False) | rans",
    "uniform(step=0.05) | bitpack",
]


# Levels that have loops of their own.
each_fused_isa = pytest.mark.parametrize("isa", ["avx2", "avx512"], indirect=True)


def portable(blob, dtype, verify="never"):
    with level("portable"), qcodec.safe_open(blob, threads=2, verify=verify) as f:
        return f.get_tensor("", dtype=dtype)


@pytest.fixture(scope="module")
def weights():
    # A shifted bell without tails: symbols of one and two bits are worth coding too.
    rng = np.random.default_rng(21)
    w = np.clip(rng.standard_normal(N, np.float32), -1, 1) + np.float32(0.3)
    w *= np.repeat(rng.choice(np.float32([1, 1.05]), N // 64), 64)  # so that groups differ in scale
    w[1000:3000] = 0
    return w


@pytest.fixture(scope="module")
def blobs(weights):
    """By codec: the blob of 4.3 million weights."""
    outliers = weights.copy()
    outliers[::70_001] = 50

    def blob(codec):
        quantizer = codec.split(" | ")[0]
        w = outliers if "0.02" in quantizer else weights
        w = w[: N - QUANTIZERS[quantizer]]
        return qcodec.encode(w.reshape(-1, COLUMNS) if "axis" in quantizer else w, codec)

    return {codec: blob(codec) for codec in CODECS}


class Frame:
    """One buffer, reused, in which outputs lie at any byte; what is around them stays."""

    ROOM = 4096

    def __init__(self):
        raw = np.empty(4 * N + 2 * self.ROOM + 64, np.uint8)
        self.raw = raw[-raw.ctypes.data % 64 :]

    def place(self, shape, dtype, offset):
        """An output `offset` bytes behind the begin of a cache line."""
        self.begin = self.ROOM + offset
        self.end = self.begin + int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.raw[: self.end + self.ROOM] = 0xA5
        return self.raw[self.begin : self.end].view(dtype).reshape(shape)

    def check_surroundings(self):
        assert (self.raw[: self.begin] == 0xA5).all()
        assert (self.raw[self.end : self.end + self.ROOM] == 0xA5).all()


@pytest.fixture(scope="module")
def frame():
    return Frame()


def same_bits(a, b):
    return a.dtype == b.dtype and np.array_equal(
        a.reshape(-1).view(np.uint8), b.reshape(-1).view(np.uint8)
    )


def test_blobs_are_what_the_fused_loops_take(blobs, weights):
    # Where rans codes the first chunk: a plain stream (form 0) of at least 2^6 lanes.
    coded = {}
    for codec, blob in blobs.items():
        stages = qcodec.parse(codec)
        if stages.coder.name == "rans" and "axis" not in codec and "0.02" not in codec:
            w = weights[: N - QUANTIZERS[codec.split(" | ")[0]]]
            planes = qcodec.encoding.symbol_planes(w, "F32", stages)
            assert len(planes) == 1
            payload = _core.stream_encode(RANS, planes[0][:MEGA], stages.quantizer.bits or 8)
            coded[codec] = payload[0] == 0 and payload[1] & 15 >= 6
            assert forge.take_apart(blob).rows[0].chunks[0].endswith(payload) or "step" in codec
    assert all(coded.values()), coded
    assert len(coded) == 9


@each_fused_isa
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("codec", CODECS)
def test_large_output_equals_the_portable_one_at_any_address(isa, blobs, frame, codec, dtype):
    expected = portable(blobs[codec], dtype)
    assert expected.nbytes >= LARGE
    item = expected.itemsize
    with qcodec.safe_open(blobs[codec], threads=2) as f:
        for offset in (0, item, 16, 20, 32, 62 // item * item):
            out = frame.place(expected.shape, dtype, offset)
            f.get_tensor("", out=out)
            assert same_bits(out, expected), offset
            frame.check_surroundings()


@pytest.mark.parametrize("codec", SLICED)
def test_large_output_does_not_depend_on_level_and_threads(isa, blobs, frame, codec):
    expected = portable(blobs[codec], np.float16)
    for threads in (1, 2):
        with qcodec.safe_open(blobs[codec], threads=threads) as f:
            out = frame.place(expected.shape, np.float16, 34)
            f.get_tensor("", out=out)
        assert same_bits(out, expected), threads
        frame.check_surroundings()


@each_fused_isa
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("codec", SLICED)
def test_large_slice_that_begins_and_ends_anywhere(isa, weights, codec, dtype):
    w = weights[: N - 77].astype(dtype)
    blob = qcodec.encode(w, codec)
    n, least = w.size, LARGE // w.itemsize
    expected = portable(blob, dtype)
    slices = [(5, n - 3), (8192, n - 64), (n - least, n), (0, least)]
    if dtype == np.float32:  # two chunks' worth
        slices += [(3 * 8192 + 17, MEGA + least), (MEGA - 1, 3 * MEGA), (MEGA, 3 * MEGA + 8193)]
    with qcodec.safe_open(blob, threads=2) as f:
        for begin, end in slices:
            assert (end - begin) * w.itemsize >= LARGE
            assert same_bits(f.get_slice("")[begin:end], expected[begin:end]), (begin, end)


# ---- symbols in the order of classes, or in planes of their own

ROWS = 5601  # of COLUMNS: 2.15 million, two chunks and a bit; 8.2 MiB of float32
ORDERED = {
    "dithered(step=0.3) | rans": (ROWS * COLUMNS - 3,),
    "dithered(step=0.01) | bitpack": (ROWS, COLUMNS),  # escapes
    "dithered(step=0.0001) | bitpack": (ROWS, COLUMNS),  # two planes
    "lattice(lattice='z', step=0.3) | rans": (ROWS * COLUMNS - 1,),
    "lattice(lattice='d4', step=0.3) | rans": (ROWS * COLUMNS - 61,),
    "lattice(lattice='e8', step=0.3) | rans": (ROWS * COLUMNS - 59,),
    "lattice(lattice='e8', step=0.01) | bitpack": (ROWS, COLUMNS),  # escapes
    "lattice(lattice='leech', step=0.5) | bitpack": (ROWS * COLUMNS - 31,),
    "uniform(step=0.3, profile=True) | rans": (ROWS, COLUMNS),
    "uniform(step=0.01, profile=True) | bitpack": (239_017, 1, 3, 3),  # escapes
    "dct | uniform(step=0.3) | rans": (239_017, 1, 3, 3),
    "dct | uniform(bits=3) | bitpack": (33_613, 16, 2, 2),
    "dct | dithered(step=0.3) | rans": (86_017, 1, 5, 5),
    "dct(block=8) | uniform(step=0.3, rdo=0.1) | rans": (2 * ROWS + 3, 195),
    "dct(block=8) | uniform(step=0.3) | bitpack": (2 * ROWS + 3, 195),
    "dct(block=4) | uniform(step=0.3) | bitpack": (2 * ROWS, 192),
    "dct(block=3) | uniform(step=0.01) | bitpack": (ROWS, COLUMNS),  # escapes
}


@pytest.fixture(scope="module")
def ordered():
    rng = np.random.default_rng(22)

    @functools.cache
    def blob(codec):
        w = rng.standard_normal(ORDERED[codec], np.float32)
        if "0.01" in codec:
            w.reshape(-1)[::70_001] = 50
        w[: len(w) // 3] *= 1.7
        return qcodec.encode(w, codec)

    return blob


@pytest.mark.parametrize("codec", ORDERED)
def test_large_ordered_output_equals_the_portable_one_at_any_address(isa, ordered, frame, codec):
    expected = portable(ordered(codec), np.float32)
    assert expected.nbytes >= LARGE
    with qcodec.safe_open(ordered(codec), threads=2) as f:
        for offset in (0, 4, 20, 60):
            out = frame.place(expected.shape, np.float32, offset)
            f.get_tensor("", out=out)
            assert same_bits(out, expected), offset
            frame.check_surroundings()
        half = f.get_tensor("", dtype=np.float16)
        assert same_bits(half, portable(ordered(codec), np.float16))
        if "bitpack" in codec:
            f.get_tensor("", out=frame.place(expected.shape, ml_dtypes.bfloat16, 22))
            frame.check_surroundings()


# ---- damage


def outcome(blob, dtype, frame, n):
    """The values, or the error's class; nothing is written outside of the output."""
    out = frame.place((n,), dtype, 20)
    try:
        with qcodec.safe_open(blob, threads=2, verify="never") as f:
            f.get_tensor("", out=out)
    except (CorruptError, TruncatedError) as error:
        return type(error)
    finally:
        frame.check_surroundings()
    return out


@each_fused_isa
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("codec", [c for c in CODECS if "rans" in c and "group" in c])
def test_damage_gives_what_the_portable_decoder_gives(isa, blobs, frame, codec, dtype):
    n = N - QUANTIZERS[codec.split(" | ")[0]]
    rng = np.random.default_rng(4)
    chunk_bytes = len(forge.take_apart(blobs[codec]).rows[0].chunks[0])
    refused = 0
    for k in range(5):
        damaged = bytearray(blobs[codec])
        at = 16 + int(rng.integers(chunk_bytes // 2, 9 * chunk_bytes // 10)) + k // 3 * 1_500_000
        damaged[min(at, 4 * chunk_bytes)] ^= 1 << int(rng.integers(8))
        got = outcome(damaged, dtype, frame, n)
        try:
            expected = portable(damaged, dtype)
        except (CorruptError, TruncatedError):
            assert isinstance(got, type)
            refused += 1
            continue
        assert same_bits(got, expected)
    assert refused > 0


CODEC = "uniform(bits=4, group=64) | rans"


@pytest.fixture(scope="module")
def payload(weights):
    planes = qcodec.encoding.symbol_planes(weights, "F32", qcodec.parse(CODEC))
    return _core.stream_encode(RANS, planes[0][2 * MEGA : 3 * MEGA], 4)


def changed(payload, at, value):
    return payload[:at] + bytes([value]) + payload[at + 1 :]


PAYLOADS = {
    "cut by a byte": (lambda p: p[:-1], TruncatedError),
    "cut by a few bytes": (lambda p: p[:-300], TruncatedError),
    "cut in the middle": (lambda p: p[: len(p) // 2], TruncatedError),
    "cut in the header": (lambda p: p[:2], TruncatedError),
    "a byte more": (lambda p: p + b"\0", CorruptError),
    "a thousand bytes more": (lambda p: p + bytes(1000), CorruptError),
    "another last byte": (lambda p: changed(p, len(p) - 1, p[-1] ^ 1), CorruptError),
    "16 lanes less in the header": (lambda p: changed(p, 1, 0x0F), CorruptError),
    "half the lanes": (lambda p: changed(p, 1, p[1] - 1), (CorruptError, TruncatedError)),
    "nothing but ones": (lambda p: p[:2000] + b"\xff" * (len(p) - 2000), None),
    "nothing but zeros": (lambda p: p[:2000] + bytes(len(p) - 2000), None),
}


@each_fused_isa
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("name", PAYLOADS)
def test_forged_stream_with_correct_hashes_is_refused(isa, blobs, frame, payload, name, dtype):
    forged, error = PAYLOADS[name]
    parts = forge.take_apart(blobs[CODEC])
    chunks = parts.rows[0].chunks
    section = chunks[2].removesuffix(forge.varint(len(payload)) + payload)
    assert len(section) < len(chunks[2])
    changed_payload = forged(payload)
    chunks[2] = section + forge.varint(len(changed_payload)) + changed_payload
    out = frame.place((N,), dtype, 20)
    with (
        qcodec.safe_open(forge.put_together(parts), threads=2) as f,
        pytest.raises(error or (CorruptError, TruncatedError), match="chunk 2, byte"),
    ):
        f.get_tensor("", out=out)
    frame.check_surroundings()


@each_fused_isa
@pytest.mark.parametrize("dtype", [*DTYPES, np.int16])
@pytest.mark.parametrize("offset", [0, 4, 16, 20, 60])
def test_lossless_words_are_the_same_at_any_address(isa, weights, dtype, offset):
    # Floats merge exponents from rANS states with stored mantissas; integers go the plain way.
    values = (weights * 100).astype(dtype)
    assert values.nbytes >= LARGE
    blob = qcodec.encode(values, "lossless | rans")
    room = np.full(values.nbytes + 128, 0xA5, np.uint8)
    out = room[offset : offset + values.nbytes].view(dtype)
    qcodec.decode(blob, out=out)
    assert out.tobytes() == values.tobytes()
    assert np.all(room[:offset] == 0xA5)
    assert np.all(room[offset + values.nbytes :] == 0xA5)
