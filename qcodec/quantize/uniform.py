"""Uniform quantizer. Kernels: ``csrc/quantize/uniform.cpp``, ``uniform_fit.cpp``."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from qcodec._arrays import check_int
from qcodec.registry import register
from qcodec.stages import Quantizer


@register
@dataclass(frozen=True, kw_only=True)
class Uniform(Quantizer):
    """Multiples of a step, rounded to nearest, ties to even.

    With `bits`, the step of each group is fitted so that no weight is clipped; with `step`, it is
    given and the integers take as many bits as they need. A weight decodes to ``q * scale``, one
    float32 multiplication.

    Parameters
    ----------
    bits : int, optional
        Width of a symbol, 1..8 or 16. Exactly one of `bits` and `step` is given.
    step : float, optional
        Distance of neighbouring values, > 0, in units of the weights, for the whole tensor. A
        weight is off by at most half of it.
    axis : int, optional
        One scale per index of this axis, counted from 0 (0: per output row or filter). Negative
        values count from the last axis. Only with `bits`.
    group : int, optional
        One scale per so many consecutive weights in C order, 1..2**20; the last group may be short.
        Only with `bits`, and not with `axis`.
    symmetric : bool, default True
        True: integers lie in ``-(2**(bits-1) - 1) .. 2**(bits-1) - 1``, and 1 bit means plus or
        minus the mean magnitude. False: ``2**bits`` values from the group's smallest to its largest
        weight, with an integer zero point, so that zero stays exact wherever the range holds it.

    Raises
    ------
    TypeError, ValueError
        Options of a wrong type, out of range, or that exclude each other.

    Notes
    -----
    Encoding raises `InputError` at the first NaN or infinity, and where a weight is more than 2**24
    steps from zero. Fitted scales are rounded up to 9 significant bits, so that a file stores them
    in two bytes; a group whose scale would be below the smallest normal float32 decodes to zeros.

    References
    ----------
    .. [1] M. Nagel et al., "A White Paper on Neural Network Quantization",
       arXiv:2106.08295, 2021, section 2.

    Examples
    --------
    >>> import numpy as np, qcodec
    >>> w = np.array([7, -3, 0.5, 1.5], dtype=np.float32)
    >>> qcodec.decode(qcodec.encode(w, qcodec.Uniform(bits=4)))
    array([ 7., -3.,  0.,  2.], dtype=float32)
    """

    name: ClassVar[str] = "uniform"
    wire_id: ClassVar[int] = 2

    bits: int | None = None
    step: float | None = None
    axis: int | None = None
    group: int | None = None
    symmetric: bool = True

    def __post_init__(self) -> None:
        if (self.bits is None) == (self.step is None):
            raise ValueError("uniform needs exactly one of bits and step")
        if not isinstance(self.symmetric, bool):
            raise TypeError("symmetric must be True or False")
        if self.bits is not None:
            check_int("bits", self.bits, 1, 16)
            if 8 < self.bits < 16:
                raise ValueError(f"bits must be 1..8 or 16, got {self.bits}")
        if self.axis is not None:
            check_int("axis", self.axis, -32, 31)
        if self.group is not None:
            check_int("group", self.group, 1, 2**20)
        if self.axis is not None and self.group is not None:
            raise ValueError("uniform takes axis or group, not both")
        if self.step is not None:
            self._check_step(self.step)

    def _check_step(self, step: object) -> None:
        if isinstance(step, bool) or not isinstance(step, int | float):
            raise TypeError(f"step must be a number, got {type(step).__name__}")
        tiny = float(np.finfo(np.float32).tiny)
        if not (math.isfinite(step) and tiny <= step <= float(np.finfo(np.float32).max)):
            raise ValueError(f"step must be a positive normal float32, got {step}")
        if self.axis is not None or self.group is not None or not self.symmetric:
            raise ValueError(
                "a step is for the whole tensor: it excludes axis, group and symmetric=False"
            )
        object.__setattr__(self, "step", float(step))

    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """How the tensor's elements are cut into groups: FORMAT.md, "uniform"."""
        inner, dim = max(n, 1), 1
        if n == 0:
            self._check_axis(len(shape))
        elif self.axis is not None:
            axis = self._check_axis(len(shape))
            inner, dim = math.prod(shape[axis + 1 :]), shape[axis]
        elif self.group is not None:
            inner, dim = self.group, -(-n // self.group)
        return {"inner": inner, "dim": dim, "bits": self.bits or 0, "symmetric": self.symmetric}

    def _check_axis(self, rank: int) -> int:
        """The axis counted from 0; a tensor may have too few for it."""
        axis = self.axis or 0
        if self.axis is not None and not -rank <= axis < rank:
            raise ValueError(f"axis {axis} of a tensor of {rank} dimensions")
        return axis + rank if axis < 0 else axis

    def fit(self, job: Any, data: Any) -> tuple[Any, Any]:
        """Scales and zero points, one per group; for `step`, the step itself as float32."""
        if self.step is not None:
            return np.array([self.step], np.float32), np.empty(0, np.int32)
        scales, zero_points = job.fit(data)
        return scales, zero_points
