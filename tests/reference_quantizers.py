"""Quantizers, transform and order of symbols of the reference decoder, from FORMAT.md alone.

`decode_chunk` takes the bytes of a chunk and its parts, and gives each part's elements. Raises
`RejectedError` for what the page refuses. Plain and slow; shares no line with the engine.
"""

import functools
import math

import ml_dtypes
import numpy as np
import reference_codebook
import reference_coders
import reference_dithered
import reference_lattice
import reference_trellis
from reference_coders import CODER_OPTIONS, DECODERS, Cursor, RejectedError, read_stream
from reference_dct import Grid

DTYPES = {
    0: ("BOOL", "?", "plain"), 1: ("U8", "u1", "plain"), 2: ("I8", "i1", "zigzag"),
    3: ("U16", "<u2", "plain"), 4: ("I16", "<i2", "zigzag"), 5: ("U32", "<u4", "plain"),
    6: ("I32", "<i4", "zigzag"), 7: ("U64", "<u8", "plain"), 9: ("I64", "<i8", "zigzag"),
    10: ("F16", "<f2", "rotated"), 11: ("BF16", ml_dtypes.bfloat16, "rotated"),
    12: ("F32", "<f4", "rotated"), 13: ("F64", "<f8", "rotated"),
    14: ("F8_E4M3", ml_dtypes.float8_e4m3fn, "rotated"),
    15: ("F8_E5M2", ml_dtypes.float8_e5m2, "rotated"), 16: ("C64", "<c8", "plain"),
}  # fmt: skip
NUMPY = {name: np.dtype(kind) for name, kind, _ in DTYPES.values()}
MAPPINGS = {name: mapping for name, _, mapping in DTYPES.values()}
FLOATS = ("F16", "BF16", "F32", "F64")
# Options that are always there, and those of 1.1 with their defaults, which are absent then.
OPTIONS = {
    "dct": (("block",), {}),
    "lossless": ((), {}),
    "uniform": (
        ("bits", "step", "axis", "group", "symmetric"),
        {"clip": "none", "rdo": 0.0, "dead_zone": 0.0, "profile": False},
    ),
    "dithered": (("step", "seed", "wiener"), {}),
    "rounded": (("mantissa",), {}),
    "trellis": (
        ("states", "step", "bits", "snr", "rdo", "profile"),
        {"axis": None, "group": None},
    ),
}
BITWISE = ("lossless", "rounded")
STEPPED = {"bits": None, "axis": None, "group": None, "symmetric": True}  # `uniform` with a step
KINDS = {
    "transform": ("dct",),
    "quantizer": (
        "lossless", "uniform", "dithered", "rounded", "trellis",
        *reference_codebook.OPTIONS, *reference_lattice.OPTIONS,
    ),
    "coder": tuple(DECODERS),
}  # fmt: skip
OPTIONS |= {name: (options, {}) for name, options in reference_codebook.OPTIONS.items()}
OPTIONS |= reference_lattice.OPTIONS
OUTSIDE = 64  # the class of elements outside blocks, and of those that nothing gives a class


def refuse_unless(condition, rule):
    if not condition:
        raise RejectedError(rule)


# ---- configs


