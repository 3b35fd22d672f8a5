"""Uniform quantizer with subtractive dither. Kernel: ``csrc/quantize/dithered.cpp``."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec._arrays import check_int, check_step
from qcodec.quantize._levels import MAX_ESCAPE, pack_levels
from qcodec.registry import register
from qcodec.stages import Part, Quantizer, Symbols


@register
@dataclass(frozen=True, kw_only=True)
class Dithered(Quantizer):
    """A pseudo-random offset, added before rounding, is subtracted again after it.

    ``q = round(w / step + u)`` decodes to ``(q - u) * step``, with u uniform between -1/2 and 1/2
    and known from seed and element alone. The error is uniform, independent of the weight, and its
    mean square ``step**2 / 12`` at every rate: no weight is treated worse for where it lies.

    Parameters
    ----------
    step : float
        Distance of neighbouring values, > 0, in units of the weights.
    seed : int, default 0
        Of the generator, 0..2**63 - 1. Files of one seed have the same offsets.
    wiener : bool, default False
        Scale what is decoded by the factor of least squared error, at most 1: less error at low
        rates, which then depends on the weight.

    Raises
    ------
    TypeError, ValueError
        Options of a wrong type or out of range.

    Notes
    -----
    Encoding raises `InputError` at NaN, infinity, and weights more than 2**24 - 1 steps from zero.

    References
    ----------
    .. [1] L. Schuchman, "Dither signals and their effect on quantization noise", IEEE Trans. Comm.
       Technol. 12(4), 1964.
    .. [2] Y. Choi, M. El-Khamy, J. Lee, "Universal deep neural network compression",
       arXiv:1802.02271, 2018.
    .. [3] R. Zamir, M. Feder, "On universal quantization by randomized uniform/lattice quantizers",
       IEEE Trans. Inf. Theory 38(2), 1992.

    Examples
    --------
    >>> import numpy as np, qcodec
    >>> w = np.linspace(-1, 1, 5, dtype=np.float32)
    >>> back = qcodec.decode(qcodec.encode(w, qcodec.Dithered(step=0.1, seed=7)))
    >>> bool(np.abs(back - w).max() <= 0.05001)
    True
    """

    name: ClassVar[str] = "dithered"
    wire_id: ClassVar[int] = 3

    step: float
    seed: int = 0
    wiener: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", check_step(self.step))
        check_int("seed", self.seed, 0, 2**63 - 1)
        if not isinstance(self.wiener, bool):
            raise TypeError("wiener must be True or False")

    @property
    def takes_coefficients(self) -> bool:
        """As `uniform` with a step does."""
        return True

    @property
    def reach(self) -> float:
        """Within 2**24 steps of zero, dither included."""
        return min((MAX_ESCAPE - 1) * self.step, super().reach)

    @property
    def searches(self) -> bool:
        """Symbols are made here, not by the kernel."""
        return True

    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """One scale for the whole tensor."""
        return {"inner": max(n, 1), "step": self.step, "seed": self.seed}

    def fit_tensor(self, job: Any, chunks: list[npt.NDArray[Any]]) -> Any:
        """Scale of the tensor: the step, times the factor of least squared error if asked for."""
        step = np.float32(self.step)
        if not self.wiener:
            return step
        cross = power = 0.0
        first = 0
        for w in chunks:
            decoded = (self._levels(w, first) - _core.dither(self.seed, first, w.size)) * step
            cross += _dot(w, decoded)
            power += _dot(decoded, decoded)
            first += w.size
        factor = cross / power if cross > 0 else 1.0
        return np.float32(step * np.float32(max(min(factor, 1.0), 2.0**-10)))

    def _levels(self, values: npt.NDArray[Any], first: int) -> npt.NDArray[np.int32]:
        return _core.dithered_levels(values, self.seed, first, self.step)

    def symbols(self, parts: list[Part]) -> Symbols:
        """Integers of the parts, by rounding."""
        levels = [self._levels(part.values, part.first) for part in parts]
        plain = all(part.fitted == np.float32(self.step) for part in parts)
        scales = None if plain else [part.fitted for part in parts]
        return pack_levels(levels, np.zeros(0, np.int8), scales)


def _dot(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Sum of products in one order on every machine, which BLAS does not promise."""
    total = np.cumsum(a.astype(np.float64) * b)
    return float(total[-1]) if total.size else 0.0
