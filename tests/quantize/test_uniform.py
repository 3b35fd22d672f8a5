"""Uniform quantizer: what is special to it. Rules shared by every quantizer: test_contracts.py."""

import struct
from fractions import Fraction

import forge
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import qcodec
from qcodec import InputError, _core

F32 = np.finfo(np.float32)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
weights = hnp.arrays(np.float32, st.integers(1, 60), elements=finite)
BITS = [1, 2, 3, 4, 5, 6, 7, 8, 16]


def array(*values):
    return np.array(values, np.float32)


def chunk_of(w, codec):
    return forge.take_apart(qcodec.encode(w, codec + " | bitpack")).rows[0].chunks[0]


def decoded(w, codec):
    return qcodec.decode(qcodec.encode(w, codec))


def fitted(w, bits, symmetric):
    """(scale, zero point) that the engine fits to one group."""
    job = _core.Job(
        quantizer=2,
        coder=1,
        dtype=12,
        n=w.size,
        inner=w.size,
        dim=1,
        bits=bits,
        symmetric=symmetric,
    )
    scales, zeros = job.fit(w.view(np.uint8))
    return float(scales[0]), 0 if symmetric else int(zeros[0])


# ---- the slow twin: Fractions, so that no rounding is left to chance


def unit_of(x):
    """Distance of neighbouring scales at x: a leading bit and eight more of the mantissa."""
    exponent = -126
    while Fraction(2) ** (exponent + 1) <= x:
        exponent += 1
    return Fraction(2) ** (exponent - 8)


