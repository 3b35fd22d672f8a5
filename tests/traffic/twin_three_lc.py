"""3LC from qcodec/traffic/WIRE.md alone, one element at a time, in numpy float32 scalars."""

import numpy as np

F32 = np.float32
TOP = np.finfo(F32).max
TINY = F32(2.0**-125)


class RejectedError(Exception):
    """The page says that no sender sends this."""


def bits(value):
    return int(np.array(value, F32).view(np.uint32))


def from_bits(word):
    return np.array(word, np.uint32).view(F32)[()]


def varint(value):
    out = []
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def encode(gradient, residual, sparsity, bfloat16=False):
    """(message, new residual) of a gradient, which may be of any float dtype that f32 holds."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = [F32(b) + F32(t) for b, t in zip(residual.flat, gradient.flat, strict=True)]
    if not np.isfinite(np.array(total, F32)).all():
        raise RejectedError
    most = max([abs(v) for v in total], default=F32(0))
    scale = F32(0)
    if most >= TINY:
        with np.errstate(over="ignore"):
            scale = min(F32(sparsity) * most, TOP)
        if bfloat16:
            scale = from_bits(bits(scale) >> 16 << 16)
    digits, left = [], []
    for v in total:
        q = 0
        if scale and abs(v) > scale / F32(2):
            q = 1 if v > 0 else -1
            v = v - scale if v > 0 else v + scale
        digits.append(q + 1)
        left.append(v)
    header = bytes([gradient.ndim]) + b"".join(varint(d) for d in gradient.shape)
    header += scale.astype("<f4").tobytes()
    return header + shorten(join(digits)), np.array(left, F32).reshape(gradient.shape)


def join(digits):
    part = -(-len(digits) // 5)
    digits = digits + [1] * (5 * part - len(digits))
    return [
        81 * digits[i]
        + 27 * digits[part + i]
        + 9 * digits[2 * part + i]
        + 3 * digits[3 * part + i]
        + digits[4 * part + i]
        for i in range(part)
    ]


def shorten(data):
    out, i = [], 0
    while i < len(data):
        run = 0
        while i + run < len(data) and run < 14 and data[i + run] == 121:
            run += 1
        if run >= 2:
            out.append(241 + run)
            i += run
        else:
            out.append(data[i])
            i += 1
    return bytes(out)


def read_varint(data, at):
    value = 0
    for k in range(9):
        if at == len(data):
            raise RejectedError
        byte = data[at]
        at += 1
        value += (byte % 128) << (7 * k)
        if byte < 128:
            if byte == 0 and k > 0:
                raise RejectedError
            return value, at
    raise RejectedError


def decode(data):
    """The float32 values of a message."""
    if not data or data[0] > 32:
        raise RejectedError
    shape, at = [], 1
    for _ in range(data[0]):
        dim, at = read_varint(data, at)
        shape.append(dim)
    product = 1
    for dim in shape:
        product *= max(dim, 1)
    if product > 2**48 or len(data) < at + 4:
        raise RejectedError
    n = 0 if 0 in shape else product
    scale = from_bits(int.from_bytes(data[at : at + 4], "little"))
    if bits(scale) and not TINY <= scale <= TOP:
        raise RejectedError
    part = -(-n // 5)
    joined = []
    for byte in data[at + 4 :]:
        joined += [byte] if byte < 243 else [121] * (byte - 241)
        if len(joined) > part:
            raise RejectedError
    if len(joined) < part:
        raise RejectedError
    digits = [byte // 3**k % 3 for k in (4, 3, 2, 1, 0) for byte in joined]
    if any(d != 1 for d in digits[n:]) or (scale == 0 and any(d != 1 for d in digits)):
        raise RejectedError
    table = [-scale, F32(0), scale]
    return np.array([table[d] for d in digits[:n]], F32).reshape(shape)
