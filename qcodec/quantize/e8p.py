"""E8P: two bits a weight at a fixed rate. Kernel: ``csrc/quantize/e8p.cpp``."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from qcodec.quantize._groups import check_groups, groups_met, groups_of
from qcodec.registry import register
from qcodec.stages import Part, Quantizer, Symbols

_DIM = 8
_DEVIATION = 1.03  # of bell-shaped weights, in the codebook's units, at the least error


@dataclass
class _Fitted:
    """Scales of a tensor's groups, and the codes of each chunk by its first element."""

    scales: npt.NDArray[np.float32]
    codes: dict[int, npt.NDArray[np.uint16]]


@register
@dataclass(frozen=True, kw_only=True)
class E8P(Quantizer):
    """Eight weights to the nearest of 65,536 points: 16 bits, whatever the weights are.

    The points are those of the lattice E8, moved by 1/4, that lie next to zero. For weights that
    are bell-shaped, or made so, the squared error is 0.09 of their variance; two bits of
    `uniform` leave 0.12 of it.

    Parameters
    ----------
    axis : int, optional
        One scale per index of this axis, as for `uniform`.
    group : int, optional
        One scale per so many consecutive weights in C order, 1..2**20; not with `axis`. Default
        is one scale for the tensor.

    Raises
    ------
    TypeError, ValueError
        Options of a wrong type, out of range, or that exclude each other.

    Notes
    -----
    Codes are as good as random, so `bitpack`, the default coder, loses nothing: 2 bits a weight,
    and 16 bits a scale. Scales are those of least squared error, rounded to 9 significant bits.
    Encoding raises `InputError` at NaN and infinity.

    References
    ----------
    .. [1] A. Tseng et al., "QuIP#: Even Better LLM Quantization with Hadamard Incoherence and
       Lattice Codebooks", ICML 2024, arXiv:2402.04396, section 4.2.

    Examples
    --------
    >>> import numpy as np, qcodec
    >>> w = np.array([3, 3, -3, 1, 5, 1, 1, -1], dtype=np.float32)
    >>> back = qcodec.decode(qcodec.encode(w, "e8p | bitpack"))
    >>> bool(((back - w) ** 2).mean() < 0.1 * (w ** 2).mean())
    True
    """

    name: ClassVar[str] = "e8p"
    wire_id: ClassVar[int] = 7
    default_coder: ClassVar[str] = "bitpack"

    axis: int | None = None
    group: int | None = None

    def __post_init__(self) -> None:
        check_groups("e8p", self.axis, self.group)

    @property
    def shares_chunks(self) -> bool:
        """Planes have a symbol per vector, not per element."""
        return False

    @property
    def searches(self) -> bool:
        """Codes are chosen here, not by the kernel."""
        return True

    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """How the tensor's elements are cut into groups: as for `uniform`."""
        inner, dim = groups_of(shape, n, self.axis, self.group)
        return {"inner": inner, "dim": dim}

    def fit_tensor(self, job: Any, chunks: list[npt.NDArray[Any]]) -> _Fitted:
        """Codes that suit the groups' rms, and with these the scales of least squared error."""
        from qcodec.search.e8p import points

        counts, power = np.zeros(job.dim), np.zeros(job.dim)
        for first, w in _numbered(chunks):
            group = _groups(job, first, w.size)
            counts += np.bincount(group, minlength=job.dim)
            power += np.bincount(group, w.astype(np.float64) ** 2, minlength=job.dim)
        guess = _rounded(np.sqrt(power / np.maximum(counts, 1)) / _DEVIATION)
        codes = {}
        cross, energy = np.zeros(job.dim), np.zeros(job.dim)
        for first, w in _numbered(chunks):
            group = _groups(job, first, w.size)
            codes[first] = self._codes(w, guess[group])
            x = points(codes[first]).reshape(-1)[: w.size].astype(np.float64)
            cross += np.bincount(group, x * w, minlength=job.dim)
            energy += np.bincount(group, x * x, minlength=job.dim)
        # Other groups may outweigh one in its vectors; its points may then even point away from it.
        fitted = np.maximum(cross / np.maximum(energy, 1e-9), 0.5 * guess)
        return _Fitted(_rounded(np.where(guess > 0, fitted, 0.0)), codes)

    @staticmethod
    def _codes(values: npt.NDArray[Any], scales: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
        from qcodec.search.e8p import nearest_codes

        y = np.zeros(-(-values.size // _DIM) * _DIM)
        divisor = np.where(scales > 0, scales, 1).astype(np.float64)
        y[: values.size] = np.where(scales > 0, values, 0) / divisor
        return nearest_codes(y.reshape(-1, _DIM))

    def symbols(self, parts: list[Part]) -> Symbols:
        """Codes of one chunk as bytes, and the scales of the groups met in it."""
        [part] = parts
        codes = part.fitted.codes[part.first]
        met = groups_met(part.first, part.values.size, part.job.inner, part.job.dim)
        stored = (part.fitted.scales[met].view(np.uint32) >> 15).astype("<u2")
        planes = [(codes & 255).astype(np.uint8), (codes >> 8).astype(np.uint8)]
        return Symbols([b"\x01" + stored.tobytes()], planes, [8, 8])


def _numbered(chunks: list[npt.NDArray[Any]]) -> list[tuple[int, npt.NDArray[Any]]]:
    """The chunks, each with its first element."""
    first = np.cumsum([0, *(chunk.size for chunk in chunks)])
    return [(int(at), chunk) for at, chunk in zip(first[:-1], chunks, strict=True)]


def _groups(job: Any, first: int, n: int) -> npt.NDArray[np.int64]:
    """Group of each element."""
    groups: npt.NDArray[np.int64] = np.arange(first, first + n) // job.inner % job.dim
    return groups


def _rounded(scales: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """To the nearest float32 of which the upper 17 bits suffice; zero below the normal ones."""
    largest = np.float32(2.0**126)  # points reach 2.75
    bits = np.minimum(scales, largest).astype(np.float32).view(np.uint32)
    kept = ((bits.astype(np.uint64) + 0x4000) >> 15 << 15).astype(np.uint32).view(np.float32)
    return np.where(kept >= np.finfo(np.float32).tiny, kept, np.float32(0)).astype(np.float32)