def slow_scale(wanted, bound):
    """`wanted` rounded up to a scale that a u16 holds, or the largest such up to `bound`."""
    if wanted < Fraction(2) ** -126:
        return Fraction(0)
    up = -(-wanted // unit_of(wanted)) * unit_of(wanted)
    return up if up <= bound else bound // unit_of(bound) * unit_of(bound)


def slow_fit(w, bits, symmetric):
    values = [Fraction(float(x)) for x in w]
    largest = Fraction(float(F32.max))
    if symmetric and bits == 1:
        return slow_scale(sum(map(abs, values)) / len(values), largest), 0
    if symmetric:
        top = 2 ** (bits - 1) - 1
        return slow_scale(max(map(abs, values)) / top, largest / top), 0
    levels = 2**bits - 1
    wanted = (max(values) - min(values)) / levels
    wanted = max(wanted, max(map(abs, values)) / (2**23 - 65536))
    scale = slow_scale(wanted, largest / (levels + 1))
    return scale, round(-min(values) / scale) if scale else 0  # ties to even


def slow_integers(w, bits, symmetric, scale, zero):
    """q of each weight: q * scale is what comes back."""
    out = []
    for x in w:
        if symmetric and bits == 1:
            out.append(1 if x >= 0 else -1)
            continue
        q = round(Fraction(float(x)) / scale) if scale else 0
        top = 2 ** (bits - 1) - 1
        low, high = (-top, top) if symmetric else (-zero, 2**bits - 1 - zero)
        out.append(max(low, min(high, q)))
    return out


def assert_like_the_twin(w, bits, symmetric):
    scale, zero = slow_fit(w, bits, symmetric)
    assert fitted(w, bits, symmetric) == (float(scale), zero)
    q = slow_integers(w, bits, symmetric, scale, zero)
    got = decoded(w, f"uniform(bits={bits}, symmetric={symmetric})")
    expected = np.array(q, np.float32) * np.float32(float(scale))
    np.testing.assert_array_equal(got, expected)


@given(weights, st.sampled_from(BITS), st.booleans())
def test_scales_and_values_equal_the_slow_twin(w, bits, symmetric):
    if symmetric and bits == 1:
        # A mean of magnitudes is summed in double: pinned with exact sums below.
        w = np.round(np.clip(w, -1000, 1000))
    if not symmetric:
        w = np.clip(w, -1e38, 1e38)  # beyond: test_affine_range_of_all_float32_is_kept
    assert_like_the_twin(w, bits, symmetric)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_corners_equal_the_slow_twin(isa, bits, symmetric):
    # Pinned by hand: random weights reach these too rarely.
    tiny = float(F32.tiny)
    for w in (
        array(F32.max),
        array(-F32.max, F32.max),
        array(F32.max, F32.max),
        array(0, 0, 0),
        array(-0.0, 0),
        array(1, 1, 1),
        array(-5),
        array(tiny, -tiny),
        array(8 * tiny, 3 * tiny),
        array(*[1e-45] * 3),
        array(F32.max, 1e-45),
        array(1e6, 1e6 + 0.0625),  # a range that is tiny beside the values
        array(-1e30, -1e30),
        array(0.5, 1.5, 2.5, -0.5, -1.5, 7),  # ties
    ):
        if np.abs(w).max() > 1e38 and not symmetric:
            continue
        if not (symmetric and bits == 1):
            assert_like_the_twin(w, bits, symmetric)
        assert np.all(np.isfinite(decoded(w, f"uniform(bits={bits}, symmetric={symmetric})")))


@pytest.mark.parametrize(("bits", "low"), [(8, -1), (8, 0), (4, 0.9), (16, 0.9)])
def test_affine_range_of_all_float32_is_kept(bits, low):
    w = array(low * F32.max, F32.max)
    for values in (w, -w):
        back = decoded(values, f"uniform(bits={bits}, symmetric=False)")
        assert np.all(np.isfinite(back))
        step = float(F32.max) * (1 - low) / (2**bits - 1)
        error = np.abs(back.astype(np.float64) - values.astype(np.float64))
        # One step, or what a finer scale of 9 bits clips so that the grid stays in float32.
        assert np.all(error <= 1.3 * max(step, float(F32.max) * 2**-8))


def test_one_bit_is_the_mean_magnitude_with_the_sign(isa):
    # (1 + 2 + 3 + 2) / 4 = 2; zero, also the negative one, counts as positive.
    assert decoded(array(1, -2, 3, -2), "uniform(bits=1)").tolist() == [2, -2, 2, -2]
    assert decoded(array(0, -0.0, 4), "uniform(bits=1)").tolist() == pytest.approx(
        [4 / 3] * 3, rel=2**-8
    )
    assert decoded(array(0, 0), "uniform(bits=1)").tolist() == [0, 0]


def test_zero_stays_exact_where_an_affine_range_holds_it(isa):
    w = np.random.default_rng(0).uniform(-0.3, 1.1, 500).astype(np.float32)
    w[::7] = 0
    for bits in BITS:
        back = decoded(w, f"uniform(bits={bits}, group=50, symmetric=False)")
        assert np.all(back[::7] == 0)


# ---- bytes by hand


def test_chunk_of_four_bits_worked_out_by_hand(isa):
    # Largest magnitude 7 over the largest symbol 7: the scale is 1, 3F800000 = 7F00 * 2^15. Ties go
    # to even: 0.5 -> 0, 1.5 -> 2. Symbols are q + 8: 15, 5, 8, 10; stored low nibble first.
    w = array(7, -3, 0.5, 1.5)
    assert chunk_of(w, "uniform(bits=4)") == bytes.fromhex("01 04 007F 00 5FA8")
    assert decoded(w, "uniform(bits=4)").tolist() == [7, -3, 0, 2]


def test_affine_chunk_worked_out_by_hand(isa):
    # From -1 to 2 in three steps of 1: zero point 1, symbols 0, 1, 3 in two bits.
    w = array(-1, 0, 2)
    assert chunk_of(w, "uniform(bits=2, symmetric=False)") == bytes.fromhex("01 02 007F 01 00 34")
    # From 1000 to 1003: the zero point -1000 needs 32 bits. Symbols 0, 3.
    w = array(1000, 1003)
    expected = bytes.fromhex("03 02 007F 18FCFFFF 00 0C")
    assert chunk_of(w, "uniform(bits=2, symmetric=False)") == expected
    assert decoded(w, "uniform(bits=2, symmetric=False)").tolist() == [1000, 1003]


def test_chunk_of_a_step_worked_out_by_hand(isa):
    # 0.25 / 0.5 ties to 0, 0.75 / 0.5 to 2, then -1: three bits hold -3..3. Symbols 4, 6, 3.
    w = array(0.25, 0.75, -0.5)
    assert chunk_of(w, "uniform(step=0.5)") == bytes.fromhex("01 03 00 007E 00 F400")
    assert decoded(w, "uniform(step=0.5)").tolist() == [0, 1, -0.5]


def test_step_of_more_than_16_bits_is_stored_whole():
    # 0.1 is 3DCCCCCD: its low bits are not zero, so form 0 and four bytes.
    assert chunk_of(array(0.1, 0), "uniform(step=0.1)") == bytes.fromhex("00 02 00 CDCCCC3D 00 0B")


def test_wide_symbols_are_two_planes_the_high_byte_first(isa):
    # Scale 1: q = 32767 and -2 are symbols FFFF and 7FFE. Both low bytes differ, both high too.
    w = array(32767, -2)
    assert chunk_of(w, "uniform(bits=16)") == bytes.fromhex("01 10 007F 00 FF7F 00 FFFE")
    assert decoded(w, "uniform(bits=16)").tolist() == [32767, -2]


def test_scales_of_a_chunk_stand_in_the_order_of_their_first_element():
    # Groups of 3 * 2^18 elements: the second chunk of 2^20 begins in group 1 and ends in group 2.
    n, g = 2**21, 3 * 2**18
    w = np.repeat(np.array([1, 2, 4], np.float32), g)[:n]
    chunks = (
        forge.take_apart(qcodec.encode(w, f"uniform(bits=2, group={g}) | bitpack")).rows[0].chunks
    )
    assert chunks[0] == bytes.fromhex("01 02 007F 0080 01 03")
    assert chunks[1] == bytes.fromhex("01 02 0080 0081 01 03")


# ---- steps and widths


@pytest.mark.parametrize(
    ("largest", "width"),
    [(0, 1), (1, 2), (2, 3), (3, 3), (4, 4), (7, 4), (8, 5), (63, 7), (64, 8), (127, 8)],
)
def test_step_takes_the_narrowest_symmetric_width(largest, width):
    for sign in (1, -1):
        chunk = chunk_of(array(0, *[sign * largest] * 5, 0), "uniform(step=1.0)")
        assert chunk[1] == width
        assert chunk[2] == 0


@pytest.mark.parametrize(("beyond", "width", "escapes"), [(1, 8, 1), (2, 8, 2), (3, 16, 0)])
def test_few_large_integers_are_escaped_and_many_widen_the_symbols(isa, beyond, width, escapes):
    # Of 64 weights 2 are a thirty-second: an escape costs 32 bits, a second plane 8 a weight.
    w = np.zeros(64, np.float32)
    w[::2] = 1
    w[5 : 5 + beyond] = 128
    chunk = chunk_of(w, "uniform(step=1.0)")
    assert (chunk[1], chunk[2]) == (width, escapes)
    np.testing.assert_array_equal(decoded(w, "uniform(step=1.0)"), w)


def test_escaped_values_stand_as_integers_in_order():
    w = np.zeros(64, np.float32)
    w[3], w[9] = -(2.0**24), 300
    chunk = chunk_of(w, "uniform(step=1.0)")
    assert chunk[:5] == bytes.fromhex("01 08 02 007F")
    assert struct.unpack_from("<ii", chunk, 5) == (-(2**24), 300)
    symbols = np.frombuffer(chunk[14:], np.uint8)  # after mode 0
    assert np.flatnonzero(symbols == 0).tolist() == [3, 9]
    assert set(symbols.tolist()) == {0, 128}


def test_wide_symbols_escape_too(isa):
    w = np.tile(array(1000, -1000, 32767, -32767, 32768, -32768, 2.0**24), 9)
    chunk = chunk_of(w, "uniform(step=1.0)")
    assert (chunk[1], chunk[2]) == (16, 27)
    np.testing.assert_array_equal(decoded(w, "uniform(step=1.0)"), w)


@pytest.mark.parametrize("step", [1.0, 2.0**-20, 2.0**60, 0.1])
def test_weight_of_more_than_2_24_steps_is_refused(isa, step):
    reach = np.float32(2.0**24) * np.float32(step)
    w = array(0, reach, -reach)
    np.testing.assert_array_equal(decoded(w, f"uniform(step={step})"), w)
    for sign in (1, -1):
        w[1] = sign * np.nextafter(reach, np.float32(np.inf))
        with pytest.raises(InputError, match=r"\[1\] is .*more than 2\^24 steps from zero"):
            qcodec.encode(w, f"uniform(step={step})")


def test_largest_step_that_float32_holds_reaches_all_weights():
    step = float(F32.max)
    assert decoded(array(F32.max, 0, -F32.max), f"uniform(step={step})").tolist() == [
        step,
        0,
        -step,
    ]


# ---- output in half precision


@pytest.mark.parametrize("out_dtype", ["F16", "BF16", "F64"])
@pytest.mark.parametrize("largest", [1.0, 70_000.0, 3e-5, 1e-7, 3e38, 1e-38])
@pytest.mark.parametrize(
    "codec", ["uniform(bits=16)", "uniform(bits=8, group=100)", "uniform(bits=3)"]
)
def test_products_round_to_the_dtype_of_out(isa, codec, largest, out_dtype):
    # Over the whole range of each dtype: infinity, ties, subnormals, zero.
    w = np.linspace(-largest, largest, 65_539, dtype=np.float32)
    blob = qcodec.encode(w, codec + " | bitpack")
    out = np.empty(w.size, reference.NUMPY[out_dtype])
    qcodec.decode(blob, out=out)
    assert out.tobytes() == reference.decode_blob(blob, out_dtype).tobytes()


# ---- options


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, ValueError), ({"bits": 4, "step": 0.1}, ValueError), ({"bits": 0}, ValueError),
        ({"bits": 9}, ValueError), ({"bits": 15}, ValueError), ({"bits": 17}, ValueError),
        ({"bits": True}, TypeError), ({"bits": 4.0}, TypeError), ({"step": 0.0}, ValueError),
        ({"step": -1.0}, ValueError), ({"step": float("nan")}, ValueError),
        ({"step": float("inf")}, ValueError), ({"step": 1e39}, ValueError),
        ({"step": 1e-39}, ValueError), ({"step": True}, TypeError), ({"step": "1"}, TypeError),
        ({"step": 1.0, "axis": 0}, ValueError), ({"step": 1.0, "group": 4}, ValueError),
        ({"step": 1.0, "symmetric": False}, ValueError), ({"bits": 4, "axis": 32}, ValueError),
        ({"bits": 4, "axis": 0, "group": 4}, ValueError), ({"bits": 4, "group": 0}, ValueError),
        ({"bits": 4, "group": 2**20 + 1}, ValueError), ({"bits": 4, "symmetric": 1}, TypeError),
        ({"bits": 4, "axis": 0.0}, TypeError),
    ],
    ids=str,
)  # fmt: skip
def test_option_that_makes_no_sense_is_refused(options, error):
    with pytest.raises(error):
        qcodec.Uniform(**options)


@pytest.mark.parametrize(("axis", "shape"), [(2, (3, 4)), (-3, (3, 4)), (0, ()), (-1, ())])
def test_axis_that_the_tensor_lacks_is_refused(axis, shape):
    with pytest.raises(InputError, match="axis"):
        qcodec.encode(np.ones(shape, np.float32), f"uniform(bits=4, axis={axis})")


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_each_index_of_an_axis_has_its_own_scale(isa, axis):
    # Along the axis weights are 1, 10, 100, ...: each is exact only under a scale of its own.
    shape = [3, 4, 5]
    scale = 10.0 ** np.arange(shape[axis])
    w = np.moveaxis(np.broadcast_to(scale, (*np.delete(shape, axis), shape[axis])), -1, axis)
    back = decoded(w.astype(np.float32), f"uniform(bits=2, axis={axis})")
    np.testing.assert_allclose(back, w, rtol=2**-8)
