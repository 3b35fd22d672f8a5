"""A slow rANS coder, written from FORMAT.md, "rans", and from nothing else.

``decode`` refuses what the page forbids, with `BadStreamError`. ``encode`` codes with the lanes,
raw bits, tables, tiles, escapes and trellis that it is told to use, so that tests reach forms that
the encoder of the kernels does not choose. Its streams are valid, but not those of the kernels.
"""

import numpy as np
from entropy.twin_bits import BadStreamError, Bits, BitsOut, Bytes, varint

ESCAPE = -1  # stands for the escape among the symbols of a table
TRELLISES = {3: (5, 2), 5: (18, 4), 7: (78, 43)}  # a and b of each memory


def width_for(n):
    """The least w with 2^w >= n."""
    return (n - 1).bit_length()


def order_after(p):
    return 0 if p == 0 else p.bit_length() - 1


def next_state(t, symbol, memory):
    """The trellis state after a symbol; 0 for ever without a trellis."""
    a, b = TRELLISES.get(memory, (0, 0))
    return (t >> 1) ^ (t & 1) * a ^ (symbol >> 1 & 1) * b


def kinds(freq, memory):
    """Frequencies of even and of odd symbols, each with the escape's; without a trellis, all."""
    if memory == 0:
        return [freq]
    return [{s: f for s, f in freq.items() if s == ESCAPE or s % 2 == k} for k in (0, 1)]


class Table:
    """Slots of a table given as {coarse symbol or ESCAPE: frequency}."""

    def __init__(self, freq):
        assert sum(freq.values()) == 256
        assert max(freq.values()) <= 255
        self.freq = freq
        owners = sorted(s for s in freq if s != ESCAPE) + [ESCAPE] * (ESCAPE in freq)
        self.owner, self.rank, self.slots = [None] * 256, [0] * 256, {s: [] for s in owners}
        u = 0
        for s in owners:
            for _ in range(freq[s]):
                self.owner[(u >> 1) + 128 * (u & 1)] = s
                u += 1
        for slot, s in enumerate(self.owner):
            self.rank[slot] = len(self.slots[s])
            self.slots[s].append(slot)


def read_table(bits, b, memory):
    """Tables for even and for odd states, or the only one."""
    freq = {}
    escape = bits.gamma() - 1
    if escape > 255:
        raise BadStreamError("escape's frequency")
    if escape > 0:
        freq[ESCAPE] = escape
    symbol, k, before = bits.get(b), 3, None
    while min(sums := [sum(kind.values()) for kind in kinds(freq, memory)]) < 256:
        f = (bits.gamma() - 1 << k) + bits.get(k)
        k = order_after(f)
        if f == 0:
            if before in (None, 0):
                raise BadStreamError("run of zeros in a wrong place")
            symbol += bits.gamma()
        else:
            if symbol >= 1 << b or f > 255:
                raise BadStreamError("symbol or frequency out of range")
            freq[symbol] = f
            symbol += 1
        before = f
    if max(sums) != 256 or len(freq) - (ESCAPE in freq) > 63:
        raise BadStreamError("frequencies do not add up")
    return [Table(kind) for kind in kinds(freq, memory)]


def write_table(bits, tables, b):
    freq = {s: f for table in tables for s, f in table.freq.items()}
    escape = freq.pop(ESCAPE, 0)
    bits.gamma(escape + 1)
    symbol = min(freq)
    bits.put(symbol, b)
    k = 3
    for s in sorted(freq):
        if s > symbol:
            bits.gamma(1)
            bits.put(0, k)
            bits.gamma(s - symbol)
            k = 0
        bits.gamma((freq[s] >> k) + 1)
        bits.put(freq[s] & (1 << k) - 1, k)
        k = order_after(freq[s])
        symbol = s + 1


def decode(payload, count, bits):
    payload = bytes(payload)
    if payload[:1] == b"\x01":
        return decode_masked(payload, count, bits)
    return decode_plain(payload, count, bits, forms=(0, 2))


