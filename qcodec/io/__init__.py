"""Models in other formats: read tensor by tensor, written whole or not at all."""

import os
from pathlib import Path

from qcodec.errors import UnsupportedError
from qcodec.io.source import Source, TensorInfo

__all__ = ["Source", "TensorInfo", "open_source"]


def open_source(path: str | os.PathLike[str], threads: int | None = None) -> Source:
    """Open a model by its suffix: .qc, .safetensors or .npz.

    Parameters
    ----------
    path : path-like
        The file.
    threads : int, optional
        For decoding .qc. Default: all CPUs that the process may use.

    Raises
    ------
    UnsupportedError
        Another suffix.
    CorruptError, TruncatedError
        The file is damaged, or not what its suffix says.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".safetensors":
        from qcodec.io.safetensors import SafetensorsSource

        return SafetensorsSource(path)
    if suffix == ".npz":
        from qcodec.io.npz import NpzSource

        return NpzSource(path)
    if suffix == ".qc":
        from qcodec.io.qc import QcSource

        return QcSource(path, threads=threads)
    raise UnsupportedError(f"{os.fspath(path)}: a model ends in .qc, .safetensors or .npz")
