"""Bit packing: what is special to it. Rules shared by every coder: test_contracts.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import qcodec
from qcodec import _core

WIDTHS = range(1, 9)
LENGTHS = [*range(70), 127, 128, 129, 255, 256, 257, 511, 513, 1023, 1025, 8191, 8192, 8193]


def slow_pack(symbols, bits):
    """One bit at a time: bits fill bytes from bit 0 up, a symbol puts its low bit first."""
    out = bytearray(-(-len(symbols) * bits // 8))
    for i, symbol in enumerate(symbols):
        for k in range(bits):
            at = i * bits + k
            out[at // 8] |= (symbol >> k & 1) << (at % 8)
    return bytes(out)


def random_symbols(n, bits):
    return np.random.default_rng(n * 8 + bits).integers(0, 2**bits, n, dtype=np.uint8)


def test_packing_worked_out_by_hand():
    # 1, 2, 3 in two bits, low bit first: 10 01 11, so bits 0, 3, 4, 5: 1 + 8 + 16 + 32.
    assert _core.pack(np.array([1, 2, 3], np.uint8), 2).tobytes() == b"\x39"
    # 5, 7, 0 in three bits: 101 111 000 from bit 0 up is 1 + 4 + 8 + 16 + 32, then one bit more.
    assert _core.pack(np.array([5, 7, 0], np.uint8), 3).tobytes() == b"\x3d\x00"
    assert _core.pack(np.array([1, 0, 0, 0, 0, 0, 0, 0, 1], np.uint8), 1).tobytes() == b"\x01\x01"
    assert _core.pack(np.array([0xA, 0xB, 0xC], np.uint8), 4).tobytes() == b"\xba\x0c"


@pytest.mark.parametrize("bits", WIDTHS)
def test_packing_and_unpacking_equal_the_slow_twin(isa, bits):
    for n in LENGTHS:
        symbols = random_symbols(n, bits)
        packed = _core.pack(symbols, bits)
        if n <= 300:
            assert packed.tobytes() == slow_pack(symbols.tolist(), bits), n
        np.testing.assert_array_equal(_core.unpack(packed, bits, n), symbols, err_msg=str(n))


@pytest.mark.parametrize("bits", WIDTHS)
def test_packed_bytes_do_not_depend_on_the_instruction_set(bits):
    # 8193 symbols by the slow twin, so that wide variants run with a tail.
    symbols = random_symbols(8193, bits)
    assert _core.pack(symbols, bits).tobytes() == slow_pack(symbols.tolist(), bits)


@given(st.data(), st.integers(1, 8))
def test_unpacking_gives_back_what_was_packed(data, bits):
    symbols = data.draw(
        hnp.arrays(np.uint8, st.integers(0, 200), elements=st.integers(0, 2**bits - 1))
    )
    packed = _core.pack(symbols, bits)
    assert packed.tobytes() == slow_pack(symbols.tolist(), bits)
    np.testing.assert_array_equal(_core.unpack(packed, bits, symbols.size), symbols)


@pytest.mark.parametrize("bits", [0, 9, 16])
def test_other_widths_are_refused(bits):
    with pytest.raises(ValueError, match="bits is"):
        _core.pack(np.zeros(4, np.uint8), bits)
    with pytest.raises(ValueError, match="bits is"):
        _core.unpack(np.zeros(4, np.uint8), bits, 4)


@pytest.mark.parametrize("n", [0, 8, 10, 13])
def test_packed_bytes_of_another_number_of_symbols_are_refused(n):
    with pytest.raises(ValueError, match="another size"):
        _core.unpack(np.zeros(6, np.uint8), 4, n)


def test_coded_stream_is_refused():
    with pytest.raises(_core.KernelError, match="coded stream"):
        _core.stream_decode(_core.coders()["bitpack"], np.zeros(4, np.uint8), 4, 8)


def test_size_is_bits_times_symbols():
    # Of 8193 symbols: section (form, width, scale) 4, mode 1, bits.
    w = np.random.default_rng(0).standard_normal(8193).astype(np.float32)
    for bits in (*WIDTHS, 16):
        with qcodec.safe_open(qcodec.encode(w, f"uniform(bits={bits}) | bitpack")) as f:
            planes = 2 if bits == 16 else 1
            assert f.entry("").stored_bytes == 4 + planes + -(-8193 * bits // 8)
