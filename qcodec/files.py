"""The four names of the Python face: `save_file`, `load_file`, `safe_open`, `encode` / `decode`."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self, overload

import numpy as np
import numpy.typing as npt

from qcodec._arrays import LOSSY_DTYPES, as_array, dtype_name, numpy_dtype
from qcodec.container.reader import Bytes, Contents, Entry, File
from qcodec.container.writer import AtomicFile, Writer
from qcodec.errors import InputError, LimitError, QCodecError
from qcodec.pipeline import Codec, decode_range, empty_output, encode_chunks
from qcodec.recipe import Recipe, as_codec

Verify = Literal["always", "first", "never"]
Path = str | os.PathLike[str]


def save_file(
    tensors: Mapping[str, npt.ArrayLike],
    path: Path,
    codec: object = "lossless",
    metadata: Mapping[str, str] | None = None,
    *,
    threads: int | None = None,
) -> None:
    """Encode tensors into a file, which appears complete or not at all.

    Parameters
    ----------
    tensors : mapping of str to array_like
        Any order, any strides. Arrays that are the same memory are stored once and aliased.
    path : path-like
        Replaced if it exists, also if tensors were loaded from it.
    codec : str, codec, mapping or Recipe, default "lossless"
        A lossy codec alone takes the floating tensors of two or more dimensions and leaves the rest
        lossless; a mapping of name patterns to codecs decides for each tensor: see `Recipe`.
    metadata : mapping of str to str, optional
        Kept in order.
    threads : int, optional
        Default: all CPUs that the process may use. The bytes do not depend on it.

    Raises
    ------
    InputError
        A tensor holds NaN or infinity where its codec cannot take them, or does not fit its codec.
    UnsupportedError
        A dtype that files do not have.

    Examples
    --------
    >>> import numpy as np, qcodec, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "model.qc")
    >>> qcodec.save_file({"w": np.eye(3, dtype=np.float32)}, path, "uniform(bits=2)")
    >>> qcodec.load_file(path)["w"][0]
    array([1., 0., 0.], dtype=float32)
    """
    arrays = {name: as_array(value, f"tensor {name!r}") for name, value in tensors.items()}
    described = [(n, dtype_name(a.dtype), a.shape) for n, a in arrays.items()]
    codecs = Recipe.of(codec).assign(described)
    with AtomicFile(path) as target:
        writer = Writer(target.stream, metadata)
        stored: dict[tuple[Any, ...], str] = {}
        for name, dtype, shape in described:
            array = arrays[name]
            same = (array.__array_interface__["data"][0], dtype, shape, array.strides)
            if array.size > 0 and same in stored and codecs[stored[same]] == codecs[name]:
                writer.alias(name, stored[same])
                continue
            stored[same] = name
            add_tensor(writer, name, array, codecs[name], threads)
        writer.finish()


def add_tensor(
    writer: Writer, name: str, array: npt.NDArray[Any], codec: Codec, threads: int | None
) -> int:
    """Encode one tensor into an open writer; returns the bytes its chunks took."""
    dtype = dtype_name(array.dtype)
    chunks = encode_chunks(array, dtype, codec, f"tensor {name!r}", threads)
    return writer.add(name, dtype, array.shape, codec.get_config(), chunks)


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
        direct = out is not None and out.flags.c_contiguous and out.flags.aligned
        target = out if out is not None and direct else empty_output(shape, wanted, where)
        verify = self._verify == "always" or (
            self._verify == "first" and entry.number not in self._verified
        )
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
                threads=self._threads,
                where=where,
            )
        if end - begin == math.prod(entry.shape):
            self._verified.add(entry.number)
        if out is not None and not direct:
            out[...] = target
            return out
        return target


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


def load_file(
    path: Path,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    *,
    verify: Verify = "always",
    max_decoded_bytes: int | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Decode all tensors of a file.

    Parameters
    ----------
    path : path-like
        A .qc file.
    dtype : dtype_like, optional
        Floating dtype for all floating tensors. Default: the stored ones.
    threads, verify, max_decoded_bytes
        As for `safe_open`; the limit is for all tensors together.

    Returns
    -------
    dict of str to ndarray
        In stored order; aliases, which share their target's array, at the end.
    """
    with safe_open(path, threads=threads, verify=verify) as f:
        entries = f.contents.entries
        wanted = None if dtype is None else dtype_name(dtype)
        if wanted is not None and wanted not in LOSSY_DTYPES:
            raise InputError(f"dtype must be one of {sorted(LOSSY_DTYPES)}, got {wanted}")
        chosen = {
            name: wanted if wanted is not None and e.dtype in LOSSY_DTYPES else e.dtype
            for name, e in entries.items()
        }
        _check_total(entries.values(), chosen, max_decoded_bytes, os.fspath(path))
        out = {name: f.get_tensor(name, dtype=chosen[name]) for name in entries}
        return out | {name: out[target] for name, target in f.contents.aliases.items()}


