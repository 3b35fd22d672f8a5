"""Sections of `kmeans` and `ternary` for the reference decoder, written from FORMAT.md alone.

`Codebooks(cursor, part, options)` and `Ternary(cursor, part, options)` read a section; `width` is
that of the symbols and `values(planes)` gives the elements as f32. A part has `tensor`, `first` and
`count`. `check(options, tensor)` is for the config. All raise `RejectedError`.
"""

import itertools
import math
import struct

import numpy as np
from reference_coders import RejectedError

OPTIONS = {"kmeans": ("k", "axis", "group", "keep_zeros", "rate"), "ternary": ("sparsity",)}


def refuse_unless(condition, rule):
    if not condition:
        raise RejectedError(rule)


def number(value, low, high):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def check(o, tensor):
    """That a config with the quantizer `o` fits the tensor."""
    refuse_unless(tensor.dtype in ("F16", "BF16", "F32", "F64"), "floating dtypes only")
    if o["name"] == "ternary":
        refuse_unless(number(o["sparsity"], 1, 2) and o["sparsity"] < 2, "sparsity")
        return
    rank = len(tensor.shape)
    for key, low, high in (("k", 1, 256), ("axis", -rank, rank - 1), ("group", 1, 2**20)):
        absent = key != "k" and o[key] is None
        refuse_unless(absent or (isinstance(o[key], int) and number(o[key], low, high)), key)
    refuse_unless(o["axis"] is None or o["group"] is None, "axis and group")
    refuse_unless(o["keep_zeros"] is True or o["keep_zeros"] is False, "keep_zeros")
    refuse_unless(not o["keep_zeros"] or o["k"] >= 2, "keep_zeros needs two entries")
    refuse_unless(number(o["rate"], 0, 1), "rate")
    refuse_unless(not o["rate"] or o["axis"] is o["group"] is None, "rate excludes axis and group")


def group_of(o, shape, n, i):
    """The group of element i, and how often groups have changed before it."""
    inner, dim = max(n, 1), 1
    if o["axis"] is not None:
        axis = o["axis"] % len(shape)
        inner, dim = math.prod(shape[axis + 1 :]), shape[axis]
    elif o["group"] is not None:
        inner, dim = o["group"], -(-n // o["group"])
    return i // inner % dim


class Codebooks:
    """Codebooks by the numbers of their groups, in order of the groups' first elements."""

    def __init__(self, cursor, part, o):
        shape, n = part.tensor.shape, part.tensor.n
        self.groups = [
            group_of(o, shape, n, i) for i in range(part.first, part.first + part.count)
        ]
        met = list(dict.fromkeys(self.groups))
        form = cursor.unsigned(1)
        refuse_unless(form < 32, "form")
        self.width = form % 8 + 1
        if form & 16:
            sizes = [cursor.unsigned(1) + 1 for _ in met]
        else:
            sizes = [cursor.unsigned(1) + 1] * len(met)
        refuse_unless(max(sizes) <= min(o["k"], 2**self.width), "too many entries")
        self.books = {}
        for group, size in zip(met, sizes, strict=True):
            item = 2 if form & 8 else 4
            raw = [cursor.take(item).rjust(4, b"\0") for _ in range(size)]
            book = [struct.unpack("<f", entry)[0] for entry in raw]
            refuse_unless(all(map(math.isfinite, book)), "entries must be finite")
            ascending = all(a < b for a, b in itertools.pairwise(book))
            refuse_unless(ascending, "entries must ascend")
            self.books[group] = book

    def values(self, planes):
        out = []
        for group, symbol in zip(self.groups, planes[0].tolist(), strict=True):
            refuse_unless(symbol < len(self.books[group]), "no such entry")
            out.append(self.books[group][symbol])
        return np.array(out, np.float32)


class Ternary:
    """The scale of three values."""

    width = 2

    def __init__(self, cursor, part, o):
        (self.scale,) = struct.unpack("<f", cursor.take(4))
        positive = math.copysign(1, self.scale) > 0
        refuse_unless(positive and math.isfinite(self.scale), "scale")

    def values(self, planes):
        refuse_unless(not (planes[0] > 2).any(), "a symbol of 3")
        q = planes[0].astype(np.float32) - np.float32(1)
        return q * np.float32(self.scale)


SECTIONS = {"kmeans": Codebooks, "ternary": Ternary}
