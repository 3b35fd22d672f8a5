"""Lattice quantizers. Kernels: ``csrc/quantize/lattice.cpp`` and its parts."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec._arrays import check_float, check_int, check_step, varint
from qcodec.registry import register
from qcodec.stages import Part, Quantizer, Symbols

_NUMBERS = {"z": 1, "d4": 2, "e8": 3, "leech": 4}  # of the native kernels
_UNITS = {"z": 1.0, "d4": 0.84, "e8": 0.5, "leech": 0.35}  # of the steps, or a little less
_UNDITHERED = "leech"
_LEAST_SCALE = np.finfo(np.float32).tiny
_MOST_UNITS = 2**24 - 16  # of a weight from zero: its point, and the dither, are a few units away


@register
@dataclass(frozen=True)
class Lattice(Quantizer):
    """Nearest points of a lattice: several weights are rounded together.

    A cell of the lattice is rounder than a cube, so the mean squared error at one rate is less
    than that of `uniform`: by 0.37 dB with D4, 0.65 dB with E8, and 1.03 dB with the Leech lattice
    of 24 dimensions, out of the 1.53 dB that there are.

    Parameters
    ----------
    lattice : {"z", "d4", "e8", "leech"}
        The lattice, of 1, 4, 8 and 24 dimensions. "z" is a uniform quantizer with least-squares
        scales, for comparison.
    step : float
        Edge of the cube with the volume of a cell, > 0, in units of the weights: at high rates
        any lattice takes as many bits as `uniform` with this step.
    rdo : float, default 0
        Rate-distortion optimisation: the squared error, in squares of the step, that saving one
        bit is worth; 0..1, and 0.05 is a good start. Not with `dither`.
    dither : bool, default False
        Add a pseudo-random point of the cell before rounding, and subtract it again: the error is
        then uniform over the cell, and independent of the weight, at every rate. Not with "leech".
    seed : int, default 0
        Of the dither's generator, 0..2**63 - 1.
    wiener : bool, default False
        With `dither`: scale what is decoded by the factor of least squared error. Without `dither`
        that is always done.

    Raises
    ------
    TypeError, ValueError
        Options of a wrong type, out of range, or that exclude each other.

    Notes
    -----
    Encoding raises `InputError` at NaN, infinity, and weights more than about 2**24 units from
    zero, a unit being 0.35 steps or more.

    References
    ----------
    .. [1] J. H. Conway and N. J. A. Sloane, "Sphere Packings, Lattices and Groups", 3rd edition,
       Springer, 1999, chapters 2, 4 and 21.
    .. [2] R. Zamir and M. Feder, "On lattice quantization noise", IEEE Trans. Inform. Theory 42,
       1996.

    Examples
    --------
    >>> import numpy as np, qcodec
    >>> w = np.linspace(-1, 1, 9, dtype=np.float32)
    >>> codec = qcodec.parse("lattice('e8', step=0.1) | rans")
    >>> print(codec)
    lattice('e8', step=0.1) | rans
    >>> back = qcodec.decode(qcodec.encode(w, codec))
    >>> bool(np.abs(back - w).max() < 0.1)
    True
    """

    name: ClassVar[str] = "lattice"
    wire_id: ClassVar[int] = 4
    positional: ClassVar[int] = 1

    lattice: str
    _: KW_ONLY
    step: float
    rdo: float = 0.0
    dither: bool = False
    seed: int = 0
    wiener: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.lattice, str):
            raise TypeError(f"lattice must be a string, got {type(self.lattice).__name__}")
        if self.lattice not in _NUMBERS:
            raise ValueError(f"lattice must be one of {', '.join(_NUMBERS)}, got {self.lattice!r}")
        object.__setattr__(self, "step", check_step(self.step))
        object.__setattr__(self, "rdo", check_float("rdo", self.rdo, 0.0, 1.0))
        check_int("seed", self.seed, 0, 2**63 - 1)
        for option in ("dither", "wiener"):
            if not isinstance(getattr(self, option), bool):
                raise TypeError(f"{option} must be True or False")
        if self.dither and self.lattice == _UNDITHERED:
            raise ValueError(f"no dither for {self.lattice!r}: a decoder would have to search it")
        if self.dither and self.rdo:
            raise ValueError("rdo makes errors depend on weights, which dither excludes")
        if not self.dither and (self.seed or self.wiener):
            raise ValueError("seed and wiener need dither=True")

    @property
    def shares_chunks(self) -> bool:
        """Its streams have lengths of their own."""
        return False

    @property
    def reach(self) -> float:
        """Within 2**24 units of zero."""
        return min(_MOST_UNITS * _UNITS[self.lattice] * self.step, super().reach)

    @property
    def searches(self) -> bool:
        """Points are chosen here, not by the kernel."""
        return True

    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """Elements in vectors, in C order, wherever rows end."""
        return {
            "inner": max(n, 1),
            "step": self.step,
            "seed": self.seed,
            "lattice": _NUMBERS[self.lattice],
            "dither": self.dither,
        }

    def fit_tensor(self, job: Any, chunks: list[npt.NDArray[Any]]) -> Any:
        """Nothing is decided for the whole tensor."""
        return None

    def symbols(self, parts: list[Part]) -> Symbols:
        """Streams of the points of one chunk."""
        from qcodec.search import lattice_streams
        from qcodec.search.lattice import LATTICES

        [part] = parts
        points, scale = self._points(part, LATTICES[self.lattice])
        section, planes, widths = [scale.tobytes()], [], []
        counts, escaped = b"", b""
        for k, stream in enumerate(lattice_streams.split(points, self.lattice)):
            if k < lattice_streams.BIT_STREAMS[self.lattice]:
                planes.append(stream.astype(np.uint8))
                widths.append(1)
                continue
            symbols, out, width = lattice_streams.to_symbols(stream)
            planes.append(symbols)
            widths.append(width)
            section.append(bytes([width]))
            counts += varint(out.size) if width == 8 else b""
            escaped += out.astype("<i4").tobytes()
        return Symbols([b"".join([*section, counts, escaped])], planes, widths)

    def _points(self, part: Part, lattice: Any) -> tuple[npt.NDArray[np.int32], np.float32]:
        from qcodec.search.lattice import nearest, quantize, to_vectors
        from qcodec.search.parity import products

        if not self.dither:
            points, fitted = quantize(part.values, lattice, self.step, bit_worth=self.rdo)
            return points, max(fitted, _LEAST_SCALE)
        scale = lattice.scale(self.step)
        y = to_vectors(part.values, lattice, float(scale))
        u = _core.lattice_dither(_NUMBERS[self.lattice], self.seed, part.first, y.size)
        u64 = u.reshape(y.shape).astype(np.float64)
        points = nearest(y + u64, lattice)
        if self.wiener:
            cross, power = products(y, points - u64)
            factor = cross / power if power > 0 else 1.0
            scale = np.float32(float(scale) * min(max(factor, 2.0**-10), 1.0))
        return points, max(scale, _LEAST_SCALE)
