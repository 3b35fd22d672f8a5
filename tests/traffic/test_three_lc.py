"""3LC's context: vectors of WIRE.md, the slow twin, error feedback, state."""

import re
import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from conftest import ISAS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from traffic import twin_three_lc as twin

import qcodec
from qcodec import _core
from qcodec.traffic import ThreeLC

WIRE = Path(qcodec.__file__).parent / "traffic" / "WIRE.md"
BF16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = {"float32": np.dtype(np.float32), "bfloat16": BF16}


def bits(array):
    return array.view(f"u{array.dtype.itemsize}").tolist()


def one_at(places, n):
    gradient = np.zeros(n, np.float32)
    gradient[places] = 1
    return gradient


# ---- worked out by hand

# gradient, sparsity, message, residual. 202 = CA is the digits 2 1 1 1 1, 40 = 28 is 0 1 1 1 1.
BY_HAND = {
    "five": ([1, -0.5, 0.25, -1, 0], 1.75, "01 05 0000E03F C7", [-0.75, -0.5, 0.25, 0.75, 0]),
    "one": ([1], 1.75, "01 01 0000E03F CA", [-0.75]),
    "scalar": (-1, 1.75, "00 0000E03F 28", 0.75),
    "s of 1": ([1], 1.0, "01 01 0000803F CA", [0]),
    "tie": ([1, 0.875, -0.875], 1.75, "01 03 0000E03F CA", [-0.75, 0.875, -0.875]),
    "5 zeros": ([0] * 5, 1.75, "01 05 00000000 79", [0] * 5),
    "6 zeros": ([0] * 6, 1.75, "01 06 00000000 F3", [0] * 6),
    "70 zeros": ([0] * 70, 1.75, "01 46 00000000 FF", [0] * 70),
    "75 zeros": ([0] * 75, 1.75, "01 4B 00000000 FF 79", [0] * 75),
    "140 zeros": ([0] * 140, 1.75, "01 8C01 00000000 FF FF", [0] * 140),
    "no element": (np.zeros((0, 3)), 1.75, "02 00 03 00000000", np.zeros((0, 3))),
    "all sent": ([1] * 10, 1.75, "01 0A 0000E03F F2 F2", [-0.75] * 10),
    "all down": ([-1] * 10, 1.75, "01 0A 0000E03F 00 00", [0.75] * 10),
    "run of 1": (one_at([0, 2], 12), 1.75, "01 0C 0000E03F CA 79 CA", one_at([0, 2], 12) * -0.75),
    "run of 2": (one_at([0], 12), 1.75, "01 0C 0000E03F CA F3", one_at([0], 12) * -0.75),
    "run of 14": (one_at([0], 75), 1.75, "01 4B 0000E03F CA FF", one_at([0], 75) * -0.75),
    "run of 15": (one_at([0], 80), 1.75, "01 50 0000E03F CA FF 79", one_at([0], 80) * -0.75),
    "run of 16": (one_at([0], 85), 1.75, "01 55 0000E03F CA FF F3", one_at([0], 85) * -0.75),
    "run of 28": (one_at([0], 145), 1.75, "01 9101 0000E03F CA FF FF", one_at([0], 145) * -0.75),
    "below a scale": ([2.0**-126], 1.75, "01 01 00000000 79", [2.0**-126]),
    "smallest scale": ([2.0**-125], 1.0, "01 01 00000001 CA", [0]),
    "largest": ([float(twin.TOP)], 1.75, "01 01 FFFF7F7F CA", [0]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_message_and_residual_worked_out_by_hand(isa, name):
    gradient, sparsity, message, residual = BY_HAND[name]
    gradient = np.array(gradient, np.float32)
    context = ThreeLC(gradient.shape, sparsity)
    assert context.encode(gradient).hex() == bytes.fromhex(message).hex()
    np.testing.assert_array_equal(context.residual, np.array(residual, np.float32))
    sent = ThreeLC.decode(bytes.fromhex(message))
    np.testing.assert_array_equal(sent, gradient - context.residual)
    np.testing.assert_array_equal(twin.decode(bytes.fromhex(message)), sent)


def test_vectors_of_the_page_are_those_of_the_code():
    on_page = re.findall(r"`((?:0[0-2]) [0-9A-F ]{8,})`", WIRE.read_text().split("## Vectors")[1])
    by_hand = {bytes.fromhex(message) for _, _, message, _ in BY_HAND.values()}
    extra = ["01 05 0000E03F 7C", "01 01 0000E13F CA"]  # the two tests below
    assert len(on_page) == 17
    assert {bytes.fromhex(m) for m in on_page} <= by_hand | {bytes.fromhex(m) for m in extra}


def test_second_message_sends_what_the_first_left_out(isa):
    context = ThreeLC(5)
    context.encode(np.array([1, -0.5, 0.25, -1, 0], np.float32))
    second = context.encode(np.array([0.25, 0.5, 0.5, 0.25, 0.875], np.float32))
    assert second == bytes.fromhex("01 05 0000E03F 7C")
    assert context.residual.tolist() == [-0.5, 0, 0.75, -0.75, 0.875]


def test_scale_of_bfloat16_is_one_and_rounds_towards_zero(isa):
    context = ThreeLC(1, dtype="bfloat16")
    message = context.encode(np.array([1.0078125], BF16))
    assert message == bytes.fromhex("01 01 0000E13F CA")
    assert context.residual.tolist() == [-0.75]
    assert ThreeLC.decode(message, dtype="bfloat16").tolist() == [1.7578125]


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_are_280_times_smaller_than_float32(isa, dtype):
    n = 70 * 100_000
    message = ThreeLC(n, dtype=dtype).encode(np.zeros(n, DTYPES[dtype]))
    assert len(message) == 1 + 4 + 4 + 100_000
    assert message[9:] == b"\xff" * 100_000
    assert 4 * n / len(message) > 279.9
    assert not ThreeLC.decode(message).any()


def test_dense_gradient_takes_eight_fifths_of_a_bit_a_value(isa):
    gradient = np.where(np.arange(100_000) % 3, 1, -1).astype(np.float32)
    message = ThreeLC(100_000).encode(gradient)
    assert len(message) == 1 + 3 + 4 + 20_000


# ---- the slow twin

LENGTHS = [*range(1, 13), 31, 33, 63, 64, 65, 159, 160, 161, 319, 320, 321, 325, 641, 1000, 5001]


def gradients(n, kind, seed):
    rng = np.random.default_rng([n, seed])
    normal = rng.standard_normal(n).astype(np.float32)
    if kind == "dense":
        return rng.uniform(-1, 1, n).astype(np.float32)
    if kind == "sparse":
        return np.where(rng.random(n) < 0.02, normal, 0).astype(np.float32)
    return normal**3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["dense", "sparse", "heavy tail"])
def test_messages_and_residuals_are_those_of_the_slow_twin(isa, dtype, kind):
    for n in LENGTHS:
        sparsity = [1.0, 1.5, 1.75, 1.9, 1.9999][n % 5]
        context = ThreeLC(n, sparsity, dtype)
        residual = np.zeros(n, np.float32)
        for step in range(3):
            gradient = gradients(n, kind, step).astype(DTYPES[dtype])
            message = context.encode(gradient)
            slow, residual = twin.encode(gradient, residual, sparsity, dtype == "bfloat16")
            assert message == slow, n
            assert bits(context.residual) == bits(residual), n
            decoded = ThreeLC.decode(message)
            assert bits(decoded) == bits(twin.decode(message)), n
            narrow = ThreeLC.decode(message, dtype="bfloat16")
            assert bits(narrow) == bits(decoded.astype(BF16)), n


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
arrays = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9),
    elements=st.one_of(finite, st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0**-149, 2.0**-125])),
)


