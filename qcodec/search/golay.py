"""The extended binary Golay code of length 24, in systematic form."""

import numpy as np
import numpy.typing as npt

# Bit i is coordinate i. Row k carries information bit k in coordinate k. Coordinates 12 .. 22 are
# x^(11 + k) mod x^11 + x^10 + x^6 + x^5 + x^4 + x^2 + 1, coordinate 23 makes the weight even.
GENERATOR = (
    0xC75001, 0x49F002, 0xD4B004, 0x6E3008, 0x9B3010, 0xB66020,
    0xECC040, 0x1ED080, 0x3DA100, 0x7B4200, 0xB1D400, 0xE3A800,
)  # fmt: skip


def codewords() -> npt.NDArray[np.uint32]:
    """All codewords in order of their information bits.

    Returns
    -------
    ndarray of uint32, shape (4096,)
        Codeword m has m in its low 12 bits; bit i is coordinate i.

    References
    ----------
    .. [1] J. H. Conway and N. J. A. Sloane, "Sphere Packings, Lattices and Groups", 3rd edition,
       Springer, 1999, chapter 3, section 2.8.2.
    """
    words = np.zeros(1, np.uint32)
    for row in GENERATOR:
        words = np.concatenate([words, words ^ np.uint32(row)])
    return words
