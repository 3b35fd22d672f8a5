"""Coders of the reference decoder: plain, slow, written from FORMAT.md alone.

`DECODERS` maps a coder's name to ``f(payload, count, bits) -> symbols``, which raises
`RejectedError` for a payload that the page does not allow. A new coder is a function and a row.
"""

import numpy as np
from entropy import twin_bloomier, twin_rans


class RejectedError(Exception):
    """The bytes break a rule of FORMAT.md."""


class Cursor:
    """Reads little-endian fields from bytes, front to back."""

    def __init__(self, data):
        self.data = bytes(data)
        self.at = 0

    @property
    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        if n > self.left:
            raise RejectedError(f"{n} bytes wanted at {self.at}, {self.left} left")
        self.at += n
        return self.data[self.at - n : self.at]

    def unsigned(self, n_bytes):
        return int.from_bytes(self.take(n_bytes), "little")

    def signed(self, n_bytes):
        return int.from_bytes(self.take(n_bytes), "little", signed=True)

    def varint(self):
        value = 0
        for k in range(9):
            byte = self.unsigned(1)
            value |= (byte & 0x7F) << (7 * k)
            if byte < 0x80:
                if byte == 0 and k > 0:
                    raise RejectedError("varint is not in its shortest form")
                return value
        raise RejectedError("varint of more than 9 bytes")


