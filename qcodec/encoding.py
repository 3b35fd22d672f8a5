"""From arrays to chunks: plain ones by one native call, others part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec._arrays import DTYPE_CODES, flat_bytes
from qcodec.container._fields import CHUNK_ELEMENTS
from qcodec.errors import InputError, QCodecError
from qcodec.pipeline import KERNEL_ERRORS, Codec, make_job, resolve_threads
from qcodec.stages import Part, Symbols

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

# Buffers of encoders are worth keeping: see csrc/bind/module.cpp, Encoder.
_spare_encoders: list[_core.Encoder] = []

_PROFILE_BITS = 6  # FORMAT.md, "Order"


def encode_chunks(
    array: npt.NDArray[Any],
    dtype: str,
    codec: Codec,
    what: str,
    threads: int | None,
    errors: list[I64] | None = None,
) -> Iterator[bytes | memoryview]:
    """Chunks of one tensor, in order, each valid until the next; `what` names it in errors.

    A lossy coder appends to `errors` the elements of each chunk that it gets wrong, ascending.
    """
    if array.size > 0 and not is_plain(codec):
        try:
            for part in tensor_parts(array, dtype, codec, what):
                yield encode_parts(codec, [part], errors)
        except LossyCoderError as error:
            raise InputError(f"{what}: {error}") from None
        return
    count = resolve_threads(threads)
    job = _named_job(codec, dtype, array.shape, what)
    data = flat_bytes(array)
    chunks = -(-array.size // CHUNK_ELEMENTS)
    batch = 2 * count  # bounds memory; enough that no thread waits long for the last chunk
    encoder = _spare_encoders.pop() if _spare_encoders else _core.Encoder()
    try:
        scales, zero_points = codec.quantizer.fit(job, data)
        for first in range(0, chunks, batch):
            n = min(batch, chunks - first)
            yield from encoder.encode(job, data, scales, zero_points, first, n, count)
    except _core.KernelError as failure:
        _raise_encode(failure, array, codec, what)
    finally:
        _spare_encoders[:] = [encoder]


def is_plain(codec: Codec) -> bool:
    """Whether one native call takes elements to chunks: no transform, no search, nothing lost late."""
    return codec.transform is None and not codec.quantizer.searches and not codec.coder.lossy


def tensor_parts(array: npt.NDArray[Any], dtype: str, codec: Codec, what: str) -> list[Part]:
    """The chunks of a tensor of one element or more, each a part with its coefficients."""
    if not codec.lossy:
        job = _named_job(codec, dtype, array.shape, what)
        data = flat_bytes(array)
        item = array.dtype.itemsize
        fitted = codec.quantizer.fit(job, data)
        return [
            Part(job, data[at * item : (at + CHUNK_ELEMENTS) * item], at, fitted)
            for at in range(0, array.size, CHUNK_ELEMENTS)
        ]
    _named_job(codec, dtype, array.shape, what)  # refuses dtypes
    job = _named_job(codec, "F32", array.shape, what)
    values = _finite(array, dtype, codec, what)
    chunks = [values[at : at + CHUNK_ELEMENTS] for at in range(0, values.size, CHUNK_ELEMENTS)]
    if job.block:
        chunks = [
            job.coefficients(np.ascontiguousarray(chunk), k * CHUNK_ELEMENTS)
            for k, chunk in enumerate(chunks)
        ]
    try:
        fitted = codec.quantizer.fit_tensor(job, chunks)
    except _core.KernelError as failure:
        _raise_encode(failure, array, codec, what)
    return [Part(job, chunk, k * CHUNK_ELEMENTS, fitted) for k, chunk in enumerate(chunks)]


class LossyCoderError(InputError):
    """Symbols that the codec's coder cannot take; names the codec, and not the tensor."""


