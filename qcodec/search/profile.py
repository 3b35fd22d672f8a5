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
    codes = np.zeros(sum(sizes), np.uint8)
    _fit(values, elements - first * channels * positions, rows, channels, positions, step, codes)
    return codes


@kernel
def _quantize(factors: F64, codes: U8) -> None:
    for k in range(factors.size):
        code = np.rint(_PER_OCTAVE * log2(factors[k])) + _CENTRE
        codes[k] = min(max(code, 0), _CODES - 1)


@kernel
def _fit(
    values: F32, elements: I64, rows: int, channels: int, positions: int, step: float, codes: U8
) -> None:
    factors = np.ones(codes.size, np.float64)
    bounds = np.array([0, rows, rows + channels, rows + channels + positions])
    total = np.empty(factors.size, np.float64)
    count = np.empty(factors.size, np.int64)
    at = np.empty((3, values.size), np.uint32)  # of the factors of each value
    size = np.empty(values.size, np.float64)
    for i in range(values.size):
        kernel_number = elements[i] // positions
        at[0, i] = kernel_number // channels
        at[1, i] = rows + kernel_number % channels
        at[2, i] = rows + channels + elements[i] % positions
        size[i] = abs(np.float64(values[i])) / step + _FLOOR
    before = np.zeros(factors.size, np.uint8)
    for _ in range(_PASSES):
        for axis in range(3):
            if bounds[axis + 1] - bounds[axis] == 1 and axis > 0:
                continue  # one factor, which is one
            total[:] = 0.0
            count[:] = 0
            one, other = at[(axis + 1) % 3], at[(axis + 2) % 3]
            for i in range(values.size):
                total[at[axis, i]] += size[i] / (factors[one[i]] * factors[other[i]])
                count[at[axis, i]] += 1
            mean = 0.0
            for k in range(bounds[axis], bounds[axis + 1]):
                if count[k] > 0:
                    factors[k] = total[k] / count[k]
                mean += factors[k]
            mean /= bounds[axis + 1] - bounds[axis]
            if axis > 0:  # rows carry the scale
                for k in range(bounds[axis], bounds[axis + 1]):
                    factors[k] /= mean
        _quantize(factors, codes)
        if (codes == before).all():
            break
        before[:] = codes
