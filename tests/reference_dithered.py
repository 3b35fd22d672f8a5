"""The quantizer `dithered` of the reference decoder, from FORMAT.md alone."""

import numpy as np
from reference_coders import RejectedError

WEYL = 0x9E3779B9


def check(o, tensor):
    number = isinstance(o["step"], (int, float)) and not isinstance(o["step"], bool)
    good = (
        tensor.dtype in ("F16", "BF16", "F32", "F64")
        and number
        and 2.0**-126 <= o["step"] <= (2 - 2**-23) * 2.0**127
        and isinstance(o["seed"], int)
        and not isinstance(o["seed"], bool)
        and 0 <= o["seed"] < 2**63
        and o["wiener"] in (True, False)
    )
    if not good:
        raise RejectedError("options of dithered")


def mix(x):
    x = np.asarray(x, np.uint64) & np.uint64(0xFFFFFFFF)
    x = (x ^ x >> np.uint64(16)) * np.uint64(0x7FEB352D) & np.uint64(0xFFFFFFFF)
    x = (x ^ x >> np.uint64(15)) * np.uint64(0x846CA68B) & np.uint64(0xFFFFFFFF)
    return x ^ x >> np.uint64(16)


def _keys(seed, element):
    upper = np.asarray(element, np.uint64) >> np.uint64(32)
    return mix(mix(mix(seed % 2**32) + np.uint64(seed >> 32)) + upper)


def classes(seed, element):
    """Class 0 .. 15 of each element."""
    low = np.asarray(element, np.uint64) & np.uint64(0xFFFFFFFF)
    turn = mix(low // np.uint64(16) * np.uint64(WEYL) + mix(_keys(seed, element) + np.uint64(2)))
    return ((np.asarray(element, np.uint64) + turn) % np.uint64(16)).astype(np.int64)


def dither(seed, element):
    """u of each element, float32."""
    low = np.asarray(element, np.uint64) & np.uint64(0xFFFFFFFF)
    fraction = mix(low * np.uint64(WEYL) + mix(_keys(seed, element) + np.uint64(1))) >> np.uint64(13)
    v = 2 * (classes(seed, element) * 2**19 + fraction.astype(np.int64)) + 1 - 2**23
    return (v / 2.0**24).astype(np.float32)


def values(section, planes, o, first):
    """Elements of a part, float32: the integers that `uniform` would have, less u, times the scale."""
    scale = section.scales
    section.scales = np.ones_like(scale)
    q = section.values(planes)
    element = first + np.arange(q.size)
    with np.errstate(over="ignore"):
        return (q - dither(o["seed"], element)) * scale
