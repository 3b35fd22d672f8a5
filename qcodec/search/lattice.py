"""Lattice quantizers: nearest points, and points chosen by error and rate together.

A weight vector w becomes the lattice point x near w / scale, a vector of integers, and comes back
as ``x * scale``. The four lattices and their integer coordinates:

========= === =====================================================================================
Z           1 all integers
D4          4 integers of even sum
E8          8 all even or all odd, sum divisible by 4 (twice the usual coordinates)
Leech      24 h + 2c + 4z: h is 0 or 1, c a codeword of the Golay code, the sum of z of h's parity
               (sqrt(8) times the usual coordinates)
========= === =====================================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec.errors import InputError
from qcodec.search import leech, parity
from qcodec.search.lattice_rates import Rates, fit_rates
from qcodec.search.parity import Doubles, Points

MAX_COORDINATE = 2**24  # float32 holds all integers up to here


@dataclass(frozen=True)
class Lattice:
    """A lattice in integer coordinates.

    Attributes
    ----------
    name : str
    dim : int
        Coordinates of a vector.
    unit : float
        Factor from integer coordinates to those in which a cell has volume 1: V**(-1/dim) for the
        volume V of a cell in integer coordinates, in float64.
    second_moment : float
        Mean squared error per weight at a cell of volume 1 (G of Conway and Sloane).

    References
    ----------
    .. [1] J. H. Conway and N. J. A. Sloane, "Sphere Packings, Lattices and Groups", 3rd edition,
       Springer, 1999, chapter 2, table 2.3, and chapter 4, sections 7, 8 and 11.
    """

    name: str
    dim: int
    unit: float
    second_moment: float

    def scale(self, step: float) -> np.float32:
        """Scale of a lattice with as many points per volume as multiples of `step` have.

        ``step * unit``, a float64 product rounded to float32; of the weights' unit.
        """
        return np.float32(step * self.unit)


Z = Lattice("z", 1, 1.0, 1 / 12)
D4 = Lattice("d4", 4, 0.8408964152537145, 0.076603)  # 2**(-1/4)
E8 = Lattice("e8", 8, 0.5, 0.071682)
LEECH = Lattice("leech", 24, 0.35355339059327376, 0.065771)  # 8**(-1/2)
LATTICES = {lattice.name: lattice for lattice in (Z, D4, E8, LEECH)}


def _nearest_leech(y: Doubles, out: Points) -> None:
    leech.search(y, 0.0, np.zeros(4 * 3 * 256), np.zeros(2), out)


_NEAREST: dict[str, Callable[[Doubles, Points], None]] = {
    "z": parity.nearest_integers,
    "d4": parity.nearest_checkerboard,
    "e8": parity.nearest_e8,
    "leech": _nearest_leech,
}


def _checked(vectors: npt.NDArray[Any], lattice: Lattice) -> Doubles:
    y = np.ascontiguousarray(vectors, np.float64)
    if y.ndim != 2 or y.shape[1] != lattice.dim:
        raise ValueError(f"{lattice.name} takes shape (n, {lattice.dim}), got {y.shape}")
    most = MAX_COORDINATE - 4
    if not (y.min(initial=0) >= -most and y.max(initial=0) <= most):  # NaN is neither
        at = int(np.argmin(np.abs(y) <= most))
        raise InputError(
            f"{lattice.name}: weight {at} is {y.flat[at]:.6g} units from zero, the limit is 2**24: "
            "take a larger step"
        )
    return y


def nearest(vectors: npt.NDArray[Any], lattice: Lattice) -> Points:
    """Nearest lattice point to each vector, exactly.

    Parameters
    ----------
    vectors : ndarray of float32 or float64, shape (n, lattice.dim)
        In the lattice's integer coordinates: weights divided by the scale.
    lattice : Lattice

    Returns
    -------
    ndarray of int32, shape (n, lattice.dim)
        Ties: Z rounds halves to even. D4 and E8 round so as well, and where the sum comes out odd,
        move the first of the coordinates with the largest error, upwards if that is zero; E8
        prefers even coordinates to odd ones. Leech prefers even coordinates, then the point met
        first in a fixed order.

    Raises
    ------
    ValueError
        Wrong shape.
    InputError
        A NaN, or a coordinate too large for a float32 integer.

    References
    ----------
    .. [1] J. H. Conway and N. J. A. Sloane, "Fast quantizing and decoding algorithms for lattice
       quantizers and codes", IEEE Trans. Inform. Theory 28, 1982, sections III and IV (D_n, E8).

    Examples
    --------
    >>> nearest(np.array([[0.6, 0.9, 1.2, 0.1]]), D4)
    array([[0, 1, 1, 0]], dtype=int32)
    """
    y = _checked(vectors, lattice)
    points = np.empty(y.shape, np.int32)
    _NEAREST[lattice.name](y, points)
    return points


def cheapest(vectors: npt.NDArray[Any], lattice: Lattice, rates: Rates, weight: float) -> Points:
    """Lattice point of least squared error plus `weight` times its bits, for each vector.

    The rates add up over the coordinates (see `Rates`), so the search is as exact as that for the
    nearest point, except that each coordinate considers four integers only: the two next to it on
    either side.

    Parameters
    ----------
    vectors : ndarray of float32 or float64, shape (n, lattice.dim)
        In the lattice's integer coordinates.
    lattice : Lattice
    rates : Rates
    weight : float
        What a bit is worth, in squared integer coordinates.

    Returns
    -------
    ndarray of int32, shape (n, lattice.dim)

    Raises
    ------
    ValueError, InputError
        As for `nearest`.
    """
    y = _checked(vectors, lattice)
    points = np.empty(y.shape, np.int32)
    if lattice is LEECH:
        leech.search(y, weight, rates.bits, rates.coset_bits, points)
    else:
        modulus = 2 if lattice is E8 else 1
        parity.search_parity(
            y, modulus, lattice is not Z, weight, rates.bits, rates.coset_bits, points
        )
    return points


def to_vectors(weights: npt.NDArray[Any], lattice: Lattice, scale: float) -> Doubles:
    """Weights in C order divided by `scale`, the last vector filled up with zeros.

    Returns
    -------
    ndarray of float64, shape (ceil(weights.size / lattice.dim), lattice.dim)
    """
    y = np.empty((-(-weights.size // lattice.dim), lattice.dim))
    flat = y.reshape(-1)
    np.divide(weights.reshape(-1), float(scale), out=flat[: weights.size], dtype=np.float64)
    flat[weights.size :] = 0.0
    return y


def quantize(
    weights: npt.NDArray[Any],
    lattice: Lattice,
    step: float,
    *,
    bit_worth: float = 0.0,
    passes: int = 3,
) -> tuple[Points, np.float32]:
    """Lattice points for the weights, and the scale that brings them back with least error.

    Parameters
    ----------
    weights : ndarray of float32 or float64, any shape
    lattice : Lattice
    step : float
        Edge of the cube with the volume of a cell, in units of the weights: the step of a uniform
        quantizer with about the same number of bits.
    bit_worth : float, default 0
        Squared error that a bit is worth, in units of ``step**2``. 0 takes nearest points; 0.1 is
        about the slope of the rate-distortion function, 2 ln 2 * second_moment.
    passes : int, default 3
        Searches with rates counted from the points of the search before.

    Returns
    -------
    points : ndarray of int32, shape (ceil(weights.size / lattice.dim), lattice.dim)
    scale : float32
        For decoding, ``points * scale``: least squares, so that points that tend to lie outside of
        what they stand for, as they do at low rates, are pulled in.

    Raises
    ------
    InputError
        As for `nearest`.
    """
    scale = lattice.scale(step)
    y = to_vectors(weights, lattice, float(scale))
    points = nearest(y, lattice)
    if bit_worth > 0:
        for _ in range(passes):
            rates = fit_rates(points, lattice.name)
            points = cheapest(y, lattice, rates, bit_worth / lattice.unit**2)
    return points, np.float32(float(scale) * _shrink(y, points))


def _shrink(y: Doubles, points: Points) -> float:
    """sum(y * points) / sum(points**2), added up in a fixed order; 1 where all points are zero."""
    cross, energy = parity.products(y, points)
    return cross / energy if energy > 0 else 1.0
