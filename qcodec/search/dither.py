"""Dither that is uniform over the cell of a lattice, from random integers of 24 bits.

Randomised lattice quantization sends the nearest point to w / scale + u and decodes it as
``(point - u) * scale``. With u uniform over the cell around zero, the error is uniform over the
cell whatever the weights are, and independent of them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec.search.lattice import D4, E8, Lattice, Z, nearest

# Edge of a cube, in integer coordinates, that is a union of cells: edge * Z^n lies in the lattice.
_EDGE = {Z.name: 1, D4.name: 2, E8.name: 4}


def cell_points(random: npt.NDArray[Any], lattice: Lattice) -> npt.NDArray[np.float32]:
    """Points of the cell around zero, one for each vector of random integers.

    A point of the cube [0, edge)^n, edge 1, 2 and 4 for Z, D4 and E8, less the lattice point
    nearest to it: x = (2r + 1) * edge * 2**-25, u = x - nearest(x). Every number on the way is a
    multiple of a power of two and short enough to be exact in float64, the squared distances
    included, so any decoder finds the same u; and u itself is exact in float32.

    Parameters
    ----------
    random : ndarray of integers, shape (n, lattice.dim)
        Uniform in 0 .. 2**24 - 1.
    lattice : Lattice
        Z, D4 or E8. The Leech lattice has a decoder too slow to search in.

    Returns
    -------
    ndarray of float32, shape (n, lattice.dim)
        In the lattice's integer coordinates.

    Raises
    ------
    ValueError
        Another lattice, a wrong shape, or an integer out of range.

    References
    ----------
    .. [1] R. Zamir and M. Feder, "On lattice quantization noise", IEEE Trans. Inform. Theory 42,
       1996, section II.

    Examples
    --------
    >>> cell_points(np.array([[0], [2**23], [2**24 - 1]]), Z).ravel().round(3)
    array([ 0. , -0.5, -0. ], dtype=float32)
    """
    if lattice.name not in _EDGE:
        raise ValueError(f"no dither for {lattice.name}: decoders do not search it")
    if random.size and (random.min() < 0 or random.max() >= 2**24):
        raise ValueError("random integers must be in 0 .. 2**24 - 1")
    x = (2.0 * random + 1.0) * (_EDGE[lattice.name] * 2.0**-25)
    u: npt.NDArray[np.float32] = (x - nearest(x, lattice)).astype(np.float32)
    return u
