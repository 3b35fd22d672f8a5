"""The quantizer `trellis` of the reference decoder, from FORMAT.md alone.

`check(options, tensor)` is for the config. `Section(cursor, part, codec, before, inner, dim)` reads
a section, `before` being that of the part before and element i of group (i // inner) % dim, and
`values(planes)` are f32. Both raise `RejectedError`.
"""

import math

import ml_dtypes
import numpy as np
from reference_coders import RejectedError, unpack


def refuse_unless(condition, rule):
    if not condition:
        raise RejectedError(rule)


def number(value, low, high):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def check(o, tensor):
    refuse_unless(tensor.dtype in ("F16", "BF16", "F32", "F64"), "trellis takes floating dtypes")
    refuse_unless(isinstance(o["states"], int) and o["states"] in (8, 32, 128), "states")
    given = [key for key in ("step", "bits", "snr") if o[key] is not None]
    refuse_unless(len(given) == 1, "one of step, bits and snr")
    limits = {"step": (2.0**-126, (2 - 2**-23) * 2.0**127), "bits": (0.1, 6), "snr": (0, 45)}
    refuse_unless(number(o[given[0]], *limits[given[0]]), given[0])
    refuse_unless(number(o["rdo"], 0, 2), "rdo")
    refuse_unless(o["profile"] is True or o["profile"] is False, "profile")
    if o["profile"] and len(tensor.shape) >= 2:
        refuse_unless(tensor.shape[1] + math.prod(tensor.shape[2:]) <= 2**18, "profile")
    grouped = [key for key in ("axis", "group") if o[key] is not None]
    refuse_unless(len(grouped) < 2, "axis and group exclude each other")
    if grouped:
        refuse_unless(o["step"] is None and not o["profile"], "groups exclude step and profile")
        value, rank = o[grouped[0]], len(tensor.shape)
        low, high = (-rank, rank - 1) if grouped == ["axis"] else (1, 2**20)
        whole = isinstance(value, int) and not isinstance(value, bool)
        refuse_unless(whole and low <= value <= high, grouped[0])


class Section:
    """What a part has before its symbols."""

    def __init__(self, cursor, part, codec, before, inner, dim):
        step = codec.quantizer["step"]
        form, self.width = cursor.unsigned(1), cursor.unsigned(1)
        refuse_unless(form < 16, "form")
        step_scale, shifted, as_before, coded = (form >> k & 1 for k in range(4))
        refuse_unless(not step_scale or step is not None, "the scale is a step that is not given")
        refuse_unless(not (shifted and as_before), "shifts twice")
        refuse_unless(3 <= self.width <= 8, "width")
        if step_scale:
            self.scale = np.float32(step)
        else:
            self.scale = np.frombuffer(cursor.take(4), "<f4")[0]
            normal = bool(np.float32(2.0**-126) <= self.scale < np.float32(np.inf))
            refuse_unless(normal, "scale")
        refuse_unless(coded == (dim > 1), "codes of groups where there are several, and only there")
        codes = np.zeros(1, np.int64)
        if coded:
            w = cursor.unsigned(1)
            refuse_unless(w <= 6, "width of codes")
            last = part.first + part.count - 1
            met = min(dim, last // inner - part.first // inner + 1)
            codes = unpack(cursor.take(-(-met * w // 8)), met, w).astype(np.int64)
        # One float32 product each, of a factor that is exact for whole octaves.
        quarters = np.array([2.0 ** (k / 4) for k in range(4)]).astype(np.float32)
        factors = quarters[codes % 4] * np.exp2(codes // 4).astype(np.float32)
        with np.errstate(over="ignore"):
            scales = self.scale * factors
        refuse_unless(bool(np.isfinite(scales).all()), "a group's scale is not finite")
        elements = part.first + np.arange(part.count)
        self.scales = scales[(elements // inner - part.first // inner) % dim]
        self.shifts = []
        if shifted:
            m = cursor.unsigned(1)
            refuse_unless(1 <= m <= 31, "number of shifts")
            self.shifts = [cursor.signed(1) for _ in range(m)]
        if as_before:
            refuse_unless(before is not None and before.shifts != [], "no shifts before these")
            self.shifts = before.shifts
        patches = cursor.varint()
        refuse_unless(patches <= part.count, "patches")
        self.places = [cursor.unsigned(4) for _ in range(patches)]
        refuse_unless(self.places == sorted(set(self.places)), "patched elements ascend")
        refuse_unless(max(self.places, default=0) < part.count, "patched element")
        self.patches = [cursor.signed(4) for _ in range(patches)]
        refuse_unless(all(abs(q) <= 2**24 for q in self.patches), "patched value")

    def values(self, planes):
        q = planes[0].astype(np.int64) - 2 ** (self.width - 1)
        units = 128 * q
        for j, shift in enumerate(self.shifts, 1):
            units[np.abs(q) == j] -= shift * np.sign(q[np.abs(q) == j])
        with np.errstate(over="ignore"):  # a forged scale may reach infinity
            points = (units / 128).astype(np.float32) * self.scales
            out = points.astype(ml_dtypes.bfloat16).astype(np.float32)
            out[self.places] = np.array(self.patches, np.float32) * self.scales[self.places]
        return out
