"""Interleaved range asymmetric numeral systems. Kernel: ``csrc/entropy/rans.cpp``."""

from dataclasses import dataclass
from typing import ClassVar

from qcodec.registry import register
from qcodec.stages import Coder


@register
@dataclass(frozen=True)
class Rans(Coder):
    """rANS with up to 256 interleaved states that live in vector registers: the default coder.

    Frequencies are in 1/256, so that whole tables fit registers; rare symbols escape to a side
    stream. Up to 16 tables per chunk, of which each tile of weights picks one, follow rows and
    layers that differ. Mostly-equal symbols are coded as masks and values.

    References
    ----------
    .. [1] J. Duda, "Asymmetric numeral systems", arXiv:1311.2540, 2013.
    .. [2] F. Giesen, "Interleaved entropy coders", arXiv:1402.3392, 2014.

    Examples
    --------
    >>> import qcodec
    >>> print(qcodec.Uniform(bits=4, group=64) | qcodec.Rans())
    uniform(bits=4, group=64) | rans
    """

    name: ClassVar[str] = "rans"
    wire_id: ClassVar[int] = 3
