"""Tensors into a file: large ones in chunks of their own, small ones together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec._arrays import dtype_name
from qcodec._threads import resolve_threads
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


@dataclass
class _Ahead:
    """A tensor whose turn to be written comes; a chunk of `elements` is encoded meanwhile."""

    write: Callable[[Any], None]
    elements: int
    encoded: Callable[[], Any] = lambda: None


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

    Tensors of fewer chunks than threads, and shared chunks, are encoded side by side and written in
    order; what is wrong with one may be said only when a later one is added, or at the end.

    Parameters
    ----------
    writer : Writer
        Nothing else writes to it.
    threads : int, optional
        Default: all CPUs that the process may use.

    Attributes
    ----------
    sizes : dict of str to int
        Bytes that each tensor took, once `finish` has closed the file.
    """

    def __init__(self, writer: Writer, threads: int | None = None) -> None:
        self.sizes: dict[str, int] = {}
        self._writer = writer
        self._threads = resolve_threads(threads)
        self._waiting: dict[tuple[Codec, str], _Waiting] = {}
        self._pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None
        self._most_ahead = 2 * self._threads * CHUNK_ELEMENTS if self._pool else 0
        self._ahead: deque[_Ahead] = deque()
        self._elements = 0  # of chunks that are ahead

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
            Its elements; not to be changed before the file is closed.
        codec : Codec
            For this tensor.
        progress : callable, optional
            Told of input bytes as they are done.
        weights : array_like, optional
            Importance of each element, for codecs that take it.

        Raises
        ------
        InputError
            A tensor or its weights do not fit its codec, or its name is taken.
        """
        if 0 < array.size < codec.quantizer.shared_below and _shares(codec):
            self._join(name, array, codec, progress, weights)
            return
        if self._threads == 1 or array.size > (self._threads - 1) * CHUNK_ELEMENTS:
            self._write(0)
            self.sizes[name] = add_tensor(
                self._writer, name, array, codec, self._threads, progress, weights
            )
            return
        dtype = dtype_name(array.dtype)

        def encode() -> list[bytes]:
            chunks = encode_chunks(array, dtype, codec, f"tensor {name!r}", 1, weights)
            return [bytes(chunk) for chunk in chunks]

        def write(chunks: list[bytes]) -> None:
            config = codec.get_config()
            self.sizes[name] = self._writer.add(name, dtype, array.shape, config, chunks)
            if progress is not None:
                progress(array.nbytes)

        self._later(_Ahead(write, array.size), encode)

    def _join(
        self,
        name: str,
        array: npt.NDArray[Any],
        codec: Codec,
        progress: Callable[[int], None] | None,
        weights: object,
    ) -> None:
        dtype, what = dtype_name(array.dtype), f"tensor {name!r}"
        checked = check_weights(weights, array.shape, codec, what)
        [part] = tensor_parts(array.copy(), dtype, codec, what, checked)
        chunk = self._waiting.setdefault((codec, dtype), _Waiting(codec))
        chunk.names.append(name)
        chunk.parts.append(part)
        chunk.elements.append(array.size)
        full = sum(chunk.elements) >= FULL_ELEMENTS
        if full:
            del self._waiting[codec, dtype]

        def write(data: bytes | None) -> None:
            if data is not None:
                self._share_out(chunk, data)
            self._writer.join(name, dtype, array.shape, codec.get_config(), data)
            if progress is not None:
                progress(array.nbytes)

        if full:
            self._later(_Ahead(write, sum(chunk.elements)), lambda: _encode(chunk))
        else:
            self._later(_Ahead(write, 0))

    def _later(self, task: _Ahead, encode: Callable[[], Any] | None = None) -> None:
        """Encode beside other tensors, and write once those before are written."""
        if encode is not None:
            task.encoded = self._pool.submit(encode).result if self._pool else encode
        self._ahead.append(task)
        self._elements += task.elements
        self._write(self._most_ahead)

    def _write(self, most: int) -> None:
        """Write the oldest, until chunks of no more than `most` elements are ahead."""
        while self._ahead and (self._elements > most or self._ahead[0].elements == 0):
            task = self._ahead.popleft()
            self._elements -= task.elements
            try:
                task.write(task.encoded())
            except BaseException:
                self._stop()
                raise

    def _share_out(self, chunk: _Waiting, data: bytes) -> None:
        total, before = sum(chunk.elements), 0
        for name, n in zip(chunk.names, chunk.elements, strict=True):
            self.sizes[name] = share(len(data), before, n, total)
            before += n

    def finish(self) -> int:
        """Close the file; returns its bytes."""
        self._write(0)
        self._stop()
        left = []
        for chunk in self._waiting.values():
            left.append(_encode(chunk))
            self._share_out(chunk, left[-1])
        return self._writer.finish(left)

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _shares(codec: Codec) -> bool:
    return codec.quantizer.shares_chunks and not codec.coder.lossy


def _encode(chunk: _Waiting) -> bytes:
    return encode_parts(chunk.codec, chunk.parts)
