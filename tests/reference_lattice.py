"""Quantizers `lattice` and `e8p` of the reference decoder, from FORMAT.md alone.

`check` refuses options, `decode` gives the elements of a part as f32. One vector at a time, in
Python integers and fractions of them: slow, and shares no line with the engine.
"""

import functools
import itertools
from fractions import Fraction

import numpy as np
from reference_coders import RejectedError, read_stream

OPTIONS = {
    "lattice": (("lattice", "step", "rdo", "dither", "seed", "wiener"), {}),
    "e8p": (("axis", "group"), {}),
}
DIM = {"z": 1, "d4": 4, "e8": 8, "leech": 24}
GOLAY = [
    0xC75001, 0x49F002, 0xD4B004, 0x6E3008, 0x9B3010, 0xB66020,
    0xECC040, 0x1ED080, 0x3DA100, 0x7B4200, 0xB1D400, 0xE3A800,
]  # fmt: skip


def refuse_unless(condition, rule):
    if not condition:
        raise RejectedError(rule)


def number(value, low, high):
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def check(o, tensor):
    if o["name"] == "e8p":
        rank = len(tensor.shape)
        refuse_unless(o["axis"] is None or o["group"] is None, "axis and group")
        for key, low, high in (("axis", -rank, rank - 1), ("group", 1, 2**20)):
            whole = isinstance(o[key], int) and number(o[key], low, high)
            refuse_unless(o[key] is None or whole, key)
        return
    refuse_unless(isinstance(o["lattice"], str) and o["lattice"] in DIM, "lattice")
    refuse_unless(number(o["step"], 2.0**-126, (2 - 2**-23) * 2.0**127), "step")
    refuse_unless(number(o["rdo"], 0, 1), "rdo")
    refuse_unless(isinstance(o["seed"], int) and number(o["seed"], 0, 2**63 - 1), "seed")
    refuse_unless(all(o[key] in (True, False) for key in ("dither", "wiener")), "flags")
    if o["dither"]:
        refuse_unless(o["lattice"] != "leech" and not o["rdo"], "dither excludes")
    else:
        refuse_unless(o["seed"] == 0 and not o["wiener"], "needs dither")


def decode(cursor, codec, part, inner, dim):
    if codec.quantizer["name"] == "e8p":
        out = decode_e8p(cursor, codec, part, inner, dim)
    else:
        out = decode_lattice(cursor, codec, part)
    refuse_unless(cursor.left == 0, "bytes after the last stream")
    return out


def f32_scale(bits):
    return np.array([bits], np.uint32).view(np.float32)[0]


# ---- lattice


class Streams:
    """Section and streams of a chunk; lengths are asked for one by one, as they become known."""

    def __init__(self, cursor, codec, n_bits, n_integers):
        self.cursor, self.coder = cursor, codec.coder
        bits = cursor.unsigned(4)
        refuse_unless(0x00800000 <= bits < 0x7F800000, "scale")
        self.scale = f32_scale(bits)
        self.widths = [cursor.unsigned(1) for _ in range(n_integers)]
        refuse_unless(all(1 <= width <= 8 for width in self.widths), "width")
        counts = [cursor.varint() if width == 8 else 0 for width in self.widths]
        self.escaped = []
        for count in counts:
            refuse_unless(4 * count <= cursor.left, "escapes")
            self.escaped.append([cursor.signed(4) for _ in range(count)])
            refuse_unless(all(abs(q) <= 2**24 for q in self.escaped[-1]), "escaped value")

    def bits(self, length):
        return read_stream(self.cursor, length, 1, self.coder).tolist() if length else []

    def integers(self, length):
        width, escaped = self.widths.pop(0), self.escaped.pop(0)
        symbols = []
        if length:
            symbols = read_stream(self.cursor, length, width, self.coder).tolist()
        zeros = symbols.count(0) if width == 8 else 0
        refuse_unless(zeros == len(escaped), "zeros and escapes differ in number")
        values = iter(escaped)
        return [next(values) if width == 8 and s == 0 else s - 2 ** (width - 1) for s in symbols]


def in_class_order(values, classes):
    """Entries, for keys of `classes` in order, of a list that is sorted by class."""
    queues = {k: [] for k in set(classes)}
    at = 0
    for k in sorted(queues):
        n = classes.count(k)
        queues[k] = iter(values[at : at + n])
        at += n
    return [next(queues[k]) for k in classes]


def points_z(cursor, codec, n):
    streams = Streams(cursor, codec, 0, 1)
    return streams, [[x] for x in streams.integers(n)]


def points_d4(cursor, codec, n):
    streams = Streams(cursor, codec, 0, 2)
    free = streams.integers(3 * n)
    points = [free[3 * v : 3 * v + 3] for v in range(n)]
    odd = [sum(x) % 2 for x in points]
    last = in_class_order(streams.integers(n), odd)
    return streams, [[*x, 2 * m + p] for x, p, m in zip(points, odd, last, strict=True)]


def points_e8(cursor, codec, n):
    streams = Streams(cursor, codec, 1, 2)
    h = streams.bits(n)
    free = streams.integers(7 * n)
    z = in_class_order([free[7 * k : 7 * k + 7] for k in range(n)], h)
    odd = [sum(row) % 2 for row in z]
    classes = [2 * a + p for a, p in zip(h, odd, strict=True)]
    last = in_class_order(streams.integers(n), classes)
    rows = zip(h, z, odd, last, strict=True)
    return streams, [[2 * q + a for q in [*row, 2 * m + p]] for a, row, p, m in rows]


