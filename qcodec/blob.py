"""`encode` and `decode`: one array, one self-contained blob."""

from __future__ import annotations

import io
from typing import Any, Literal, overload

import numpy as np
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
    return_errors: Literal[False] = False,
) -> bytes: ...
@overload
def encode(
    array: npt.ArrayLike,
    codec: object = "lossless",
    threads: int | None = None,
    *,
    out: Any,
    weights: npt.ArrayLike | None = None,
    return_errors: Literal[False] = False,
) -> memoryview: ...
@overload
def encode(
    array: npt.ArrayLike,
    codec: object = "lossless",
    threads: int | None = None,
    out: Any = None,
    *,
    weights: npt.ArrayLike | None = None,
    return_errors: Literal[True],
) -> tuple[bytes | memoryview, npt.NDArray[np.int64]]: ...
def encode(
    array: npt.ArrayLike,
    codec: object = "lossless",
    threads: int | None = None,
    out: Any = None,
    *,
    weights: npt.ArrayLike | None = None,
    return_errors: bool = False,
) -> bytes | memoryview | tuple[bytes | memoryview, npt.NDArray[np.int64]]:
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
    return_errors : bool, default False
        Return as well which elements a lossy coder gets wrong.

    Returns
    -------
    blob : bytes or memoryview
        New bytes, or the part of `out` that it takes.
    errors : ndarray of int64, only with `return_errors`
        Numbers of the elements, in C order and ascending, whose symbols decode to others than they
        had; empty where the coder loses nothing. The quantizer's own errors are not among them.

    Raises
    ------
    InputError
        The array or its weights do not fit the codec, or the blob does not fit `out`.
    """
    stream = io.BytesIO() if out is None else _Buffer(out)
    writer = Writer(stream)
    errors: list[npt.NDArray[np.int64]] | None = [] if return_errors else None
    values = as_array(array, "array")
    add_tensor(writer, "", values, as_codec(codec), threads, weights=weights, errors=errors)
    writer.finish()
    if errors is None:
        return stream.getvalue()
    return stream.getvalue(), np.concatenate([np.empty(0, np.int64), *errors])


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
