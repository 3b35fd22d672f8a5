"""From arrays to chunks: plain ones by one native call, others part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec._arrays import DTYPE_CODES, as_array, flat_bytes
from qcodec._threads import in_threads, resolve_threads
from qcodec.container._fields import CHUNK_ELEMENTS
from qcodec.errors import InputError, QCodecError
from qcodec.pipeline import KERNEL_ERRORS, Codec, make_job
from qcodec.quantize._order import coding_order
from qcodec.stages import Part, Symbols

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

# Buffers of encoders are worth keeping: see csrc/bind/module.cpp, Encoder.
_spare_encoders: list[_core.Encoder] = []
_MOST_SPARE = 4

_PROFILE_BITS = 6  # FORMAT.md, "Order"


def encode_chunks(
    array: npt.NDArray[Any],
    dtype: str,
    codec: Codec,
    what: str,
    threads: int | None,
    weights: object = None,
    errors: list[I64] | None = None,
) -> Iterator[bytes | memoryview]:
    """Chunks of one tensor, in order, each valid until the next; `what` names it in errors.

    A lossy coder appends to `errors` the elements of each chunk that it gets wrong, ascending.
    """
    job = _named_job(codec, dtype, array.shape, what)
    checked = check_weights(weights, array.shape, codec, what)
    if array.size > 0 and not is_plain(codec):
        parts = tensor_parts(array, dtype, codec, what, checked)
        if codec.coder.lossy:
            yield from (_encode_lossy(codec, part, what, errors) for part in parts)
            return
        yield from in_threads(
            lambda part: encode_parts(codec, [part]), parts, resolve_threads(threads)
        )
        return
    array = _prepared(array, dtype, codec, what)
    count = resolve_threads(threads)
    data = flat_bytes(array)
    chunks = -(-array.size // CHUNK_ELEMENTS)
    batch = 2 * count  # bounds memory; enough that no thread waits long for the last chunk
    try:
        encoder = _spare_encoders.pop()
    except IndexError:
        encoder = _core.Encoder()
    try:
        scales, zero_points = codec.quantizer.fit(job, data)
        for first in range(0, chunks, batch):
            n = min(batch, chunks - first)
            yield from encoder.encode(job, data, scales, zero_points, first, n, count)
    except _core.KernelError as failure:
        _raise_encode(failure, array, codec, what)
    finally:
        _spare_encoders.append(encoder)
        del _spare_encoders[_MOST_SPARE:]


def is_plain(codec: Codec) -> bool:
    """Whether one native call takes elements to chunks: no transform, search or lossy coder."""
    return codec.transform is None and not codec.quantizer.searches and not codec.coder.lossy


def check_weights(
    weights: object, shape: tuple[int, ...], codec: Codec, what: str
) -> npt.NDArray[np.float32] | None:
    """Importance of each element in C order, if the codec takes it.

    Raises
    ------
    InputError
        It does not, or these are no weights of such a tensor.
    """
    if weights is None:
        return None
    if codec.transform is not None or not codec.quantizer.takes_weights:
        raise InputError(
            f"{what}: {codec} takes no weights; kmeans and trellis without a transform do"
        )
    array = as_array(weights, f"{what}: weights")
    if array.shape != shape:
        raise InputError(
            f"{what}: weights of shape {list(array.shape)} for a tensor of shape {list(shape)}"
        )
    if array.dtype.kind in "USMmc":
        raise InputError(f"{what}: weights must be real numbers, not {array.dtype}")
    with np.errstate(over="ignore"):
        flat: npt.NDArray[np.float32] = array.astype(np.float32).reshape(-1)
    fits = (flat >= 0) & (flat < np.inf)
    if not fits.all():
        index = np.unravel_index(int(np.argmin(fits)), shape)
        raise InputError(
            f"{what}: weight {[int(i) for i in index]} is {array[index]}, "
            "not a finite float32 of 0 or more"
        )
    return flat


def tensor_parts(
    array: npt.NDArray[Any],
    dtype: str,
    codec: Codec,
    what: str,
    weights: npt.NDArray[np.float32] | None = None,
) -> list[Part]:
    """The chunks of a tensor of one element or more, each a part with its coefficients.

    `weights` are those of `check_weights`.
    """
    own = _named_job(codec, dtype, array.shape, what)  # refuses dtypes
    if codec.quantizer.bitwise:
        array = _prepared(array, dtype, codec, what)
        data = flat_bytes(array)
        item = array.dtype.itemsize
        fitted = codec.quantizer.fit(own, data)
        return [
            Part(own, data[at * item : (at + CHUNK_ELEMENTS) * item], at, fitted)
            for at in range(0, array.size, CHUNK_ELEMENTS)
        ]
    job = _named_job(codec, "F32", array.shape, what)
    values = _finite(array, dtype, codec, what)
    chunks = [values[at : at + CHUNK_ELEMENTS] for at in range(0, values.size, CHUNK_ELEMENTS)]
    if job.block:
        chunks = [
            job.coefficients(np.ascontiguousarray(chunk), k * CHUNK_ELEMENTS)
            for k, chunk in enumerate(chunks)
        ]
    try:
        more = {} if weights is None else {"weights": weights}
        fitted = codec.quantizer.fit_tensor(job, chunks, **more)
    except _core.KernelError as failure:
        _raise_encode(failure, array, codec, what)
    return [Part(job, chunk, k * CHUNK_ELEMENTS, fitted) for k, chunk in enumerate(chunks)]


def encode_parts(codec: Codec, parts: Sequence[Part]) -> bytes:
    """The bytes of a chunk, by a coder that loses nothing: FORMAT.md, "Chunk"."""
    made, head, order = _symbols(codec, parts)
    planes = made.planes
    if order is not None:
        planes = [plane[order] for plane in planes]
    elif _scatters(parts):
        planes = [parts[0].job.scatter(plane, parts[0].first) for plane in planes]
    coder = codec.coder.wire_id
    patient = made.patient and not is_plain(codec)
    streams = [
        _core.stream(coder, plane, bits, patient, *made.trellis)
        for plane, bits in zip(planes, made.bits, strict=True)
        if plane.size
    ]
    return head + b"".join(streams)


def _encode_lossy(codec: Codec, part: Part, what: str, errors: list[I64] | None) -> bytes:
    """The bytes of a chunk by a lossy coder; what it gets wrong goes to `errors`."""
    made, head, order = _symbols(codec, [part])
    stages = f"{what}: {codec.quantizer} | {codec.coder}"
    if (reason := codec.quantizer.why_exact(made)) is not None:
        raise InputError(f"{stages}: {reason}, which take no errors")
    [plane], [bits] = made.planes, made.bits
    plane = plane if order is None else plane[order]
    try:
        stream = codec.coder.stream(plane, bits)
    except InputError as error:
        raise InputError(f"{stages}: {error}") from None
    if errors is not None:
        coded = np.frombuffer(stream, np.uint8)
        decoded, _ = _core.read_stream(codec.coder.wire_id, coded, plane.size, bits)
        wrong = np.flatnonzero(decoded != plane)
        wrong = wrong if order is None else np.sort(order[wrong])
        errors.append(wrong.astype(np.int64) + part.first)
    return head + stream


def _symbols(codec: Codec, parts: Sequence[Part]) -> tuple[Symbols, bytes, I64 | None]:
    """Symbols of the parts, what stands before their streams, and the order they are coded in."""
    codes = _classify(codec, parts)
    made = codec.quantizer.symbols(list(parts))
    profile = b""
    if codes is not None and codes.size:
        profile = _core.stream(codec.coder.wire_id, codes, _PROFILE_BITS, True)
    return made, b"".join(made.sections) + profile, coding_order(parts)


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


def _scatters(parts: Sequence[Part]) -> bool:
    """Whether the kernel puts symbols in their order without a list of classes."""
    return len(parts) == 1 and parts[0].job.scatters


def _classify(codec: Codec, parts: Sequence[Part]) -> U8 | None:
    """Classes of the parts' elements, where symbols have an order; returns the profiles' codes."""
    if not any(part.job.ordered for part in parts) or _scatters(parts):
        return None
    codes = []
    for part in parts:
        code = np.zeros(0, np.uint8)
        if part.job.profile:
            from qcodec.search.profile import fit_profile

            elements = part.job.elements(part.first, part.values.size)
            step = codec.quantizer.step_of(part)
            code = fit_profile(part.values, elements, part.job.channels, part.job.positions, step)
        part.classes = part.job.classes(part.first, part.values.size, code)
        codes.append(code)
    return np.concatenate(codes)


def _prepared(array: npt.NDArray[Any], dtype: str, codec: Codec, what: str) -> npt.NDArray[Any]:
    """The elements that will be stored, bit for bit, by a bitwise quantizer that rounds."""
    if not (codec.quantizer.bitwise and codec.lossy):
        return array
    _finite(array, dtype, codec, what)
    return codec.quantizer.prepare(array)


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
    unfit = _core.beyond(values, codec.quantizer.reach, 1)
    if unfit.size:
        at = int(unfit[0])
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
