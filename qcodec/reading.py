"""`safe_open`: one file or blob open for reading, tensor by tensor or slice by slice."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec._arrays import LOSSY_DTYPES, dtype_name, numpy_dtype
from qcodec.container._fields import CHUNK_ELEMENTS
from qcodec.container.reader import Bytes, Contents, Entry, File, Shared
from qcodec.errors import CorruptError, InputError, LimitError, QCodecError
from qcodec.pipeline import (
    KERNEL_ERRORS,
    Codec,
    decode_range,
    decode_together,
    empty_output,
    make_job,
)

# Shared chunks that stay decoded: models ask for weights and biases, of other codecs, in turn.
_MOST_KEPT = 4

Verify = Literal["always", "first", "never"]
Path = str | os.PathLike[str]


class safe_open:  # noqa: N801 - named as in safetensors
    """A file open for reading, tensor by tensor or slice by slice. A context manager.

    Parameters
    ----------
    path : path-like
        A .qc file.
    threads : int, optional
        Default: all CPUs that the process may use.
    verify : {"always", "first", "never"}, default "always"
        When the hash of a chunk is checked: each time it is read, the first time its tensor is
        read, or never. Index and structure are checked in any case.
    max_decoded_bytes : int, optional
        A tensor or slice of more decoded bytes than this is a `LimitError`, before any allocation.

    Raises
    ------
    CorruptError, TruncatedError, UnsupportedError
        No .qc file, a damaged one, or one of a newer version.
    """

    def __init__(
        self,
        path: Path | bytes | bytearray | memoryview,
        *,
        threads: int | None = None,
        verify: Verify = "always",
        max_decoded_bytes: int | None = None,
    ) -> None:
        if verify not in ("always", "first", "never"):
            raise ValueError(f"verify must be 'always', 'first' or 'never', got {verify!r}")
        self._threads = threads
        self._verify = verify
        self._limit = max_decoded_bytes
        self._verified: set[int] = set()
        self._kept: dict[tuple[int, str], dict[str, npt.NDArray[Any]]] = {}  # by last use
        self._codecs: dict[int, Codec] = {}
        self._data: Bytes | File
        if isinstance(path, bytes | bytearray | memoryview):
            self._where = "blob"
            self._data = Bytes(path)
        else:
            self._where = os.fspath(path)
            self._data = File(path)
        try:
            self.contents = Contents(self._data, self._where)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Tensors already decoded stay valid."""
        self._data.close()

    def keys(self) -> list[str]:
        """Names of all tensors in stored order, then of aliases."""
        return [*self.contents.entries, *self.contents.aliases]

    def __contains__(self, name: object) -> bool:
        return name in self.contents.entries or name in self.contents.aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def metadata(self) -> dict[str, str]:
        """The metadata, in the order it was written."""
        return dict(self.contents.metadata)

    def get_shape(self, name: str) -> list[int]:
        """Shape of a tensor."""
        return list(self.entry(name).shape)

    def get_dtype(self, name: str) -> str:
        """Dtype name of a tensor, such as ``"F32"``."""
        return self.entry(name).dtype

    def get_codec(self, name: str) -> Codec:
        """Codec of a tensor."""
        entry = self.entry(name)
        key = entry.key ^ (entry.number << 32)
        if key not in self._codecs:
            try:
                self._codecs[key] = Codec.from_config(entry.config)
            except QCodecError as error:
                raise type(error)(f"{self._where}: tensor {name!r}: {error}") from None
        return self._codecs[key]

    def get_error_rates(self, name: str) -> tuple[float, float] | None:
        """How often a lossy coder turns a zero into another value: asked for, and measured.

        Decodes the tensor's symbols. Both are parts of those that were not stored; in a shared
        chunk, of all of its tensors.

        Returns
        -------
        tuple of float, or None
            None where the coder loses nothing.
        """
        codec, entry = self.get_codec(name), self.entry(name)
        if not codec.coder.lossy:
            return None
        where = f"{self._where}: tensor {entry.name!r}"
        return _error_rates(codec, entry, self._data.read, where=where)

    def entry(self, name: str) -> Entry:
        """The index entry of a tensor.

        Raises
        ------
        KeyError
            No tensor or alias of this name.
        """
        try:
            return self.contents.entry(name)
        except KeyError:
            raise KeyError(f"{self._where}: no tensor {name!r}") from None

    def get_tensor(
        self, name: str, *, out: npt.NDArray[Any] | None = None, dtype: npt.DTypeLike | None = None
    ) -> npt.NDArray[Any]:
        """Decode a tensor.

        Parameters
        ----------
        name : str
            Tensor or alias.
        out : ndarray, optional
            Where to decode to: same shape, same dtype or, between floating dtypes, another.
            Reused memory saves the first touch of fresh pages, which costs more than decoding.
        dtype : dtype_like, optional
            Floating dtype of the result, for a floating tensor. Default: the stored one.

        Returns
        -------
        ndarray
            `out`, or a new array.
        """
        entry = self.entry(name)
        size = math.prod(entry.shape)
        return self._decode(entry, entry.shape, 0, size, out, dtype)

    def _fill(self, outs: dict[str, npt.NDArray[Any]], threads: int) -> None:
        """Decode a tensor, or all that share a chunk, to C-contiguous arrays of one dtype."""
        entry = self.entry(next(iter(outs)))
        if entry.shared is None:
            self._decode(entry, entry.shape, 0, entry.size, outs[entry.name], None, threads)
        else:
            where = f"{self._where}: tensor {entry.name!r}"
            wanted = dtype_name(outs[entry.name].dtype)
            self._decode_members(entry.shared, self.get_codec(entry.name), outs, wanted, where)

    def get_slice(self, name: str) -> Slice:
        """A view that decodes only the rows that an index asks for: ``f.get_slice(n)[10:20]``."""
        return Slice(self, self.entry(name))

    def _decode(
        self,
        entry: Entry,
        shape: tuple[int, ...],
        begin: int,
        end: int,
        out: npt.NDArray[Any] | None,
        dtype: npt.DTypeLike | None,
        threads: int | None = None,
    ) -> npt.NDArray[Any]:
        where = f"{self._where}: tensor {entry.name!r}"
        codec = self.get_codec(entry.name)
        if out is not None and dtype is not None:
            raise ValueError("give out or dtype, not both")
        wanted = entry.dtype if dtype is None else dtype_name(dtype)
        if out is not None:
            wanted = _check_out(out, shape, where)
        if wanted != entry.dtype and not {wanted, entry.dtype} <= LOSSY_DTYPES:
            raise InputError(f"{where} is {entry.dtype}: it decodes to that, not to {wanted}")
        decoded = (end - begin) * numpy_dtype(wanted).itemsize
        if self._limit is not None and decoded > self._limit:
            raise LimitError(
                f"{where}: {decoded} decoded bytes, max_decoded_bytes is {self._limit}"
            )
        if entry.shared is not None:
            whole = self._decode_shared(entry, entry.shared, codec, wanted, where)
            part = whole.reshape(-1)[begin:end].reshape(shape)
            if out is None:
                return part.copy()
            out[...] = part
            return out
        direct = out is not None and out.flags.c_contiguous and out.flags.aligned
        target = out if out is not None and direct else empty_output(shape, wanted, where)
        verify = self._must_verify(entry)
        if end > begin or math.prod(entry.shape) == 0:  # empty: only its codec is checked
            decode_range(
                codec,
                entry,
                self._data.source,
                target,
                wanted,
                begin,
                end,
                verify=verify,
                threads=threads or self._threads,
                where=where,
            )
        if end - begin == math.prod(entry.shape):
            self._verified.add(entry.number)
        if out is not None and not direct:
            out[...] = target
            return out
        return target

    def _must_verify(self, entry: Entry) -> bool:
        return self._verify == "always" or (
            self._verify == "first" and entry.number not in self._verified
        )

    def _decode_shared(
        self, entry: Entry, shared: Shared, codec: Codec, wanted: str, where: str
    ) -> npt.NDArray[Any]:
        """A tensor of a shared chunk, which is kept decoded: its others are asked for next."""
        key = (shared.offset, wanted)
        kept = self._kept.pop(key, None)
        if kept is None:
            kept = {m.name: empty_output(m.shape, wanted, where) for m in shared.members}
            self._decode_members(shared, codec, kept, wanted, where)
        self._kept[key] = kept
        while len(self._kept) > _MOST_KEPT:
            self._kept.pop(next(iter(self._kept), key), None)
        return kept[entry.name]

    def _decode_members(
        self,
        shared: Shared,
        codec: Codec,
        outs: dict[str, npt.NDArray[Any]],
        wanted: str,
        where: str,
    ) -> None:
        """All tensors of a shared chunk, to C-contiguous arrays."""
        first = shared.members[0]
        verify = self._must_verify(first)
        dtypes = dict.fromkeys(outs, wanted)
        decode_together(codec, shared, self._data.source, outs, dtypes, verify=verify, where=where)
        self._verified.add(first.number)


