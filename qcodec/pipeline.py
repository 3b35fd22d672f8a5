"""A codec, `quantizer | coder`: its string, its JSON, and its runs over the native core."""

from __future__ import annotations

import ast
import dataclasses
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec import _core, registry
from qcodec._arrays import DTYPE_CODES, LOSSY_DTYPES, numpy_dtype
from qcodec._threads import resolve_threads
from qcodec.container.reader import Entry, Shared
from qcodec.entropy.bitpack import Bitpack
from qcodec.entropy.bloomier import Bloomier
from qcodec.entropy.huffman import Huffman
from qcodec.entropy.rans import Rans
from qcodec.entropy.zero_run import ZeroRun
from qcodec.errors import (
    CorruptError,
    InputError,
    LimitError,
    QCodecError,
    TruncatedError,
    UnsupportedError,
)
from qcodec.quantize.dithered import Dithered
from qcodec.quantize.e8p import E8P
from qcodec.quantize.kmeans import KMeans
from qcodec.quantize.lattice import Lattice
from qcodec.quantize.lossless import Lossless
from qcodec.quantize.rounded import Rounded
from qcodec.quantize.ternary import Ternary
from qcodec.quantize.trellis import Trellis
from qcodec.quantize.uniform import Uniform
from qcodec.stages import Coder, Quantizer, Stage, Transform
from qcodec.transform.dct import Dct

__all__ = [
    "E8P",
    "Bitpack",
    "Bloomier",
    "Codec",
    "Dct",
    "Dithered",
    "Huffman",
    "KMeans",
    "Lattice",
    "Lossless",
    "Rans",
    "Rounded",
    "Ternary",
    "Trellis",
    "Uniform",
    "ZeroRun",
    "parse",
]

MAX_CODEC_CHARS = 1000
STAGE_KINDS = ("transform", "quantizer", "coder")

KERNEL_ERRORS: dict[int, type[QCodecError]] = {
    1: InputError,
    2: TruncatedError,
    3: CorruptError,
    4: UnsupportedError,
    5: LimitError,
}


