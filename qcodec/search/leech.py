"""Exact search in the Leech lattice, over all 8192 pairs of a parity and a Golay codeword.

Coordinates are those of the sqrt(8) scaling: x = h + 2c + 4z with h = 0 or 1, c a codeword of the
Golay code and the sum of z of the parity of h. A coordinate contributes, for c = 0 and c = 1, its
cheapest z and the price of the cheapest z of the other parity. Tables over the 256 patterns of
eight coordinates hold sums of the costs, sums of the parities and the least price, so a codeword is
judged by three entries of each; most are ruled out sixteen at a time by a lower bound.
"""

import numba
import numpy as np
import numpy.typing as npt

from qcodec.search.golay import codewords
from qcodec.search.parity import (
    FREE,
    INFORMATION,
    LAST,
    Doubles,
    Points,
    cheapest_of_each_parity,
    entry,
)

_WORDS = codewords()
# Bytes 1 and 2 of the sixteen codewords that begin with a given byte. Over all first bytes these
# rows are only sixteen different sets each: cosets of a code.
_SECOND = np.ascontiguousarray((_WORDS >> 8 & 255).astype(np.uint8).reshape(16, 256).T)
_THIRD = np.ascontiguousarray((_WORDS >> 16).astype(np.uint8).reshape(16, 256).T)


def _cosets(rows: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The different sets among the rows, and which of them each row is."""
    sets, which = np.unique(np.sort(rows, axis=1), axis=0, return_inverse=True)
    return sets, which.reshape(-1).astype(np.uint8)


_SECOND_SETS, _SECOND_SET = _cosets(_SECOND)
_THIRD_SETS, _THIRD_SET = _cosets(_THIRD)


@numba.njit(cache=True, nogil=True)
def _set_minima(sets: npt.NDArray[np.uint8], cost: Doubles, minima: Doubles) -> None:
    for s in range(sets.shape[0]):
        least = np.inf
        for k in range(16):
            least = min(least, cost[sets[s, k]])
        minima[s] = least


@numba.njit(cache=True, nogil=True)
def _fill_tables(
    costs: Doubles,
    parities: npt.NDArray[np.uint8],
    prices: Doubles,
    sums: Doubles,
    odd: npt.NDArray[np.uint8],
    least: Doubles,
) -> None:
    """Tables over the patterns of each eight coordinates, one coordinate (bit) after the other.

    `costs`, `parities` and `prices` have shape (24, 2), the tables (3, 256).
    """
    for block in range(3):
        sums[block, 0], odd[block, 0], least[block, 0] = 0.0, 0, np.inf
        for j in range(8):
            i, size = 8 * block + j, 1 << j
            for m in range(size):
                sums[block, m + size] = sums[block, m] + costs[i, 1]
                sums[block, m] += costs[i, 0]
                odd[block, m + size] = odd[block, m] ^ parities[i, 1]
                odd[block, m] ^= parities[i, 0]
                least[block, m + size] = min(least[block, m], prices[i, 1])
                least[block, m] = min(least[block, m], prices[i, 0])


@numba.njit(cache=True, nogil=True)
def _search(
    y: Doubles,
    weight: float,
    bits: Doubles,
    coset_bits: Doubles,
    words: npt.NDArray[np.uint32],
    second: npt.NDArray[np.uint8],
    third: npt.NDArray[np.uint8],
    second_sets: npt.NDArray[np.uint8],
    second_set: npt.NDArray[np.uint8],
    third_sets: npt.NDArray[np.uint8],
    third_set: npt.NDArray[np.uint8],
    out: Points,
) -> None:
    """The loop of `search`; `words` and what follows are tables of the code, made once."""
    z = np.empty((24, 2, 2), np.int32)  # coordinate, c, cheapest or next best
    costs, prices = np.empty((24, 2)), np.empty((24, 2))
    parities = np.empty((24, 2), np.uint8)
    sums, least = np.empty((3, 256)), np.empty((3, 256))
    odd = np.empty((3, 256), np.uint8)
    second_least, third_least, bound = np.empty(16), np.empty(16), np.empty(256)
    for v in range(y.shape[0]):
        best = np.inf
        for h in range(2):
            for i in range(24):
                kind = INFORMATION if i < 12 else LAST if i == 23 else FREE
                for c in range(2):
                    r = h + 2 * c
                    z0, cost0, z1, cost1 = cheapest_of_each_parity(
                        y[v, i] - r, 4, weight, bits, entry(r, kind)
                    )
                    z[i, c, 0], z[i, c, 1] = z0, z1
                    costs[i, c], prices[i, c] = cost0, cost1 - cost0
                    parities[i, c] = z0 & 1
            _fill_tables(costs, parities, prices, sums, odd, least)
            _set_minima(second_sets, sums[1], second_least)
            _set_minima(third_sets, sums[2], third_least)
            first, lowest = 0, np.inf
            for a in range(256):
                sums[0, a] += weight * coset_bits[h]
                bound[a] = sums[0, a] + second_least[second_set[a]] + third_least[third_set[a]]
                if bound[a] < lowest:
                    first, lowest = a, bound[a]
            won = -1
            # The most promising first byte goes first: its cost rules out most others.
            for turn in range(-1, 256):
                a = first if turn < 0 else turn
                if bound[a] >= best:
                    continue
                for k in range(16):
                    b, c = second[a, k], third[a, k]
                    cost = sums[0, a] + sums[1, b] + sums[2, c]
                    if cost >= best:
                        continue
                    if odd[0, a] ^ odd[1, b] ^ odd[2, c] != h:
                        cost += min(least[0, a], min(least[1, b], least[2, c]))
                    if cost < best:
                        best, won = cost, a + 256 * k
            if won >= 0:
                word, parity = words[won], 0
                flip, price = 0, np.inf
                for i in range(24):
                    c = (word >> i) & 1
                    parity ^= parities[i, c]
                    if prices[i, c] < price:
                        flip, price = i, prices[i, c]
                    out[v, i] = h + 2 * c + 4 * z[i, c, 0]
                if parity != h:
                    c = (word >> flip) & 1
                    out[v, flip] = h + 2 * c + 4 * z[flip, c, 1]


def search(y: Doubles, weight: float, bits: Doubles, coset_bits: Doubles, out: Points) -> None:
    """Cheapest point of the Leech lattice to each row of `y`.

    Of equally cheap points the one with even coordinates is taken; among those of one parity, the
    one met first, codewords being tried in a fixed order.

    Parameters
    ----------
    y : ndarray of float64, shape (n, 24)
        In the sqrt(8) scaling, where the shortest vectors have squared length 32.
    weight : float
        Squared distance that a bit is worth; 0 for the nearest point.
    bits : ndarray of float64, shape (4 * 3 * 256,)
        Bits of z at `parity.entry` of the residue h + 2c and the kind of coordinate: the first
        twelve are INFORMATION, the last is LAST, others are FREE.
    coset_bits : ndarray of float64, shape (2,)
        Bits of h.
    out : ndarray of int32, shape (n, 24)

    References
    ----------
    .. [1] J. H. Conway and N. J. A. Sloane, "Soft decoding techniques for codes and lattices,
       including the Golay code and the Leech lattice", IEEE Trans. Inform. Theory 32, 1986,
       section VII: lattices as unions over codewords.
    """
    _search(
        y, weight, bits, coset_bits, _WORDS, _SECOND, _THIRD,
        _SECOND_SETS, _SECOND_SET, _THIRD_SETS, _THIRD_SET, out,
    )  # fmt: skip
