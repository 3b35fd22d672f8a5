"""A .qc file as a source among others: aliases expanded, floats in the dtype that is asked for."""

import os
from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from qcodec._arrays import LOSSY_DTYPES
from qcodec.errors import QCodecError
from qcodec.io import npz, safetensors
from qcodec.io.source import Source, TensorInfo
from qcodec.reading import safe_open


class QcSource(Source):
    """A .qc file, decoded tensor by tensor.

    Parameters
    ----------
    path : path-like
        The file.
    dtype : str, optional
        Floating dtype name for all floating tensors. Default: the stored ones.
    threads : int, optional
        Default: all CPUs that the process may use.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, dtype: str | None = None, threads: int | None = None
    ) -> None:
        self.where = os.fspath(path)
        self._file = safe_open(path, threads=threads)
        self.file_bytes = os.stat(path).st_size
        self.metadata = self._file.metadata()
        stored = [self._file.entry(name).dtype for name in self._file.keys()]  # noqa: SIM118
        wanted = [dtype if dtype and d in LOSSY_DTYPES else d for d in stored]
        self._converted = stored != wanted
        self.tensors = [
            TensorInfo(name, d, self._file.entry(name).shape)
            for name, d in zip(self._file.keys(), wanted, strict=True)
        ]
        self._dtypes = {info.name: info.dtype for info in self.tensors}

    def read(self, name: str) -> npt.NDArray[Any]:
        """Decode one tensor into a new array."""
        wanted = self._dtypes[name]
        changed = wanted != self._file.entry(name).dtype
        return self._file.get_tensor(name, dtype=wanted if changed else None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def layout(self) -> tuple[bytes, list[TensorInfo]]:
        """Header and order of the tensors in a safetensors file.

        Those of the file that was encoded, if it was one and no dtype changes; otherwise the
        canonical header, wide dtypes first.

        Raises
        ------
        CorruptError
            The file keeps a header that is not that of its tensors.
        """
        origin = self._file.contents.source
        try:
            if not origin or self._converted:
                order = safetensors.aligned_order(self.tensors)
                return safetensors.canonical_header(order, self.metadata), order
            order = list(self.tensors)
            if "header" in origin:
                return safetensors.restored_header(origin["header"], order, self.metadata), order
            return safetensors.canonical_header(order, self.metadata), order
        except QCodecError as error:
            raise type(error)(f"{self.where}: {error}") from None

    def write(
        self, path: str | os.PathLike[str], advance: Callable[[int], None] = lambda n: None
    ) -> int:
        """Decode everything into a .npz file, or a .safetensors file for any other suffix.

        Parameters
        ----------
        path : path-like
            Replaced if it exists, when all of the new file is on disk.
        advance : callable
            Told the bytes of each tensor when it is done.

        Returns
        -------
        int
            Bytes of the new file.
        """

        def decoded(order: list[TensorInfo]) -> Any:
            for info in order:
                yield self.read(info.name)
                advance(info.nbytes)

        if os.fspath(path).lower().endswith(".npz"):
            order = list(self.tensors)
            return npz.write(path, order, decoded(order))
        header, order = self.layout()
        return safetensors.write(path, header, decoded(order))
