"""Slow twin of the huffman coder, written from FORMAT.md alone: a decoder that checks all that the
page demands, and an encoder for given code lengths. Neither looks at the C++ sources.
"""

import struct
from collections.abc import Sequence

BLOCK = 65536
MAX_LENGTH = 11


class CorruptError(ValueError):
    """The bytes break a rule of FORMAT.md."""


class BitReader:
    """A bit string: bytes fill from bit 0 up, values put their low bit first."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def bit(self) -> int:
        if self.at >= 8 * len(self.data):
            raise CorruptError("bit string ends too early")
        value = self.data[self.at // 8] >> (self.at % 8) & 1
        self.at += 1
        return value

    def bits(self, count: int) -> int:
        return sum(self.bit() << i for i in range(count))

    def end(self) -> int:
        """Check the padding and return the bytes read."""
        while self.at % 8:
            if self.bit():
                raise CorruptError("padding is not zero")
        return self.at // 8


class BitWriter:
    def __init__(self) -> None:
        self.all: list[int] = []

    def bits(self, value: int, count: int) -> None:
        self.all.extend(value >> i & 1 for i in range(count))

    def bytes(self) -> bytes:
        padded = self.all + [0] * (-len(self.all) % 8)
        return bytes(
            sum(bit << i for i, bit in enumerate(padded[at : at + 8]))
            for at in range(0, len(padded), 8)
        )


def canonical_codes(lengths: dict[int, int]) -> dict[int, str]:
    """Codes as strings of bits, top bit first, from code lengths by symbol."""
    codes = {}
    code = previous = None
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        code = 0 if code is None else (code + 1) << (length - previous)
        previous = length
        codes[symbol] = f"{code:0{length}b}"
    return codes


def read_table(data: bytes, bits: int) -> tuple[dict[int, int], int]:
    """Code lengths by symbol, and the bytes that the table takes."""
    if len(data) < 2:
        raise CorruptError("no table")
    symbol, highest = data[0], data[1]
    if highest >= 2**bits:
        raise CorruptError("symbol too large")
    reader = BitReader(data[2:])
    lengths: dict[int, int] = {}
    previous = None
    while symbol <= highest:
        if previous is None:
            length = reader.bits(4)
            low = 1
        else:
            move = reader.bits(2)
            length = reader.bits(4) if move == 3 else previous + (1, -1, 2)[move]
            low = 0 if move == 3 else 1
        if not low <= length <= MAX_LENGTH or length == previous:
            raise CorruptError("code length")
        k = 0
        while reader.bit() == 0:
            k += 1
        count = 2**k + reader.bits(k)
        if symbol + count > highest + 1:
            raise CorruptError("run too long")
        if length:
            lengths.update((s, length) for s in range(symbol, symbol + count))
        symbol += count
        previous = length
    total = sum(2 ** (MAX_LENGTH - length) for length in lengths.values())
    if highest not in lengths or total != 2**MAX_LENGTH:
        raise CorruptError("code lengths do not add up")
    return lengths, 2 + reader.end()


def decode(data: bytes, count: int, bits: int) -> bytes:
    """The `count` symbols of a coded stream."""
    if not data or data[0] > 3:
        raise CorruptError("number of segments")
    k = 2 ** data[0]
    at = 1
    symbols: list[int] = []
    table: dict[str, int] | None = None
    while len(symbols) < count:
        flag = data[at] if at < len(data) else None
        at += 1
        if flag == 1:
            lengths, used = read_table(data[at:], bits)
            at += used
            table = {code: symbol for symbol, code in canonical_codes(lengths).items()}
        if flag not in (0, 1) or table is None:
            raise CorruptError("table flag")
        if len(data) < at + 2 * k:
            raise CorruptError("lengths of segments")
        sizes = struct.unpack_from(f"<{k}H", data, at)
        at += 2 * k
        m = min(BLOCK, count - len(symbols))
        each = -(-m // k)
        for i, size in enumerate(sizes):
            if len(data) < at + size:
                raise CorruptError("segment ends too early")
            reader = BitReader(data[at : at + size])
            for _ in range(max(0, min(each, m - i * each))):
                code = ""
                while code not in table:
                    code += str(reader.bit())
                symbols.append(table[code])
            if reader.end() != size:
                raise CorruptError("segment ends too late")
            at += size
    if at != len(data):
        raise CorruptError("bytes after the last block")
    return bytes(symbols)


def write_table(lengths: dict[int, int]) -> bytes:
    """The shortest form of a table of code lengths."""
    lowest, highest = min(lengths), max(lengths)
    runs: list[list[int]] = []
    for symbol in range(lowest, highest + 1):
        length = lengths.get(symbol, 0)
        if runs and runs[-1][0] == length:
            runs[-1][1] += 1
        else:
            runs.append([length, 1])
    writer = BitWriter()
    previous = None
    for length, count in runs:
        if previous is None:
            writer.bits(length, 4)
        elif length and length - previous in (1, -1, 2):
            writer.bits((1, -1, 2).index(length - previous), 2)
        else:
            writer.bits(3, 2)
            writer.bits(length, 4)
        k = count.bit_length() - 1
        writer.bits(0, k)
        writer.bits(1, 1)
        writer.bits(count - 2**k, k)
        previous = length
    return bytes([lowest, highest]) + writer.bytes()


def encode(symbols: Sequence[int], lengths: dict[int, int], streams: int) -> bytes:
    """A coded stream with one table, for code lengths by symbol, used by all blocks."""
    codes = canonical_codes(lengths)
    k = 2**streams
    out = bytearray([streams])
    for first in range(0, len(symbols), BLOCK):
        block = symbols[first : first + BLOCK]
        each = -(-len(block) // k)
        out += b"\1" + write_table(lengths) if first == 0 else b"\0"
        segments = []
        for i in range(k):
            writer = BitWriter()
            for symbol in block[i * each : (i + 1) * each]:
                writer.all.extend(map(int, codes[symbol]))
            segments.append(writer.bytes())
        out += struct.pack(f"<{k}H", *map(len, segments)) + b"".join(segments)
    return bytes(out)
