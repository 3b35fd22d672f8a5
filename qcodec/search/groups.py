"""Scales of groups of elements, in quarter octaves."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qcodec.search._jit import kernel
from qcodec.search._log2 import log2

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I16 = npt.NDArray[np.int16]
I64 = npt.NDArray[np.int64]

_PER_OCTAVE = 4
NONE = np.iinfo(np.int16).min  # of groups of zeros alone


def quarter_octaves(chunks: Sequence[F32], inner: int, dim: int) -> tuple[I16, F32]:
    """Root mean squares of all groups of a tensor, to the nearest quarter octave, and peaks.

    Parameters
    ----------
    chunks : sequence of float32 arrays, shape (n,) each
        Finite values, in order; element i of them all is of group ``i // inner % dim``.
    inner, dim : int
        Of the tensor.

    Returns
    -------
    octaves : int16 array, shape (dim,)
        ``4 * log2(root mean square)``, or `NONE` where all values are zero.
    peaks : float32 array, shape (dim,)
        Largest magnitudes.
    """
    powers, counts = np.zeros(dim), np.zeros(dim, np.int64)
    peaks = np.zeros(dim, np.float32)
    first = 0
    for chunk in chunks:
        _add(chunk, first, inner, powers, counts, peaks)
        first += chunk.size
    out = np.empty(dim, np.int16)
    _round(powers, counts, out)
    return out, peaks


@kernel
def _add(values: F32, first: int, inner: int, powers: F64, counts: I64, peaks: F32) -> None:
    group = first // inner % powers.size
    left = inner - first % inner
    at = 0
    while at < values.size:
        n = min(left, values.size - at)
        power, peak = 0.0, np.float32(0)
        for k in range(at, at + n):
            power += np.float64(values[k]) * np.float64(values[k])
            peak = max(peak, abs(values[k]))
        powers[group] += power
        counts[group] += n
        peaks[group] = max(peaks[group], peak)
        at += n
        left = inner
        group = group + 1 if group + 1 < powers.size else 0


@kernel
def _round(powers: F64, counts: I64, out: I16) -> None:
    for k in range(out.size):
        if powers[k] > 0:
            out[k] = np.rint(_PER_OCTAVE / 2 * log2(powers[k] / counts[k]))
        else:
            out[k] = NONE
