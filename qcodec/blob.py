"""`encode` and `decode`: one array, one self-contained blob."""

from __future__ import annotations

import io
from typing import Any, overload

import numpy.typing as npt

from qcodec._arrays import as_array
from qcodec.container.writer import Writer
from qcodec.errors import InputError
from qcodec.packing import add_tensor
from qcodec.reading import safe_open
from qcodec.recipe import as_codec


@overload
def encode(
    array: npt.ArrayLike,
    codec: object = "lossless",
    threads: int | None = None,
    out: None = None,
    *,
    weights: npt.ArrayLike | None = None,
) -> bytes: ...
@overload
def encode(
    array: npt.ArrayLike,
    codec: object = "lossless",
    threads: int | None = None,
    *,
    out: Any,
    weights: npt.ArrayLike | None = None,
) -> memoryview: ...
def encode(
    array: npt.ArrayLike,
    codec: object = "lossless",
    threads: int | None = None,
    out: Any = None,
    *,
    weights: npt.ArrayLike | None = None,
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
    weights : array_like, optional
        Importance of each element, >= 0, in the array's shape, for a codec that takes it
        (`kmeans`): squared errors count in proportion to it.

    Returns
    -------
    bytes or memoryview
        The blob: new bytes, or the part of `out` that it takes.

    Raises
    ------
    InputError
        The array or its weights do not fit the codec, or the blob does not fit `out`.
    """
    stream = io.BytesIO() if out is None else _Buffer(out)
    writer = Writer(stream)
    values = as_array(array, "array")
    add_tensor(writer, "", values, as_codec(codec), threads, weights=weights)
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
