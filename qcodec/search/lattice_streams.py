"""Lattice points as streams of integers that cost an entropy coder no more than they must.

What a lattice makes known is left out: the parity of the last coordinate everywhere, and with Leech
the residues of the second twelve coordinates, which the Golay code fixes. Integers of different
*classes* have different distributions: they are in streams of their own, or sorted by class within
one, in order of vectors within a class, so that a coder that chooses its table every few hundred
symbols has one distribution at a time. A decoder knows the classes, and with them how many integers
each has, from the streams before.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec.errors import CorruptError
from qcodec.search.golay import codewords
from qcodec.search.parity import Points

Streams = tuple[npt.NDArray[np.int32], ...]
Classes = npt.NDArray[Any]

_BITS = (codewords()[:, None] >> np.arange(24) & 1).astype(np.int32)  # (4096, 24)


def _gather(values: npt.NDArray[np.int32], classes: Classes) -> npt.NDArray[np.int32]:
    """Rows of `values`, or entries, in order of their class."""
    order = _core.coding_order(classes.astype(np.uint8))
    return values.take(order, axis=0).reshape(-1)


def _scatter(stream: npt.NDArray[np.int32], classes: Classes, n_classes: int) -> Points:
    """The inverse of `_gather`."""
    if stream.size != classes.size:
        raise CorruptError(f"stream of {stream.size} integers, {classes.size} expected")
    values: Points = np.empty(classes.shape, np.int32)
    at = 0
    for k in range(n_classes):
        of_class = classes == k
        end = at + int(np.count_nonzero(of_class))
        values[of_class] = stream[at:end]
        at = end
    return values


def _odd(integers: npt.NDArray[Any]) -> Classes:
    """Whether the sum of each row is odd: 1 or 0."""
    odd = integers[:, 0].copy()
    for i in range(1, integers.shape[1]):
        odd ^= integers[:, i]
    return odd & 1


def _like(column: Classes, n: int) -> Classes:
    return np.broadcast_to(column[:, None], (column.size, n))


def _split_z(points: Points) -> Streams:
    return (points.reshape(-1),)


def _merge_z(streams: Sequence[npt.NDArray[np.int32]], n: int) -> Points:
    return _scatter(streams[0], np.zeros((n, 1), np.int8), 1)


def _split_d4(points: Points) -> Streams:
    free, last = points[:, :3], points[:, 3]
    return free.reshape(-1), _gather(last >> 1, _odd(free))


def _merge_d4(streams: Sequence[npt.NDArray[np.int32]], n: int) -> Points:
    free = _scatter(streams[0], np.zeros((n, 3), np.int8), 1)
    odd = free.sum(1) & 1
    return np.column_stack([free, 2 * _scatter(streams[1], odd, 2) + odd]).astype(np.int32)


def _split_e8(points: Points) -> Streams:
    h = points[:, 0] & 1
    z = points >> 1
    free = z[:, :7]
    return h, _gather(free, h), _gather(z[:, 7] >> 1, 2 * h + _odd(free))


def _merge_e8(streams: Sequence[npt.NDArray[np.int32]], n: int) -> Points:
    h = _scatter(streams[0], np.zeros(n, np.int8), 1)
    free = _scatter(streams[1], _like(h, 7), 2)
    odd = free.sum(1) & 1
    last = 2 * _scatter(streams[2], 2 * h + odd, 4) + odd
    return (2 * np.column_stack([free, last]) + h[:, None]).astype(np.int32)


def _golay(information: npt.NDArray[Any]) -> Points:
    """Codewords, shape (n, 24), by their first twelve coordinates, shape (n, 12)."""
    words: Points = _BITS[information @ (1 << np.arange(12))]
    return words


def _leech_classes(h: Classes, c: Classes) -> Classes:
    """0 for x = 0 mod 4, 1 for 2 and 2 for odd ones: 1 and 3 are mirror images, see `_mirror`."""
    return np.where(h[:, None] == 1, 2, c)


def _mirror(z: Classes, h: Classes, c: Classes) -> Classes:
    """z, or -1 - z where x = 3 mod 4; its own inverse. So 1 + 4z and 3 + 4z = -(1 + 4(-1 - z))
    have one distribution where weights are as often negative as positive."""
    return np.where((h[:, None] == 1) & (c == 1), -1 - z, z)


def _split_leech(points: Points) -> Streams:
    h = points[:, 0] & 1
    c = points >> 1 & 1
    z = _mirror(points >> 2, h, c)
    classes = _leech_classes(h, c)
    first, last = z[:, :23], z[:, 23]
    of_class = [first[classes[:, :23] == k] for k in range(3)]
    last_class = 3 * (last & 1) + classes[:, 23]
    return (h, c[:, :12].reshape(-1), *of_class, _gather(last >> 1, last_class))


def _merge_leech(streams: Sequence[npt.NDArray[np.int32]], n: int) -> Points:
    h = _scatter(streams[0], np.zeros(n, np.int8), 1)
    c = _golay(_scatter(streams[1], np.zeros((n, 12), np.int8), 1))
    classes = _leech_classes(h, c)
    z = np.zeros((n, 24), np.int32)
    for k in range(3):
        of_class = classes == k
        of_class[:, 23] = False
        z[of_class] = _scatter(streams[2 + k], np.zeros(np.count_nonzero(of_class), np.int8), 1)
    # The sum of z has the parity of h; mirroring turns the parity of a coordinate.
    mirrored = h & c[:, 23]
    odd = (h + _mirror(z, h, c)[:, :23].sum(1) + mirrored) & 1
    z[:, 23] = 2 * _scatter(streams[5], 3 * odd + classes[:, 23], 6) + odd
    points: Points = h[:, None] + 2 * c + 4 * _mirror(z, h, c)
    return points


BIT_STREAMS = {"z": 0, "d4": 0, "e8": 1, "leech": 2}

_FORMS: dict[
    str,
    tuple[
        int,
        Callable[[Points], Streams],
        Callable[[Sequence[npt.NDArray[np.int32]], int], Points],
    ],
] = {
    "z": (1, _split_z, _merge_z),
    "d4": (4, _split_d4, _merge_d4),
    "e8": (8, _split_e8, _merge_e8),
    "leech": (24, _split_leech, _merge_leech),
}


def split(points: Points, name: str) -> Streams:
    """Streams of the points of a lattice.

    Parameters
    ----------
    points : ndarray of int32, shape (n, dim)
        Points of the lattice `name`; others do not come back.
    name : str
        ``"z"``, ``"d4"``, ``"e8"`` or ``"leech"``.

    Returns
    -------
    tuple of ndarray of int32
        Z: the integers. D4: first three coordinates, halved last ones. E8: bits h, first seven
        integers z, halved last ones. Leech: bits h, first twelve bits of c, first 23 integers z
        where x is 0 mod 4, 2 mod 4, and odd, halved last ones. The first `BIT_STREAMS` are bits.

    Examples
    --------
    >>> split(np.array([[0, 1, 1, 0], [1, 0, 0, -3]], dtype=np.int32), "d4")
    (array([0, 1, 1, 1, 0, 0], dtype=int32), array([ 0, -2], dtype=int32))
    """
    return _FORMS[name][1](points)


def merge(streams: Sequence[npt.NDArray[np.int32]], name: str, n: int) -> Points:
    """The inverse of `split`.

    Parameters
    ----------
    streams : sequence of ndarray of int32
    name : str
    n : int
        Number of vectors.

    Returns
    -------
    ndarray of int32, shape (n, dim)

    Raises
    ------
    CorruptError
        A stream has not as many integers as those before it ask for.
    """
    return _FORMS[name][2](streams, n)


def to_symbols(
    stream: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], int]:
    """A stream as symbols of the fewest bits that hold it, and what does not fit in eight.

    Integer q becomes the symbol q + 2**(width - 1); with width 8, symbol 0 stands for the next
    escaped integer.

    Returns
    -------
    symbols : ndarray of uint8
    escapes : ndarray of int32
        Integers beyond -127 .. 127, in order.
    width : int
        1 .. 8.
    """
    low, high = (int(stream.min()), int(stream.max())) if stream.size else (0, 0)
    width = 1
    while width < 8 and not -(1 << width >> 1) <= low <= high < (1 << width >> 1):
        width += 1
    if width < 8:
        return (stream + (1 << width >> 1)).astype(np.uint8), np.empty(0, np.int32), width
    wide = (stream < -127) | (stream > 127)
    symbols = np.where(wide, 0, stream + 128).astype(np.uint8)
    return symbols, stream[wide].astype(np.int32), width


def from_symbols(
    symbols: npt.NDArray[np.uint8], escapes: npt.NDArray[np.int32], width: int
) -> npt.NDArray[np.int32]:
    """The inverse of `to_symbols`.

    Raises
    ------
    CorruptError
        There are more or fewer escapes than symbols that stand for one.
    """
    stream = symbols.astype(np.int32) - (1 << width >> 1)
    wide = (symbols == 0) & (width == 8)
    if np.count_nonzero(wide) != escapes.size:
        raise CorruptError(f"{escapes.size} escapes for {np.count_nonzero(wide)} symbols")
    stream[wide] = escapes
    return stream
