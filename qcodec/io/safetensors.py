"""Safetensors files: a strict reader of headers, and headers that come back byte for byte."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec._arrays import DTYPE_CODES, flat_bytes, numpy_dtype
from qcodec.container import _fields
from qcodec.container.writer import AtomicFile
from qcodec.errors import (
    CorruptError,
    InputError,
    LimitError,
    QCodecError,
    TruncatedError,
    UnsupportedError,
)
from qcodec.io.source import Source, TensorInfo, open_regular

MAX_HEADER_BYTES = 100_000_000  # as the safetensors package has it
_LENGTH_BYTES = 8
_METADATA = "__metadata__"


@dataclass(frozen=True)
class Header:
    """A checked header: tensors in the order of their data."""

    tensors: tuple[TensorInfo, ...]
    begins: tuple[int, ...]
    metadata: dict[str, str]


class SafetensorsSource(Source):
    """A .safetensors file, read tensor by tensor and never mapped into memory.

    Raises
    ------
    CorruptError, TruncatedError
        The file breaks a rule of the format, also one that other readers let pass.
    UnsupportedError
        A dtype that .qc files do not have.
    LimitError
        A header or tensor beyond the limits of either format.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.where = os.fspath(path)
        self._stream = open_regular(path)
        try:
            self.file_bytes = os.fstat(self._stream.fileno()).st_size
            self._raw = _read_header(self._stream.read, self.file_bytes)
            self._data_at = _LENGTH_BYTES + len(self._raw)
            header = parse_header(self._raw, self.file_bytes - self._data_at)
            _second_opinion(self.where)
        except QCodecError as error:
            self.close()
            raise type(error)(f"{self.where}: {error}") from None
        except BaseException:
            self.close()
            raise
        self.tensors = header.tensors
        self.metadata = header.metadata
        self._places = dict(zip((t.name for t in self.tensors), header.begins, strict=True))
        self._infos = {t.name: t for t in self.tensors}

    def read(self, name: str) -> npt.NDArray[Any]:
        """Read one tensor into a new array."""
        info = self._infos[name]
        try:
            data = np.empty(info.nbytes, np.uint8)
        except MemoryError:
            raise LimitError(
                f"{self.where}: tensor {name!r}: {info.nbytes} bytes do not fit in memory"
            ) from None
        at = self._data_at + self._places[name]
        try:
            self._stream.seek(at)
            got = self._stream.readinto(data.data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.where) from None
        if got != info.nbytes:
            raise TruncatedError(
                f"{self.where}: tensor {name!r}, byte {at + got}: the file became shorter while "
                "it was read"
            )
        return data.view(numpy_dtype(info.dtype)).reshape(info.shape)

    def origin(self, *, verbatim: bool) -> dict[str, str]:
        """The format, and the header's text where `canonical_header` would not give it."""
        if verbatim and self._raw != canonical_header(self.tensors, self.metadata):
            return {"format": "safetensors", "header": self._raw.decode("utf-8")}
        return {"format": "safetensors"}

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _read_header(read: Any, file_bytes: int) -> bytes:
    prefix = read(_LENGTH_BYTES)
    if len(prefix) < _LENGTH_BYTES:
        raise TruncatedError(f"{len(prefix)} bytes are too few for a safetensors file")
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER_BYTES:
        raise LimitError(f"byte 0: a header of {length} bytes, limit {MAX_HEADER_BYTES}")
    if length > file_bytes - _LENGTH_BYTES:
        raise TruncatedError(f"byte 0: a header of {length} bytes in a file of {file_bytes}")
    raw = read(length)
    if len(raw) != length:
        raise TruncatedError("the file became shorter while it was read")
    return bytes(raw)


