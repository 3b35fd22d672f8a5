"""Trellis-coded quantizer. Kernels: ``csrc/quantize/trellis.cpp``, ``csrc/search/trellis.cpp``."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec._arrays import check_float, check_step, varint
from qcodec.quantize._levels import MAX_ESCAPE
from qcodec.quantize._order import coding_order
from qcodec.quantize._profile import profile_options
from qcodec.registry import register
from qcodec.stages import Part, Quantizer, Symbols

F32 = npt.NDArray[np.float32]

_MEMORY = {8: 3, 32: 5, 128: 7}  # log2 of the number of states
_SCALE_IS_STEP, _SHIFTS, _SAME_SHIFTS = 1, 2, 4  # bits of the form: FORMAT.md, "trellis"
_SMALL = 1 << 18  # chunks of fewer elements are worth a longer search
_NO_WEIGHTS = np.empty(0, np.float32)


class Fitted(NamedTuple):
    """What is decided for a whole tensor: distance of levels, and importance of its elements."""

    scale: np.float32
    weights: F32


@register
@dataclass(frozen=True, kw_only=True)
class Trellis(Quantizer):
    """Entropy-coded trellis: levels of a uniform grid that follow one another by a state machine.

    Every weight may take only even or only odd levels, as the state wants it, so that the tables of
    the coder are those of a grid twice as coarse, while Viterbi's algorithm steers the states to
    where the error is that of the fine one. Within 0.6, 0.45 and 0.36 dB of the rate-distortion
    bound with 8, 32 and 128 states, where rounding stays 1.5 dB away. All decode at the same speed;
    encoding takes twice and eight times as long with 32 and 128 states.

    Parameters
    ----------
    states : {8, 32, 128}, default 32
        Of the state machine.
    step : float, optional
        Distance of neighbouring levels, > 0, in units of the weights. Exactly one of `step`,
        `bits` and `snr` is given.
    bits : float, optional
        Coded bits per weight that the step of each tensor is solved for, 0.1..6.
    snr : float, optional
        Ratio of power to squared error that the step of each tensor is solved for, in dB, 0..45.
    rdo : float, default 0.35
        Squared error, in squares of the step, that saving one bit is worth, 0..2.
    profile : bool, default False
        Store scale factors of rows, input channels and kernel positions, in quarter octaves, and
        code symbols in classes of equal scale, as `uniform` does.

    Raises
    ------
    TypeError, ValueError
        Options of a wrong type, out of range, or that exclude each other.

    Notes
    -----
    Encoding raises `InputError` at the first NaN or infinity, and where a weight is more than 2**24
    steps from zero. Levels stand for the centroids of their cells, rounded to bfloat16. Weights
    beyond the levels of a chunk, few ones or those beyond 128 steps, are stored apart, exact to
    half a step.

    References
    ----------
    .. [1] T. R. Fischer and M. Wang, "Entropy-constrained trellis-coded quantization", IEEE Trans.
       Inform. Theory 38(2), 1992.
    .. [2] R. L. Joshi, V. J. Crump, T. R. Fischer, "Image subband coding using arithmetic coded
       trellis coded quantization", IEEE Trans. CSVT 5(6), 1995: union quantizers.

    Examples
    --------
    >>> import numpy as np, qcodec
    >>> w = np.random.default_rng(0).normal(size=20000).astype(np.float32)
    >>> blob = qcodec.encode(w, qcodec.Trellis(bits=2))
    >>> round(8 * len(blob) / w.size)  # and the file around them
    2
    >>> error = np.mean((qcodec.decode(blob) - w) ** 2)
    >>> bool(error < 0.08)  # 0.0625 is the bound of any code
    True
    """

    name: ClassVar[str] = "trellis"
    wire_id: ClassVar[int] = 9

    states: int = 32
    step: float | None = None
    bits: float | None = None
    snr: float | None = None
    rdo: float = 0.35
    profile: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.states, bool) or not isinstance(self.states, int):
            raise TypeError(f"states must be an int, got {type(self.states).__name__}")
        if self.states not in _MEMORY:
            raise ValueError(f"states must be 8, 32 or 128, got {self.states!r}")
        if sum(option is not None for option in (self.step, self.bits, self.snr)) != 1:
            raise ValueError("trellis needs exactly one of step, bits and snr")
        if self.step is not None:
            object.__setattr__(self, "step", check_step(self.step))
        for name, low, high in (("bits", 0.1, 6.0), ("snr", 0.0, 45.0)):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, check_float(name, value, low, high))
        object.__setattr__(self, "rdo", check_float("rdo", self.rdo, 0.0, 2.0))
        if not isinstance(self.profile, bool):
            raise TypeError("profile must be True or False")

    @property
    def takes_coefficients(self) -> bool:
        """As `uniform` with a step does."""
        return True

    @property
    def takes_weights(self) -> bool:
        """Errors count by the importance of their weights."""
        return True

    @property
    def searches(self) -> bool:
        """Symbols are chosen here, not by the kernel."""
        return True

    @property
    def reach(self) -> float:
        """Within 2**24 steps of zero."""
        return min(MAX_ESCAPE * self.step, super().reach) if self.step else super().reach

    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """One scale for the whole tensor."""
        options = {"inner": max(n, 1), "step": self.step or 0.0}
        return options | (profile_options(shape) if self.profile else {})

    def fit_tensor(self, job: Any, chunks: list[F32], weights: F32 = _NO_WEIGHTS) -> Fitted:
        """Scale of the tensor: the step, or what a search finds for the target."""
        if weights.size:  # of mean 1, so that `rdo` keeps its meaning
            mean = np.cumsum(weights, dtype=np.float64)[-1] / weights.size
            weights = weights / np.float32(mean) if mean > 0 else _NO_WEIGHTS
        if self.step is not None:
            return Fitted(np.float32(self.step), weights)
        from qcodec.search.trellis import solve_scale

        memory = _MEMORY[self.states]
        scale = solve_scale(chunks, memory, self.rdo, bits=self.bits, snr=self.snr)
        most = max(float(np.abs(chunk).max()) for chunk in chunks)
        return Fitted(max(scale, np.float32(most / (MAX_ESCAPE // 2))), weights)

    def step_of(self, part: Part) -> float:
        """Of the tensor, given or solved for."""
        return float(part.fitted.scale)

    def symbols(self, parts: list[Part]) -> Symbols:
        """Levels of all parts, chosen together, for they share coding tables."""
        scale = parts[0].fitted.scale
        units = [
            part.values if part.fitted.scale == scale else part.values / (part.fitted.scale / scale)
            for part in parts
        ]
        values = units[0] if len(parts) == 1 else np.concatenate(units)
        weights = _weights_of(parts)
        order = coding_order(parts)
        if order is not None:
            values = values[order]
            weights = weights if weights.size == 0 else weights[order]
        memory = _MEMORY[self.states]
        patient = order is not None or values.size < _SMALL
        chosen, width, lanes, shifts = _core.walk_trellis(
            values, weights, memory, float(scale), self.rdo, patient
        )
        symbols = chosen
        if order is not None:
            symbols = np.empty_like(chosen)
            symbols[order] = chosen
        sections = [
            _section(part, k, width, shifts, self.step is not None) for k, part in enumerate(parts)
        ]
        return Symbols(sections, [symbols], [width], patient, (memory, lanes))


def _weights_of(parts: list[Part]) -> F32:
    if all(part.fitted.weights.size == 0 for part in parts):
        return _NO_WEIGHTS
    return np.concatenate(
        [
            part.fitted.weights[part.first : part.first + part.values.size]
            if part.fitted.weights.size
            else np.ones(part.values.size, np.float32)
            for part in parts
        ]
    )


def _section(
    part: Part, number: int, width: int, shifts: npt.NDArray[np.int8], scale_is_step: bool
) -> bytes:
    """FORMAT.md, "trellis"."""
    form = _SCALE_IS_STEP if scale_is_step else 0
    scale = b"" if scale_is_step else part.fitted.scale.tobytes()
    table = b""
    if shifts.size:
        form |= _SAME_SHIFTS if number else _SHIFTS
        table = b"" if number else bytes([shifts.size]) + shifts.tobytes()
    most = 2.0 ** (width - 1) * float(part.fitted.scale)
    patched = np.flatnonzero(np.abs(part.values) > min(most, float(np.finfo(np.float32).max)))
    # In double precision: large integers leave float32 few bits.
    levels = np.rint(part.values[patched].astype(np.float64) / np.float64(part.fitted.scale))
    patches = patched.astype("<u4").tobytes() + levels.astype("<i4").tobytes()
    return bytes([form, width]) + scale + table + varint(patched.size) + patches
