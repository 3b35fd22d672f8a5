"""Recipes for whole models: what each tensor gets, chosen by looking at it."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec._arrays import LOSSY_DTYPES, as_array, check_float, dtype_name
from qcodec._threads import in_threads, resolve_threads
from qcodec.blob import encode
from qcodec.container.writer import Writer
from qcodec.errors import InputError
from qcodec.packing import Packer
from qcodec.pipeline import Codec, parse
from qcodec.reading import safe_open
from qcodec.recipe import Recipe

PRESETS = ("lossless", "fast", "balanced", "archive")
DEFAULT_SNR = 20.0  # dB
SNR_RANGE = (1.0, 45.0)

_FAST = "uniform(bits=4, group=64, clip='mse') | bitpack"
_BALANCED = "uniform(step={step}, rdo=0.05) | rans"
_PLAIN = "trellis(states=128, step={step}) | rans"
_PROFILED = "trellis(states=128, step={step}, profile=True) | rans"
# `dct` leaves matrices alone, but is part of the codec by which small tensors share chunks.
_ARCHIVE = {
    "matrices": (_PLAIN, _PROFILED),
    "kernels": (_PLAIN, _PROFILED, f"dct | {_PLAIN}", f"dct | {_PROFILED}"),
}
_EXACT = (
    "lossless | rans",
    "lossless | huffman",
    "lossless | zero_run(then='rans')",
    "lossless | zero_run(then='huffman')",
)
_CLUSTERED = ("kmeans(k={k}) | rans", "kmeans(k={k}) | zero_run(then='rans')")
_CLUSTERS = (2, 4, 16, 256)  # few sizes, so that small tensors share chunks
_PIECE = 1 << 20  # elements of a tensor that are looked at: a chunk, with what one costs
_FEW = 1 << 12  # elements of which a tensor of many values has too many different ones
_SMALL = 1 << 16  # tensors of fewer share chunks, and so a codec
_ROUNDS = 8
_CLOSE_DB = 0.01
_LEAST_MANTISSA = 4  # bits that leave norms and biases at 35 dB

Template = str
F32 = npt.NDArray[np.float32]


def preset(
    name: str,
    tensors: Mapping[str, npt.ArrayLike],
    snr: float | None = None,
    *,
    threads: int | None = None,
) -> Recipe:
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
    threads : int, optional
        Default: all CPUs that the process may use. The recipe does not depend on it.

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
    target = check_float("snr", DEFAULT_SNR if snr is None else snr, *SNR_RANGE)
    exact: dict[str, Codec] = {}
    vectors: dict[str, npt.NDArray[Any]] = {}
    classes: dict[tuple[str, str], _Class] = {}  # small tensors of a kind, or a large one
    for tensor, value in tensors.items():
        array = as_array(value, f"tensor {tensor!r}")
        finite = _is_finite(array)
        if name == "archive" and (codec := _exact(array, finite)) is not None:
            exact[tensor] = codec
        elif finite and array.ndim >= 2:
            kind = "kernels" if name == "archive" and _is_kernel(array) else "matrices"
            templates = _ARCHIVE[kind] if name == "archive" else (_BALANCED,)
            key = (kind, tensor if array.size >= _SMALL else "")
            classes.setdefault(key, _Class(templates)).pieces.append(_Piece.of(tensor, array))
        elif name == "archive":
            vectors[tensor] = array
        else:
            exact[tensor] = parse("lossless")
    chosen = _solve(classes, target, resolve_threads(threads))
    if chosen:
        mantissa = max(_LEAST_MANTISSA, math.ceil(target / 6.02))
        exact |= dict.fromkeys(vectors, parse(f"rounded(mantissa={mantissa})"))
    else:
        exact |= _smallest_together(vectors)
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
        """All of a small tensor; else rows from all over, for embeddings have them in an order."""
        flat = array.reshape(-1)
        energy = sum(
            float(np.cumsum(flat[at : at + _PIECE].astype(np.float64) ** 2)[-1])
            for at in range(0, flat.size, _PIECE)
        )
        values = np.ascontiguousarray(array[:: -(-array.size // _PIECE)])
        return _Piece(tensor, values, energy, array.size / values.size)


class _Class:
    """Tensors that get one codec, for small ones share chunks with their like."""

    def __init__(self, templates: Sequence[Template], pieces: Sequence[_Piece] = ()) -> None:
        self.templates = templates
        self.pieces = list(pieces)
        self.chosen = templates[-1]

    def measure(self, template: Template, step: float) -> tuple[float, float]:
        """Squared error and bits of the tensors with a codec, in one file."""
        codec = parse(template.format(step=_short(step)))
        stream = io.BytesIO()
        packer = Packer(Writer(stream), 1)
        for piece in self.pieces:
            packer.add(piece.tensor, piece.values, codec)
        packer.finish()
        error = bits = 0.0
        with safe_open(stream.getvalue(), threads=1) as f:
            for piece in self.pieces:
                off = f.get_tensor(piece.tensor).astype(np.float64)
                off -= piece.values.astype(np.float64)
                error += piece.weight * float(np.cumsum(off.reshape(-1) ** 2)[-1])
                bits += piece.weight * 8 * packer.sizes[piece.tensor]
        return error, bits

    def choose(self, step: float) -> float:
        """Choose the template of least error and bits together, at the slope of fine steps."""
        worth = step**2 / 3  # squared error of one bit, for levels along a trellis
        costs = []
        for template in self.templates:
            error, bits = self.measure(template, step)
            costs.append(error + worth * bits)
        self.chosen = self.templates[costs.index(min(costs))]
        return min(costs)


def _solve(classes: dict[tuple[str, str], _Class], snr: float, threads: int) -> dict[str, Codec]:
    """Codecs of all tensors, with the one step that gives the ratio."""
    pieces = [piece for group in classes.values() for piece in group.pieces]
    energy = sum(piece.energy for piece in pieces)
    if energy == 0:
        return {piece.tensor: parse("lossless") for piece in pieces}
    wanted = energy / 10 ** (snr / 10)
    start = 2 * math.sqrt(wanted / sum(piece.values.size * piece.weight for piece in pieces))
    groups = list(classes.values())

    def error(step: float) -> float:
        measured = in_threads(lambda group: group.measure(group.chosen, step), groups, threads)
        return sum(error for error, _ in measured)

    step = _meet(error, wanted, start)
    if any(len(group.templates) > 1 for group in groups):
        groups = _choose(classes, step, threads)
        step = _meet(error, wanted, step)
    return {
        piece.tensor: parse(group.chosen.format(step=_short(step)))
        for group in groups
        for piece in group.pieces
    }


def _choose(classes: dict[tuple[str, str], _Class], step: float, threads: int) -> list[_Class]:
    """Choose templates; small tensors of both kinds come together where that is cheaper."""
    chosen = in_threads(lambda group: group.choose(step), list(classes.values()), threads)
    costs = dict(zip(classes, chosen, strict=True))
    small = [key for key in classes if key[1] == ""]
    groups = [group for key, group in classes.items() if key not in small]
    if len(small) > 1:
        joint = _Class(_ARCHIVE["kernels"], [p for key in small for p in classes[key].pieces])
        if joint.choose(step) < sum(costs[key] for key in small):
            return [*groups, joint]
    return [*groups, *(classes[key] for key in small)]


def _meet(error: Callable[[float], float], wanted: float, step: float) -> float:
    """The step at which the error is as wanted: it grows with it, with its square where fine."""
    low, high = 0.0, math.inf  # steps of too small and too large an error
    best, nearest = step, math.inf
    for _ in range(_ROUNDS):
        missing = math.log(wanted / max(error(step), wanted * 1e-6))
        if abs(missing) < nearest:
            best, nearest = step, abs(missing)
        if abs(missing) * 10 / math.log(10) < _CLOSE_DB:
            break
        low, high = (step, high) if missing > 0 else (low, step)
        step *= math.exp(min(max(missing / 2, -1.4), 1.4))
        if not low < step < high:
            step = math.sqrt(low * high) if low > 0 and high < math.inf else best
    return best


def _short(step: float) -> float:
    return float(f"{step:.5g}")


def _is_finite(array: npt.NDArray[np.generic]) -> bool:
    """Whether there are elements, of a floating dtype, and all finite."""
    floating = dtype_name(array.dtype) in LOSSY_DTYPES
    return floating and array.size > 0 and bool(np.isfinite(array).all())


def _is_kernel(array: npt.NDArray[np.generic]) -> bool:
    """Whether `dct` has blocks in a tensor of this shape."""
    return array.ndim >= 3 and array.shape[-1] == array.shape[-2] and 2 <= array.shape[-1] <= 8


def _exact(array: npt.NDArray[np.generic], finite: bool) -> Codec | None:
    """The smallest of what keeps integers, clustered values and odd ones; None for floats."""
    if not finite:
        return _smallest(array, _EXACT)
    values = _distinct(array)
    if values is None or 2 * values.size > array.size:
        return None
    negative_zero = 1 << (8 * array.dtype.itemsize - 1)
    if negative_zero in values:  # which no codebook has
        return _smallest(array, _EXACT)
    k = next(k for k in _CLUSTERS if k >= values.size)
    return _smallest(array, [*(t.format(k=k) for t in _CLUSTERED), *_EXACT])


def _distinct(array: npt.NDArray[np.generic]) -> npt.NDArray[np.unsignedinteger[Any]] | None:
    """The bit patterns that there are, if few."""
    bits = np.ascontiguousarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")
    found = bits[:0]
    for piece in np.split(bits, range(_FEW, bits.size, _PIECE)):
        found = np.union1d(found, piece)
        if found.size > _CLUSTERS[-1]:
            return None
    return found


def _smallest_together(vectors: Mapping[str, npt.NDArray[Any]]) -> dict[str, Codec]:
    """One codec for vectors whose names end alike: they share chunks, and have things in common."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, array in vectors.items():
        groups.setdefault((name.rsplit(".", 1)[-1], dtype_name(array.dtype)), []).append(name)
    out: dict[str, Codec] = {}
    for group in groups.values():
        joint = np.concatenate([vectors[name].reshape(-1) for name in group])
        out |= dict.fromkeys(group, _smallest(joint, _EXACT))
    return out


def _smallest(array: npt.NDArray[np.generic], codecs: Sequence[str]) -> Codec:
    """Of codecs that bring a tensor back bit for bit; the first one for tiny tensors."""
    blobs = {codec: encode(array, codec) for codec in codecs[: None if array.size >= 64 else 1]}
    return parse(min(blobs, key=lambda codec: len(blobs[codec])))
