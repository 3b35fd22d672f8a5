"""Writes a .qc file front to back in constant memory: chunks, then index, then trailer."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from qcodec import _core
from qcodec._arrays import DTYPE_CODES
from qcodec.container import _fields
from qcodec.container.index import Index, codec_bytes
from qcodec.container.packed import pack_table
from qcodec.errors import InputError, LimitError


class Sink(Protocol):
    """What a writer needs of a stream."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Append all of `data`."""


class Writer:
    """Appends tensors to an open binary stream, and closes it with the index.

    Parameters
    ----------
    stream : binary file
        Positioned at its start; only written to, never sought.
    metadata : mapping of str to str, optional
        Kept in the given order.
    """

    def __init__(self, stream: Sink, metadata: Mapping[str, str] | None = None) -> None:
        self._stream = stream
        self._table = _fields.TableWriter()
        self._codecs: dict[bytes, int] = {}
        self._configs: list[dict[str, Any]] = []
        self._names: set[str] = set()
        self._aliases: dict[str, str] = {}
        self._metadata = _check_metadata(metadata or {})
        self._source: dict[str, str] = {}
        self._open: dict[tuple[int, str], int] = {}  # shared chunks: codec and dtype to hash seed
        self._at = 0
        self._write(_fields.pack_header())

    def add(
        self,
        name: str,
        dtype: str,
        shape: tuple[int, ...],
        config: dict[str, Any],
        chunks: Iterable[bytes | memoryview],
    ) -> int:
        """Store one tensor; returns the bytes that its chunks took.

        Raises
        ------
        InputError, LimitError
            The name is taken or too long, the rank too high, or there are too many tensors.
        """
        raw, number = self._check(name, shape), self._codec(config)
        key = self._key(config, self._table.tensors)
        records = [self._put(chunk, key ^ k) for k, chunk in enumerate(chunks)]
        lengths = [length for length, _ in records]
        hashes = [digest for _, digest in records]
        self._table.add(raw, DTYPE_CODES[dtype], shape, number, _fields.OWN, lengths, hashes)
        self._names.add(name)
        return sum(lengths)

    def join(
        self,
        name: str,
        dtype: str,
        shape: tuple[int, ...],
        config: dict[str, Any],
        chunk: bytes | None = None,
    ) -> None:
        """Put a tensor into the shared chunk that is open for its codec and dtype.

        With `chunk`, it is the last of them, and these are the bytes of all. Chunks still open at
        the end are given to `finish`.
        """
        raw, number = self._check(name, shape), self._codec(config)
        slot = (number, dtype)
        key = self._open.setdefault(slot, self._key(config, self._table.tensors))
        kind, records = _fields.JOINS, []
        if chunk is not None:
            kind, records = _fields.CLOSES, [self._put(chunk, key)]
            del self._open[slot]
        lengths = [length for length, _ in records]
        hashes = [digest for _, digest in records]
        self._table.add(raw, DTYPE_CODES[dtype], shape, number, kind, lengths, hashes)
        self._names.add(name)

    def _check(self, name: str, shape: tuple[int, ...]) -> bytes:
        raw = self._check_name(name)
        if len(shape) > _fields.MAX_RANK:
            raise LimitError(f"tensor {name!r}: rank {len(shape)}, limit {_fields.MAX_RANK}")
        if self._table.tensors >= _fields.MAX_TENSORS:
            raise LimitError(f"more than {_fields.MAX_TENSORS} tensors")
        return raw

    def _codec(self, config: dict[str, Any]) -> int:
        config_bytes = codec_bytes(config)
        if config_bytes not in self._codecs:
            self._codecs[config_bytes] = len(self._codecs)
            self._configs.append(config)
        return self._codecs[config_bytes]

    def _key(self, config: dict[str, Any], tensor: int) -> int:
        return _core.xxh3_64(codec_bytes(config), 0) ^ (tensor << 32)

    def _put(self, chunk: bytes | memoryview, seed: int) -> tuple[int, int]:
        """Length and hash of a chunk, which now stands in the file."""
        self._pad(_fields.next_offset(self._at, len(chunk)) - self._at)
        self._write(chunk)
        return len(chunk), _core.xxh3_64(chunk, seed)

    def alias(self, name: str, target: str) -> None:
        """Let `name` stand for the stored tensor `target` as well."""
        self._check_name(name)
        self._aliases[name] = target
        self._names.add(name)

    def set_source(self, source: dict[str, str]) -> None:
        """Remember how the tensors came, so that the same file can be made again."""
        self._source = source

    def finish(self, chunks: Sequence[bytes] = ()) -> int:
        """Write shared chunks still open, in the order they were opened, then index and trailer.

        Returns the bytes of the whole file.
        """
        for seed, chunk in zip(self._open.values(), chunks, strict=True):
            self._table.add_chunk(*self._put(chunk, seed))
        index = Index(
            aliases=self._aliases,
            codecs=self._configs,
            metadata=self._metadata,
            source=self._source,
        )
        head = index.to_bytes()
        table = pack_table(self._table.getvalue())
        if max(len(head), len(table)) > _fields.MAX_PART_BYTES:
            raise LimitError(f"the index is larger than {_fields.MAX_PART_BYTES} bytes")
        offset = self._at
        self._write(head + table)
        self._write(
            _fields.pack_trailer(
                offset,
                len(head),
                len(table),
                self._table.tensors,
                _core.xxh3_64(head + table, offset),
                _core.xxh3_64,
            )
        )
        return self._at

    def _check_name(self, name: str) -> bytes:
        try:
            raw = name.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError(f"tensor name {name!r} is not valid Unicode") from None
        if len(raw) > _fields.MAX_NAME_BYTES:
            raise LimitError(f"tensor name of {len(raw)} bytes, limit {_fields.MAX_NAME_BYTES}")
        if name in self._names:
            raise InputError(f"two tensors are called {name!r}")
        return raw

    def _pad(self, n: int) -> None:
        if n:
            self._write(bytes(n))

    def _write(self, data: bytes | memoryview) -> None:
        self._stream.write(data)
        self._at += len(data)


def _check_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(f"metadata must map str to str, but {key!r} maps to {value!r}")
        try:
            (key + value).encode("utf-8")
        except UnicodeEncodeError:
            raise InputError(f"metadata {key!r} is not valid Unicode") from None
    return dict(metadata)


class AtomicFile:
    """A new file that takes its name only when all of it is on disk.

    Written as a unique temporary file beside the target; on success it is flushed to disk and
    renamed over the target. Whatever was there stays until then, and on failure it stays for good.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Through a symbolic link: the link stays, its target is replaced.
        self._target = Path(os.path.realpath(path))
        self._temporary = self._target.with_name(
            f".{self._target.name[:200]}.{os.urandom(8).hex()}.tmp"
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self.stream: IO[bytes] = os.fdopen(os.open(self._temporary, flags, 0o666), "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.stream.flush()
                os.fsync(self.stream.fileno())
                self.stream.close()
                if self._target.exists():
                    os.chmod(self._temporary, self._target.stat().st_mode & 0o7777)
                os.replace(self._temporary, self._target)
                _sync_folder(self._target.parent)
        finally:
            self.stream.close()
            self._temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
