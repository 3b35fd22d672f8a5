"""Arithmetic of the rate-distortion benchmark: bounds, gaps, interpolation, solving for a rate."""

import math
from collections.abc import Callable, Sequence

import numpy as np

DB_PER_BIT = 20 * math.log10(2)

# (bits, SNR in dB) of the unit-variance Laplacian, by laplace_bound.py.
LAPLACIAN = (
    (0.0, 0.0),
    (0.1416, 1.203),
    (0.1762, 1.449),
    (0.2469, 1.933),
    (0.3501, 2.611),
    (0.4459, 3.223),
    (0.6623, 4.571),
    (0.9067, 6.066),
    (1.1437, 7.504),
    (1.3982, 9.041),
    (1.8962, 12.044),
    (2.3958, 15.052),
    (3.3956, 21.072),
    (4.3956, 27.093),
)

# What the Laplacian has over the Gaussian at the same rate, in dB, where the Shannon lower bound is
# tight, as it is beyond the table.
LAPLACIAN_ADVANTAGE_DB = 10 * math.log10(math.pi / math.e)


def gaussian_bound(bits: float) -> float:
    """Largest SNR in dB of a Gaussian source at `bits` per sample."""
    return DB_PER_BIT * bits


def laplacian_bound(bits: float) -> float:
    """Largest SNR in dB of a Laplacian source at `bits` per sample.

    Linear interpolation, between the points of the table, of what it has over the Gaussian.
    """
    rates, snrs = zip(*LAPLACIAN, strict=True)
    if bits > rates[-1]:
        return gaussian_bound(bits) + LAPLACIAN_ADVANTAGE_DB
    over = np.array(snrs) - DB_PER_BIT * np.array(rates)
    return gaussian_bound(bits) + float(np.interp(bits, rates, over))


BOUNDS: dict[str, Callable[[float], float]] = {
    "gaussian": gaussian_bound,
    "laplacian": laplacian_bound,
}


def gap_db(source: str, bits: float, snr_db: float) -> float | None:
    """Distance to the rate-distortion bound of the source in dB.

    None where no bound is known, and for exact copies, which no finite rate of a bound describes.
    """
    if source not in BOUNDS or math.isinf(snr_db):
        return None
    return BOUNDS[source](bits) - snr_db


def bytes_at_snr(points: Sequence[tuple[float, float]], snr_db: float) -> float | None:
    """Bytes that a codec takes at an SNR between those measured.

    Parameters
    ----------
    points : sequence of (bytes, SNR in dB)
        In any order. Points that another one beats in both bytes and SNR are left out.
    snr_db : float
        Where to look.

    Returns
    -------
    float or None
        Linear interpolation over SNR, itself a logarithm; None outside the points.

    Notes
    -----
    A bit is worth 6 dB, so bytes are nearly linear in SNR: between points one bit apart this was
    within 0.5 % of files made at the SNR in question, where interpolating the logarithm of bytes
    came out 0.4 to 1.6 % too small.
    """
    front: list[tuple[float, float]] = []
    for size, snr in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or snr > front[-1][1]:
            front.append((size, snr))
    if not front or not front[0][1] <= snr_db <= front[-1][1]:
        return None
    return float(np.interp(snr_db, [snr for _, snr in front], [size for size, _ in front]))


def saving(ours: Sequence[tuple[float, float]], theirs: tuple[float, float]) -> float | None:
    """Percent of their bytes that ours save at their SNR; negative where ours are more.

    Parameters
    ----------
    ours : sequence of (bytes, SNR in dB)
        As for `bytes_at_snr`.
    theirs : (bytes, SNR in dB)
        The point compared with.
    """
    size, snr = theirs
    at = bytes_at_snr(ours, snr)
    return None if at is None else 100 * (1 - at / size)


def solve(
    rate_of: Callable[[float], float],
    target: float,
    low: float,
    high: float,
    tolerance: float = 0.003,
) -> float | None:
    """Value of a parameter at which a rate is reached, by bisection of its logarithm.

    Parameters
    ----------
    rate_of : callable
        Rate in bits at a value of the parameter; it rises or falls all the way.
    target : float
        Rate wanted, in bits.
    low, high : float
        Range to search, ``0 < low < high``.
    tolerance : float
        In bits; a rate this close ends the search.

    Returns
    -------
    float or None
        The value tried whose rate came closest; None if the range does not reach the target.
    """
    at_low, at_high = rate_of(low), rate_of(high)
    if not min(at_low, at_high) <= target <= max(at_low, at_high):
        return None
    falling = at_low > at_high
    best, error = (low, abs(at_low - target))
    if abs(at_high - target) < error:
        best, error = high, abs(at_high - target)
    # Rates of small sources have steps, so the bisection may end between two values.
    while error > tolerance and high / low > 1.0001:
        middle = math.sqrt(low * high)
        rate = rate_of(middle)
        if abs(rate - target) < error:
            best, error = middle, abs(rate - target)
        if (rate > target) == falling:
            low = middle
        else:
            high = middle
    return best
