"""Conversions between floating dtypes, by way of float32, on every instruction set."""

import ml_dtypes
import numpy as np
import pytest
import samples
from reference import NUMPY

from qcodec import _core
from qcodec._arrays import DTYPE_CODES

HALVES = ["F16", "BF16"]


def convert(array, source, target):
    out = _core.convert(array.view(np.uint8), DTYPE_CODES[source], DTYPE_CODES[target])
    return out.view(NUMPY[target])


def assert_same(got, expected):
    """Bit for bit, save for NaN payloads; a NaN must be quiet and keep its sign."""
    kind = f"u{got.itemsize}"
    nan = samples.is_nan(expected)
    np.testing.assert_array_equal(samples.is_nan(got), nan)
    np.testing.assert_array_equal(got.view(kind)[~nan], expected.view(kind)[~nan])
    quiet = {"float16": 0x200, "bfloat16": 0x40, "float32": 1 << 22, "float64": 1 << 51}[
        got.dtype.name
    ]
    assert np.all(got.view(kind)[nan] & quiet)
    np.testing.assert_array_equal(np.signbit(got[nan]), np.signbit(expected[nan]))


@pytest.mark.parametrize("source", HALVES)
def test_every_pattern_of_two_bytes_to_float32(isa, source):
    patterns = np.arange(65536, dtype=np.uint16).view(NUMPY[source])
    with np.errstate(invalid="ignore"):
        assert_same(convert(patterns, source, "F32"), patterns.astype(np.float32))


@pytest.mark.parametrize("source", HALVES)
def test_every_pattern_of_two_bytes_survives_float32_and_back(isa, source):
    patterns = np.arange(65536, dtype=np.uint16)
    array = patterns.view(NUMPY[source])
    quiet = np.where(
        samples.is_nan(array), patterns | {"F16": 0x200, "BF16": 0x40}[source], patterns
    )
    back = convert(convert(array, source, "F32"), "F32", source)
    np.testing.assert_array_equal(back.view(np.uint16), quiet)


def around(bits, radius):
    """All float32 patterns within a distance of these, and their negatives."""
    near = np.add.outer(np.asarray(bits, np.int64), np.arange(-radius, radius + 1)).ravel()
    near = np.clip(near, 0, 0x7FFFFFFF).astype(np.uint32)
    return np.concatenate([near, near | np.uint32(1 << 31)]).view(np.float32)


def dense_sample(target):
    """Every value of the target, every tie between neighbours, their neighbours, and all ranges."""
    infinity = {"F16": 0x7C00, "BF16": 0x7F80}[target]
    values = np.arange(infinity, dtype=np.uint16).view(NUMPY[target]).astype(np.float64)
    ties = (values[1:] + values[:-1]) / 2
    exact = np.concatenate([values, ties]).astype(np.float32)
    strided = np.arange(0, 2**32, 2**32 // 300_007, dtype=np.uint64).astype(np.uint32)
    return np.concatenate(
        [
            around(exact.view(np.uint32), 1),
            around([0, 0x7F800000, 0x7FC00000], 3),
            strided.view(np.float32),
        ]
    )


@pytest.mark.parametrize("target", HALVES)
def test_float32_rounds_to_nearest_even(isa, target):
    sample = dense_sample(target)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        assert_same(convert(sample, "F32", target), sample.astype(NUMPY[target]))


@pytest.mark.parametrize(
    ("value", "f16", "bf16"),
    [
        (1.0, 0x3C00, 0x3F80),
        (-0.0, 0x8000, 0x8000),
        (1 + 2.0**-11, 0x3C00, 0x3F80),  # a tie of half: to even, down
        (1 + 3 * 2.0**-11, 0x3C02, 0x3F80),  # a tie of half: to even, up
        (1 + 2.0**-8, 0x3C04, 0x3F80),  # a tie of bfloat16: to even, down
        (1 + 3 * 2.0**-8, 0x3C0C, 0x3F82),  # a tie of bfloat16: to even, up
        (65504.0, 0x7BFF, 0x4780),
        (65519.996, 0x7BFF, 0x4780),  # below the tie with infinity
        (65520.0, 0x7C00, 0x4780),
        (3.4028235e38, 0x7C00, 0x7F80),  # FLT_MAX
        (2.0**-24, 0x0001, 0x3380),  # the smallest half
        (2.0**-25, 0x0000, 0x3300),  # a tie with zero
        (2.0**-25 * (1 + 2.0**-23), 0x0001, 0x3300),
        (2.0**-14 * (1 - 2.0**-11), 0x0400, 0x3880),  # a tie of the largest subnormal: to normal
        (2.0**-149, 0x0000, 0x0000),
        (np.inf, 0x7C00, 0x7F80),
    ],
)
def test_rounding_worked_out_by_hand(isa, value, f16, bf16):
    # Seventeen of them, so that vectors and tails see it.
    array = np.full(17, value, np.float32)
    assert convert(array, "F32", "F16").view(np.uint16).tolist() == [f16] * 17
    assert convert(array, "F32", "BF16").view(np.uint16).tolist() == [bf16] * 17


def test_float64_rounds_to_float32_and_back_is_exact(isa):
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 2**64, 100_000, dtype=np.uint64).view(np.float64)
    near = rng.standard_normal(100_001) * 10.0 ** rng.integers(-46, 40, 100_001)
    for sample in (wide, near):
        with np.errstate(all="ignore"):
            assert_same(convert(sample, "F64", "F32"), sample.astype(np.float32))
    narrow = rng.integers(0, 2**32, 100_001, dtype=np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        assert_same(convert(narrow, "F32", "F64"), narrow.astype(np.float64))


def test_float64_goes_to_half_by_way_of_float32(isa):
    # 1 + 2^-11 + 2^-30 rounds up in one step; float32 drops the last bit, and the tie goes down.
    value = np.full(9, 1 + 2.0**-11 + 2.0**-30)
    assert convert(value, "F64", "F16").view(np.uint16).tolist() == [0x3C00] * 9
    assert np.float16(value[0]).view(np.uint16) == 0x3C01


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 15, 16, 17, 31, 33])
@pytest.mark.parametrize("target", ["F16", "BF16", "F32", "F64"])
def test_odd_lengths_convert_like_whole_vectors(isa, target, n):
    array = np.linspace(-3, 70_000, n).astype(np.float32)
    with np.errstate(over="ignore"):
        assert_same(convert(array, "F32", target), array.astype(NUMPY[target]))


def test_bfloat16_is_that_of_ml_dtypes():
    assert NUMPY["BF16"] == np.dtype(ml_dtypes.bfloat16)
