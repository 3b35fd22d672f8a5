"""Integers in steps, as `uniform` and `dithered` store them: FORMAT.md, "uniform"."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qcodec._arrays import varint
from qcodec.stages import Symbols

MAX_ESCAPE = 2**24
_SHIFTS, _STEP_SCALE, _SAME_SHIFTS = 4, 8, 16  # bits of the form


def pack_levels(
    levels: Sequence[npt.NDArray[np.int32]],
    shifts: npt.NDArray[np.int8],
    scales: Sequence[np.float32] | None = None,
) -> Symbols:
    """Sections and symbols of the integers of each part.

    Parameters
    ----------
    levels : sequence of int32 arrays, shape (n,) each
        Magnitude at most `MAX_ESCAPE`.
    shifts : int8 array, shape (m,), m <= 31
        Of the points that small magnitudes stand for; none where empty.
    scales : sequence of float32, optional
        One per part. Default: the step of the codec.
    """
    joint = levels[0] if len(levels) == 1 else np.concatenate(levels)
    reach = max(int(joint.max()), -int(joint.min()))
    escaped = np.zeros(0, np.bool_)
    if reach <= 127:
        width = max(1, 1 + reach.bit_length())
        zero = 1 << (width - 1)
        planes = [joint.astype(np.uint8) + np.uint8(zero)]  # both modulo 256
    else:  # an escape costs 32 bits, a second plane 8 bits an element
        magnitude = np.abs(joint)
        width = 8 if int(np.count_nonzero(magnitude > 127)) <= joint.size // 32 else 16
        zero = 1 << (width - 1)
        escaped = magnitude >= zero
        symbols = np.where(escaped, 0, joint + zero)
        wide = [symbols] if width < 16 else [symbols >> 8, symbols & 255]
        planes = [plane.astype(np.uint8) for plane in wide]
    sections = []
    at = 0
    for k, part in enumerate(levels):
        out = part[escaped[at : at + part.size]] if escaped.size else part[:0]
        at += part.size
        form = _STEP_SCALE if scales is None else 0
        table = b"" if scales is None else scales[k].tobytes()
        if shifts.size and width <= 8:
            form |= _SAME_SHIFTS if k else _SHIFTS
            table += b"" if k else bytes([shifts.size]) + shifts.tobytes()
        head = bytes([form, width]) + varint(out.size)
        sections.append(head + table + out.astype("<i4").tobytes())
    return Symbols(sections, planes, [min(width, 8)] * len(planes))
