"""Bit-exact byte planes. Kernel: ``csrc/quantize/lossless.cpp``."""

from dataclasses import dataclass
from typing import Any, ClassVar

from qcodec.registry import register
from qcodec.stages import Quantizer


@register
@dataclass(frozen=True)
class Lossless(Quantizer):
    """Every dtype, bit for bit, NaN payloads included.

    A float is cut into byte planes behind its exponent, whose bytes are few and code well; signs
    and mantissas are close to random and are stored as they are.

    Examples
    --------
    >>> import numpy as np, qcodec
    >>> w = np.array([1.5, np.nan, -0.0], dtype=np.float32)
    >>> back = qcodec.decode(qcodec.encode(w, "lossless"))
    >>> back.tobytes() == w.tobytes()
    True
    """

    name: ClassVar[str] = "lossless"
    wire_id: ClassVar[int] = 1
    lossy: ClassVar[bool] = False
    bitwise: ClassVar[bool] = True
    shared_below: ClassVar[int] = 1 << 10  # bits have less in common from tensor to tensor

    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """Nothing to configure."""
        return {}
