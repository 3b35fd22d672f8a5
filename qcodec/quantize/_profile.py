"""Profiles of scales by row, channel and kernel position: FORMAT.md, "Order"."""

import math
from typing import Any

_MAX_CODES = 2**18


def profile_options(shape: tuple[int, ...]) -> dict[str, Any]:
    """Options of the native job: none for vectors, whose elements would be rows of one.

    Raises
    ------
    ValueError
        The profile would have too many codes.
    """
    if len(shape) < 2:
        return {}
    channels, positions = shape[1], math.prod(shape[2:])
    if channels + positions > _MAX_CODES:
        raise ValueError(f"a profile of {channels} + {positions} codes, at most {_MAX_CODES}")
    return {"profile": True, "channels": max(channels, 1), "positions": max(positions, 1)}
