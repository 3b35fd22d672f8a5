"""Floats of fewer mantissa bits. Kernel: ``csrc/quantize/lossless.cpp``."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from qcodec._arrays import check_int
from qcodec.registry import register
from qcodec.stages import Quantizer

_MANTISSAS = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}


@register
@dataclass(frozen=True, kw_only=True)
class Rounded(Quantizer):
    """Floats rounded to a number of mantissa bits, then stored bit for bit.

    The error is relative to each weight: at most ``2**-(mantissa + 1)`` of it. For the biases,
    norms and running variances of a network, whose smallest values matter as much as their largest.

    Parameters
    ----------
    mantissa : int, default 4
        Bits kept behind the leading one, 0..23. What has no more of them stays as it is.

    Raises
    ------
    TypeError, ValueError
        `mantissa` is no int in 0..23.

    Notes
    -----
    Ties go to the even neighbour. Encoding raises `InputError` at NaN and infinity. A value that
    would round to infinity stays the largest that does not.

    Examples
    --------
    >>> import numpy as np, qcodec
    >>> w = np.array([1.0, 1.03, 1e-20, -3.9], dtype=np.float32)
    >>> qcodec.decode(qcodec.encode(w, qcodec.Rounded(mantissa=3)))
    array([ 1.0000000e+00,  1.0000000e+00,  1.0164395e-20, -4.0000000e+00],
          dtype=float32)
    """

    name: ClassVar[str] = "rounded"
    wire_id: ClassVar[int] = 8
    bitwise: ClassVar[bool] = True

    mantissa: int = 4

    def __post_init__(self) -> None:
        check_int("mantissa", self.mantissa, 0, 23)

    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """Nothing to configure."""
        return {}

    def prepare(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The rounded elements, in C order."""
        drop = _MANTISSAS[array.dtype.name] - self.mantissa
        native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        if drop <= 0:
            return native
        kind = np.dtype(f"u{native.itemsize}").type
        bits = native.reshape(-1).view(kind)
        even = (bits >> kind(drop)) & kind(1)
        kept = kind(~((1 << drop) - 1) & (2 ** (8 * native.itemsize) - 1))
        rounded = (bits + kind((1 << (drop - 1)) - 1) + even) & kept
        values = np.where(np.isfinite(rounded.view(native.dtype)), rounded, bits & kept)
        out: npt.NDArray[Any] = values.astype(kind).view(native.dtype).reshape(array.shape)
        return out
