"""Lossless planes: what is special to them. Rules shared by every quantizer: test_contracts.py."""

import forge
import numpy as np
import pytest
import samples
from reference_quantizers import MAPPINGS, NUMPY

import qcodec
from qcodec import _core
from qcodec._arrays import DTYPE_CODES

WIDE = [name for name in NUMPY if NUMPY[name].itemsize > 1]


def slow_planes(array, dtype):
    """One element at a time, in Python's integers: FORMAT.md, "lossless"."""
    size = NUMPY[dtype].itemsize
    w = 8 * size
    planes = [bytearray() for _ in range(size)]
    for x in array.view(f"u{size}").tolist():
        sign = x >> (w - 1)
        y = {
            "plain": x,
            "rotated": (2 * x) % 2**w + sign,
            "zigzag": ((2 * x) % 2**w) ^ (2**w - 1 if sign else 0),
        }[MAPPINGS[dtype]]
        for k, plane in enumerate(planes):
            plane.append(y >> (8 * (size - 1 - k)) & 0xFF)
    return planes


def planes_of(array, dtype):
    job = _core.Job(quantizer=1, coder=1, dtype=DTYPE_CODES[dtype], n=array.size)
    none = np.empty(0, np.float32), np.empty(0, np.int32)
    return job.forward(array.view(np.uint8), *none)


def chunk_of(array, codec="lossless | bitpack"):
    return forge.take_apart(qcodec.encode(array, codec)).rows[0].chunks[0]


@pytest.mark.parametrize(
    ("values", "chunk"),
    [
        # 1.0 is 3F800000: the sign moves down and the exponent 7F fills the top byte. -2.0 is
        # C0000000: exponent 80, zeros, and the sign in the last bit. Modes: 0 stored, 1 constant.
        (np.array([1, -2], np.float32), "00 7F80 0100 0100 00 0001"),
        (np.array([-1, 0, 1], np.int8), "00 010002"),  # zigzag: 1, 0, 2
        (np.array([-1, 1], np.int16), "0100 00 0102"),
        (np.array([-(2**15), 2**15 - 1], np.int16), "01FF 00 FFFE"),
        (np.array([0x0102, 0x0103], np.uint16), "0101 00 0203"),  # top byte first
        (np.array([1, 0], np.float64), "00 7F00 00 E000" + 6 * "0100"),  # 3FF0.. is 7FE0..
        (np.array([True, False]), "00 0100"),
        (np.array([5, 5, 5], np.uint8), "0105"),
        (np.array([1 + 2j], np.complex64), "0140 0100 0100 0100 013F 0180 0100 0100"),
        (np.array(7, np.uint8), "0107"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value.dtype.name,
)
def test_chunk_worked_out_by_hand(isa, values, chunk):
    assert chunk_of(values) == bytes.fromhex(chunk)
    back = qcodec.decode(qcodec.encode(values, "lossless | bitpack"))
    assert back.tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", NUMPY)
def test_planes_equal_those_of_the_slow_twin(isa, dtype):
    rng = np.random.default_rng(0)
    for n in (1, 7, 8, 9, 31, 33, 63, 64, 65, 127, 129, 500):
        raw = rng.integers(0, 256, n * NUMPY[dtype].itemsize, dtype=np.uint8)
        if dtype == "BOOL":
            raw &= 1
        array = raw.view(NUMPY[dtype])
        made = planes_of(array, dtype)
        assert [plane.tobytes() for plane in made] == [
            bytes(p) for p in slow_planes(array, dtype)
        ], n


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("n", [8191, 8193, 16_400])
def test_merging_inverts_splitting_around_blocks(isa, dtype, n):
    raw = np.random.default_rng(n).integers(0, 256, n * NUMPY[dtype].itemsize, dtype=np.uint8)
    array = raw.view(NUMPY[dtype])
    for codec in ("lossless | bitpack", "lossless | huffman"):
        assert qcodec.decode(qcodec.encode(array, codec)).tobytes() == array.tobytes()


def test_exponents_of_a_bell_code_to_a_few_bits():
    # The exponent of a normal deviate has an entropy of about 2.55 bits; 8 are stored otherwise.
    w = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    plain, coded = (len(chunk_of(w, f"lossless | {coder}")) for coder in ("bitpack", "huffman"))
    assert plain == 4 + 400_000
    assert 5.2 < 8 * (plain - coded) / w.size < 5.6


def test_bool_holds_whatever_byte_the_file_has():
    # A byte other than 0 and 1 is no writer's; it comes back as numpy's true, not as a crash.
    chunk = b"\x01\x02"
    config = {"quantizer": {"name": "lossless"}, "coder": {"name": "bitpack"}}
    decoded = qcodec.decode(forge.file_of(config, (), 0, chunk))
    assert decoded.dtype == bool
    assert bool(decoded) is True


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_nan_stays_a_quiet_nan_in_another_dtype(isa, dtype):
    # Signalling NaNs of both signs, with the lowest payload bit alone, which rounding would lose.
    size = NUMPY[dtype].itemsize
    infinity = {"F16": 0x7C00, "BF16": 0x7F80, "F32": 0x7F800000, "F64": 0x7FF << 52}[dtype]
    bits = [infinity + 1, infinity + 1 + (1 << (8 * size - 1))] * 20
    blob = qcodec.encode(np.array(bits, f"u{size}").view(NUMPY[dtype]))
    for name in ("F16", "BF16", "F32", "F64"):
        out = np.zeros(40, NUMPY[name])
        qcodec.decode(blob, out=out)
        assert np.all(samples.is_nan(out)), name
        quiet = {"F16": 0x200, "BF16": 0x40, "F32": 1 << 22, "F64": 1 << 51}[name]
        if name != dtype:
            assert np.all(out.view(f"u{out.itemsize}") & quiet), name
