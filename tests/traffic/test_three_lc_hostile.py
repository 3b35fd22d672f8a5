"""Messages that no sender sends: HOSTILE rows for bytes from a network. The twin judges alike."""

import contextlib
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traffic import twin_three_lc as twin

import qcodec
from qcodec.traffic import ThreeLC

CORRUPT, TRUNCATED, LIMIT = qcodec.CorruptError, qcodec.TruncatedError, qcodec.LimitError


def verdict(data):
    """The class of the refusal, None if the message is taken; the slow twin must agree."""
    fast = slow = error = None
    try:
        fast = ThreeLC.decode(data, max_decoded_bytes=10**8).tobytes()
    except qcodec.QCodecError as caught:
        error = type(caught)
    with contextlib.suppress(twin.RejectedError):
        slow = twin.decode(data).tobytes()
    assert fast == slow
    return error


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("", TRUNCATED),
        ("01", TRUNCATED),
        ("01 85", TRUNCATED),
        ("01 05 0000E0", TRUNCATED),
        ("01 05 0000E03F", TRUNCATED),
        ("01 05 0000E03F CA", None),
        ("01 05 0000E03F CA CA", CORRUPT),
        ("01 05 0000E03F F3", CORRUPT),  # two bytes of one
        ("01 06 0000E03F F3", None),
        ("01 06 0000E03F 79 79", None),  # runs cut another way
        ("01 06 0000E03F CA", TRUNCATED),
        ("01 46 0000E03F F3 F6 F8", None),  # 2 + 5 + 7
        ("01 46 0000E03F FE", TRUNCATED),
        ("01 41 0000E03F FF", CORRUPT),
        ("01 8500 0000E03F CA", CORRUPT),  # 5 in two bytes
        ("01 FFFFFFFFFFFFFFFFFF00 0000E03F CA", CORRUPT),
        ("01 FFFFFFFFFFFFFFFF7F 0000E03F CA", LIMIT),
        ("01 8080808080808001 0000E03F CA", LIMIT),  # 2^49
        ("01 80808080808040 0000E03F CA", TRUNCATED),  # 2^48
        ("02 8080808010 8080808010 0000E03F CA", LIMIT),  # 2^64
        ("02 00 FFFFFFFFFFFFFFFF7F 00000000", LIMIT),
        ("21" + "01" * 33 + "0000E03F CA", LIMIT),
        ("20" + "01" * 32 + "0000E03F CA", None),
        ("FF", LIMIT),
        ("00 0000E03F CA", None),
        ("00 0000E03F CB", CORRUPT),  # padding of 2
        ("01 03 0000E03F 9D", None),  # 1 2 2 1 1
        ("01 03 0000E03F 9E", CORRUPT),
        ("01 06 0000E03F CA C9", CORRUPT),  # the last of ten digits
        ("01 00 00000000", None),
        ("01 00 00000000 79", CORRUPT),
        ("01 05 00000000 79", None),
        ("01 05 00000000 7A", CORRUPT),  # a value, and M = 0
        ("01 05 00000080 79", CORRUPT),  # -0
        ("01 05 0000E0BF CA", CORRUPT),
        ("01 05 0000807F CA", CORRUPT),  # infinity
        ("01 05 0000C07F CA", CORRUPT),  # NaN
        ("01 05 01000000 CA", CORRUPT),  # subnormal
        ("01 05 FFFFFF00 CA", CORRUPT),
        ("01 05 00000001 CA", None),
        ("01 05 FFFF7F7F CA", None),
    ],
)
def test_message_that_no_sender_sends_is_refused(isa, message, error):
    assert verdict(bytes.fromhex(message)) is error


def small_messages():
    rng = np.random.default_rng(3)
    sparse = np.where(rng.random(330) < 0.03, rng.standard_normal(330), 0)
    for array, dtype in (
        (rng.uniform(-1, 1, (7, 9)), np.float32),
        (sparse, np.float32),
        (sparse.reshape(3, 1, 110), ml_dtypes.bfloat16),
        (np.zeros(300), np.float32),
        (np.zeros((0, 4)), np.float32),
        (np.ones(()), np.float32),
    ):
        array = array.astype(dtype)
        yield ThreeLC(array.shape, dtype=array.dtype.name).encode(array)


@pytest.mark.parametrize("message", list(small_messages()))
def test_every_prefix_is_truncated_and_every_flipped_bit_is_judged_as_by_the_slow_twin(
    isa, message
):
    assert verdict(message) is None
    for end in range(len(message)):
        assert verdict(message[:end]) is TRUNCATED, end
    assert verdict(message + b"\x79") is CORRUPT
    flipped = bytearray(message)
    for at in range(8 * len(message)):
        flipped[at // 8] ^= 1 << at % 8
        verdict(bytes(flipped))
        flipped[at // 8] ^= 1 << at % 8


@given(
    st.integers(0, 400),
    st.lists(st.sampled_from([0, 40, 121, 202, 242, 243, 244, 250, 255]), max_size=90),
)
def test_any_payload_is_judged_as_by_the_slow_twin(n, payload):
    verdict(b"\x01" + twin.varint(n) + bytes.fromhex("0000E03F") + bytes(payload))


@given(st.binary(max_size=40))
def test_any_bytes_are_judged_as_by_the_slow_twin(data):
    verdict(data)


def test_short_message_that_claims_terabytes_takes_no_memory():
    message = b"\x01" + twin.varint(2**40) + bytes.fromhex("0000E03F") + b"\xff" * 1000
    tracemalloc.start()
    with pytest.raises(TRUNCATED, match="fewer digits than values"):
        ThreeLC.decode(message)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_caller_limits_what_a_message_may_take():
    message = ThreeLC(700).encode(np.zeros(700, np.float32))
    with pytest.raises(LIMIT, match="2800 bytes, over 2799"):
        ThreeLC.decode(message, max_decoded_bytes=2799)
    assert ThreeLC.decode(message, max_decoded_bytes=2800).size == 700
    assert ThreeLC.decode(message, dtype="bfloat16", max_decoded_bytes=1400).size == 700


def test_message_of_another_shape_does_not_reach_the_callers_memory():
    message = ThreeLC((2, 3)).encode(np.ones((2, 3), np.float32))
    out = np.full((3, 2), 7, np.float32)
    with pytest.raises(CORRUPT, match=r"the message has shape \(2, 3\), out \(3, 2\)"):
        ThreeLC.decode(message, out=out)
    assert (out == 7).all()


def test_output_that_cannot_take_values_is_refused():
    message = ThreeLC(3).encode(np.ones(3, np.float32))
    with pytest.raises(qcodec.InputError, match="out is float64"):
        ThreeLC.decode(message, out=np.zeros(3))
    frozen = np.zeros(3, np.float32)
    frozen.flags.writeable = False
    with pytest.raises(qcodec.InputError, match="out is read-only float32"):
        ThreeLC.decode(message, out=frozen)
    with pytest.raises(ValueError, match="dtype must be one of"):
        ThreeLC.decode(message, dtype="float16")


def test_refusals_name_the_byte():
    with pytest.raises(CORRUPT, match="3LC message, byte 2: M is no scale"):
        ThreeLC.decode(bytes.fromhex("01 05 0000807F CA"))