def _second_opinion(path: str) -> None:
    """Let the safetensors package refuse what `parse_header` might have missed."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        raise CorruptError(str(error)) from None


def parse_header(raw: bytes, data_bytes: int) -> Header:
    """Parse and check a header.

    Parameters
    ----------
    raw : bytes
        The header without its length, padding included.
    data_bytes : int
        Bytes that follow it; the tensors must cover them without gap or overlap.

    Raises
    ------
    CorruptError, TruncatedError, LimitError, UnsupportedError
        See `SafetensorsSource`.
    """
    fields = _load(raw)
    metadata = fields.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CorruptError(f"header: {_METADATA} is no object of strings")
    placed = [_parse_tensor(name, value) for name, value in fields.items()]
    placed.sort(key=lambda item: item[1:])  # stable: empty tensors keep the header's order
    at = 0
    for info, begin, end in placed:
        if begin != at:
            what = "overlaps the tensor before it" if begin < at else "leaves a gap before it"
            raise CorruptError(f"tensor {info.name!r}: data at {begin} {what}, which ends at {at}")
        at = end
    if at > data_bytes:
        raise TruncatedError(f"{data_bytes} bytes of data where the header tells of {at}")
    if at < data_bytes:
        raise CorruptError(f"{data_bytes - at} bytes follow the last tensor")
    infos = tuple(info for info, _, _ in placed)
    return Header(infos, tuple(begin for _, begin, _ in placed), metadata)


def _load(raw: bytes) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        raise CorruptError("byte 8: a safetensors header begins with {, so this is none")
    if raw.rstrip(b" ")[-1:] != b"}":
        raise CorruptError("header: only spaces may follow its }")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorruptError(f"byte {_LENGTH_BYTES + error.start}: invalid UTF-8") from None
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        # Escapes can spell halves of characters, which are in no name that could be stored.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise CorruptError(f"header: invalid JSON: {error}") from None
    except UnicodeEncodeError:
        raise CorruptError("header: half of a surrogate pair") from None
    except RecursionError:
        raise CorruptError("header: nested too deeply") from None
    except ValueError as error:
        raise CorruptError(f"header: {error}") from None
    assert isinstance(value, dict)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"duplicate key {twice!r:.100}")
    return out


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _parse_tensor(name: str, value: Any) -> tuple[TensorInfo, int, int]:
    what = f"tensor {name!r}"
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise CorruptError(f"{what}: not an object of dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or not _counts(shape) or not _counts(offsets):
        raise CorruptError(
            f"{what}: dtype must be a string, shape and data_offsets arrays of counts"
        )
    if dtype not in DTYPE_CODES:
        raise UnsupportedError(f"{what}: dtype {dtype!r:.40} is not supported")
    if len(offsets) != 2:
        raise CorruptError(f"{what}: {len(offsets)} data_offsets where there must be two")
    if len(shape) > _fields.MAX_RANK:
        raise LimitError(f"{what}: rank {len(shape)}, limit {_fields.MAX_RANK}")
    if math.prod(d for d in shape if d) > _fields.MAX_ELEMENTS:
        raise LimitError(f"{what}: shape {shape} has more than {_fields.MAX_ELEMENTS} elements")
    info = TensorInfo(name, dtype, tuple(shape))
    begin, end = offsets
    if end - begin != info.nbytes:
        raise CorruptError(
            f"{what}: data_offsets hold {end - begin} bytes, shape and dtype {info.nbytes}"
        )
    return info, begin, end


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def canonical_header(tensors: Sequence[TensorInfo], metadata: Mapping[str, str]) -> bytes:
    """The header, padding included, that the safetensors package writes for this order.

    Raises
    ------
    InputError
        A tensor has the name that the format keeps for metadata.
    """
    fields: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    at = 0
    for info in tensors:
        if info.name == _METADATA:
            raise InputError(f"a safetensors file cannot have a tensor called {_METADATA!r}")
        end = at + info.nbytes
        fields[info.name] = {"dtype": info.dtype, "shape": info.shape, "data_offsets": (at, end)}
        at = end
    raw = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return raw + b" " * (-len(raw) % 8)


def restored_header(text: str, tensors: Sequence[TensorInfo], metadata: Mapping[str, str]) -> bytes:
    """A header that a .qc file kept, checked against its tensors.

    Raises
    ------
    CorruptError
        It describes other tensors or metadata.
    """
    raw = text.encode("utf-8")
    header = parse_header(raw, sum(t.nbytes for t in tensors))
    if list(header.tensors) != list(tensors) or list(header.metadata.items()) != list(
        metadata.items()
    ):
        raise CorruptError("the safetensors header that the file keeps is not that of its tensors")
    return raw


def aligned_order(tensors: Iterable[TensorInfo]) -> list[TensorInfo]:
    """Wide dtypes first, so that all data is aligned; otherwise the given order."""
    return sorted(tensors, key=lambda info: -numpy_dtype(info.dtype).itemsize)


def write(path: str | os.PathLike[str], header: bytes, arrays: Iterable[npt.NDArray[Any]]) -> int:
    """Write a file, which appears complete or not at all; returns its bytes.

    Parameters
    ----------
    path : path-like
        Replaced if it exists.
    header : bytes
        Without its length.
    arrays : iterable of ndarray
        In the order of the header's data. Each is written before the next is asked for.
    """
    with AtomicFile(path) as target:
        target.stream.write(len(header).to_bytes(_LENGTH_BYTES, "little") + header)
        for array in arrays:
            target.stream.write(flat_bytes(array).data)
        return target.stream.tell()
