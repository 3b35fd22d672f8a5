"""Three-value quantizer of 3LC. Kernel: ``csrc/quantize/ternary.cpp``."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from qcodec._arrays import check_float
from qcodec.registry import register
from qcodec.stages import Part, Quantizer, Symbols


@register
@dataclass(frozen=True, kw_only=True)
class Ternary(Quantizer):
    """Minus one, zero or one times a scale: the quantizer of 3LC [1]_, for gradients and deltas.

    The scale is ``M = sparsity * max|w|``, and a weight decodes to ``M * round(w / M)``. Its coder
    `zero_run` then has 3LC's byte code.

    Parameters
    ----------
    sparsity : float, default 1.75
        At least 1 and less than 2. More zeros, and so fewer bytes, the larger it is.

    Raises
    ------
    TypeError, ValueError
        `sparsity` is no number of that range.

    Notes
    -----
    No error is larger than ``max|w|``, and the largest weight never becomes zero. One tensor for
    itself loses most of its information this way; 3LC adds what was lost to the next one to be
    sent, which is up to the caller and shown below. Encoding raises `InputError` at the first NaN
    or infinity.

    References
    ----------
    .. [1] H. Lim, D. G. Andersen, M. Kaminsky, "3LC: lightweight and effective traffic compression
       for distributed machine learning", MLSys 2019, arXiv:1802.07389, section 3.

    Examples
    --------
    >>> import numpy as np, qcodec
    >>> codec = qcodec.Ternary(sparsity=1.0)
    >>> residual = np.zeros(3, np.float32)
    >>> for gradient in np.array([[4, 1, -2], [4, 1, 0], [4, 1, 0]], np.float32):
    ...     residual += gradient
    ...     sent = qcodec.decode(qcodec.encode(residual, codec))
    ...     residual -= sent
    ...     print(sent, residual)
    [4. 0. 0.] [ 0.  1. -2.]
    [4. 0. 0.] [ 0.  2. -2.]
    [4. 4. 0.] [ 0. -1. -2.]
    """

    name: ClassVar[str] = "ternary"
    wire_id: ClassVar[int] = 6
    default_coder: ClassVar[str] = "zero_run"

    sparsity: float = 1.75

    def __post_init__(self) -> None:
        object.__setattr__(self, "sparsity", check_float("sparsity", self.sparsity, 1.0, 2.0))
        if self.sparsity == 2:
            raise ValueError("sparsity must be less than 2, or nothing would be left")

    @property
    def takes_coefficients(self) -> bool:
        """One scale serves the whole tensor."""
        return True

    @property
    def takes_lossy_coder(self) -> bool:
        """Each of its three symbols is a value."""
        return True

    @property
    def searches(self) -> bool:
        """Symbols are made here, not by the kernel."""
        return True

    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """One scale for the whole tensor."""
        return {"inner": max(n, 1)}

    def fit_tensor(self, job: Any, chunks: list[npt.NDArray[Any]]) -> Any:
        """The scale, as float32; rounding must not bring it to twice the largest magnitude."""
        top = np.float32(max(np.abs(chunk).max() for chunk in chunks))
        with np.errstate(over="ignore"):
            below_twice = np.nextafter(top * np.float32(2), np.float32(0))
        scale = min(self.sparsity * float(top), float(below_twice), super().reach)
        return np.float32(scale)

    def symbols(self, parts: list[Part]) -> Symbols:
        """0, 1 and 2 for minus one, zero and one; halves are rounded to zero."""
        planes = []
        for part in parts:
            half, values = 0.5 * np.float64(part.fitted), part.values.astype(np.float64)
            planes.append((1 + (values > half)).astype(np.uint8) - (values < -half))
        sections = [np.float32(part.fitted).astype("<f4").tobytes() for part in parts]
        return Symbols(sections, [np.concatenate(planes).astype(np.uint8)], [2])
