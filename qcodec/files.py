"""`save_file` and `load_file`: whole models."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec._arrays import LOSSY_DTYPES, as_array, dtype_name, numpy_dtype
from qcodec._threads import in_threads, resolve_threads
from qcodec.container.writer import AtomicFile, Writer
from qcodec.errors import InputError, LimitError
from qcodec.packing import Packer
from qcodec.pipeline import empty_output
from qcodec.reading import Path, Verify, safe_open
from qcodec.recipe import Recipe

_WORTH_THREADS = 8 << 20  # bytes that decode in the time that threads take to start


def save_file(
    tensors: Mapping[str, npt.ArrayLike],
    path: Path,
    codec: object = "lossless",
    metadata: Mapping[str, str] | None = None,
    *,
    threads: int | None = None,
    weights: Mapping[str, npt.ArrayLike] | None = None,
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
    weights : mapping of str to array_like, optional
        For tensors with a codec that takes them (`kmeans`): the importance of each element, >= 0,
        in the tensor's shape, such as the diagonal of the Hessian.

    Raises
    ------
    InputError
        A tensor holds NaN or infinity where its codec cannot take them, or does not fit its codec;
        weights are of no tensor, or do not fit theirs.
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
    importance = dict(weights or {})
    if unknown := sorted(set(importance) - set(arrays)):
        raise InputError(f"weights for {unknown[0]!r}: no such tensor")
    with AtomicFile(path) as target:
        writer = Writer(target.stream, metadata)
        packer = Packer(writer, threads)
        stored: dict[tuple[Any, ...], str] = {}
        for name, dtype, shape in described:
            array = arrays[name]
            same = (array.__array_interface__["data"][0], dtype, shape, array.strides)
            first = stored.get(same, name)
            alike = codecs[first] == codecs[name] and importance.get(first) is importance.get(name)
            if array.size > 0 and first != name and alike:
                writer.alias(name, first)
                continue
            stored[same] = name
            packer.add(name, array, codecs[name], weights=importance.get(name))
        packer.finish()


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
        In stored order; aliases, which share their target's array, at the end. Arrays of 64 KiB to
        4 MiB are views of common blocks of up to 16 MiB: copy one that shall outlive the others.
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
        where = os.fspath(path)
        sizes = {n: e.size * numpy_dtype(chosen[n]).itemsize for n, e in entries.items()}
        total = sum(sizes.values())
        if max_decoded_bytes is not None and total > max_decoded_bytes:
            raise LimitError(
                f"{where}: {total} decoded bytes, max_decoded_bytes is {max_decoded_bytes}"
            )
        blocks = _Blocks(sizes.values(), where)
        out: dict[str, npt.NDArray[Any]] = {}
        units = []  # tensors alone, or all of a shared chunk
        for name in sorted(entries, key=lambda n: entries[n].place):
            if name in out:
                continue
            shared = entries[name].shared
            members = [entries[name]] if shared is None else shared.members
            units.append(
                {m.name: blocks.empty(m.shape, chosen[name], sizes[m.name]) for m in members}
            )
            out |= units[-1]
        _fill_all(f, units, resolve_threads(threads))
        out = {name: out[name] for name in entries}
        return out | {name: out[target] for name, target in f.contents.aliases.items()}


def _fill_all(f: safe_open, units: list[dict[str, npt.NDArray[Any]]], threads: int) -> None:
    """Decode units: those of as many chunks as threads one by one, others side by side."""

    def is_wide(unit: dict[str, npt.NDArray[Any]]) -> bool:
        return threads == 1 or f.entry(next(iter(unit))).offsets.size >= threads

    for unit in filter(is_wide, units):
        f._fill(unit, threads)
    narrow = list(itertools.filterfalse(is_wide, units))
    size = sum(array.nbytes for unit in narrow for array in unit.values())
    count = threads if size >= _WORTH_THREADS else 1
    for _ in in_threads(lambda unit: f._fill(unit, 1), narrow, count):
        pass


class _Blocks:
    """New arrays of a size at which pages of their own would cost more than decoding.

    numpy asks for pages of 2 MiB from 4 MiB on; the first touch of as much in pages of 4 KiB takes
    four times as long. Arrays that come one after another share blocks, of whole cache lines each.
    """

    _SIZES = range(64 << 10, 4 << 20)
    _BLOCK = 16 << 20
    _PAGE = 2 << 20

    def __init__(self, sizes: Iterable[int], where: str) -> None:
        self._where = where
        self._left = sum(self._lines(size) for size in sizes if size in self._SIZES)
        self._block = np.empty(0, np.uint8)

    def empty(self, shape: tuple[int, ...], dtype: str, size: int) -> npt.NDArray[Any]:
        """The next array, of `size` bytes."""
        if size not in self._SIZES:
            return empty_output(shape, dtype, self._where)
        lines = self._lines(size)
        if self._block.size < lines:
            wanted = min(self._left, self._BLOCK)
            memory = empty_output((wanted + self._PAGE,), "U8", self._where)
            begin = -memory.ctypes.data % self._PAGE
            self._block = memory[begin : begin + wanted]
        array, self._block = self._block[:size], self._block[lines:]
        self._left -= lines
        return array.view(numpy_dtype(dtype)).reshape(shape)

    @staticmethod
    def _lines(size: int) -> int:
        return -(-size // 64) * 64
