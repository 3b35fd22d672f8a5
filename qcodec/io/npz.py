"""NumPy archives: .npz files of plain arrays, never of pickled objects."""

import errno
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec._arrays import dtype_name
from qcodec.container.writer import AtomicFile
from qcodec.errors import CorruptError, InputError, LimitError, QCodecError, UnsupportedError
from qcodec.io.source import Source, TensorInfo, open_regular

_SUFFIX = ".npy"
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those of numpy.savez
_PLAIN_NAMES = {"BF16", "F8_E4M3", "F8_E5M2"}  # numpy would save these as anonymous bytes


class NpzSource(Source):
    """A .npz file, read member by member.

    Raises
    ------
    CorruptError
        No zip archive, or a damaged one; checksums are those of the archive.
    UnsupportedError
        A member that is no plain array, or of a dtype that .qc files do not have.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.where = os.fspath(path)
        self.metadata = {}
        self._stream = open_regular(path)
        try:
            self.file_bytes = os.fstat(self._stream.fileno()).st_size
            with self._errors("archive"):
                self._zip = zipfile.ZipFile(self._stream)
            self._members = self._list()
            self.tensors = [self._describe(name) for name in self._members]
        except BaseException:
            self.close()
            raise

    def _list(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            name = member.filename.removesuffix(_SUFFIX)
            if name == member.filename:
                raise UnsupportedError(f"{self.where}: member {name!r} is no {_SUFFIX} array")
            if name in members:
                raise CorruptError(f"{self.where}: two members are called {name!r}")
            if member.flag_bits & 1 or member.compress_type not in _COMPRESSIONS:
                raise UnsupportedError(
                    f"{self.where}: tensor {name!r} is encrypted, or compressed by a method other "
                    "than deflate"
                )
            members[name] = member
        return members

    def _describe(self, name: str) -> TensorInfo:
        member = self._members[name]
        with self._errors(f"tensor {name!r}"), self._zip.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            elif version == (2, 0):
                shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
            else:
                raise UnsupportedError(f"array format {version[0]}.{version[1]}")
            info = TensorInfo(name, dtype_name(dtype), shape)
            expected = stream.tell() + math.prod(shape) * dtype.itemsize
            if min(shape, default=0) < 0 or expected != member.file_size:
                raise CorruptError(
                    f"{member.file_size} bytes, shape {list(shape)} of {dtype} needs {expected}"
                )
        return info

    def read(self, name: str) -> npt.NDArray[Any]:
        """Read one tensor into a new array."""
        with self._errors(f"tensor {name!r}"), self._zip.open(self._members[name]) as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read(1)  # the archive's checksum is compared at its end
            return array

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Name file and tensor; what zipfile and numpy raise on bad bytes becomes our errors."""
        try:
            yield
        except QCodecError as error:
            raise type(error)(f"{self.where}: {what}: {error}") from None
        except MemoryError:
            raise LimitError(f"{self.where}: {what} does not fit in memory") from None
        except NotImplementedError as error:
            raise UnsupportedError(f"{self.where}: {what}: {error}") from None
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else "ends too early"
            raise CorruptError(f"{self.where}: {what}: {reason}") from None
        except OSError as error:
            if error.errno == errno.EINVAL:  # an offset from the archive, sought in vain
                raise CorruptError(f"{self.where}: {what}: an offset beyond the file") from None
            raise OSError(error.errno, error.strerror, self.where) from None

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def write(
    path: str | os.PathLike[str],
    tensors: Sequence[TensorInfo],
    arrays: Iterable[npt.NDArray[Any]],
) -> int:
    """Write an uncompressed archive, which appears complete or not at all; returns its bytes.

    Parameters
    ----------
    path : path-like
        Replaced if it exists.
    tensors : sequence of TensorInfo
        What `arrays` are.
    arrays : iterable of ndarray
        Each is written before the next is asked for.

    Raises
    ------
    UnsupportedError
        A dtype that numpy's format does not have.
    InputError
        A name that no member of an archive can have.
    """
    for info in tensors:
        if info.dtype in _PLAIN_NAMES:
            raise UnsupportedError(
                f"tensor {info.name!r}: .npz files do not have {info.dtype}; decode to "
                ".safetensors, or with another dtype"
            )
        if "\0" in info.name:
            raise InputError(f"tensor {info.name!r}: no name for a member of a .npz file")
    with AtomicFile(path) as target:
        with zipfile.ZipFile(target.stream, "w") as archive:
            for info, array in zip(tensors, arrays, strict=True):
                member = zipfile.ZipInfo(info.name + _SUFFIX)  # dated 1980: equal bytes each time
                with archive.open(member, "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)
        return target.stream.tell()
