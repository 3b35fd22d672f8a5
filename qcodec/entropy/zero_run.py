"""Runs of the most frequent symbol. Kernels: ``csrc/entropy/zero_run.cpp``, ``base3.cpp``."""

from dataclasses import dataclass
from typing import ClassVar

from qcodec.registry import register
from qcodec.stages import Coder


@register
@dataclass(frozen=True)
class ZeroRun(Coder):
    """Lengths of zero runs and the values between them, or five ternary symbols in a byte.

    For sparse and ternary symbols. The first form suits few values: one byte for each gap between
    them, and the values packed. The second is the code of 3LC: symbols -1, 0, 1 as base-3 digits,
    five in a byte, and up to 14 bytes of zeros in one. Each chunk gets the shorter form.

    Parameters
    ----------
    then : {"none", "huffman", "rans"}, default "none"
        The coder that gaps and values go through. With "none" they are stored.

    Raises
    ------
    TypeError, ValueError
        `then` is no string, or names no such coder.

    References
    ----------
    .. [1] H. Lim, D. G. Andersen, M. Kaminsky, "3LC: Lightweight and Effective Traffic Compression
       for Distributed Machine Learning", MLSys 2019, arXiv:1802.07389, section 3.

    Examples
    --------
    >>> import qcodec
    >>> print(qcodec.Uniform(step=0.1) | qcodec.ZeroRun())
    uniform(step=0.1) | zero_run
    >>> print(qcodec.Uniform(step=0.1) | qcodec.ZeroRun(then="rans"))
    uniform(step=0.1) | zero_run(then='rans')
    """

    name: ClassVar[str] = "zero_run"
    wire_ids: ClassVar[dict[str, int]] = {"none": 4, "huffman": 5, "rans": 6}

    then: str = "none"

    def __post_init__(self) -> None:
        if not isinstance(self.then, str):
            raise TypeError("then must be a string")
        if self.then not in self.wire_ids:
            raise ValueError(f"then must be one of {', '.join(self.wire_ids)}, got {self.then!r}")

    @property
    def wire_id(self) -> int:  # type: ignore[override]
        """The kernel of this `then`."""
        return self.wire_ids[self.then]
