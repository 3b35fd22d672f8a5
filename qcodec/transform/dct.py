"""Discrete cosine transform of kernels and of blocks. Kernel: ``csrc/transform/dct.cpp``."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from qcodec._arrays import check_int
from qcodec.registry import register
from qcodec.stages import Transform

MAX_COLUMNS = 2**16


@register
@dataclass(frozen=True, kw_only=True)
class Dct(Transform):
    """Orthonormal DCT-II of k x k blocks; symbols are coded coefficient position by position.

    Neighbouring taps of a convolution are alike, so that few coefficients carry most of the
    energy. That pays only where each position has coding tables of its own, which it gets here.

    Parameters
    ----------
    block : int, optional
        Side of the blocks, 2..8, that a matrix (all axes after the first taken together) is cut
        into. Default: the kernels of a convolution, the last two axes, which are of one length
        k, 2..8. What fills no block, and kernels cut by the end of a chunk, stay as they are.

    Raises
    ------
    TypeError, ValueError
        `block` is no int in 2..8.

    References
    ----------
    .. [1] T. Laude, Y. Richter, J. Ostermann, "Neural network compression using transform coding
       and clustering", arXiv:1805.07258, 2018.

    Examples
    --------
    >>> import qcodec
    >>> print(qcodec.Dct(block=8) | qcodec.Uniform(step=0.01) | qcodec.Rans())
    dct(block=8) | uniform(step=0.01) | rans
    """

    name: ClassVar[str] = "dct"
    wire_id: ClassVar[int] = 1

    block: int | None = None

    def __post_init__(self) -> None:
        if self.block is not None:
            check_int("block", self.block, 2, 8)

    def job_options(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Side of the blocks, and columns of the matrix that they are cut from."""
        if self.block is not None:
            if len(shape) < 2:
                raise ValueError(f"blocks need a matrix, not a tensor of {len(shape)} dimensions")
            columns = math.prod(shape[1:])
            if columns > MAX_COLUMNS:
                raise ValueError(f"rows of {columns} elements, at most {MAX_COLUMNS}")
            return {"block": self.block, "columns": max(columns, 1)}
        if len(shape) >= 3 and shape[-1] == shape[-2] and 2 <= shape[-1] <= 8:
            return {"block": shape[-1], "columns": 0}
        return {}
