"""Ratios and errors, with the textbook's examples."""

import math
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

from qcodec.metrics import compression_ratio, pruning_rate, quantization_error, speed_up


def test_200_bytes_in_50_are_a_ratio_of_4():
    assert compression_ratio(200, 50) == 4


def test_3_million_of_10_million_weights_are_30_percent():
    assert pruning_rate(3_000_000, 10_000_000) == 0.3


def test_a_weight_of_0_823_stored_as_0_820_is_off_by_0_003():
    assert quantization_error([0.823], [0.820]).max_abs == pytest.approx(0.003, abs=1e-15)


def test_half_the_time_is_twice_the_speed():
    assert speed_up(3.0, 1.5) == 2


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (compression_ratio, (1, 0)),
        (compression_ratio, (-1, 1)),
        (speed_up, (1, 0)),
        (speed_up, (math.nan, 1)),
        (pruning_rate, (0, 0)),
        (pruning_rate, (3, 2)),
        (pruning_rate, (-1, 2)),
    ],
)
def test_ratios_without_meaning_are_refused(function, arguments):
    with pytest.raises(ValueError, match=r"^no "):
        function(*arguments)


def test_all_four_errors_worked_out_by_hand():
    # Differences 0, 0.5, 0: square sum 0.25, mean 1/12. Signal 9 + 16 + 0 = 25, 25 / 0.25 = 100.
    error = quantization_error([3, 4, 0], np.array([3, 4.5, 0], np.float32))
    assert error.max_abs == 0.5
    assert error.mse == pytest.approx(1 / 12)
    assert error.snr_db == pytest.approx(20)
    assert error.relative_l2 == pytest.approx(0.1)


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, "int8"])
def test_equal_tensors_have_infinite_snr_in_every_dtype(dtype):
    values = np.array([[1, -2], [0, 4]]).astype(dtype)
    error = quantization_error(values, values.copy())
    assert (error.max_abs, error.mse, error.snr_db, error.relative_l2) == (0, 0, math.inf, 0)


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_empty_tensors_are_equal(shape):
    assert quantization_error(np.zeros(shape), np.zeros(shape)).snr_db == math.inf


def test_an_error_on_zero_signal_has_an_snr_of_minus_infinity():
    error = quantization_error([0.0, 0.0], [0.0, 2.0])
    assert (error.max_abs, error.mse) == (2, 2)
    assert (error.snr_db, error.relative_l2) == (-math.inf, math.inf)


def test_the_same_nan_and_infinity_are_no_error():
    values = [math.nan, math.inf, -math.inf, 1.0]
    assert quantization_error(values, values).snr_db == math.inf
    # Only 1.0 against 1.5 counts: 1 / 0.25 = 4, which is 6.02 dB.
    error = quantization_error(values, [math.nan, math.inf, -math.inf, 1.5])
    assert error.max_abs == 0.5
    assert error.snr_db == pytest.approx(6.0206, abs=1e-4)


@pytest.mark.parametrize(
    ("a", "b"), [(math.nan, 1.0), (1.0, math.nan), (math.inf, -math.inf), (1.0, math.inf)]
)
def test_a_non_finite_value_against_another_is_an_infinite_error(a, b):
    error = quantization_error([1.0, a], [1.0, b])
    assert (error.max_abs, error.snr_db, error.relative_l2) == (math.inf, -math.inf, math.inf)


def test_neighbouring_integers_beyond_float64_differ():
    assert quantization_error(np.array([2**53]), np.array([2**53 + 1])).max_abs == 1
    extremes = np.array([-(2**63)]), np.array([2**63 - 1])
    assert quantization_error(*extremes).max_abs == 2.0**64


def test_complex_tensors_differ_by_the_modulus():
    assert quantization_error(np.array([1 + 1j]), np.array([4 + 5j])).max_abs == 5


def test_shapes_must_be_equal():
    with pytest.raises(ValueError, match=r"\[2, 1\] and \[2\]"):
        quantization_error(np.zeros((2, 1)), np.zeros(2))


def test_large_tensors_are_compared_in_little_memory():
    values = np.ones(8_000_000, np.float16)
    tracemalloc.start()
    try:
        quantization_error(values, values)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000  # one float64 copy would take 64 MB
