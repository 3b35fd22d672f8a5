"""Tensors into a file: large ones in chunks of their own, small ones together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec._arrays import dtype_name
from qcodec.container._fields import CHUNK_ELEMENTS
from qcodec.container.reader import share
from qcodec.container.writer import Writer
from qcodec.encoding import check_weights, encode_chunks, encode_parts, tensor_parts
from qcodec.pipeline import Codec
from qcodec.stages import Part

# A shared chunk of so many elements or more takes no further tensor; with one more it still fits.
FULL_ELEMENTS = CHUNK_ELEMENTS // 2


@dataclass
class _Waiting:
    """A shared chunk that is still open."""

    codec: Codec
    names: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    elements: list[int] = field(default_factory=list)


def add_tensor(
    writer: Writer,
    name: str,
    array: npt.NDArray[Any],
    codec: Codec,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    weights: object = None,
    errors: list[npt.NDArray[np.int64]] | None = None,
) -> int:
    """Encode one tensor into chunks of its own; returns their bytes.

    A lossy coder appends to `errors` the elements that it gets wrong.
    """
    dtype = dtype_name(array.dtype)
    chunks = encode_chunks(array, dtype, codec, f"tensor {name!r}", threads, weights, errors)
    count = max(1, -(-array.size // CHUNK_ELEMENTS))
    left = array.nbytes

    def tracked() -> Iterator[bytes | memoryview]:
        nonlocal left
        for number, chunk in enumerate(chunks):
            yield chunk
            if progress is not None:
                progress(left // (count - number))
            left -= left // (count - number)

    return writer.add(name, dtype, array.shape, codec.get_config(), tracked())


class Packer:
    """Adds tensors to a writer and closes it.

    Parameters
    ----------
    writer : Writer
        Nothing else writes to it.
    threads : int, optional
        Default: all CPUs that the process may use.

    Attributes
    ----------
    sizes : dict of str to int
        Bytes that each tensor took; of small ones, once `finish` has closed their chunk.
    """

    def __init__(self, writer: Writer, threads: int | None = None) -> None:
        self.sizes: dict[str, int] = {}
        self._writer = writer
        self._threads = threads
        self._waiting: dict[tuple[Codec, str], _Waiting] = {}

    def add(
        self,
        name: str,
        array: npt.NDArray[Any],
        codec: Codec,
        progress: Callable[[int], None] | None = None,
        weights: object = None,
    ) -> None:
        """Encode one tensor, or keep it until its chunk is full.

        Parameters
        ----------
        name : str
            Of the tensor.
        array : ndarray
            Its elements; small ones are copied.
        codec : Codec
            For this tensor.
        progress : callable, optional
            Told of input bytes as they are done.
        weights : array_like, optional
            Importance of each element, for codecs that take it.

        Raises
        ------
        InputError
            The tensor or its weights do not fit its codec, or its name is taken.
        """
        shares = codec.quantizer.shares_chunks and not codec.coder.lossy
        if not (0 < array.size < codec.quantizer.shared_below and shares):
            self.sizes[name] = add_tensor(
                self._writer, name, array, codec, self._threads, progress, weights
            )
            return
        self._join(name, dtype_name(array.dtype), array, codec, weights)
        if progress is not None:
            progress(array.nbytes)

    def _join(
        self, name: str, dtype: str, array: npt.NDArray[Any], codec: Codec, weights: object
    ) -> None:
        what = f"tensor {name!r}"
        checked = check_weights(weights, array.shape, codec, what)
        [part] = tensor_parts(array.copy(), dtype, codec, what, checked)
        chunk = self._waiting.setdefault((codec, dtype), _Waiting(codec))
        chunk.names.append(name)
        chunk.parts.append(part)
        chunk.elements.append(array.size)
        full = sum(chunk.elements) >= FULL_ELEMENTS
        data = self._close(chunk) if full else None
        if full:
            del self._waiting[codec, dtype]
        self._writer.join(name, dtype, array.shape, codec.get_config(), data)

    def _close(self, chunk: _Waiting) -> bytes:
        data = encode_parts(chunk.codec, chunk.parts)
        total, before = sum(chunk.elements), 0
        for name, n in zip(chunk.names, chunk.elements, strict=True):
            self.sizes[name] = share(len(data), before, n, total)
            before += n
        return data

    def finish(self) -> int:
        """Close the file; returns its bytes."""
        return self._writer.finish([self._close(chunk) for chunk in self._waiting.values()])
