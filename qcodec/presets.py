"""Recipes for whole models: what each tensor gets, chosen by looking at it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qcodec._arrays import LOSSY_DTYPES, as_array, check_float, dtype_name
from qcodec.blob import decode, encode
from qcodec.errors import InputError
from qcodec.pipeline import Codec, parse
from qcodec.recipe import Recipe

PRESETS = ("lossless", "fast", "balanced", "archive")
DEFAULT_SNR = 20.0  # dB

_FAST = "uniform(bits=4, group=64, clip='mse') | bitpack"
_BALANCED = "uniform(step={step}, rdo=0.05) | rans"
_PLAIN = "trellis(states=128, step={step}) | rans"
_PROFILED = "trellis(states=128, step={step}, profile=True) | rans"
_ARCHIVE = (_PLAIN, _PROFILED)
_ARCHIVE_KERNELS = (_PLAIN, _PROFILED, f"dct | {_PLAIN}", f"dct | {_PROFILED}")
_EXACT = (
    "lossless | rans",
    "lossless | huffman",
    "lossless | zero_run(then='rans')",
    "lossless | zero_run(then='huffman')",
)
_CLUSTERED = ("kmeans(k={k}) | rans", "kmeans(k={k}) | zero_run(then='rans')")
_CLUSTERS = (2, 4, 16, 256)  # few sizes, so that small tensors share chunks
_PIECE = 1 << 18  # elements of a tensor that are looked at
_SMALL = 1 << 16  # tensors of fewer share chunks, and so a codec
_ROUNDS = 6
_CLOSE_DB = 0.01
_LEAST_MANTISSA = 4  # bits that leave norms and biases at 35 dB

Template = str
F32 = npt.NDArray[np.float32]


def preset(name: str, tensors: Mapping[str, npt.ArrayLike], snr: float | None = None) -> Recipe:
    """A recipe for a model.

    Parameters
    ----------
    name : {"lossless", "fast", "balanced", "archive"}
        "lossless": every bit. "fast": 4 bits and a scale for 64 weights, the quickest to decode.
        "balanced": one step for all matrices, `rans`. "archive": the smallest file; for each
        matrix the best of transform and profile in front of a trellis of 128 states, compact norms
        and biases, and integers or clustered values kept exactly. Without float matrices all of a
        model is kept exactly.
    tensors : mapping of str to array_like
        The model. Read one by one, as often as needed: it may load them when asked.
    snr : float, optional
        For "balanced" and "archive": energy of the matrices over energy of their error, in dB.
        Default: 20.

    Returns
    -------
    Recipe
        For `save_file` and `Recipe.assign`, by the names of `tensors`.

    Raises
    ------
    InputError
        No such preset, or one that takes no `snr`.

    Examples
    --------
    >>> import numpy as np, qcodec
    >>> rng = np.random.default_rng(0)
    >>> model = {"w": rng.normal(size=(64, 96)).astype(np.float32), "b": np.ones(64, np.float32)}
    >>> recipe = qcodec.preset("archive", model, snr=15)
    >>> [str(codec.quantizer.name) for _, codec in recipe.named]
    ['trellis', 'lossless']
    """
    if name not in PRESETS:
        raise InputError(f"no preset {name!r}: there are {', '.join(PRESETS)}")
    if name in ("lossless", "fast"):
        if snr is not None:
            raise InputError(f"preset {name!r} takes no snr: its error is what it is")
        return Recipe.of("lossless" if name == "lossless" else _FAST)
    target = check_float("snr", DEFAULT_SNR if snr is None else snr, 1.0, 80.0)
    exact: dict[str, Codec] = {}
    vectors: list[str] = []
    classes: dict[tuple[str, str], _Class] = {}
    for tensor, value in tensors.items():
        array = as_array(value, f"tensor {tensor!r}")
        if name == "archive" and (codec := _exact(array)) is not None:
            exact[tensor] = codec
        elif not _is_matrix(array):
            exact[tensor] = parse("lossless")
            vectors.append(tensor)
        else:
            piece = _Piece.of(tensor, array)
            kind = "kernels" if name == "archive" and _is_kernel(array) else "matrices"
            alone = "" if array.size < _SMALL else tensor
            classes.setdefault((kind, alone), _Class(kind)).pieces.append(piece)
    if name == "balanced":
        for group in classes.values():
            group.templates = group.chosen = (_BALANCED,)
    chosen = _solve(list(classes.values()), target)
    if name == "archive" and chosen:
        mantissa = min(max(_LEAST_MANTISSA, math.ceil(target / 6.02)), 23)
        exact |= dict.fromkeys(vectors, parse(f"rounded(mantissa={mantissa})"))
    elif name == "archive":
        exact |= _smallest_together(vectors, tensors)
    return Recipe(named=tuple((tensor, (exact | chosen)[tensor]) for tensor in tensors))


@dataclass
class _Piece:
    """What is looked at of a tensor, and what it stands for."""

    tensor: str
    values: npt.NDArray[np.generic]
    energy: float  # of the whole tensor
    weight: float  # of the piece's errors: elements of the tensor over its own

    @staticmethod
    def of(tensor: str, array: npt.NDArray[np.generic]) -> _Piece:
        """The first rows of a tensor, all of a small one."""
        flat = array.reshape(-1)
        energy = sum(
            float(np.cumsum(flat[at : at + _PIECE].astype(np.float64) ** 2)[-1])
            for at in range(0, flat.size, _PIECE)
        )
        rows = max(1, min(len(array), _PIECE * len(array) // array.size))
        values = np.ascontiguousarray(array[:rows])
        return _Piece(tensor, values, energy, array.size / values.size)


class _Class:
    """Tensors that get one codec, for small ones share chunks with their like."""

    def __init__(self, kind: str) -> None:
        self.pieces: list[_Piece] = []
        self.templates: Sequence[Template] = _ARCHIVE_KERNELS if kind == "kernels" else _ARCHIVE
        self.chosen: Sequence[Template] = self.templates[-1:]

    def measure(self, template: Template, step: float) -> tuple[float, float]:
        """Squared error and bits of the tensors with a codec."""
        codec = parse(template.format(step=_short(step)))
        error = bits = 0.0
        for piece in self.pieces:
            blob = encode(piece.values, codec)
            off = decode(blob).astype(np.float64) - piece.values.astype(np.float64)
            error += piece.weight * float(np.cumsum(off.reshape(-1) ** 2)[-1])
            bits += piece.weight * 8 * len(blob)
        return error, bits

    def choose(self, step: float) -> None:
        """The template of least error and bits together, at the slope of fine steps."""
        if len(self.templates) == 1:
            return
        worth = step**2 / 3  # squared error of one bit, for levels along a trellis
        costs = []
        for template in self.templates:
            error, bits = self.measure(template, step)
            costs.append(error + worth * bits)
        self.chosen = (self.templates[costs.index(min(costs))],)


def _solve(classes: list[_Class], snr: float) -> dict[str, Codec]:
    """Codecs of all tensors, with the one step that gives the ratio."""
    energy = sum(piece.energy for group in classes for piece in group.pieces)
    if energy == 0:
        return {piece.tensor: parse("lossless") for group in classes for piece in group.pieces}
    weights = sum(piece.values.size * piece.weight for group in classes for piece in group.pieces)
    wanted = energy / 10 ** (snr / 10)
    start = 2 * math.sqrt(wanted / weights)

    def error(step: float) -> float:
        return sum(group.measure(group.chosen[0], step)[0] for group in classes)

    step = _meet(error, wanted, start)
    if any(len(group.templates) > 1 for group in classes):
        for group in classes:
            group.choose(step)
        step = _meet(error, wanted, step)
    return {
        piece.tensor: parse(group.chosen[0].format(step=_short(step)))
        for group in classes
        for piece in group.pieces
    }


def _meet(error: Callable[[float], float], wanted: float, step: float) -> float:
    """The step at which the error is as wanted: it grows with it, with its square where fine."""
    tried: list[tuple[float, float]] = []  # log of step, log of error
    for _ in range(_ROUNDS):
        tried.append((math.log(step), math.log(max(error(step), 1e-300))))
        missing = math.log(wanted) - tried[-1][1]
        if abs(missing) * 10 / math.log(10) < _CLOSE_DB:
            break
        slope = 2.0
        if len(tried) > 1 and tried[-1][0] != tried[-2][0]:
            slope = (tried[-1][1] - tried[-2][1]) / (tried[-1][0] - tried[-2][0])
        step = math.exp(tried[-1][0] + missing / min(max(slope, 0.5), 3.0))
    return step


def _short(step: float) -> float:
    return float(f"{step:.5g}")


def _is_matrix(array: npt.NDArray[np.generic]) -> bool:
    """Whether errors of the elements are what the ratio is about."""
    floating = dtype_name(array.dtype) in LOSSY_DTYPES
    return floating and array.ndim >= 2 and array.size > 0 and bool(np.isfinite(array).all())


def _is_kernel(array: npt.NDArray[np.generic]) -> bool:
    """Whether `dct` has blocks in a tensor of this shape."""
    return array.ndim >= 3 and array.shape[-1] == array.shape[-2] and 2 <= array.shape[-1] <= 8


def _exact(array: npt.NDArray[np.generic]) -> Codec | None:
    """The smallest of what keeps integers, clustered values and odd ones; None for floats."""
    dtype = dtype_name(array.dtype)
    if array.size == 0 or dtype not in LOSSY_DTYPES or not np.isfinite(array).all():
        return _smallest(array, _EXACT)
    values = _distinct(array)
    if values is not None and 2 * values <= array.size:
        k = next(k for k in _CLUSTERS if k >= values)
        return _smallest(array, [*(t.format(k=k) for t in _CLUSTERED), *_EXACT])
    return None


def _distinct(array: npt.NDArray[np.generic]) -> int | None:
    """How many bit patterns there are, if few, none of them a zero with a sign."""
    bits = np.ascontiguousarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")
    found: npt.NDArray[np.generic] = bits[:0]
    for at in range(0, bits.size, _PIECE):
        found = np.union1d(found, np.unique(bits[at : at + _PIECE]))
        if found.size > _CLUSTERS[-1]:
            return None
    negative_zero = np.array(1 << (8 * array.dtype.itemsize - 1), bits.dtype)
    return None if negative_zero in found else int(found.size)


def _smallest_together(
    names: Sequence[str], tensors: Mapping[str, npt.ArrayLike]
) -> dict[str, Codec]:
    """One codec for vectors whose names end alike: they share chunks, and have things in common."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        dtype = dtype_name(as_array(tensors[name], name).dtype)
        groups.setdefault((name.rsplit(".", 1)[-1], dtype), []).append(name)
    out: dict[str, Codec] = {}
    for group in groups.values():
        joint = np.concatenate([as_array(tensors[name], name).reshape(-1) for name in group])
        out |= dict.fromkeys(group, _smallest(joint, _EXACT))
    return out


def _smallest(array: npt.NDArray[np.generic], codecs: Sequence[str]) -> Codec:
    """Of codecs that bring a tensor back bit for bit; the first one for tiny tensors."""
    blobs = {codec: encode(array, codec) for codec in codecs[: None if array.size >= 64 else 1]}
    return parse(min(blobs, key=lambda codec: len(blobs[codec])))
