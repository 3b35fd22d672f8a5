"""Opens a .qc file or blob: header, trailer, index, all checked before anything is believed."""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec._arrays import DTYPE_NAMES
from qcodec.container import _fields
from qcodec.container.index import Index, codec_bytes
from qcodec.container.packed import unpack_table
from qcodec.errors import (
    CorruptError,
    LimitError,
    QCodecError,
    TruncatedError,
    UnsafePathError,
    UnsupportedError,
)

_TAIL_BYTES = 65536  # read at once from the end: most files open with two reads


@dataclass(frozen=True)
class Shared:
    """A chunk that several tensors share, each with all of its elements."""

    offset: int
    length: int
    hash: int
    members: list[Entry]

    @property
    def seed(self) -> int:
        """Seed of the chunk's hash."""
        return self.members[0].key


@dataclass(slots=True)  # made by the thousand, and frozen ones take twice as long
class Entry:
    """One stored tensor, as the index tells it. The codec is still its config.

    A tensor in a shared chunk has none of its own: `offsets`, `lengths` and `hashes` are empty.
    """

    number: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    config: dict[str, Any]
    key: int
    offsets: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint64]
    hashes: npt.NDArray[np.uint64]
    shared: Shared | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def place(self) -> int:
        """Where its first chunk begins; 0 where it has none."""
        if self.shared is not None:
            return self.shared.offset
        return int(self.offsets[0]) if self.offsets.size else 0

    @property
    def stored_bytes(self) -> int:
        """Bytes of its chunks; of a shared chunk, its elements' part."""
        if self.shared is None:
            return int(self.lengths.sum())
        before = 0
        for member in self.shared.members:
            if member.number == self.number:
                break
            before += member.size
        total = sum(member.size for member in self.shared.members)
        return share(self.shared.length, before, self.size, total)


def share(length: int, before: int, n: int, total: int) -> int:
    """Bytes of a shared chunk that n of its `total` elements answer for, behind `before` others."""
    return length * (before + n) // total - length * before // total


class Bytes:
    """A blob in memory."""

    def __init__(self, data: Any) -> None:
        self.array = np.frombuffer(data, np.uint8)
        self.size = self.array.size
        self.source: int | npt.NDArray[np.uint8] = self.array

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at an offset; fewer at the end."""
        return self.array[offset : offset + length].tobytes()

    def close(self) -> None:
        """Nothing to do."""


class File:
    """A regular file, opened once; everything later goes by its descriptor."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Non-blocking, so that a FIFO in place of a file is refused instead of waited for.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        self._fd = os.open(path, flags)
        info = os.fstat(self._fd)
        if not stat.S_ISREG(info.st_mode):
            self.close()
            raise UnsafePathError(f"{os.fspath(path)}: not a regular file")
        self.size = info.st_size
        self.source: int | npt.NDArray[np.uint8] = self._fd

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at an offset; fewer at the end of the file."""
        parts = []
        while length > 0 and (part := os.pread(self._fd, length, offset)):
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the descriptor; twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Contents:
    """The checked index of a file: tensors in order, aliases, metadata, source."""

    def __init__(self, data: Bytes | File, where: str) -> None:
        try:
            self._read(data)
        except QCodecError as error:
            raise type(error)(f"{where}: {error}") from None

    def _read(self, data: Bytes | File) -> None:
        if data.size == 0:
            raise TruncatedError("empty file")
        minor = _fields.check_header(data.read(0, _fields.HEADER_BYTES))
        if data.size < _fields.HEADER_BYTES + _fields.TRAILER_BYTES:
            raise TruncatedError(f"{data.size} bytes are too few for a .qc file")
        start = max(0, data.size - _TAIL_BYTES)
        tail = data.read(start, data.size - start)
        if len(tail) != data.size - start:
            raise TruncatedError("the file became shorter while it was read")
        offset, json_length, table_length, tensors, digest = _fields.parse_trailer(
            tail[-_fields.TRAILER_BYTES :], data.size, minor, _core.xxh3_64
        )
        length = json_length + table_length
        raw = tail[offset - start :][:length] if offset >= start else data.read(offset, length)
        if len(raw) != length:
            raise TruncatedError("the file became shorter while it was read")
        if _core.xxh3_64(raw, offset) != digest:
            raise CorruptError(f"index at byte {offset}: wrong hash")
        index = Index.from_bytes(raw[:json_length])
        self.index_bytes = length
        self.metadata = index.metadata
        self.source = index.source
        table = raw[json_length:] if minor == 0 else unpack_table(raw[json_length:])
        self.entries = _entries(index, table, tensors, minor, offset)
        self.aliases = index.aliases
        for name, target in self.aliases.items():
            if len(name.encode()) > _fields.MAX_NAME_BYTES:
                raise LimitError(f"alias of {target!r}: longer than {_fields.MAX_NAME_BYTES} bytes")
            if name in self.entries or target not in self.entries:
                raise CorruptError(f"index: alias {name!r} of {target!r}")

    def entry(self, name: str) -> Entry:
        """The tensor of this name or alias; KeyError where there is none."""
        return self.entries[self.aliases.get(name, name)]


def _entries(index: Index, table: bytes, tensors: int, minor: int, end: int) -> dict[str, Entry]:
    keys = [_core.xxh3_64(codec_bytes(config), 0) for config in index.codecs]
    if len(set(keys)) != len(keys):
        raise CorruptError("index: a codec is listed twice")
    entries = {}
    rows, chunks = _fields.parse_table(table, tensors, len(keys), minor, _fields.HEADER_BYTES, end)
    shared = [Shared(*chunk, members=[]) for chunk in chunks]
    for number, (name, dtype, shape, codec, offsets, lengths, hashes, joins) in enumerate(rows):
        if dtype not in DTYPE_NAMES:
            raise UnsupportedError(f"tensor {name!r}: unknown dtype code {dtype}")
        entries[name] = entry = Entry(
            number,
            name,
            DTYPE_NAMES[dtype],
            shape,
            index.codecs[codec],
            keys[codec] ^ (number << 32),
            offsets,
            lengths,
            hashes,
            None if joins is None else shared[joins],
        )
        if entry.shared is not None:
            entry.shared.members.append(entry)
    return entries