def _error_rates(
    codec: Codec, entry: Entry, read: Callable[[int, int], bytes], *, where: str
) -> tuple[float, float]:
    """Rates of a lossy coder's errors in a tensor: asked for, and measured.

    Raises
    ------
    CorruptError, TruncatedError
        The chunks' bytes are damaged.
    """
    shared = entry.shared
    members = shared.members if shared is not None else [entry]
    try:
        jobs = [make_job(codec, member.dtype, member.shape) for member in members]
    except InputError as error:
        raise CorruptError(f"{where}: {error}") from None
    if shared is not None:
        chunks = [(shared.offset, shared.length, shared.hash, shared.seed)]
        ranges = [([0] * len(jobs), [member.size for member in members])]
    else:
        chunks = [
            (int(offset), int(length), int(digest), entry.key ^ k)
            for k, (offset, length, digest) in enumerate(
                zip(entry.offsets, entry.lengths, entry.hashes, strict=True)
            )
        ]
        firsts = range(0, entry.size, CHUNK_ELEMENTS)
        ranges = [([first], [min(CHUNK_ELEMENTS, entry.size - first)]) for first in firsts]
    zeros = asked = wrong = 0.0
    for (offset, length, digest, seed), (first, count) in zip(chunks, ranges, strict=True):
        chunk = np.frombuffer(read(offset, length), np.uint8)
        if _core.xxh3_64(chunk, seed) != digest:
            raise CorruptError(f"{where}: byte {offset}: chunk: its hash differs from the index")
        try:
            rates = _core.bloomier_rates(jobs, first, count, chunk)
        except _core.KernelError as failure:
            code, at, reason, _ = failure.args
            raise KERNEL_ERRORS[code](f"{where}: byte {offset + at}: {reason}") from None
        for n, rate, errors in rates:
            zeros, asked, wrong = zeros + n, asked + n * rate, wrong + errors
    return (asked / zeros, wrong / zeros) if zeros else (0.0, 0.0)


