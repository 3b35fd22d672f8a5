"""`bloomier` from FORMAT.md alone: a decoder, and an encoder by plain elimination.

`decode` shares nothing with the engine. `encode` finds a solution for starts of its own choice, so
that its streams are other ones than the engine's, and the engine must read them all the same.
"""

import math

import numpy as np

WORD = 2**32
PHI = 0x9E3779B9


class BadStreamError(Exception):
    """The bytes break a rule of the page."""


def refuse_unless(condition, rule):
    if not condition:
        raise BadStreamError(rule)


def mix(x):
    x ^= x >> 16
    x = x * 0x7FEB352D % WORD
    x ^= x >> 15
    x = x * 0x846CA68B % WORD
    return x ^ x >> 16


def row_of(p, seed):
    """The eight bytes c0 .. c7 of a position, and its mask of 16 bits."""
    h = mix((seed * PHI + 1) % WORD)

    def byte(j, at):
        return mix(((4 * (at // 4) + j) * PHI + h) % WORD) >> 8 * (at % 4) & 255

    block = p // 16 * 16
    turned = [block + (p + d) % 16 for d in (1, 5, 7, 11)]
    c = [byte(j, p) for j in range(4)] + [byte(j, turned[j]) for j in range(4)]
    return c, (c[0] ^ (c[1] & c[2])) | (c[1] ^ (c[2] & c[3])) << 8


def visits(count):
    """Blocks in the order in which they are visited."""
    blocks = -(-count // 16)
    for first in range(0, blocks, 512):
        k = min(512, blocks - first)
        stride = max(1, k * 40503 // 65536)
        while math.gcd(stride, k) != 1:
            stride += 1
        yield from (first + i * stride % k for i in range(k))


class Bits:
    def __init__(self, data):
        self.bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").tolist()
        self.at = 0

    def get(self, n):
        refuse_unless(self.at + n <= len(self.bits), "bit string ends early")
        self.at += n
        return sum(bit << k for k, bit in enumerate(self.bits[self.at - n : self.at]))


def decode(cursor, count, bits):
    """Symbols of a payload; `cursor` reads bytes and varints."""
    r, zero, lowest, highest = (cursor.unsigned(1) for _ in range(4))
    refuse_unless(1 <= r <= 16 and zero < 2**bits and lowest <= highest < 2**bits, "header")
    n = highest - lowest + 1
    used = Bits(cursor.take(-(-n // 8)))
    symbols = [lowest + k for k in range(n) if used.get(1)]
    refuse_unless(not any(used.bits[n:]), "padding of the symbols in use")
    refuse_unless(symbols and symbols[0] == lowest and symbols[-1] == highest, "ends of the range")
    refuse_unless(zero not in symbols and len(symbols) <= 2**r - 1, "symbols in use")
    keys, seed, tiles, exceptions = (cursor.varint() for _ in range(4))
    refuse_unless(1 <= keys <= count and exceptions <= keys, "keys")
    refuse_unless(seed < WORD and tiles <= count, "seed or tiles")
    g, reference, order = (cursor.unsigned(1) for _ in range(3))
    refuse_unless(6 <= g <= 16 and order <= 15, "bucket or order")
    rows = [cursor.take(r) for _ in range(tiles)]
    string = Bits(cursor.take(cursor.left))

    per = 2 ** (g - 4)
    blocks = -(-count // 16)
    starts, at = {}, 0
    order_of_blocks = list(visits(count))
    for first in range(0, blocks, per):
        ones = 0
        while string.get(1):
            ones += 1
        z = (ones << order) + string.get(order)
        advance = reference + (z // 2 if z % 2 == 0 else -(z + 1) // 2)
        refuse_unless(0 <= advance <= 2**g // 8, "advance")
        for i, block in enumerate(order_of_blocks[first : first + per]):
            starts[block] = at + i * advance // per
            refuse_unless(starts[block] <= tiles, "start")
        at += advance

    table = np.array([*symbols, *[zero] * (2**r - len(symbols))], np.uint8)
    rows += [bytes(r)] * 8
    out = np.empty(count, np.uint8)
    for p in range(count):
        c, word = row_of(p, seed)
        for j, tile in enumerate(rows[starts[p // 16] : starts[p // 16] + 8]):
            for i in range(r):
                word ^= ((c[j] & tile[i]).bit_count() & 1) << i
        out[p] = table[word % 2**r]
    before, width = -1, (count - 1).bit_length()
    for _ in range(exceptions):
        position, word = string.get(width), string.get(r)
        refuse_unless(before < position < count and word < len(symbols), "exception")
        out[position] = table[word]
        before = position
    refuse_unless(len(string.bits) - string.at < 8, "bytes after the last exception")
    refuse_unless(not any(string.bits[string.at :]), "padding")
    return out


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def put_bits(fields):
    bits = [value >> k & 1 for value, width in fields for k in range(width)]
    return np.packbits(np.array(bits, np.uint8), bitorder="little").tobytes()


def encode(symbols, r, zero, seed=0, g=6, spare=4, order=2):
    """A payload whose advances follow the keys; what has no solution becomes an exception."""
    count = len(symbols)
    used = sorted(set(symbols) - {zero})
    keys = [p for p in range(count) if symbols[p] != zero]
    per = 2 ** (g - 4)
    blocks = list(visits(count))
    tiles = (len(keys) + spare + 7) // 8
    advances, starts, at, met = [], {}, 0, 0
    by_block = {block: [p for p in keys if p // 16 == block] for block in blocks}
    for first in range(0, len(blocks), per):
        here = blocks[first : first + per]
        met += sum(len(by_block[block]) for block in here)
        goal = max(at, min(met // 8 - 3, tiles - 8))
        advance = min(goal - at, 2**g // 8)
        advances.append(advance)
        for i, block in enumerate(here):
            starts[block] = at + i * advance // per
        at += advance
    rows, exceptions = {}, []
    for block in blocks:
        for p in by_block[block]:
            c, mask = row_of(p, seed)
            row = sum(byte << 8 * (starts[block] + j) for j, byte in enumerate(c))
            row &= (1 << 8 * tiles) - 1
            value = (used.index(symbols[p]) ^ mask) % 2**r
            while row and (low := (row & -row).bit_length() - 1) in rows:
                row, value = row ^ rows[low][0], value ^ rows[low][1]
            if row:
                rows[low] = (row, value)
            elif value:
                exceptions.append(p)
    solution = {}
    for slot in range(8 * tiles - 1, -1, -1):
        row, value = rows.get(slot, (0, 0))
        for k in range(slot + 1, min(slot + 64, 8 * tiles)):
            if row >> k & 1:
                value ^= solution[k]
        solution[slot] = value
    out = bytes([r, zero, used[0], used[-1]])
    out += put_bits([(v in used, 1) for v in range(used[0], used[-1] + 1)])
    out += b"".join(map(varint, (len(keys), seed, tiles, len(exceptions)))) + bytes([g, 0, order])
    for t in range(tiles):
        slots = [solution[8 * t + k] for k in range(8)]
        out += bytes(sum((slot >> i & 1) << k for k, slot in enumerate(slots)) for i in range(r))
    fields = []
    for advance in advances:
        z = 2 * advance
        fields += [((1 << (z >> order)) - 1, (z >> order) + 1), (z % 2**order, order)]
    for p in sorted(exceptions):
        fields += [(p, (count - 1).bit_length()), (used.index(symbols[p]), r)]
    return out + put_bits(fields)
