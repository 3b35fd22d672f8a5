"""Fixed-width packing. Kernel: ``csrc/entropy/bitpack.cpp``."""

from dataclasses import dataclass
from typing import ClassVar

from qcodec.registry import register
from qcodec.stages import Coder


@register
@dataclass(frozen=True)
class Bitpack(Coder):
    """Symbols as they are, in as many bits as their alphabet needs.

    The fastest to decode, and the size is known beforehand: bits per symbol times symbols.

    Examples
    --------
    >>> import qcodec
    >>> print(qcodec.Uniform(bits=4, group=64) | qcodec.Bitpack())
    uniform(bits=4, group=64) | bitpack
    """

    name: ClassVar[str] = "bitpack"
    wire_id: ClassVar[int] = 1