def _check_total(
    entries: Iterable[Entry], dtypes: dict[str, str], limit: int | None, where: str
) -> None:
    if limit is None:
        return
    total = sum(math.prod(e.shape) * numpy_dtype(dtypes[e.name]).itemsize for e in entries)
    if total > limit:
        raise LimitError(f"{where}: {total} decoded bytes, max_decoded_bytes is {limit}")


@overload
def encode(
    array: npt.ArrayLike, codec: object = "lossless", threads: int | None = None, out: None = None
) -> bytes: ...
@overload
def encode(
    array: npt.ArrayLike, codec: object = "lossless", threads: int | None = None, *, out: Any
) -> memoryview: ...
def encode(
    array: npt.ArrayLike,
    codec: object = "lossless",
    threads: int | None = None,
    out: Any = None,
) -> bytes | memoryview:
    """One array as a self-contained blob: a .qc file in memory with one tensor called "".

    Parameters
    ----------
    array : array_like
        Any shape and strides.
    codec : str or codec, default "lossless"
        For this array, whatever its number of dimensions.
    threads : int, optional
        Default: all CPUs that the process may use.
    out : writable bytes-like, optional
        Where to encode to. Reused memory saves the first touch of fresh pages.

    Returns
    -------
    bytes or memoryview
        The blob: new bytes, or the part of `out` that it takes.

    Raises
    ------
    InputError
        The array does not fit the codec, or the blob does not fit `out`.
    """
    stream = io.BytesIO() if out is None else _Buffer(out)
    writer = Writer(stream)
    add_tensor(writer, "", as_array(array, "array"), as_codec(codec), threads)
    writer.finish()
    return stream.getvalue()


class _Buffer:
    """A stream into memory that the caller gave."""

    def __init__(self, out: Any) -> None:
        view = memoryview(out)
        if view.readonly or not view.c_contiguous:
            raise InputError("out must be writable and contiguous")
        self._view = view.cast("B")
        self._at = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append."""
        end = self._at + len(data)
        if end > len(self._view):
            raise InputError(f"out has {len(self._view)} bytes, and the blob takes more")
        self._view[self._at : end] = data
        self._at = end
        return len(data)

    def getvalue(self) -> memoryview:
        """What was written."""
        return self._view[: self._at]


def decode(
    blob: bytes | bytearray | memoryview,
    out: npt.NDArray[Any] | None = None,
    threads: int | None = None,
) -> npt.NDArray[Any]:
    """The array of a blob that `encode` made.

    Parameters
    ----------
    blob : bytes-like
        A whole blob.
    out : ndarray, optional
        As for `safe_open.get_tensor`.
    threads : int, optional
        Default: all CPUs that the process may use.

    Returns
    -------
    ndarray
        `out`, or a new array.
    """
    with safe_open(blob, threads=threads) as f:
        if f.keys() != [""]:
            raise InputError("decode takes a blob of encode; open a file with safe_open")
        return f.get_tensor("", out=out)
