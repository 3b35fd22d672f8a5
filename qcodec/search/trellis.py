"""Steps of `trellis` for a target: coded bits, or a ratio of power to error."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qcodec import _core

F32 = npt.NDArray[np.float32]

_SAMPLE = 1 << 18
_COUNTED = 1 << 14  # elements of a sample whose coded bytes tell what the tensor's will be
_PIECES = 8
_ROUNDS = 12
_NO_WEIGHTS = np.empty(0, np.float32)
_LEAST, _MOST = -126.0, 127.0  # octaves of normal float32
_PATCH_BITS = 64
_RANS = 3


def solve_scale(
    sample: F32, memory: int, rdo: float, bits: float | None, snr: float | None
) -> np.float32:
    """Distance of levels at which a sample of a tensor takes `bits` a weight, or has this `snr`.

    Parameters
    ----------
    sample : float32 array, shape (n,)
        Finite values.
    memory : int
        log2 of the number of states.
    rdo : float
        Squared error, in squares of the step, that one bit is worth.
    bits, snr : float, optional
        Coded bits per weight, or dB; one of them.
    """
    power = float(np.cumsum(sample.astype(np.float64) ** 2)[-1]) / sample.size
    if power == 0:
        return np.float32(1.0)
    # Gaussian values at high rate: a step of 2.1 sigma at 0 bits halves with every bit.
    guess = bits if bits is not None else (snr or 0.0) / 6.02
    octave = np.log2(2.1) - guess + 0.5 * np.log2(power)
    low, high = -np.inf, np.inf
    best, nearest = np.float32(1.0), np.inf
    for _ in range(_ROUNDS):
        scale = _short(2.0 ** min(max(octave, _LEAST), _MOST))
        off = _measure(sample, power, memory, scale, rdo, bits, snr)
        if abs(off) < nearest:
            best, nearest = scale, abs(off)
        if nearest < 0.002:
            break
        low, high = (octave, high) if off > 0 else (low, octave)
        octave += off
        if not low < octave < high:
            octave = (low + high) / 2
    return best


def pieces_of(chunks: Sequence[F32]) -> list[tuple[int, F32]]:
    """Pieces that lie evenly over the tensor, and where they begin; all of it where it is small."""
    total = sum(chunk.size for chunk in chunks)
    if total <= _SAMPLE:
        return [(0, np.concatenate(chunks))]
    size = _SAMPLE // _PIECES
    pieces = []
    for k in range(_PIECES):
        at = k * (total - size) // (_PIECES - 1)
        first = chunks[0].size
        chunk, within = at // first, at % first
        piece = chunks[chunk][within : within + size]
        if piece.size < size:
            piece = np.concatenate([piece, chunks[chunk + 1][: size - piece.size]])
        pieces.append((at, piece))
    return pieces


def _measure(
    sample: F32,
    power: float,
    memory: int,
    scale: np.float32,
    rdo: float,
    bits: float | None,
    snr: float | None,
) -> float:
    """By how many octaves the step may grow until the target is met, at high rates."""
    symbols, width, lanes, shifts = _core.walk_trellis(
        sample, _NO_WEIGHTS, memory, float(scale), rdo, False
    )
    zero = 1 << (width - 1)
    levels = sample / np.float64(scale)
    patched = np.abs(levels) > zero
    if bits is not None:
        if sample.size < _COUNTED:  # what does not grow with a tensor is no reason to spoil it
            coded = _entropy(symbols) * sample.size
        else:
            coded = 8 * len(_core.stream(_RANS, symbols, width, False, memory, lanes))
        coded += _PATCH_BITS * int(np.count_nonzero(patched))
        return coded / sample.size - bits
    points = np.arange(-zero, zero, dtype=np.float64)
    for j, shift in enumerate(shifts.tolist(), 1):
        points[zero + j] -= shift / 128
        points[zero - j] += shift / 128
    restored = np.where(patched, np.rint(levels), points[symbols]) * np.float64(scale)
    error = np.cumsum((sample - restored) ** 2)[-1] / sample.size
    return float(10 * np.log10(power / max(error, 1e-300)) - (snr or 0.0)) / 6.02


def _short(scale: float) -> np.float32:
    """To ten bits: powers and logarithms of another machine may end in other digits."""
    mantissa, exponent = math.frexp(scale)
    return np.float32(math.ldexp(round(mantissa * 1024), exponent - 10))


def _entropy(symbols: npt.NDArray[np.uint8]) -> float:
    """Bits of a symbol where it is known whether it is even."""
    bits = 0.0
    for kind in (0, 1):
        counts = np.bincount(symbols[symbols % 2 == kind])
        counts = counts[counts > 0]
        bits -= (
            float(np.cumsum(counts * np.log2(counts / max(counts.sum(), 1)))[-1])
            if counts.size
            else 0.0
        )
    return bits / symbols.size