def encode_parts(codec: Codec, parts: Sequence[Part], errors: list[I64] | None = None) -> bytes:
    """The bytes of a chunk: FORMAT.md, "Chunk". As for `encode_chunks`, of one part with `errors`."""
    coder = codec.coder.wire_id
    codes = _classify(codec, parts)
    made = codec.quantizer.symbols(list(parts))
    streams = []
    if codes is not None and codes.size:
        streams.append(_core.stream(coder, codes, _PROFILE_BITS, True))
    order = _order(parts)
    planes = made.planes if order is None else [plane[order] for plane in made.planes]
    if codec.coder.lossy:
        _check_lossy(codec, made)
        [plane], [bits] = planes, made.bits
        streams.append(_lossy_stream(codec, plane, bits))
        if errors is not None:
            decoded, _ = _core.read_stream(coder, np.frombuffer(streams[-1], np.uint8), plane.size, bits)
            wrong = np.flatnonzero(decoded != plane)
            wrong = np.sort(wrong if order is None else order[wrong])
            errors.append(wrong.astype(np.int64) + parts[0].first)
        return b"".join([*made.sections, *streams])
    for plane, bits in zip(planes, made.bits, strict=True):
        streams.append(_core.stream(coder, plane, bits, not is_plain(codec)))
    return b"".join([*made.sections, *streams])


def symbol_planes(array: npt.NDArray[Any], dtype: str, codec: Codec) -> list[U8]:
    """What the coder sees: symbols of all planes, as many arrays. For statistics."""
    planes: list[list[U8]] = []
    for part in tensor_parts(array, dtype, codec, "array"):
        _classify(codec, [part])
        made = codec.quantizer.symbols([part])
        planes = planes or [[] for _ in made.planes]
        for whole, plane in zip(planes, made.planes, strict=True):
            whole.append(plane)
    return [np.concatenate(whole) for whole in planes]


def _check_lossy(codec: Codec, made: Symbols) -> None:
    reason = codec.quantizer.why_exact(made)
    if reason is not None:
        raise LossyCoderError(f"{codec.quantizer} | {codec.coder}: {reason}, which take no errors")


def _lossy_stream(codec: Codec, plane: U8, bits: int) -> bytes:
    try:
        return codec.coder.stream(plane, bits)
    except InputError as error:
        raise LossyCoderError(f"{codec.quantizer} | {codec.coder}: {error}") from None


def _order(parts: Sequence[Part]) -> I64 | None:
    """In which order the symbols of the parts are coded; None for their own."""
    if parts[0].classes is None:
        return None
    classes = np.concatenate([part.classes for part in parts])
    return np.argsort(classes, kind="stable")


def _classify(codec: Codec, parts: Sequence[Part]) -> U8 | None:
    """Classes of the parts' elements, where symbols have an order; returns the profiles' codes."""
    if not any(part.job.ordered for part in parts):
        return None
    codes = []
    for part in parts:
        code = np.zeros(0, np.uint8)
        if part.job.profile:
            from qcodec.search.profile import fit_profile

            elements = part.job.elements(part.first, part.values.size)
            code = fit_profile(
                part.values, elements, part.job.channels, part.job.positions, part.job.step
            )
        part.classes = part.job.classes(part.first, part.values.size, code)
        codes.append(code)
    return np.concatenate(codes)


def _named_job(codec: Codec, dtype: str, shape: tuple[int, ...], what: str) -> _core.Job:
    try:
        return make_job(codec, dtype, shape)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None


def _finite(
    array: npt.NDArray[Any], dtype: str, codec: Codec, what: str
) -> npt.NDArray[np.float32]:
    """The elements as float32 in C order."""
    data = flat_bytes(array)
    if dtype != "F32":
        data = _core.convert(data, DTYPE_CODES[dtype], DTYPE_CODES["F32"])
    values: npt.NDArray[np.float32] = data.view(np.float32)
    reach = codec.quantizer.reach
    fits = np.abs(values) <= reach  # false for NaN
    if not fits.all():
        at = int(np.argmin(fits))
        reason = (
            "not a finite float32"
            if not np.isfinite(values[at])
            else ("more than 2^24 steps from zero")
        )
        _refuse(array, at, reason, codec, what)
    return values


def _raise_encode(
    failure: _core.KernelError, array: npt.NDArray[Any], codec: Codec, what: str
) -> NoReturn:
    code, at, reason, _ = failure.args
    if code != 1:
        raise KERNEL_ERRORS.get(code, QCodecError)(f"{what}: {reason}") from None
    _refuse(array, at, reason, codec, what)


def _refuse(array: npt.NDArray[Any], at: int, reason: str, codec: Codec, what: str) -> NoReturn:
    index = tuple(int(i) for i in np.unravel_index(at, array.shape)) if array.ndim else ()
    raise InputError(
        f"{what}: element {list(index)} is {array[index]}, {reason}; {codec.quantizer.name} cannot "
        "encode it, lossless can"
    ) from None
