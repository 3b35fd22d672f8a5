"""Uniform quantizer. Kernels: ``csrc/quantize/uniform.cpp``, ``uniform_fit.cpp``."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from qcodec import _core
from qcodec._arrays import DTYPE_CODES, check_float, check_int, check_step
from qcodec.quantize._groups import check_groups, groups_of
from qcodec.quantize._levels import MAX_ESCAPE, pack_levels
from qcodec.quantize._profile import profile_options
from qcodec.registry import register
from qcodec.stages import Part, Quantizer, Symbols, added


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
    clip : {"none", "mse"}, default "none"
        With `bits`: "mse" takes for each group the scale of least squared error, which clips rare
        large weights for the sake of the others. Not with `symmetric=False` or 1 bit.
    rdo : float, default 0
        Rate-distortion optimisation: the squared error, in squares of the step, that saving one bit
        is worth; 0..1, and 0.1 is a good start. Integers are then chosen by error and by what their
        symbols cost, not by error alone. Only with `step`.
    dead_zone : float, default 0
        By how many steps a magnitude must pass the middle between two integers to be rounded up,
        0..0.5. Only with `step`.
    profile : bool, default False
        Store scale factors of rows, input channels and kernel positions, in quarter octaves, and
        code symbols in classes of equal scale. Values do not change; convolutions become
        smaller. Only with `step`.

    Raises
    ------
    TypeError, ValueError
        Options of a wrong type, out of range, or that exclude each other.

    Notes
    -----
    Encoding raises `InputError` at the first NaN or infinity, and where a weight is more than 2**24
    steps from zero. With `rdo` or `dead_zone`, values are the centroids of their cells, where
    storing those pays; a weight may then be off by more than half a step. Fitted scales are rounded
    up to 9 significant bits, so that a file stores them in two bytes; a group whose scale would be
    below the smallest normal float32 decodes to zeros.

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
    clip: str = added("1.1", "none")
    rdo: float = added("1.1", 0.0)
    dead_zone: float = added("1.1", 0.0)
    profile: bool = added("1.1", False)

    def __post_init__(self) -> None:
        if (self.bits is None) == (self.step is None):
            raise ValueError("uniform needs exactly one of bits and step")
        if not isinstance(self.symmetric, bool):
            raise TypeError("symmetric must be True or False")
        if self.bits is not None:
            check_int("bits", self.bits, 1, 16)
            if 8 < self.bits < 16:
                raise ValueError(f"bits must be 1..8 or 16, got {self.bits}")
        check_groups("uniform", self.axis, self.group)
        for name, most in (("rdo", 1.0), ("dead_zone", 0.5)):
            object.__setattr__(self, name, check_float(name, getattr(self, name), 0.0, most))
        if self.clip not in ("none", "mse"):
            raise ValueError(f"clip must be 'none' or 'mse', got {self.clip!r}")
        if self.clip == "mse" and (self.bits in (None, 1) or not self.symmetric):
            raise ValueError("clip='mse' needs 2 bits or more, and symmetric=True")
        if not isinstance(self.profile, bool):
            raise TypeError("profile must be True or False")
        if self.step is not None:
            self._check_step(self.step)
        elif self.rdo or self.dead_zone or self.profile:
            raise ValueError("rdo, dead_zone and profile need a step")

    def _check_step(self, step: object) -> None:
        object.__setattr__(self, "step", check_step(step))
        if self.axis is not None or self.group is not None or not self.symmetric:
            raise ValueError(
                "a step is for the whole tensor: it excludes axis, group and symmetric=False"
            )

    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """How the tensor's elements are cut into groups: FORMAT.md, "uniform"."""
        inner, dim = groups_of(shape, n, self.axis, self.group)
        return {
            "inner": inner,
            "dim": dim,
            "bits": self.bits or 0,
            "symmetric": self.symmetric,
            "step": self.step or 0.0,
        } | (profile_options(shape) if self.profile else {})

    def fit(self, job: Any, data: Any) -> tuple[Any, Any]:
        """Scales and zero points, one per group; for `step`, the step itself as float32."""
        if self.step is not None:
            return np.array([self.step], np.float32), np.empty(0, np.int32)
        scales, zero_points = job.fit(data)
        if self.clip == "mse":
            scales = self._clipped(job, data, scales)
        return scales, zero_points

    def _clipped(self, job: Any, data: Any, scales: Any) -> Any:
        from qcodec.search.clipping import clip_scales

        assert self.bits is not None
        values = _core.convert(data, job.dtype, DTYPE_CODES["F32"]).view(np.float32)
        reach = 2 ** (self.bits - 1) - 1
        return clip_scales(values, job.inner, scales, _core.scale_grid(), reach)

    @property
    def takes_coefficients(self) -> bool:
        """Where one scale serves the whole tensor."""
        return self.axis is None and self.group is None

    @property
    def takes_lossy_coder(self) -> bool:
        """Where symbols have one plane."""
        return self.bits != 16

    def why_exact(self, made: Symbols) -> str | None:
        """With a step, symbols may take two planes or stand for escapes: FORMAT.md, "uniform"."""
        if len(made.planes) > 1:
            return "the step leaves integers of 16 bits"
        if self.step is not None and any(section[2] != 0 for section in made.sections):
            return "the step leaves escaped integers"
        return None

    @property
    def reach(self) -> float:
        """Within 2**24 steps of zero."""
        return min(MAX_ESCAPE * self.step, super().reach) if self.step else super().reach

    @property
    def searches(self) -> bool:
        """With `rdo` and `dead_zone`; `profile` as well, for its symbols wait for others'."""
        return self.rdo > 0 or self.dead_zone > 0 or self.profile

    def symbols(self, parts: list[Part]) -> Symbols:
        """With a step, integers of all parts are chosen together, for they share coding tables."""
        if self.step is None:
            return super().symbols(parts)
        if not (self.rdo or self.dead_zone):
            # In double precision, as the kernel: large integers leave float32 few bits.
            step = np.float64(np.float32(self.step))
            wide = [part.values.astype(np.float64) for part in parts]
            plain = [np.rint(values / step).astype(np.int32) for values in wide]
            return pack_levels(plain, np.zeros(0, np.int8))
        from qcodec.search.uniform import choose_levels

        levels, shifts = choose_levels(
            [part.values for part in parts],
            [part.classes for part in parts],
            np.float32(self.step),
            self.rdo,
            self.dead_zone,
        )
        return pack_levels(levels, shifts)