class Codec:
    """A checked config: options of `transform` (or None) and `quantizer`, function of the coder."""

    def __init__(self, config):
        kinds = ["transform"] * ("transform" in config) + ["quantizer", "coder"]
        refuse_unless(list(config) == kinds, "config")
        for kind, stage in config.items():
            refuse_unless(isinstance(stage, dict) and isinstance(stage.get("name"), str), "stage")
            name = stage["name"]
            refuse_unless(name in KINDS[kind], "unknown stage")
            always, later = OPTIONS.get(name, (CODER_OPTIONS.get(name, ()), {}))
            there = [key for key in later if key in stage]
            refuse_unless(list(stage) == ["name", *always, *there], "options")
            refuse_unless(all(stage[key] != later[key] for key in there), "a default is there")
        self.transform = config.get("transform")
        self.quantizer = OPTIONS[config["quantizer"]["name"]][1] | config["quantizer"]
        coder = {key: value for key, value in config["coder"].items() if key != "name"}
        refuse_unless(coder.get("then", "none") in ("none", "huffman", "rans"), "then")
        if config["coder"]["name"] == "bloomier":
            refuse_unless(reference_coders.takes_bloomier(config), "bloomier")
            coder = {}  # what a reader needs stands in the stream
        self.coder = functools.partial(DECODERS[config["coder"]["name"]], **coder)

    def check(self, tensor):
        """That the codec fits the tensor."""
        o = self.quantizer
        if o["name"] == "uniform":
            check_uniform(o, tensor)
        if o["name"] == "dithered":
            reference_dithered.check(o, tensor)
        if o["name"] == "trellis":
            reference_trellis.check(o, tensor)
        if o["name"] == "rounded":
            refuse_unless(tensor.dtype in FLOATS and whole(o["mantissa"], 0, 23), "rounded")
        if o["name"] in reference_codebook.OPTIONS:
            reference_codebook.check(o, tensor)
        if o["name"] in reference_lattice.OPTIONS:
            refuse_unless(tensor.dtype in FLOATS, "floating dtypes")
            reference_lattice.check(o, tensor)
        if self.transform is not None:
            refuse_unless(
                o["name"] not in BITWISE and o.get("axis") is None and o.get("group") is None,
                "the quantizer takes no transform",
            )
            k = self.transform["block"]
            refuse_unless(k is None or whole(k, 2, 8), "block")
            if k is not None:
                refuse_unless(len(tensor.shape) >= 2, "blocks of a matrix need a matrix")
                refuse_unless(math.prod(tensor.shape[1:]) <= 2**16, "columns")
                refuse_unless(not o.get("profile"), "blocks of a matrix exclude a profile")


def whole(value, low, high):
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def check_uniform(o, tensor):
    refuse_unless(tensor.dtype in FLOATS, "uniform takes floating dtypes")
    refuse_unless((o["bits"] is None) != (o["step"] is None), "bits or step")
    refuse_unless(o["bits"] is None or whole(o["bits"], 1, 8) or whole(o["bits"], 16, 16), "bits")
    refuse_unless(o["axis"] is None or o["group"] is None, "axis and group")
    rank = len(tensor.shape)
    refuse_unless(o["axis"] is None or whole(o["axis"], -rank, rank - 1), "axis")
    refuse_unless(o["group"] is None or whole(o["group"], 1, 2**20), "group")
    refuse_unless(o["symmetric"] is True or o["symmetric"] is False, "symmetric")
    if o["step"] is not None:
        number = isinstance(o["step"], (int, float)) and not isinstance(o["step"], bool)
        # A normal float32: what a scale of the file can be.
        refuse_unless(number and 2.0**-126 <= o["step"] <= (2 - 2**-23) * 2.0**127, "step")
        refuse_unless(o["axis"] is None and o["group"] is None and o["symmetric"], "step excludes")
    for key, most in (("rdo", 1), ("dead_zone", 0.5)):
        value = o[key]
        refuse_unless(isinstance(value, (int, float)) and not isinstance(value, bool), key)
        refuse_unless(0 <= value <= most, key)
    refuse_unless(o["profile"] is True or o["profile"] is False, "profile")
    if o["rdo"] or o["dead_zone"] or o["profile"]:
        refuse_unless(o["step"] is not None, "options of 1.1 need a step")
    if o["profile"] and len(tensor.shape) >= 2:
        refuse_unless(tensor.shape[1] + math.prod(tensor.shape[2:]) <= 2**18, "profile")