class BitCursor:
    """Reads a bit string: bits fill bytes from bit 0 up, values put their low bit first."""

    def __init__(self, data):
        self.bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").tolist()
        self.at = 0

    def get(self, n):
        if self.at + n > len(self.bits):
            raise RejectedError("bit string ends early")
        value = sum(bit << k for k, bit in enumerate(self.bits[self.at : self.at + n]))
        self.at += n
        return value

    def finish(self):
        """Bytes used; the bits left in the last one must be zero."""
        end = -(-self.at // 8) * 8
        if any(self.bits[self.at : end]):
            raise RejectedError("unused bits are not zero")
        return end // 8


def unpack(data, count, bits):
    """`count` symbols of `bits` bits from a bit string that holds nothing else."""
    assert len(data) == -(-count * bits // 8)
    flat = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    if flat[count * bits :].any():
        raise RejectedError("unused bits are not zero")
    places = 1 << np.arange(bits)
    return (flat[: count * bits].reshape(count, bits) @ places).astype(np.uint8)


def decode_bitpack(payload, count, bits):
    raise RejectedError("bitpack: mode 2 is refused")


def read_lengths(data, bits):
    """Code lengths by symbol from a table, and the bytes it took."""
    cursor = Cursor(data)
    lowest, highest = cursor.unsigned(1), cursor.unsigned(1)
    if highest >> bits:
        raise RejectedError("huffman: a symbol is wider than its plane")
    string = BitCursor(cursor.data[2:])
    lengths = {}
    symbol, previous = lowest, None
    while symbol <= highest:
        if previous is None:
            length = string.get(4)
            legal = 1 <= length <= 11
        else:
            move = string.get(2)
            length = string.get(4) if move == 3 else previous + (1, -1, 2)[move]
            legal = (0 if move == 3 else 1) <= length <= 11 and length != previous
        if not legal:
            raise RejectedError("huffman: code length")
        zeros = 0
        while string.get(1) == 0:
            zeros += 1
        run = (1 << zeros) + string.get(zeros)
        if symbol + run > highest + 1:
            raise RejectedError("huffman: runs end beyond the highest symbol")
        for _ in range(run):
            if length:
                lengths[symbol] = length
            symbol += 1
        previous = length
    if previous in (None, 0):
        raise RejectedError("huffman: the highest symbol has no code")
    if sum(2 ** (11 - length) for length in lengths.values()) != 2**11:
        raise RejectedError("huffman: the code is not complete")
    return lengths, 2 + string.finish()


def canonical_codes(lengths):
    """symbol -> (code, length), as for deflate."""
    codes = {}
    code, previous = -1, 0
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        code = 0 if previous == 0 else (code + 1) << (length - previous)
        codes[symbol] = (code, length)
        previous = length
    return codes


def decode_segment(data, lookup, count):
    """`count` symbols; `lookup` gives (symbol, length) for the next 11 bits, first bit on top."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").astype(np.int64)
    padded = np.concatenate([bits, np.zeros(11, np.int64)])
    windows = sum(padded[k : k + bits.size + 1] << (10 - k) for k in range(11)).tolist()
    at, out = 0, []
    for _ in range(count):
        if at >= bits.size:
            raise RejectedError("huffman: a segment ends early")
        symbol, length = lookup[windows[at]]
        out.append(symbol)
        at += length
    if -(-at // 8) != len(data) or bits[at:].any():
        raise RejectedError("huffman: a segment does not end with its last symbol")
    return out


def decode_huffman(payload, count, bits):
    cursor = Cursor(payload)
    streams = cursor.unsigned(1)
    if streams > 3:
        raise RejectedError("huffman: streams")
    k = 2**streams
    lookup = None
    out = []
    while len(out) < count:
        block = min(65536, count - len(out))
        flag = cursor.unsigned(1)
        if flag > 1 or (flag == 0 and lookup is None):
            raise RejectedError("huffman: table flag")
        if flag == 1:
            lengths, used = read_lengths(cursor.data[cursor.at :], bits)
            cursor.take(used)
            lookup = [None] * 2**11
            for symbol, (code, length) in canonical_codes(lengths).items():
                rest = 11 - length
                lookup[code << rest : (code + 1) << rest] = [(symbol, length)] * 2**rest
        sizes = [cursor.unsigned(2) for _ in range(k)]
        each = -(-block // k)
        for i, size in enumerate(sizes):
            part = max(0, min(block, (i + 1) * each) - i * each)
            out += decode_segment(cursor.take(size), lookup, part)
    if cursor.left:
        raise RejectedError("huffman: bytes after the last block")
    return np.array(out, np.uint8)


def decode_rans(payload, count, bits):
    try:
        return np.asarray(twin_rans.decode(payload, count, bits), np.uint8)
    except twin_rans.BadStreamError as error:
        raise RejectedError(f"rans: {error}") from None


def read_stream(cursor, count, bits, decode):
    """A stream in one of its three modes; `decode` is the coder of mode 2."""
    mode = cursor.unsigned(1)
    if mode > 2:
        raise RejectedError("mode")
    if mode == 0:
        return unpack(cursor.take(-(-count * bits // 8)), count, bits)
    if mode == 1:
        symbol = cursor.unsigned(1)
        if symbol >= 2**bits:
            raise RejectedError("constant symbol")
        return np.full(count, symbol, np.uint8)
    length = cursor.varint()
    if not 1 <= length <= 2**32:
        raise RejectedError("stream length")
    return decode(cursor.take(length), count, bits)


def decode_runs(cursor, count, bits, decode):
    zero, n_values = cursor.unsigned(1), cursor.varint()
    if zero >= 2**bits or n_values >= count:
        raise RejectedError("zero_run: zero symbol or number of values")
    out = np.full(count, zero, np.uint8)
    if n_values == 0:
        return out
    n_gaps = cursor.varint()
    if not n_values <= n_gaps <= n_values + (count - n_values) // 255:
        raise RejectedError("zero_run: number of gap bytes")
    gaps = read_stream(cursor, n_gaps, 8, decode).tolist()
    values = read_stream(cursor, n_values, bits, decode)
    if sum(gap < 255 for gap in gaps) != n_values or gaps[-1] == 255 or zero in values:
        raise RejectedError("zero_run: gaps and values do not match")
    behind = np.cumsum([gap + (gap < 255) for gap in gaps])[np.array(gaps) < 255]
    if behind[-1] > count:
        raise RejectedError("zero_run: a value beyond the last symbol")
    out[behind - 1] = values
    return out


def decode_base3(cursor, count, bits):
    if bits < 2:
        raise RejectedError("zero_run: three symbols in one bit")
    part = -(-count // 5)
    expanded = []
    while cursor.left:
        byte = cursor.unsigned(1)
        expanded += [byte] if byte < 243 else [121] * (byte - 241)
        if len(expanded) > part:
            break
    if len(expanded) != part:
        raise RejectedError("zero_run: number of bytes")
    digits = [byte // power % 3 for power in (81, 27, 9, 3, 1) for byte in expanded]
    if any(digit != 1 for digit in digits[count:]):
        raise RejectedError("zero_run: padding")
    return np.array(digits[:count], np.uint8)


def decode_zero_run(payload, count, bits, then="none"):
    if then not in ("none", "huffman", "rans"):
        raise RejectedError("zero_run: then")
    decode = DECODERS["bitpack" if then == "none" else then]
    cursor = Cursor(payload)
    form = cursor.unsigned(1)
    if form > 1:
        raise RejectedError("zero_run: form")
    out = decode_base3(cursor, count, bits) if form else decode_runs(cursor, count, bits, decode)
    if cursor.left:
        raise RejectedError("zero_run: bytes after the last stream")
    return out


def takes_bloomier(config):
    """Whether the stages and options of a codec with `bloomier` are those that the page allows."""
    coder, quantizer = config["coder"], config["quantizer"]
    good = type(coder["bits"]) is int and 1 <= coder["bits"] <= 16
    good = good and type(coder["seed"]) is int and 0 <= coder["seed"] < 2**28
    whole = (quantizer.get("axis"), quantizer.get("group")) == (None, None)
    values = {
        "uniform": quantizer.get("bits") != 16,
        "ternary": True,
        "kmeans": quantizer.get("keep_zeros") and whole,
    }
    return good and "transform" not in config and bool(values.get(quantizer["name"], False))


def decode_bloomier(payload, count, bits):
    try:
        return twin_bloomier.decode(Cursor(payload), count, bits)
    except twin_bloomier.BadStreamError as error:
        raise RejectedError(f"bloomier: {error}") from None


DECODERS = {
    "bitpack": decode_bitpack,
    "bloomier": decode_bloomier,
    "huffman": decode_huffman,
    "rans": decode_rans,
    "zero_run": decode_zero_run,
}
# Options of coders that have any, in the order of FORMAT.md: keyword arguments of their decoders.
CODER_OPTIONS = {"zero_run": ("then",), "bloomier": ("bits", "seed")}
