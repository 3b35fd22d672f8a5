"""Static function of the positions that are not zero. Kernels: ``csrc/entropy/bloomier*.cpp``."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec._arrays import check_int, varint
from qcodec.errors import InputError
from qcodec.registry import register
from qcodec.stages import Coder

_MAX_SEED = 2**28 - 1


@register
@dataclass(frozen=True)
class Bloomier(Coder):
    """Stores the symbols other than zero and not where they are. **Lossy.**

    "Zero" is the most frequent symbol. All others come back as they were; a zero comes back as
    another symbol at a rate of about V / 2**bits, where V is how many others are in use. Space is
    `bits` for each symbol that is not zero, and less than 1 % more in chunks of 10,000 of them.

    Below a few bits this is smaller than exact coding, at the price of wrong weights, around which
    the rest of a network can be retrained: ``qcodec.encode(..., return_errors=True)`` says where
    they are, and ``qcodec inspect`` how many. See docs/bloomier.md for when that pays.

    Parameters
    ----------
    bits : int
        Of a stored symbol, 1..16. Each more halves the rate of errors.
    seed : int, default 0
        0..2**28 - 1. Another seed has errors elsewhere.

    Raises
    ------
    TypeError, ValueError
        Options of a wrong type or out of range.

    Notes
    -----
    Goes with quantizers whose symbols are values each for itself: ``uniform`` of up to 8 bits,
    ``ternary``, and ``kmeans`` with `keep_zeros` and one codebook. Encoding raises `InputError`
    where more than 2**bits - 1 symbols beside zero are in use, and where a step leaves weights that
    need more than 8 bits. What would not be smaller is stored, without errors.

    References
    ----------
    .. [1] B. Reagen et al., "Weightless: Lossy weight encoding for deep neural network
       compression", ICML 2018, arXiv:1711.04686.
    .. [2] P. C. Dillinger, L. Hübschle-Schneider, P. Sanders, S. Walzer, "Fast succinct retrieval
       and approximate membership using ribbon", SEA 2022, arXiv:2109.01892.

    Examples
    --------
    >>> import qcodec
    >>> print(qcodec.KMeans(k=16, keep_zeros=True) | qcodec.Bloomier(bits=6))
    kmeans(keep_zeros=True) | bloomier(bits=6)
    """

    name: ClassVar[str] = "bloomier"
    wire_id: ClassVar[int] = 7
    lossy: ClassVar[bool] = True

    bits: int
    seed: int = 0

    def __post_init__(self) -> None:
        check_int("bits", self.bits, 1, 16)
        check_int("seed", self.seed, 0, _MAX_SEED)

    def stream(self, symbols: npt.NDArray[np.uint8], bits: int) -> bytes:
        """The symbols as a stream of a plane: FORMAT.md, "Chunk"."""
        in_use = np.count_nonzero(np.bincount(symbols, minlength=256))
        if in_use > 1:
            if in_use - 1 > 2**self.bits - 1:
                raise InputError(
                    f"{in_use - 1} symbols beside the most frequent one are in use, and {self} "
                    f"tells apart {2**self.bits - 1}: "
                    f"take {int(in_use - 1).bit_length()} bits or more"
                )
            coded = _core.bloomier_encode(symbols, bits, self.bits, self.seed)
            if coded is not None:
                return b"\2" + varint(len(coded)) + coded
        # Stored or constant: the kernel codes nothing without its options.
        return _core.stream(self.wire_id, symbols, bits, False)
