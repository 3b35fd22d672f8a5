"""E8P: 65,536 points of E8 + 1/4, eight weights in 16 bits.

A point is a vector v of D8 + 1/2 (halves of odd numbers with an even sum), moved by 1/4 up or down
in all coordinates. The magnitudes of v are one of 256 patterns; of their signs seven are free, and
the sum settles that of the first coordinate.
"""

import functools
import itertools
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from qcodec.errors import InputError
from qcodec.search.parity import Doubles


@functools.cache
def patterns() -> npt.NDArray[np.uint8]:
    """Doubled magnitudes of the patterns, shape (256, 8), values 1, 3 and 5.

    All 227 vectors of odd numbers whose squares sum to at most 40, and the first 29 of those of
    five 3 and three 1, with sum 48; both in lexicographic order. Read-only.

    References
    ----------
    .. [1] A. Tseng et al., "QuIP#: Even Better LLM Quantization with Hadamard Incoherence and
       Lattice Codebooks", ICML 2024, arXiv:2402.04396, section 4.2. Its choice of the 29, and its
       order, are others.
    """
    odd = np.array(list(itertools.product((1, 3, 5), repeat=8)), np.int64)
    norm = (odd * odd).sum(1)
    chosen = np.concatenate([odd[norm <= 40], odd[(norm == 48) & (odd.max(1) == 3)][:29]])
    table: npt.NDArray[np.uint8] = chosen.astype(np.uint8)
    table.setflags(write=False)
    return table


@functools.cache
def _odd_patterns() -> npt.NDArray[np.uint8]:
    """1 for the patterns that need an odd number of minus signs for an even sum."""
    odd: npt.NDArray[np.uint8] = (patterns().sum(1, dtype=np.int64) // 2 % 2).astype(np.uint8)
    return odd


def points(codes: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Points of the codebook, all exact multiples of 1/4.

    Bits 8 .. 15 of a code are the pattern, bit i = 1 .. 7 is set where coordinate i of v is
    negative, and bit 0 where v is moved by -1/4 instead of +1/4.

    Parameters
    ----------
    codes : ndarray of uint16, any shape

    Returns
    -------
    ndarray of float32, shape (*codes.shape, 8)

    Examples
    --------
    >>> points(np.array([0, 3], dtype=np.uint16))[:, :3]
    array([[ 0.75,  0.75,  0.75],
           [-0.75, -0.75,  0.25]], dtype=float32)
    """
    code = codes.astype(np.int64)
    pattern = code >> 8
    minus = code[..., None] >> np.arange(8) & 1
    minus[..., 0] = (minus[..., 1:].sum(-1) + _odd_patterns()[pattern]) & 1
    quarters = 2 * patterns()[pattern].astype(np.int64) * (1 - 2 * minus)
    quarters += (1 - 2 * (code & 1))[..., None]
    vectors: npt.NDArray[np.float32] = quarters.astype(np.float32) / np.float32(4)
    return vectors


@numba.njit(cache=True, nogil=True)
def _search(
    y: Doubles,
    magnitudes: Doubles,
    odd: npt.NDArray[np.uint8],
    energies: Doubles,
    codes: npt.NDArray[np.uint16],
) -> None:
    """Nearest by largest 2 <v, y> - |v|^2; `magnitudes` have shape (8, 256)."""
    match, flip = np.empty(256), np.empty(256)
    for n in range(y.shape[0]):
        least, code = np.inf, 0
        for down in range(2):
            shift = -0.25 if down else 0.25
            match[:] = 0.0
            flip[:] = np.inf
            minus, size, negative = 0, 0.0, 0
            for i in range(8):
                target = y[n, i] - shift
                size += target * target
                if target < 0:
                    minus |= 1 << i
                    negative ^= 1
                twice = 2.0 * abs(target)
                for k in range(256):
                    product = twice * magnitudes[i, k]
                    match[k] += product
                    flip[k] = product if product < flip[k] else flip[k]
            for k in range(256):
                distance = size + energies[k] - match[k]
                wrong = odd[k] != negative
                if wrong:
                    distance += 2.0 * flip[k]
                if distance < least:
                    least = distance
                    signs = minus
                    if wrong:
                        at, smallest = 0, np.inf
                        for i in range(8):
                            product = abs(y[n, i] - shift) * magnitudes[i, k]
                            if product < smallest:
                                at, smallest = i, product
                        signs ^= 1 << at
                    code = (k << 8) | (signs & 254) | down
        codes[n] = code


def nearest_codes(vectors: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Code of the nearest of all 65,536 points, exactly.

    For either shift and each pattern the best signs are those of the vector, except that where the
    sum comes out odd one sign is turned, the one that costs least.

    Parameters
    ----------
    vectors : ndarray of float32 or float64, shape (n, 8)
        Weights divided by the scale; a standard deviation of about 1.03 suits the codebook.

    Returns
    -------
    ndarray of uint16, shape (n,)
        Ties: the shift by +1/4, then the lower pattern, then the lower coordinate's sign.

    Raises
    ------
    ValueError
        Wrong shape.
    InputError
        NaN or infinity.
    """
    y = np.ascontiguousarray(vectors, np.float64)
    if y.ndim != 2 or y.shape[1] != 8:
        raise ValueError(f"e8p takes shape (n, 8), got {y.shape}")
    finite = np.isfinite(y)
    if not finite.all():
        at = int(np.argmin(finite))
        raise InputError(f"e8p: weight {at} is {y.flat[at]}")
    magnitudes = patterns().T / 2.0
    codes = np.empty(y.shape[0], np.uint16)
    _search(y, np.ascontiguousarray(magnitudes), _odd_patterns(), (magnitudes**2).sum(0), codes)
    return codes
