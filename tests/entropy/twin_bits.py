"""Bytes and bit strings of FORMAT.md, read and written one at a time."""


class BadStreamError(ValueError):
    """The stream breaks a rule of the page."""


class Bytes:
    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise BadStreamError("truncated")
        self.at += n
        return self.data[self.at - n : self.at]

    def u8(self):
        return self.take(1)[0]

    def varint(self):
        value = 0
        for k in range(9):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * k)
            if byte < 0x80:
                if byte == 0 and k > 0:
                    raise BadStreamError("varint not in its shortest form")
                return value
        raise BadStreamError("varint too long")


class Bits:
    """Reads a bit string that begins where ``source`` stands."""

    def __init__(self, source):
        self.source, self.byte, self.left = source, 0, 0

    def get(self, n):
        value = 0
        for k in range(n):
            if self.left == 0:
                self.byte, self.left = self.source.u8(), 8
            value |= (self.byte & 1) << k
            self.byte >>= 1
            self.left -= 1
        return value

    def rice(self, order):
        ones = 0
        while self.get(1) == 1:
            ones += 1
            if ones > 31:
                raise BadStreamError("place of a ranked escape")
        return (ones << order) + self.get(order)

    def gamma(self):
        zeros = 0
        while self.get(1) == 0:
            zeros += 1
            if zeros > 8:
                raise BadStreamError("gamma code too large")
        return (1 << zeros) + self.get(zeros)

    def end(self):
        if self.byte != 0:
            raise BadStreamError("padding is not zero")


class BitsOut:
    def __init__(self):
        self.value, self.n = 0, 0

    def put(self, value, n):
        assert 0 <= value < 1 << n
        self.value |= value << self.n
        self.n += n

    def gamma(self, value):
        k = value.bit_length() - 1
        self.put(1 << k, k + 1)
        self.put(value - (1 << k), k)

    def bytes(self):
        return self.value.to_bytes((self.n + 7) // 8, "little")


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])
