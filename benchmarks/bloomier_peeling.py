"""The Bloomier filter of the Weightless paper, for comparison: three hashed cells, peeling.

Keys are positions; a value is the exclusive or of three cells, a third of the table each, and of a
mask. 1.23 cells per key, packed to `bits` bits. The engine has a ribbon instead.
"""

import numba
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
CELLS_PER_KEY = 1.23
SPARE = 11  # cells in each third, for the small


@numba.njit(inline="always")
def _mix(x: np.uint64) -> np.uint64:
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xD6E8FEB86659FD93)
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xD6E8FEB86659FD93)
    return x ^ (x >> np.uint64(32))


@numba.njit(inline="always")
def _cells(key: int, seed: np.uint64, third: np.uint64) -> tuple[int, int, int, np.uint64]:
    low = np.uint64(0xFFFFFFFF)
    h = _mix(np.uint64(key) + seed)
    g = _mix(h ^ np.uint64(0x9E3779B97F4A7C15))
    a = ((h & low) * third) >> np.uint64(32)
    b = ((h >> np.uint64(32)) * third) >> np.uint64(32)
    c = ((g & low) * third) >> np.uint64(32)
    return int(a), int(third + b), int(third + third + c), g >> np.uint64(40)


@numba.njit(inline="always")
def _get(table: U8, cell: int, bits: int) -> int:
    at = cell * bits
    two = np.uint32(table[at >> 3]) | np.uint32(table[(at >> 3) + 1]) << np.uint32(8)
    return int(two >> np.uint32(at & 7)) & ((1 << bits) - 1)


@numba.njit(inline="always")
def _set(table: U8, cell: int, bits: int, value: int) -> None:
    at = cell * bits
    wide = value << (at & 7)
    table[at >> 3] |= np.uint8(wide & 255)
    table[(at >> 3) + 1] |= np.uint8(wide >> 8)


@numba.njit
def _peel(
    keys: npt.NDArray[np.int64], values: U8, bits: int, seed: np.uint64, third: int, table: U8
) -> bool:
    n = keys.size
    counts = np.zeros(3 * third, np.uint32)
    joined = np.zeros(3 * third, np.uint32)
    for k in range(n):
        a, b, c, _ = _cells(keys[k], seed, np.uint64(third))
        for cell in (a, b, c):
            counts[cell] += np.uint32(1)
            joined[cell] ^= np.uint32(k)
    ready = np.empty(3 * third, np.int64)
    n_ready = 0
    for cell in range(3 * third):
        if counts[cell] == 1:
            ready[n_ready] = cell
            n_ready += 1
    order = np.empty(n, np.int64)
    owned = np.empty(n, np.int64)
    done = 0
    while n_ready > 0:
        n_ready -= 1
        cell = ready[n_ready]
        if counts[cell] != 1:
            continue
        k = int(joined[cell])
        order[done], owned[done] = k, cell
        done += 1
        a, b, c, _ = _cells(keys[k], seed, np.uint64(third))
        for other in (a, b, c):
            joined[other] ^= np.uint32(k)
            counts[other] -= np.uint32(1)
            if counts[other] == 1:
                ready[n_ready] = other
                n_ready += 1
    if done < n:
        return False
    for at in range(n - 1, -1, -1):
        k = order[at]
        a, b, c, mask = _cells(keys[k], seed, np.uint64(third))
        value = int(values[k]) ^ (int(mask) & ((1 << bits) - 1))
        value ^= _get(table, a, bits) ^ _get(table, b, bits) ^ _get(table, c, bits)
        _set(table, owned[at], bits, value)
    return True


@numba.njit
def _answer(table: U8, bits: int, seed: np.uint64, third: int, out: U8) -> None:
    for p in range(out.size):
        a, b, c, mask = _cells(p, seed, np.uint64(third))
        word = _get(table, a, bits) ^ _get(table, b, bits) ^ _get(table, c, bits)
        out[p] = np.uint8((word ^ int(mask)) & ((1 << bits) - 1))


class Filter:
    """Words of keys, as packed cells.

    Parameters
    ----------
    keys : ndarray of int64
        Positions.
    values : ndarray of uint8
        Their words, below ``2**bits``.
    bits : int
        Of a word.
    """

    def __init__(self, keys: npt.NDArray[np.int64], values: U8, bits: int) -> None:
        self._bits = bits
        self._third = int(keys.size * CELLS_PER_KEY / 3) + SPARE
        for attempt in range(1, 100):
            self._seed = np.uint64(attempt * 0x9E3779B97F4A7C15 % 2**64)
            self._table = np.zeros((3 * self._third * bits + 7) // 8 + 1, np.uint8)
            if _peel(keys, values, bits, self._seed, self._third, self._table):
                return
        raise RuntimeError("no seed of 99 can be peeled")

    @property
    def nbytes(self) -> int:
        """Bytes of the cells, and of a header with seed and size."""
        return int(self._table.size) - 1 + 16

    def words(self, out: U8) -> None:
        """The words of positions 0 .. out.size - 1, of keys and others."""
        _answer(self._table, self._bits, self._seed, self._third, out)
