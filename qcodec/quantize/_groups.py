"""Groups of elements that share parameters, by axis or by number: FORMAT.md, "uniform"."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec._arrays import check_int


def check_groups(name: str, axis: int | None, group: int | None) -> None:
    """Refuse options of the quantizer `name` that are out of range or exclude each other."""
    if axis is not None:
        check_int("axis", axis, -32, 31)
    if group is not None:
        check_int("group", group, 1, 2**20)
    if axis is not None and group is not None:
        raise ValueError(f"{name} takes axis or group, not both")


def groups_of(
    shape: tuple[int, ...], n: int, axis: int | None, group: int | None
) -> tuple[int, int]:
    """(inner, dim): element i belongs to group ``i // inner % dim``.

    Raises
    ------
    ValueError
        The tensor has too few axes.
    """
    rank = len(shape)
    if axis is not None and not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a tensor of {rank} dimensions")
    if n == 0 or (axis is None and group is None):
        return max(n, 1), 1
    if axis is not None:
        axis %= rank
        return math.prod(shape[axis + 1 :]), shape[axis]
    assert group is not None
    return group, -(-n // group)


def groups_met(first: int, count: int, inner: int, dim: int) -> npt.NDArray[np.int64]:
    """Groups that elements [first, first + count) belong to, in order of their first element."""
    runs = (first + count - 1) // inner - first // inner + 1
    return (first // inner + np.arange(min(runs, dim))) % dim


def of_elements(
    values: npt.NDArray[Any], first: int, count: int, inner: int, dim: int
) -> npt.NDArray[Any]:
    """What elements [first, first + count) have of `values`, shape (dim,), one for each group."""
    runs = np.arange(first // inner, (first + count - 1) // inner + 1)
    ends = np.minimum((runs + 1) * inner, first + count)
    return np.repeat(values[runs % dim], np.diff(ends, prepend=first))
