"""The tensor table as it stands in a file: FORMAT.md, "Packed table"."""

import numpy as np

from qcodec import _core
from qcodec._arrays import varint
from qcodec.container import _fields
from qcodec.errors import CorruptError, LimitError, TruncatedError

_RANS = 3
_MOST_AT_ONCE = 2**20
# A table that says more than this of itself, for each of its bytes, is a bomb: names and shapes
# that repeat come to about a tenth.
_MOST_RATIO = 64


def pack_table(table: bytes) -> bytes:
    """Length of the table, then its bytes as streams of `rans`."""
    data = np.frombuffer(table, np.uint8)
    pieces = [data[at : at + _MOST_AT_ONCE] for at in range(0, data.size, _MOST_AT_ONCE)]
    packed = varint(len(table)) + b"".join(_core.stream(_RANS, piece, 8, False) for piece in pieces)
    if len(table) > _MOST_RATIO * (len(packed) + 16):  # long names of equal characters do that
        packed = varint(len(table)) + b"".join(b"\0" + piece.tobytes() for piece in pieces)
    return packed


def unpack_table(packed: bytes) -> bytes:
    """The table of `pack_table`.

    Raises
    ------
    CorruptError, TruncatedError, LimitError
        No packed table, or one larger than allowed.
    """
    length, at = _read_varint(packed)
    if length > _fields.MAX_PART_BYTES or length > _MOST_RATIO * (len(packed) + 16):
        raise LimitError(f"tensor table of {length} bytes, packed into {len(packed)}")
    data = np.frombuffer(packed, np.uint8)
    pieces = []
    while length > 0:
        count = min(length, _MOST_AT_ONCE)
        try:
            piece, used = _core.read_stream(_RANS, data[at:], count, 8)
        except _core.KernelError as failure:
            code, byte, reason, _ = failure.args
            error = TruncatedError if code == 2 else CorruptError
            raise error(f"tensor table: packed byte {at + byte}: {reason}") from None
        pieces.append(piece.tobytes())
        at += used
        length -= count
    if at != len(packed):
        raise CorruptError("tensor table: bytes after the last stream")
    return b"".join(pieces)


def _read_varint(data: bytes) -> tuple[int, int]:
    value = 0
    for k, byte in enumerate(data[:9]):
        value |= (byte & 0x7F) << (7 * k)
        if byte < 0x80:
            if byte == 0 and k > 0:
                break
            return value, k + 1
    raise CorruptError("tensor table: bad length")