def points_leech(cursor, codec, n):
    streams = Streams(cursor, codec, 2, 4)
    h, information = streams.bits(n), streams.bits(12 * n)
    words = []
    for v in range(n):
        word = 0
        for k in range(12):
            word ^= GOLAY[k] * information[12 * v + k]
        words.append([word >> i & 1 for i in range(24)])
    classes = [[2 if a else bit for bit in c] for a, c in zip(h, words, strict=True)]
    y = [[0] * 24 for _ in range(n)]
    for k in range(3):
        places = [(v, i) for v in range(n) for i in range(23) if classes[v][i] == k]
        for (v, i), value in zip(places, streams.integers(len(places)), strict=True):
            y[v][i] = value
    odd = []
    for v in range(n):
        z = [mirrored(y[v][i], h[v], words[v][i]) for i in range(23)]
        odd.append((h[v] + sum(z) + h[v] * words[v][23]) % 2)
    last = [3 * p + k[23] for p, k in zip(odd, classes, strict=True)]
    for v, m in enumerate(in_class_order(streams.integers(n), last)):
        y[v][23] = 2 * m + odd[v]
    return streams, [
        [h[v] + 2 * words[v][i] + 4 * mirrored(y[v][i], h[v], words[v][i]) for i in range(24)]
        for v in range(n)
    ]


def mirrored(y, h, c):
    return -1 - y if h and c else y


POINTS = {"z": points_z, "d4": points_d4, "e8": points_e8, "leech": points_leech}


def decode_lattice(cursor, codec, part):
    o = codec.quantizer
    dim = DIM[o["lattice"]]
    n = -(-part.count // dim)
    streams, points = POINTS[o["lattice"]](cursor, codec, n)
    x = np.array(points, np.int64).reshape(-1)
    refuse_unless(bool(np.all(np.abs(x) <= 2**24)), "a coordinate beyond 2^24")
    values = x.astype(np.float32)
    if o["dither"]:
        values -= dither(o["lattice"], o["seed"], part.first, n)
    with np.errstate(over="ignore"):
        return (values * streams.scale)[: part.count]


# ---- dither


def mix(v):
    v = (v ^ v >> 16) * 0x7FEB352D % 2**32
    v = (v ^ v >> 15) * 0x846CA68B % 2**32
    return v ^ v >> 16


def random24(seed, element):
    key = mix((mix((mix(seed % 2**32) + (seed >> 32)) % 2**32) + (element >> 32)) % 2**32)
    return mix((element % 2**32 * 0x9E3779B9 + mix((key + 1) % 2**32)) % 2**32) >> 8


def even(a):
    n = [round(value) for value in a]
    e = [value - near for value, near in zip(a, n, strict=True)]
    d = sum(error * error for error in e)
    if sum(n) % 2:
        j = max(range(len(a)), key=lambda i: (abs(e[i]), -i))
        n[j] += 1 if e[j] >= 0 else -1
        d += 1 - 2 * abs(e[j])
    return n, d


def nearest(name, t):
    if name == "z":
        return [round(t[0])]
    if name == "d4":
        return even(t)[0]
    (n, d), (n_odd, d_odd) = even([a / 2 for a in t]), even([(a - 1) / 2 for a in t])
    return [2 * q + 1 for q in n_odd] if d_odd < d else [2 * q for q in n]


@functools.cache
def dither(name, seed, first, n):
    dim, edge = DIM[name], {"z": 1, "d4": 2, "e8": 4}[name]
    out = []
    for v in range(n):
        r = [random24(seed, first + v * dim + i) for i in range(dim)]
        t = [Fraction((2 * q + 1) * edge, 2**25) for q in r]
        out += [float(a - near) for a, near in zip(t, nearest(name, t), strict=True)]
    return np.array(out, np.float32)


# ---- e8p


@functools.cache
def patterns():
    rows = list(itertools.product((1, 3, 5), repeat=8))
    inner = [row for row in rows if sum(a * a for a in row) <= 40]
    return inner + [row for row in rows if sorted(row) == [1] * 3 + [3] * 5][:29]


def decode_e8p(cursor, codec, part, inner, dim):
    form = cursor.unsigned(1)
    refuse_unless(form <= 1, "form")
    first, count = part.first, part.count
    entries = min(dim, (first + count - 1) // inner - first // inner + 1)
    bits = [cursor.unsigned(2) << 15 if form else cursor.unsigned(4) for _ in range(entries)]
    refuse_unless(all(b == 0 or 0x00800000 <= b < 0x7F800000 for b in bits), "scale")
    n = -(-count // 8)
    low = read_stream(cursor, n, 8, codec.coder).tolist()
    high = read_stream(cursor, n, 8, codec.coder).tolist()
    points = []
    for byte, pattern in zip(low, high, strict=True):
        a = patterns()[pattern]
        signs = [byte >> i & 1 for i in range(8)]
        signs[0] = (sum(signs[1:]) + sum(a) // 2) % 2
        shift = -0.25 if byte & 1 else 0.25
        points += [(-m if s else m) / 2 + shift for m, s in zip(a, signs, strict=True)]
    entry = ((first + np.arange(count)) // inner - first // inner) % dim
    scales = np.array(bits, np.uint32).view(np.float32)[entry]
    with np.errstate(over="ignore"):
        return np.array(points[:count], np.float32) * scales
