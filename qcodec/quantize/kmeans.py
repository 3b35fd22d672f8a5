"""Codebook quantizer. Kernel: ``csrc/quantize/kmeans.cpp``."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from qcodec._arrays import check_float, check_int
from qcodec.quantize._groups import check_groups, groups_met, groups_of
from qcodec.registry import register
from qcodec.stages import Part, Quantizer, Symbols

_SHORT, _SIZES = 8, 16  # bits of the form: FORMAT.md, "kmeans"


@register
@dataclass(frozen=True, kw_only=True)
class KMeans(Quantizer):
    """Weights share the values of a codebook, fitted to them for the least squared error.

    Parameters
    ----------
    k : int, default 16
        Largest number of values in a codebook, 1..256. Fewer where the weights have fewer.
    axis : int, optional
        One codebook per index of this axis, counted from 0. Negative values count from the last
        axis. Default: one for the whole tensor.
    group : int, optional
        One codebook per so many consecutive weights in C order, 1..2**20. Not with `axis`.
    keep_zeros : bool, default False
        Weights that are zero stay exactly zero, and no others become it: for pruned tensors. Takes
        one of the `k` values.
    rate : float, default 0
        The squared error, in units of the variance of the weights, that saving one bit per weight
        is worth; 0..1: 0.2, 0.06 and 0.01 give bell-shaped weights 1.7, 2.6 and 3.9 bits. Values
        are then chosen by error and by what their symbols cost to code, not by error alone; give
        a `k` of four times what the bits need. Only with one codebook for the tensor.

    Raises
    ------
    TypeError, ValueError
        Options of a wrong type, out of range, or that exclude each other.

    Notes
    -----
    The codebook is the best there is for the tensor's histogram; no random start is involved.
    Encoding raises `InputError` at the first NaN or infinity. ``qcodec.encode(..., weights=...)``
    and ``save_file(..., weights=...)`` take the importance of each weight, such as the diagonal of
    the Hessian [2]_: error counts in proportion to it. Values are rounded to 16 bits where that
    costs less error than the saved bytes are worth.

    References
    ----------
    .. [1] S. Han, H. Mao, W. Dally, "Deep Compression", ICLR 2016, arXiv:1510.00149, section 3.
    .. [2] Y. Choi, M. El-Khamy, J. Lee, "Towards the limit of network quantization", ICLR 2017,
       arXiv:1612.01543, sections 3 and 4.
    .. [3] P. Chou, T. Lookabaugh, R. Gray, "Entropy-constrained vector quantization", IEEE
       Transactions on Acoustics, Speech, and Signal Processing 37(1), 1989.

    Examples
    --------
    >>> import numpy as np, qcodec
    >>> w = np.array([1, 2, 10, 12], dtype=np.float32)
    >>> qcodec.decode(qcodec.encode(w, qcodec.KMeans(k=2)))
    array([ 1.5,  1.5, 11. , 11. ], dtype=float32)
    >>> importance = np.array([1, 0, 1, 3], dtype=np.float32)
    >>> qcodec.decode(qcodec.encode(w, qcodec.KMeans(k=2), weights=importance))
    array([ 1. ,  1. , 11.5, 11.5], dtype=float32)
    """

    name: ClassVar[str] = "kmeans"
    wire_id: ClassVar[int] = 5

    k: int = 16
    axis: int | None = None
    group: int | None = None
    keep_zeros: bool = False
    rate: float = 0.0

    def __post_init__(self) -> None:
        check_int("k", self.k, 1, 256)
        check_groups("kmeans", self.axis, self.group)
        if not isinstance(self.keep_zeros, bool):
            raise TypeError("keep_zeros must be True or False")
        if self.keep_zeros and self.k == 1:
            raise ValueError("keep_zeros needs k >= 2: one value for zeros, one for the rest")
        object.__setattr__(self, "rate", check_float("rate", self.rate, 0.0, 1.0))
        if self.rate and not self.takes_coefficients:
            raise ValueError("a rate needs one codebook for the tensor: it excludes axis and group")

    @property
    def takes_coefficients(self) -> bool:
        """Where one codebook serves the whole tensor."""
        return self.axis is None and self.group is None

    @property
    def takes_lossy_coder(self) -> bool:
        """Where zeros have one symbol, and every symbol a value wherever it stands."""
        return self.keep_zeros and self.takes_coefficients

    @property
    def takes_weights(self) -> bool:
        """Error counts in proportion to them."""
        return True

    @property
    def searches(self) -> bool:
        """Always."""
        return True

    def job_options(self, shape: tuple[int, ...], n: int) -> dict[str, Any]:
        """How the tensor's elements are cut into groups: FORMAT.md, "uniform"."""
        inner, dim = groups_of(shape, n, self.axis, self.group)
        return {"inner": inner, "dim": dim, "most_entries": self.k}

    def fit_tensor(
        self,
        job: Any,
        chunks: list[npt.NDArray[Any]],
        weights: npt.NDArray[np.float32] | None = None,
    ) -> Any:
        """Codebooks of the tensor, and the entries that all elements take."""
        from qcodec.container._fields import CHUNK_ELEMENTS
        from qcodec.search.codebook import fit_codebooks

        made = fit_codebooks(
            chunks[0] if len(chunks) == 1 else np.concatenate(chunks),
            self.k,
            inner=job.inner,
            dim=job.dim,
            chunk=CHUNK_ELEMENTS,
            weights=weights,
            keep_zeros=self.keep_zeros,
            rate=self.rate,
        )
        return _Fitted(made.entries, made.indices, made.short, job.inner, job.dim)

    def symbols(self, parts: list[Part]) -> Symbols:
        """Codebooks of the groups met in each part, and places in them."""
        books = [part.fitted.met(part.first, part.values.size) for part in parts]
        most = max(entries.size for met in books for entries in met)
        width = max(1, (most - 1).bit_length())
        sections = [
            _section(met, width, part.fitted.short) for met, part in zip(books, parts, strict=True)
        ]
        planes = [p.fitted.indices[p.first : p.first + p.values.size] for p in parts]
        return Symbols(sections, [np.concatenate(planes)], [width])


class _Fitted(NamedTuple):
    """Codebooks of all groups of a tensor, and for each element the entry that it takes."""

    entries: list[npt.NDArray[np.float32]]
    indices: npt.NDArray[np.uint8]
    short: bool
    inner: int
    dim: int

    def met(self, first: int, count: int) -> list[npt.NDArray[np.float32]]:
        """Codebooks of the groups among so many elements, in the order of the section."""
        return [self.entries[g] for g in groups_met(first, count, self.inner, self.dim)]


def _section(books: list[npt.NDArray[np.float32]], width: int, short: bool) -> bytes:
    sizes = bytes(entries.size - 1 for entries in books)
    same = len(set(sizes)) == 1
    form = width - 1 | _SHORT * short | _SIZES * (not same)
    bits = np.concatenate(books).view("<u4")
    table = (bits >> 16).astype("<u2") if short else bits
    return bytes([form]) + (sizes[:1] if same else sizes) + table.tobytes()
