"""Canonical Huffman coding. Kernel: ``csrc/entropy/huffman.cpp``."""

from dataclasses import dataclass
from typing import ClassVar

from qcodec.registry import register
from qcodec.stages import Coder


@register
@dataclass(frozen=True)
class Huffman(Coder):
    """Canonical, length-limited Huffman codes in up to eight interleaved streams.

    The portable coder that others can read easily. Spends up to a few hundredths of a bit per
    symbol more than the entropy, and never less than one bit.

    References
    ----------
    .. [1] L. L. Larmore and D. S. Hirschberg, "A fast algorithm for optimal length-limited Huffman
       codes", J. ACM 37(3), 1990 (package-merge).

    Examples
    --------
    >>> import qcodec
    >>> print(qcodec.Uniform(step=0.01) | qcodec.Huffman())
    uniform(step=0.01) | huffman
    """

    name: ClassVar[str] = "huffman"
    wire_id: ClassVar[int] = 2