def groups(o, shape, n):
    """(inner, dim): element i belongs to group (i / inner) mod dim."""
    if o["axis"] is not None:
        axis = o["axis"] % len(shape)
        return max(math.prod(shape[axis + 1 :]), 1), max(shape[axis], 1)
    if o["group"] is not None:
        return o["group"], max(-(-n // o["group"]), 1)
    return max(n, 1), 1


# ---- chunks


class Part:
    """What a chunk holds of one tensor: `count` elements, beginning at `first`."""

    def __init__(self, tensor, first, count):
        self.tensor, self.first, self.count = tensor, first, count


def decode_chunk(chunk, codec, parts):
    """The elements of each part: f32 from `uniform`, the tensor's dtype from `lossless`."""
    for part in parts:
        codec.check(part.tensor)
    cursor = Cursor(chunk)
    name = codec.quantizer["name"]
    if name in reference_lattice.OPTIONS:
        [part] = parts
        o = {"axis": None, "group": None} | codec.quantizer
        inner, dim = groups(o, part.tensor.shape, part.tensor.n)
        return [reference_lattice.decode(cursor, codec, part, inner, dim)]
    codebook = reference_codebook.SECTIONS.get(name)
    before = None
    for part in parts:
        if codebook is not None:
            part.section = codebook(cursor, part, codec.quantizer)
            part.bits = [part.section.width]
        elif name == "trellis":
            inner, dim = groups(codec.quantizer, part.tensor.shape, part.tensor.n)
            part.section = before = reference_trellis.Section(
                cursor, part, codec, before, inner, dim
            )
            part.bits = [before.width]
        elif name not in BITWISE:
            part.section = before = Section(cursor, part, codec, before)
            part.bits = [8, 8] if before.width == 16 else [before.width]
        else:
            part.bits = [8] * NUMPY[part.tensor.dtype].itemsize
        part.grid = Grid(part, codec.transform)
    refuse_unless(all(part.bits == parts[0].bits for part in parts), "parts of different planes")

    sizes = [profile_sizes(part, codec) for part in parts]
    n_codes = sum(map(sum, sizes))
    refuse_unless(n_codes <= 2**20, "codes of a profile")
    codes = read_stream(cursor, n_codes, 6, codec.coder).astype(np.int64) if n_codes else []
    ordered, classes = False, []
    for part, size in zip(parts, sizes, strict=True):
        own, codes = codes[: sum(size)], codes[sum(size) :]
        classes.append(part_classes(part, size, own, codec))
        ordered = ordered or bool(size) or part.grid.n_blocks > 0 or name == "dithered"

    total = sum(part.count for part in parts)
    planes = [read_stream(cursor, total, bits, codec.coder) for bits in parts[0].bits]
    refuse_unless(cursor.left == 0, "bytes after the last stream")
    if ordered:
        order = np.argsort(np.concatenate(classes), kind="stable")  # (class, part, element)
        for k, plane in enumerate(planes):
            planes[k] = np.empty_like(plane)
            planes[k][order] = plane
    out = []
    for part in parts:
        own = [plane[: part.count] for plane in planes]
        planes = [plane[part.count :] for plane in planes]
        if name in BITWISE:
            out.append(merge_planes(own, part.tensor.dtype))
        elif name == "dithered":
            values = reference_dithered.values(part.section, own, codec.quantizer, part.first)
            out.append(part.grid.inverse(values))
        else:
            out.append(part.grid.inverse(part.section.values(own)))
    return out


# ---- classes


def profile_sizes(part, codec):
    """Numbers of codes of rows, channels and positions; () without a profile."""
    shape = part.tensor.shape
    if not codec.quantizer.get("profile") or len(shape) < 2:
        return ()
    positions = math.prod(shape[2:])
    each = shape[1] * positions
    rows = (part.first + part.count - 1) // each - part.first // each + 1
    return rows, shape[1], positions


def part_classes(part, sizes, codes, codec):
    """The class of each element, which is a place in the order of coefficients."""
    if sizes:
        rows, channels, positions = sizes
        e = part.first + part.grid.order
        row = e // (channels * positions) - part.first // (channels * positions)
        channel = e // positions % channels
        total = codes[row] + codes[rows + channel] + codes[rows + channels + e % positions]
        return np.minimum(np.maximum(total - 64, 0), 63)
    if codec.quantizer["name"] == "dithered" and part.grid.n_blocks == 0:
        return reference_dithered.classes(
            codec.quantizer["seed"], part.first + np.arange(part.count)
        )
    out = np.full(part.count, OUTSIDE, np.int64)
    inside = part.grid.n_blocks * part.grid.k**2
    if inside:
        out[:inside] = np.arange(inside) % part.grid.k**2
    return out


# ---- lossless


def merge_planes(planes, dtype):
    width = 8 * len(planes)
    y = np.zeros(planes[0].size, np.uint64)
    for plane in planes:
        y = (y << np.uint64(8)) | plane.astype(np.uint64)
    low, rest = y & np.uint64(1), y >> np.uint64(1)
    mask = np.uint64(2**width - 1)
    if MAPPINGS[dtype] == "rotated":
        y = rest | (low << np.uint64(width - 1))
    elif MAPPINGS[dtype] == "zigzag":
        y = (rest ^ (np.uint64(0) - low)) & mask
    return y.astype(f"<u{len(planes)}").view(NUMPY[dtype])


# ---- uniform


def read_codes(cursor, entries):
    base, width = cursor.unsigned(2), cursor.unsigned(1)
    refuse_unless(width <= 13, "width of codes")
    raw = np.frombuffer(cursor.take(-(-entries * width // 8)), np.uint8)
    bits = np.unpackbits(raw, bitorder="little")
    refuse_unless(not bits[entries * width :].any(), "bits after the last code")
    codes = base + bits[: entries * width].reshape(entries, width) @ (1 << np.arange(width))
    refuse_unless(base >= 32 and codes.max(initial=32) <= 8159, "code of a scale")
    return (2.0 ** (codes / 32 - 127)).astype(np.float32)


class Section:
    """What a part of `uniform` has before its symbols; `values(planes)` are f32."""

    def __init__(self, cursor, part, codec, before):
        o = codec.quantizer
        if o["name"] == "dithered":
            o = STEPPED | o
        tensor, first, count = part.tensor, part.first, part.count
        form, width = cursor.unsigned(1), cursor.unsigned(1)
        refuse_unless(form < 64, "form")
        scales16, wide, shifted, step_scale, as_before, codes = (form >> k & 1 for k in range(6))
        refuse_unless(o["name"] == "uniform" or form in (0, 8), "form of dithered")
        refuse_unless(not wide or not o["symmetric"], "wide zero points")
        needs_step = shifted or step_scale or as_before
        refuse_unless(not needs_step or o["step"] is not None, "form needs a step")
        refuse_unless(step_scale + scales16 + codes <= 1, "two scales")
        refuse_unless(shifted + as_before + (width == 16) <= 1, "shifts")
        refuse_unless(1 <= width <= 8 or width == 16, "width")
        refuse_unless(o["bits"] in (None, width), "width is not bits")
        escapes = cursor.varint() if o["step"] is not None else 0
        refuse_unless(escapes <= (count if width >= 8 else 0), "escapes")
        inner, dim = groups(o, tensor.shape, tensor.n)
        entries = min(dim, (first + count - 1) // inner - first // inner + 1)
        if step_scale:
            scales = np.array([o["step"]], np.float32)
        elif codes:
            scales = read_codes(cursor, entries)
        else:
            size, unit = (2, 2**15) if scales16 else (4, 1)
            bits = [cursor.unsigned(size) * unit for _ in range(entries)]
            refuse_unless(all(b == 0 or 0x00800000 <= b < 0x7F800000 for b in bits), "scale")
            scales = np.array(bits, np.uint32).view(np.float32)
        zeros = np.full(entries, 2 ** (width - 1), np.int64)
        if not o["symmetric"]:
            read = (lambda: cursor.signed(4)) if wide else (lambda: cursor.unsigned(1))
            zeros = np.array([read() for _ in range(entries)], np.int64)
            refuse_unless(bool(np.all(np.abs(zeros) <= 2**23)), "zero point")
        self.shifts = []
        if shifted:
            m = cursor.unsigned(1)
            refuse_unless(1 <= m <= 31, "number of shifts")
            self.shifts = [cursor.signed(1) for _ in range(m)]
        if as_before:
            refuse_unless(before is not None and before.shifts != [], "no shifts before these")
            self.shifts = before.shifts
        self.escaped = np.array([cursor.signed(4) for _ in range(escapes)], np.int64)
        refuse_unless(bool(np.all(np.abs(self.escaped) <= 2**24)), "escaped value")
        entry = ((first + np.arange(count)) // inner - first // inner) % dim
        self.width, self.scales, self.zeros = width, scales[entry], zeros[entry]
        self.sign_grid = o["bits"] == 1 and o["symmetric"]

    def values(self, planes):
        symbols = planes[0].astype(np.int64)
        if self.width == 16:
            symbols = 256 * symbols + planes[1]
        q = 2 * symbols - 1 if self.sign_grid else symbols - self.zeros
        points = q.astype(np.float32)
        for j, shift in enumerate(self.shifts, 1):
            points[np.abs(q) == j] = (128 * j - shift) / 128
            points[q == -j] *= -1
        if self.escaped.size:
            at = np.flatnonzero(symbols == 0)
            refuse_unless(at.size == self.escaped.size, "zeros and escapes differ in number")
            points[at] = self.escaped
        with np.errstate(over="ignore"):  # a forged scale may reach infinity
            return points * self.scales
