"""What a model looks like from outside: descriptions first, then one tensor at a time."""

import errno
import math
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Sequence
from io import BufferedReader
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy.typing as npt

from qcodec._arrays import numpy_dtype
from qcodec.errors import UnsafePathError


class TensorInfo(NamedTuple):
    """A tensor that has not been read yet.

    Attributes
    ----------
    name : str
        Unique in its model.
    dtype : str
        Dtype name, such as ``"F32"``.
    shape : tuple of int
        Empty for a scalar.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.size * numpy_dtype(self.dtype).itemsize


class Source(ABC):
    """A model open for reading. A context manager.

    Attributes
    ----------
    where : str
        The file, for messages.
    file_bytes : int
        Its size.
    tensors : sequence of TensorInfo
        In stored order.
    metadata : dict of str to str
        In stored order; empty where the format has none.
    """

    where: str
    file_bytes: int
    tensors: Sequence[TensorInfo]
    metadata: dict[str, str]

    @abstractmethod
    def read(self, name: str) -> npt.NDArray[Any]:
        """Read one tensor, and nothing else, into a new array."""

    @abstractmethod
    def close(self) -> None:
        """Close the file. Arrays already read stay valid."""

    def origin(self, *, verbatim: bool) -> dict[str, str]:
        """What a .qc file keeps as `source`, so that decoding can make the same file again.

        Parameters
        ----------
        verbatim : bool
            Whether the very bytes of the file shall come back.
        """
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading; a FIFO or device is refused instead of waited for."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if stat.S_ISDIR(mode):
        os.close(handle)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise UnsafePathError(f"{os.fspath(path)}: not a regular file")
    return os.fdopen(handle, "rb")