def decode_masked(payload, count, bits):
    source = Bytes(payload)
    source.u8()
    zero = source.u8()
    n_values = source.varint()
    if zero >> bits or not 1 <= n_values <= count:
        raise BadStreamError("header of the masked form")
    masks = decode_plain(source.take(source.varint()), (count + 3) // 4, 4)
    values = decode_plain(payload[source.at :], n_values, bits)
    ones = ((masks[:, None] >> np.arange(4)) & 1).reshape(-1).astype(bool)
    if ones[count:].any() or ones.sum() != n_values:
        raise BadStreamError("masks and values do not agree")
    out = np.full(count, zero, np.uint8)
    out[ones[:count]] = values
    return out


def decode_plain(payload, count, bits, forms=(0,)):
    source = Bytes(payload)
    form = source.u8()
    if form not in forms:
        raise BadStreamError("form")
    packed, tables = source.u8(), source.u8()
    log_lanes, raw, memory = packed & 15, packed >> 4, 0
    n_tables, ranked, order = (tables & 15) + 1, tables >> 4 & 1, tables >> 5
    if form == 2:
        raw, memory = 0, packed >> 4
        if memory not in TRELLISES or bits < 2:
            raise BadStreamError("trellis")
    if log_lanes > 8 or raw >= bits or (order > 0 and not ranked):
        raise BadStreamError("header")
    lanes, b = 1 << log_lanes, bits - raw
    tile = 256 * source.u8() if n_tables > 1 else 1 << 20
    if tile == 0:
        raise BadStreamError("tile")
    n_escapes = source.varint()
    if n_escapes > count:
        raise BadStreamError("escapes")
    listed = list(source.take(source.u8())) if n_escapes > 0 else []
    in_order = len(set(listed)) == len(listed) if ranked else listed == sorted(set(listed))
    if any(s >> b for s in listed) or not in_order:
        raise BadStreamError("list of escapes")
    if ranked and (not listed or len(listed) - 1 >> order > 31):
        raise BadStreamError("list of ranked escapes")
    escape_bytes = source.varint() if ranked else None

    string = Bits(source)
    tables = [read_table(string, b, memory) for _ in range(n_tables)]
    string.end()
    if n_escapes > 0 and not any(ESCAPE in t[0].freq for t in tables):
        raise BadStreamError("escapes without a table that has one")
    choices = [0]
    if n_tables > 1:
        string = Bits(source)
        choices = [string.get(width_for(n_tables)) for _ in range((count + tile - 1) // tile)]
        string.end()
        if max(choices) >= n_tables:
            raise BadStreamError("choice of a table")
    string, before = Bits(source), source.at
    if listed:
        width = width_for(len(listed))
        get = (lambda: string.rice(order)) if ranked else lambda: string.get(width)
        places = [get() for _ in range(n_escapes)]
        if max(places) >= len(listed):
            raise BadStreamError("place in the list")
        escapes = [listed[k] for k in places]
    else:
        escapes = [string.get(8) for _ in range(n_escapes)]
        if any(s >> b for s in escapes):
            raise BadStreamError("escaped symbol")
    string.end()
    if ranked and source.at - before != escape_bytes:
        raise BadStreamError("bytes of the escapes")
    string = Bits(source)
    low_bits = [string.get(raw) for _ in range(count)] if raw > 0 else [0] * count
    string.end()
    high, low = source.take(lanes), source.take(lanes)
    if 0 in high:
        raise BadStreamError("state below 256")

    x = [256 * a + b for a, b in zip(high, low, strict=True)]
    trellis = [0] * lanes
    escapes = iter(escapes)
    out = np.empty(count, np.uint8)
    for i in range(count):
        lane = i % lanes
        table = tables[choices[i // tile]][trellis[lane] & 1]
        slot = x[lane] % 256
        owner = table.owner[slot]
        state = table.freq[owner] * (x[lane] >> 8) + table.rank[slot]
        x[lane] = state if state >= 256 else 256 * state + source.u8()
        coarse = next(escapes, None) if owner == ESCAPE else owner
        if coarse is None:
            raise BadStreamError("too few escapes")
        out[i] = coarse << raw | low_bits[i]
        trellis[lane] = next_state(trellis[lane], int(out[i]), memory)
    if any(state != 256 for state in x):
        raise BadStreamError("final state")
    if source.at != len(source.data) or next(escapes, None) is not None:
        raise BadStreamError("bytes or escapes left over")
    return out


def fit(coarse, states, memory, keep, escape):
    """Tables, for even and odd states, for these symbols: their ``keep`` most frequent ones and,
    where others are left or ``escape`` asks for it, an escape."""
    kept, left = [], 0
    for k in range(len(kinds({}, memory))):
        mine = coarse[states % 2 == k] if memory else coarse
        symbols, counts = np.unique(mine, return_counts=True)
        fitting = [
            n for n in np.argsort(-counts, kind="stable") if not memory or symbols[n] % 2 == k
        ]
        kept.append({int(symbols[n]): int(counts[n]) for n in fitting[:keep]} or {k: 1})
        left += mine.size - sum(int(counts[n]) for n in fitting[:keep])
    share = 0
    if escape or left or min(map(len, kept)) < 2:
        share = min(max(1, left * 256 // max(1, coarse.size)), 256 - max(map(len, kept)))
    return [normalise(count, share) for count in kept]


def normalise(count, escape):
    """A table of these counts, with this frequency for the escape."""
    total = sum(count.values())
    freq = {s: min(255, max(1, c * (256 - escape) // total)) for s, c in count.items()}
    while (excess := sum(freq.values()) + escape - 256) != 0:
        step = -1 if excess > 0 else 1
        room = [s for s in freq if 1 <= freq[s] + step <= 255]
        freq[max(room, key=lambda s: freq[s])] += step
    return Table(freq | ({ESCAPE: escape} if escape else {}))


def walk(symbols, lanes, memory):
    """The trellis state in which each symbol finds its lane."""
    trellis, states = [0] * lanes, np.zeros(len(symbols), int)
    for i, symbol in enumerate(symbols.tolist()):
        states[i] = trellis[i % lanes]
        trellis[i % lanes] = next_state(trellis[i % lanes], symbol, memory)
    return states


def encode(
    symbols, bits, *, lanes=4, raw=0, n_tables=1, tile=256, keep=63, escape=False, listed=True,
    memory=0, tables=None, ranked=None,
):  # fmt: skip
    """Plain form, or along a trellis of this memory, ``keep`` being that of each kind.

    Tiles take tables in turn, fitted unless given; ``listed`` stores escapes by place in a list,
    ``ranked`` by rank, with so many low bits.
    Symbols that are not of the kind that the state wants are escapes.
    """
    symbols = np.asarray(symbols, np.uint8)
    n, b = symbols.size, bits - raw
    coarse = (symbols >> raw).astype(int)
    states = walk(symbols, lanes, memory)
    n_tiles = (n + tile - 1) // tile
    choices = [t % n_tables for t in range(n_tiles)]
    of_tile = np.arange(n) // tile
    if tables is None:
        parts = [of_tile % n_tables == min(t, n_tiles - 1) for t in range(n_tables)]
        tables = [fit(coarse[part], states[part], memory, keep, escape) for part in parts]

    x, refill, escaped = [256] * lanes, [], []
    for i in range(n - 1, -1, -1):
        table = tables[choices[of_tile[i]]][states[i] & 1]
        s, lane = int(coarse[i]), i % lanes
        if s not in table.freq:
            escaped.append(s)
            s = ESCAPE
        f = table.freq[s]
        if x[lane] >= 256 * f:
            refill.append(x[lane] % 256)
            x[lane] >>= 8
        x[lane] = 256 * (x[lane] // f) + table.slots[s][x[lane] % f]
    escaped.reverse()

    form, high_bits = (2, memory) if memory else (0, raw)
    flags = 0x10 | ranked << 5 if ranked is not None and escaped else 0
    out = bytes([form, lanes.bit_length() - 1 | high_bits << 4, n_tables - 1 | flags])
    if n_tables > 1:
        out += bytes([tile // 256])
    out += varint(len(escaped))
    names = sorted(set(escaped))
    if flags:
        names.sort(key=lambda s: -escaped.count(s))
    string = BitsOut()
    if escaped:
        names = names if listed and len(names) < 256 else []
        out += bytes([len(names)]) + bytes(names)
        for s in escaped:
            if flags:
                string.put((1 << (names.index(s) >> ranked)) - 1, (names.index(s) >> ranked) + 1)
                string.put(names.index(s) & (1 << ranked) - 1, ranked)
            else:
                string.put(names.index(s) if names else s, width_for(len(names)) if names else 8)
    escape_bytes = string.bytes()
    if flags:
        out += varint(len(escape_bytes))
    string = BitsOut()
    for pair in tables:
        write_table(string, pair, b)
    out += string.bytes()
    string = BitsOut()
    for choice in choices if n_tables > 1 else []:
        string.put(choice, width_for(n_tables))
    out += string.bytes() + escape_bytes
    string = BitsOut()
    for s in symbols if raw else []:
        string.put(int(s) & ((1 << raw) - 1), raw)
    out += string.bytes()
    return out + bytes(s >> 8 for s in x) + bytes(s & 255 for s in x) + bytes(reversed(refill))


def encode_masked(symbols, bits, zero, *, mask_options=None, value_options=None):
    symbols = np.asarray(symbols, np.uint8)
    ones = np.zeros((symbols.size + 3) // 4 * 4, int)
    ones[: symbols.size] = symbols != zero
    masks = encode(ones.reshape(-1, 4) @ [1, 2, 4, 8], 4, **(mask_options or {}))
    values = symbols[symbols != zero]
    header = bytes([1, zero]) + varint(values.size) + varint(len(masks))
    return header + masks + encode(values, bits, **(value_options or {}))