@dataclass(frozen=True)
class Codec:
    """A quantizer and a coder. Made by `|`, by `parse`, or from JSON.

    Examples
    --------
    >>> import qcodec
    >>> codec = qcodec.Uniform(bits=8, axis=0) | qcodec.Huffman()
    >>> str(codec)
    'uniform(bits=8, axis=0) | huffman'
    >>> qcodec.parse(str(codec)) == codec
    True
    """

    quantizer: Quantizer
    coder: Coder
    transform: Transform | None = None

    @staticmethod
    def of(*stages: Stage) -> Codec:
        """A codec of these stages, in order; the natural default for what is left out."""
        kinds = {kind: [s for s in stages if s.kind == kind] for kind in STAGE_KINDS}
        in_order = [s for kind in STAGE_KINDS for s in kinds[kind]]
        if any(len(same) > 1 for same in kinds.values()) or in_order != list(stages):
            joined = " | ".join(str(s) for s in stages)
            raise ValueError(
                f"{joined}: a codec is at most one transform, then one quantizer, then one coder"
            )
        transform, quantizer, coder = (next(iter(kinds[kind]), None) for kind in STAGE_KINDS)
        if quantizer is None:
            quantizer = Lossless()
        assert isinstance(quantizer, Quantizer)
        if coder is None:
            coder = registry.stages("coder")[quantizer.default_coder]()
        assert isinstance(coder, Coder)
        assert transform is None or isinstance(transform, Transform)
        if transform is not None:
            _check_transformed(transform, quantizer)
        if coder.lossy:
            _check_lossy_coder(transform, quantizer, coder)
        return Codec(quantizer, coder, transform)

    def __or__(self, other: object) -> Codec:
        if isinstance(other, Stage) and other.kind == "coder":
            stages = (self.transform, self.quantizer, other)
            return Codec.of(*(stage for stage in stages if stage is not None))
        raise ValueError(f"{self} | {other}: only a coder may follow a quantizer")

    def __str__(self) -> str:
        stages = (self.transform, self.quantizer, self.coder)
        return " | ".join(str(stage) for stage in stages if stage is not None)

    @property
    def lossy(self) -> bool:
        """Whether decoding may give other values than went in."""
        return self.quantizer.lossy

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: ``{"quantizer": {...}, "coder": {...}}``, and before them any transform."""
        stages = {"transform": self.transform, "quantizer": self.quantizer, "coder": self.coder}
        return {kind: stage.get_config() for kind, stage in stages.items() if stage is not None}

    @staticmethod
    def from_config(config: object) -> Codec:
        """The codec of `get_config`.

        Raises
        ------
        CorruptError
            No config: wrong types, missing or unknown options, values out of range.
        UnsupportedError
            A stage that this version does not know.
        """
        kinds = list(STAGE_KINDS)
        if not isinstance(config, dict) or list(config) not in (kinds, kinds[1:]):
            raise CorruptError("codec config: not an object of quantizer and coder")
        stages = [_stage_from_config(kind, config[kind]) for kind in config]
        try:
            return Codec.of(*stages)
        except ValueError as error:
            raise CorruptError(f"codec config: {error}") from None


def _check_transformed(transform: Transform, quantizer: Quantizer) -> None:
    """Refuse quantizers that need to know where in the tensor an element stands."""
    if not quantizer.takes_coefficients:
        raise ValueError(f"{transform} | {quantizer}: it takes no coefficients of a transform")


def _check_lossy_coder(transform: Transform | None, quantizer: Quantizer, coder: Coder) -> None:
    """Refuse stages that a wrong symbol would harm beyond the element that it stands for."""
    if transform is not None:
        raise ValueError(f"{transform} | {coder}: a wrong coefficient would spread over its block")
    if not quantizer.takes_lossy_coder:
        what = "its symbols cannot take the errors of a lossy coder"
        raise ValueError(f"{quantizer} | {coder}: {what}")


def _stage_from_config(kind: str, config: object) -> Stage:
    if not isinstance(config, dict) or not isinstance(config.get("name"), str):
        raise CorruptError(f"codec config: the {kind} has no name")
    cls = registry.lookup(kind, config["name"])
    if cls is None:
        raise UnsupportedError(
            f"unknown {kind} {config['name']!r}: written by a newer qcodec, or not by qcodec"
        )
    options = {k: v for k, v in config.items() if k != "name"}
    try:
        stage = cls.from_config(options)
    except (TypeError, ValueError) as error:
        raise CorruptError(f"codec config of {config['name']}: {error}") from None
    if list(stage.get_config()) != list(config):
        raise CorruptError(f"codec config of {config['name']}: options missing or out of order")
    return stage


def parse(text: str) -> Codec:
    """A codec from its string.

    Parameters
    ----------
    text : str
        Stages joined by ``|``, each a name with Python keyword arguments, such as
        ``"uniform(bits=4, group=64) | huffman"``. Values are literals; nothing is evaluated. What a
        stage takes first may stand without its name: ``"lattice('e8', step=0.02)"``.

    Raises
    ------
    InputError
        The string is no codec; the message says what in it is wrong.
    """
    if len(text) > MAX_CODEC_CHARS:
        raise InputError(f"codec string of {len(text)} characters, limit {MAX_CODEC_CHARS}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        form = "'quantizer(option=value) | coder'"
        raise InputError(f"codec {text!r}: not of the form {form}") from None
    try:
        return Codec.of(*(_parse_stage(node) for node in _operands(tree)))
    except (TypeError, ValueError) as error:
        raise InputError(f"codec {text!r}: {error}") from None


def _operands(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from _operands(node.left)
        yield node.right
    else:
        yield node


def _parse_stage(node: ast.expr) -> Stage:
    call = node if isinstance(node, ast.Call) else None
    name = call.func if call else node
    if not isinstance(name, ast.Name):
        raise ValueError(f"{ast.unparse(node)} is no stage")
    cls = next((c for kind in STAGE_KINDS if (c := registry.lookup(kind, name.id))), None)
    if cls is None:
        known = sorted(name for kind in STAGE_KINDS for name in registry.stages(kind))
        raise ValueError(f"unknown stage {name.id!r}; known are {', '.join(known)}")
    if call is None:
        return cls()
    first = [f.name for f in dataclasses.fields(cls)[: cls.positional]]  # type: ignore[arg-type]
    if len(call.args) > len(first) or any(keyword.arg is None for keyword in call.keywords):
        after = f", after {', '.join(first)}" if first else ""
        raise ValueError(f"{name.id}: options are written name=value{after}")
    written = [*zip(first, call.args, strict=False)]
    written += [(str(keyword.arg), keyword.value) for keyword in call.keywords]
    options = {}
    for option, node in written:
        if option in options:
            raise ValueError(f"{name.id}: {option} is given twice")
        try:
            options[option] = ast.literal_eval(node)
        except ValueError:
            what = f"{name.id}: {option} must be a number, True, False, None or text"
            raise ValueError(what) from None
    return cls(**options)


def make_job(codec: Codec, dtype: str, shape: tuple[int, ...]) -> _core.Job:
    """The native job for one tensor.

    Raises
    ------
    InputError
        The codec does not take this dtype or shape.
    """
    if codec.lossy and dtype not in LOSSY_DTYPES:
        raise InputError(f"{codec.quantizer.name} takes floating dtypes, not {dtype}; use lossless")
    n = math.prod(shape)
    try:
        options = codec.quantizer.job_options(shape, n)
        if codec.transform is not None:
            options |= codec.transform.job_options(shape)
        if options.get("profile") and options.get("columns"):
            raise ValueError("a profile goes by kernels, not by blocks of a matrix")
    except ValueError as error:
        raise InputError(f"{codec}: {error}") from None
    return _core.Job(
        quantizer=codec.quantizer.wire_id,
        coder=codec.coder.wire_id,
        dtype=DTYPE_CODES[dtype],
        n=n,
        **options,
    )


def decode_range(
    codec: Codec,
    entry: Entry,
    source: int | npt.NDArray[np.uint8],
    out: npt.NDArray[Any],
    out_dtype: str,
    begin: int,
    end: int,
    *,
    verify: bool,
    threads: int | None,
    where: str,
) -> None:
    """Elements ``begin..end`` of a stored tensor into `out`, C-contiguous, of that many elements.

    Raises
    ------
    CorruptError, TruncatedError
        The chunk's bytes are damaged; the message names file, tensor, chunk and byte.
    """
    try:
        job = make_job(codec, entry.dtype, entry.shape)
    except InputError as error:
        raise CorruptError(f"{where}: {error}") from None
    try:
        job.decode(
            source,
            entry.offsets,
            entry.lengths,
            entry.hashes,
            entry.key,
            begin,
            end,
            verify,
            out.reshape(-1).view(np.uint8),
            DTYPE_CODES[out_dtype],
            resolve_threads(threads),
        )
    except _core.KernelError as failure:
        code, at, reason, chunk = failure.args
        if code == 6:
            raise OSError(at, f"{os.strerror(at)}: {reason} of {where}") from None
        byte = int(entry.offsets[chunk]) + at
        raise KERNEL_ERRORS[code](f"{where}: chunk {chunk}, byte {byte}: {reason}") from None


def decode_together(
    codec: Codec,
    shared: Shared,
    source: int | npt.NDArray[np.uint8],
    outs: dict[str, npt.NDArray[Any]],
    out_dtypes: dict[str, str],
    *,
    verify: bool,
    where: str,
) -> None:
    """Tensors of a shared chunk into C-contiguous arrays, by name; others are passed over.

    Raises
    ------
    CorruptError, TruncatedError
        The chunk's bytes are damaged.
    """
    known: dict[tuple[int, ...], _core.Job] = {}  # by shape: most are the like of others
    try:
        for member in shared.members:
            if member.shape not in known:
                known[member.shape] = make_job(codec, member.dtype, member.shape)
    except InputError as error:
        raise CorruptError(f"{where}: {error}") from None
    arrays = [outs.get(m.name) for m in shared.members]
    try:
        _core.decode_together(
            [known[member.shape] for member in shared.members],
            source,
            shared.offset,
            shared.length,
            shared.hash,
            shared.seed,
            verify,
            [None if a is None else a.reshape(-1).view(np.uint8) for a in arrays],
            [DTYPE_CODES[out_dtypes.get(m.name, m.dtype)] for m in shared.members],
        )
    except _core.KernelError as failure:
        code, at, reason, _ = failure.args
        if code == 6:
            raise OSError(at, f"{os.strerror(at)}: {reason} of {where}") from None
        raise KERNEL_ERRORS[code](
            f"{where}: shared chunk, byte {shared.offset + at}: {reason}"
        ) from None


def empty_output(shape: tuple[int, ...], dtype: str, where: str) -> npt.NDArray[Any]:
    """An uninitialised array; one that memory cannot hold is a `LimitError`."""
    try:
        return np.empty(shape, numpy_dtype(dtype))
    except (MemoryError, ValueError):
        raise LimitError(f"{where}: {math.prod(shape)} elements do not fit in memory") from None
