"""Scales stored as codes, of which kernels read many at a time: 2^(code / 32 - 127)."""

import forge
import numpy as np
import pytest

import qcodec
from qcodec import CorruptError

GROUP = 2
CONFIG = qcodec.parse(f"uniform(bits=8, group={GROUP}) | bitpack").get_config()
F32 = 12  # FORMAT.md, "Dtypes"
LARGEST = 8159
COUNTS = [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 100, 257]


def file_of_codes(codes, base, width):
    """A file whose elements are 1 and -1 times the scales of codes."""
    above = np.asarray(codes, np.uint32) - base
    bits = (above[:, None] >> np.arange(width) & 1).astype(np.uint8)
    packed = np.packbits(bits, bitorder="little").tobytes()
    section = bytes([32, 8]) + base.to_bytes(2, "little") + bytes([width]) + packed
    symbols = bytes([129, 127]) * len(codes)
    return forge.file_of(CONFIG, (GROUP * len(codes),), F32, section + b"\0" + symbols)


def scales_of(codes):
    return (2.0 ** (np.asarray(codes) / 32 - 127)).astype(np.float32)


@pytest.mark.parametrize("width", range(14))
def test_codes_of_every_width_and_number_are_read(isa, width):
    rng = np.random.default_rng(width)
    base = min(4000, LARGEST + 1 - 2**width) if width < 13 else 32
    for count in COUNTS:
        codes = base + rng.integers(0, min(2**width, LARGEST + 1 - base), count)
        with qcodec.safe_open(file_of_codes(codes, base, width)) as f:
            values = f.get_tensor("").reshape(count, GROUP)
        np.testing.assert_array_equal(values[:, 0], scales_of(codes))
        np.testing.assert_array_equal(values[:, 1], -values[:, 0])


@pytest.mark.parametrize("width", [6, 13])
def test_code_beyond_the_grid_is_refused_wherever_it_stands(isa, width):
    count = 40
    base = LARGEST + 2 - 2**width
    for place in range(count):
        codes = np.full(count, base)
        codes[place] = LARGEST + 1
        if base < 32:
            codes += 32 - base
            codes[place] = LARGEST + 1
        with pytest.raises(CorruptError, match="scale codes"):
            qcodec.decode(file_of_codes(codes, int(codes.min()), width))
        codes[place] = LARGEST
        qcodec.decode(file_of_codes(codes, int(codes.min()), width))
