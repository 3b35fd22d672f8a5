"""Logarithm to base 2 with the same bits on every CPU, which the C library does not promise."""

import math

from qcodec.search._jit import kernel

_SQRT_HALF = 0.7071067811865476
_TWO_OVER_LN_2 = 2.8853900817779268


@kernel
def log2(x: float) -> float:
    """Logarithm to base 2 of a positive finite float64.

    Parameters
    ----------
    x : float
        > 0 and finite; subnormal numbers are fine.

    Returns
    -------
    float
        Within ``3e-16 * (1 + abs(log2(x)))`` of the logarithm, and exact for powers of two.

    Notes
    -----
    ``frexp`` is exact and the rest is IEEE addition, multiplication and division. The mantissa m
    lies in sqrt(1/2)..sqrt(2), and log m = 2 atanh((m - 1) / (m + 1)); eleven terms of the series
    leave less than 0.1716**23 / 23 = 1.1e-19.
    """
    mantissa, exponent = math.frexp(x)
    if mantissa < _SQRT_HALF:
        mantissa *= 2.0
        exponent -= 1
    z = (mantissa - 1.0) / (mantissa + 1.0)
    square = z * z
    series = 0.0
    for odd in range(21, 0, -2):
        series = series * square + 1.0 / odd
    return exponent + _TWO_OVER_LN_2 * (z * series)