@given(arrays, st.floats(1, 1.9990234375, width=32), st.booleans())
def test_any_finite_gradient_is_coded_as_by_the_slow_twin(gradient, sparsity, narrow):
    if narrow:
        with np.errstate(over="ignore"):
            gradient = gradient.astype(BF16)
        gradient[~np.isfinite(gradient.astype(np.float32))] = 0
    context = ThreeLC(gradient.shape, sparsity, "bfloat16" if narrow else "float32")
    residual = np.zeros(gradient.shape, np.float32)
    for _ in range(2):
        try:
            slow, residual = twin.encode(gradient, residual, sparsity, narrow)
        except twin.RejectedError:
            with pytest.raises(qcodec.InputError, match="not finite"):
                context.encode(gradient)
            slow = None
        if slow is not None:
            assert context.encode(gradient) == slow
            assert len(slow) <= context.max_bytes
            assert ThreeLC.shape_of(slow) == gradient.shape
            assert bits(ThreeLC.decode(slow)) == bits(twin.decode(slow))
        assert bits(context.residual) == bits(residual)


# Blocks of 4096 bytes, of 16384 fractions, and outputs that go around the caches.
@pytest.mark.parametrize("n", [20_479, 20_480, 20_486, 81_925, 2_100_003, 4_300_000])
def test_bytes_and_residuals_do_not_depend_on_the_instruction_set(n):
    before = _core.isa()
    made = {}
    for level in ISAS[: ISAS.index(_core.best_isa()) + 1]:
        _core.set_isa(level)
        made[level] = []
        for dtype in DTYPES:
            context = ThreeLC(n, 1.6, dtype)
            for kind in ("dense", "sparse", "heavy tail"):
                message = context.encode(gradients(n, kind, 7).astype(DTYPES[dtype]))
                memory = np.ones(n + 1, DTYPES[dtype])
                values = ThreeLC.decode(message, out=memory[1:])
                made[level] += [message, context.residual.tobytes(), values.tobytes()]
                assert memory[0] == 1
    _core.set_isa(before)
    assert all(each == made["portable"] for each in made.values())


