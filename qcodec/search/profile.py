"""Scale factors of rows, input channels and kernel positions, in quarter octaves."""

import numpy as np
import numpy.typing as npt

from qcodec.search._jit import kernel
from qcodec.search._log2 import log2

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

_CENTRE = 32  # the code of a factor of one: FORMAT.md, "Order"
_CODES = 64
_PER_OCTAVE = 4
_PASSES = 8
# Mean magnitude, in steps, that a value of zero counts as: below it all symbols are zero anyway.
_FLOOR = 0.15


def fit_profile(
    values: F32,
    elements: I64,
    channels: int,
    positions: int,
    step: float,
) -> U8:
    """Codes whose sums follow the scale of the values.

    Parameters
    ----------
    values : float32 array, shape (n,)
        Finite values, or coefficients.
    elements : int64 array, shape (n,)
        Element of the tensor that each value stands at: row ``e // (channels * positions)``, then
        channel, then position.
    channels, positions : int
        Of the tensor.
    step : float
        Of the quantizer: a mean magnitude of one step has the class 32.

    Returns
    -------
    uint8 array, shape (rows met + channels + positions,)
        0..63 each, 32 for a factor of one; rows carry the scale of the whole.
    """
    first = int(elements.min()) // (channels * positions)
    rows = int(elements.max()) // (channels * positions) - first + 1
    sizes = (rows, channels, positions)
    factors = np.ones(sum(sizes), np.float64)
    _fit(values, elements - first * channels * positions, rows, channels, positions, step, factors)
    codes = np.empty(factors.size, np.uint8)
    _quantize(factors, codes)
    return codes


@kernel
def _fit(
    values: F32, elements: I64, rows: int, channels: int, positions: int, step: float, factors: F64
) -> None:
    bounds = np.array([0, rows, rows + channels, rows + channels + positions])
    total = np.empty(factors.size, np.float64)
    count = np.empty(factors.size, np.int64)
    for _ in range(_PASSES):
        for axis in range(3):
            total[:] = 0.0
            count[:] = 0
            for i in range(values.size):
                p = elements[i] % positions
                c = elements[i] // positions % channels
                r = elements[i] // (positions * channels)
                f = factors[r] * factors[rows + c] * factors[rows + channels + p]
                at = r if axis == 0 else (rows + c if axis == 1 else rows + channels + p)
                total[at] += (abs(np.float64(values[i])) / step + _FLOOR) * factors[at] / f
                count[at] += 1
            mean = 0.0
            for k in range(bounds[axis], bounds[axis + 1]):
                if count[k] > 0:
                    factors[k] = total[k] / count[k]
                mean += factors[k]
            mean /= bounds[axis + 1] - bounds[axis]
            if axis > 0:  # rows carry the scale
                for k in range(bounds[axis], bounds[axis + 1]):
                    factors[k] /= mean


@kernel
def _quantize(factors: F64, codes: U8) -> None:
    for k in range(factors.size):
        code = np.rint(_PER_OCTAVE * log2(factors[k])) + _CENTRE
        codes[k] = min(max(code, 0), _CODES - 1)
