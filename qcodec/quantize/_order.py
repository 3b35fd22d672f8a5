"""In which order the symbols of a chunk are coded: FORMAT.md, "Order"."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec.stages import Part


def coding_order(parts: Sequence[Part]) -> npt.NDArray[np.int64] | None:
    """Places of the parts' elements in the order of their classes; None for their own order."""
    if parts[0].classes is None:
        return None
    return _core.coding_order(np.concatenate([part.classes for part in parts]))