def test_runs_go_on_over_blocks(isa):
    # A byte that is not 121 every so often, on both sides of multiples of 4096.
    n = 5 * 30_000
    for places in ([4095], [4096], [4094, 8193], [0, 29_999], [8191, 8192, 12_288]):
        gradient = one_at(places, n)
        message, _ = twin.encode(gradient, np.zeros(n, np.float32), 1.75)
        assert ThreeLC(n).encode(gradient) == message
        np.testing.assert_array_equal(ThreeLC.decode(message), gradient * np.float32(1.75))


# ---- error feedback


@given(st.integers(0, 1000), st.sampled_from([1.0, 1.5, 1.75, 1.9]), st.sampled_from([*DTYPES]))
def test_sent_values_track_the_sum_of_gradients_and_the_residual_stays_bounded(seed, s, dtype):
    rng = np.random.default_rng(seed)
    context = ThreeLC((7, 11), s, dtype)
    wanted, sent = np.zeros((2, 7, 11))
    for step in range(30):
        gradient = (rng.standard_normal((7, 11)) ** 3).clip(-4, 4).astype(DTYPES[dtype])
        wanted += gradient.astype(float)
        values = ThreeLC.decode(context.encode(gradient))
        sent += values
        residual = context.residual
        assert np.abs(residual).max() <= np.abs(values).max() / 2 * (1 + 1e-6)
        # r' <= s/2 (r + 4) has this limit.
        assert np.abs(residual).max() <= 4 * s / (2 - s) * (1 + 1e-5), step
        np.testing.assert_allclose(sent + residual, wanted, atol=1e-4)


def test_something_is_sent_however_large_the_sparsity(isa):
    for dtype in DTYPES:
        for most in (1.0, 1.9921875, 2.0**-125, 3e38):
            context = ThreeLC(3, float(np.nextafter(np.float32(2), np.float32(0))), dtype)
            gradient = np.array([0, most, 0]).astype(DTYPES[dtype])
            assert ThreeLC.decode(context.encode(gradient))[1] > 0


# ---- refusals


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 63, 64, 700, 998])
def test_gradient_that_is_not_finite_changes_nothing(isa, dtype, bad, at):
    context = ThreeLC((27, 37), dtype=dtype)
    good = gradients(999, "dense", 0).astype(DTYPES[dtype]).reshape(27, 37)
    context.encode(good)
    before = context.residual
    hurt = good.copy()
    hurt.flat[at] = bad
    with pytest.raises(qcodec.InputError, match=rf"element \[{at // 37}, {at % 37}\]: gradient"):
        context.encode(hurt)
    assert bits(context.residual) == bits(before)


def test_sum_that_overflows_is_refused(isa):
    context = ThreeLC(2)
    context.encode(np.array([3e38, -1e38], np.float32))  # M is the largest float
    before = context.residual
    with pytest.raises(qcodec.InputError, match=r"element \[1\]: gradient \+ residual"):
        context.encode(np.array([0, -3e38], np.float32))
    assert bits(context.residual) == bits(before)


