"""Bits that lattice points take in the streams of lattice_streams.py, as searches count them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec.search.parity import FREE, INFORMATION, LAST, Doubles, Points

_LOG_BITS = 16


@dataclass(frozen=True)
class Rates:
    """Bits of the parts of a lattice point.

    A point costs ``coset_bits[h]`` plus, for each coordinate, ``bits[entry(r, kind) + 128 + z]``
    with its residue r, its integer z = (x - r) / modulus and its kind, `parity.FREE` and so on.
    Integers beyond -128 .. 127 cost as much as the last of these.

    Attributes
    ----------
    bits : ndarray of float64, shape (4 * 3 * 256,)
    coset_bits : ndarray of float64, shape (2,)
    """

    bits: Doubles
    coset_bits: Doubles


def log2(x: npt.NDArray[Any]) -> Doubles:
    """Base-2 logarithm of positive numbers, rounded down to 2**-16.

    By squaring, so that it is the same on every machine, which a mathematical library's is not.

    Examples
    --------
    >>> log2(np.array([1, 3, 1024]))[[0, 2]]
    array([ 0., 10.])
    """
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    mantissa = 2 * mantissa
    result = exponent.astype(np.float64) - 1
    for k in range(1, _LOG_BITS + 1):
        mantissa = mantissa * mantissa
        above = mantissa >= 2
        result += above * 2.0**-k
        mantissa = np.where(above, mantissa / 2, mantissa)
    return result


def _bits(counts: npt.NDArray[Any], totals: npt.NDArray[Any]) -> Doubles:
    """Bits of what occurs `counts` times of `totals`; what never does counts as a quarter."""
    return log2(totals + 64.0) - log2(counts + 0.25)


def fit_rates(points: Points, name: str) -> Rates:
    """Rates by how often residues and integers occur among points of the lattice `name`.

    Parameters
    ----------
    points : ndarray of int32, shape (n, dim)
    name : str
        ``"z"``, ``"d4"``, ``"e8"`` or ``"leech"``.
    """
    modulus = {"z": 1, "d4": 1, "e8": 2, "leech": 4}[name]
    residue = points & (modulus - 1)
    kinds = np.full(points.shape, FREE)
    if name != "z":
        kinds[:, -1] = LAST
    z = np.clip((points - residue) // modulus, -128, 127) + 128
    at = np.ravel_multi_index((residue, kinds, z), (4, 3, 256))
    counts = np.bincount(at.reshape(-1), minlength=4 * 3 * 256).reshape(4, 3, 256)
    if name == "leech":  # 3 + 4z is the mirror image of 1 + 4(-1 - z), and in the same stream
        counts[1] += counts[3, :, ::-1]
        counts[3] = counts[1, :, ::-1]

    totals = np.broadcast_to(counts.sum(2, keepdims=True), counts.shape).copy()
    # The parity of the last integer is known.
    for odd in (0, 1):
        totals[:, LAST, odd::2] = counts[:, LAST, odd::2].sum(1, keepdims=True)
    bits = _bits(counts, totals)
    if name == "leech":
        c = np.bincount((residue[:, :12] >> 1).reshape(-1), minlength=2)
        bits[:, INFORMATION] = bits[:, FREE] + np.repeat(_bits(c, c.sum()), 2)[:, None]
    coset_bits = np.zeros(2)
    if modulus > 1:
        h = np.bincount(residue[:, 0] & 1, minlength=2)
        coset_bits = _bits(h, h.sum())
    return Rates(bits.reshape(-1), coset_bits)