def _check_out(out: npt.NDArray[Any], shape: tuple[int, ...], where: str) -> str:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array, got {type(out).__name__}")
    if out.shape != shape:
        raise InputError(f"{where} has shape {list(shape)}, out has {list(out.shape)}")
    if not out.flags.writeable:
        raise InputError(f"{where}: out is read-only")
    return dtype_name(out.dtype)


class Slice:
    """Indexing of a stored tensor: the first axis says what is decoded, the rest what is kept."""

    def __init__(self, file: safe_open, entry: Entry) -> None:
        self._file = file
        self._entry = entry

    def get_shape(self) -> list[int]:
        """Shape of the whole tensor."""
        return list(self._entry.shape)

    def get_dtype(self) -> str:
        """Dtype name of the tensor."""
        return self._entry.dtype

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        """Basic indexing: ints, slices and an ellipsis, as in numpy; always a new array."""
        shape = self._entry.shape
        parts = index if isinstance(index, tuple) else (index,)
        for part in parts:
            if not isinstance(part, int | np.integer | slice) and part is not Ellipsis:
                raise IndexError("a stored tensor is indexed by ints, slices and an ellipsis")
        if not shape or not parts or parts[0] is Ellipsis:
            whole = self._file._decode(self._entry, shape, 0, math.prod(shape), None, None)
            return np.array(whole[index])
        rows = range(shape[0])[parts[0]]
        picked = rows if isinstance(rows, range) else range(rows, rows + 1)
        low, high = (min(picked), max(picked) + 1) if len(picked) else (0, 0)
        width = math.prod(shape[1:])
        block = self._file._decode(
            self._entry, (high - low, *shape[1:]), low * width, high * width, None, None
        )
        if not isinstance(rows, range):
            return np.array(block[(0, *parts[1:])])
        stop = picked.stop - low
        first = slice(picked.start - low, stop if stop >= 0 else None, picked.step)
        return np.array(block[(first if len(picked) else slice(0, 0), *parts[1:])])