def test_gradient_of_another_kind_is_refused():
    context = ThreeLC((2, 3))
    with pytest.raises(qcodec.InputError, match="gradient is float64, the context float32"):
        context.encode(np.zeros((2, 3)))
    with pytest.raises(qcodec.InputError, match=r"shape \(3, 2\), the context \(2, 3\)"):
        context.encode(np.zeros((3, 2), np.float32))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((5, 2.0), ValueError, "less than 2"),
        ((5, 2 - 1e-12), ValueError, "less than 2"),
        ((5, 0.99), ValueError, "sparsity must be in 1.0..2.0"),
        ((5, float("nan")), ValueError, "sparsity must be in"),
        ((5, "1"), TypeError, "sparsity must be a number"),
        ((-1,), ValueError, "a dim of shape must be in"),
        ((1.5,), TypeError, "shape must be an int or a tuple"),
        (((2, True),), TypeError, "a dim of shape must be an int"),
        (((2**25, 2**25),), qcodec.LimitError, "beyond 32 dims or 2\\^48"),
        (((1,) * 33,), qcodec.LimitError, "beyond 32 dims"),
        ((5, 1.5, "float16"), ValueError, "dtype must be one of float32, bfloat16"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ThreeLC(*arguments)


# ---- memory that the caller gives, order of elements


def test_message_goes_where_the_caller_says():
    gradient = gradients(100, "dense", 0)
    context, other = ThreeLC(100), ThreeLC(100)
    memory = bytearray(context.max_bytes)
    made = context.encode(gradient, out=memory)
    assert isinstance(made, memoryview)
    assert bytes(made) == bytes(memory[: len(made)]) == other.encode(gradient)
    before = context.residual
    with pytest.raises(qcodec.InputError, match="a message may take 26"):
        context.encode(gradient, out=bytearray(25))
    with pytest.raises(qcodec.InputError, match="writable"):
        context.encode(gradient, out=bytes(100))
    assert bits(context.residual) == bits(before)


def test_elements_are_taken_in_c_order_whatever_the_strides():
    gradient = gradients(60, "heavy tail", 0).reshape(3, 4, 5)
    turned = np.asfortranarray(gradient)
    swapped = gradient.astype(">f4")
    message = ThreeLC((3, 4, 5)).encode(gradient)
    assert ThreeLC((3, 4, 5)).encode(turned) == message
    assert ThreeLC((3, 4, 5)).encode(swapped) == message
    out = np.ones((3, 4, 10), np.float32)[:, :, ::2]
    assert ThreeLC.decode(message, out=out) is out
    np.testing.assert_array_equal(out, ThreeLC.decode(message))


# ---- state


@pytest.mark.parametrize("dtype", DTYPES)
def test_restored_context_goes_on_with_the_same_bytes(dtype):
    one = ThreeLC((5, 7), 1.5, dtype)
    steps = [gradients(35, "dense", k).reshape(5, 7).astype(DTYPES[dtype]) for k in range(4)]
    for gradient in steps[:2]:
        one.encode(gradient)
    state = one.state_dict()
    expected = [one.encode(g) for g in steps[2:]]
    other = ThreeLC((5, 7), 1.0, dtype)
    other.load_state_dict(state)
    assert other.sparsity == 1.5
    assert [other.encode(g) for g in steps[2:]] == expected
    assert bits(state["residual"]) != bits(one.residual)  # a copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "of version 2, not 1"),
        ({"shape": [6]}, r"of shape \(6,\)"),
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"sparsity": 2.0}, "less than 2"),
        ({"sparsity": None}, "must be a number"),
        ({"residual": np.zeros(5)}, "residual is float64"),
        ({"residual": np.zeros(6, np.float32)}, r"of shape \(6,\)"),
        ({"residual": np.full(5, np.nan, np.float32)}, "not finite"),
        ({"more": 1}, "has keys"),
    ],
)
def test_state_that_does_not_fit_is_refused_and_changes_nothing(change, message):
    context = ThreeLC(5)
    context.encode(np.arange(5, dtype=np.float32))
    before = context.state_dict()
    with pytest.raises(qcodec.InputError, match=message):
        context.load_state_dict(ThreeLC(5).state_dict() | change)
    after = context.state_dict()
    assert bits(after.pop("residual")) == bits(before.pop("residual"))
    assert after == before


def test_threads_that_share_a_context_lose_nothing():
    context = ThreeLC(50_000)
    sent = []

    def work():
        for _ in range(20):
            sent.append(context.encode(np.ones(50_000, np.float32)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(ThreeLC.decode(m).astype(float) for m in sent) + context.residual
    np.testing.assert_allclose(total, 80)
