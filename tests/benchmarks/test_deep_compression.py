"""Deep Compression's format in the benchmarks: entries, Huffman codes, bytes, by hand."""

import numpy as np
import pytest
from deep_compression import canonical_codes, decode, encode, huffman_lengths, relative_indices


def test_gaps_count_the_zeros_between():
    # Values at 0, 2 and 3: none before the first, one before the second.
    assert relative_indices([5, 0, 1, 2], gap_bits=2) == ([0, 1, 0], [5, 1, 2])


@pytest.mark.parametrize(
    ("zeros", "gaps", "codes"),
    [
        (3, [3], [1]),  # the largest gap of two bits needs no filler
        (4, [3, 0], [0, 1]),  # a filler takes the fourth zero's place
        (5, [3, 1], [0, 1]),
        (8, [3, 3, 0], [0, 0, 1]),
    ],
)
def test_fillers_bridge_what_a_gap_cannot(zeros, gaps, codes):
    assert relative_indices([0] * zeros + [1], gap_bits=2) == (gaps, codes)


def test_zeros_at_the_end_have_no_entry():
    assert relative_indices([1, *[0] * 9], gap_bits=2) == ([0], [1])


def test_huffman_lengths():
    # 1 and 1 join to 2, with 2 to 4, with 5 to 9.
    assert huffman_lengths([5, 0, 1, 2, 1]) == [1, 0, 3, 2, 3]


def test_lone_symbol_takes_a_bit():
    assert huffman_lengths([0, 7]) == [0, 1]


def test_canonical_codes_rise_with_length_then_symbol():
    assert canonical_codes([1, 0, 3, 2, 3]) == {0: "0", 3: "10", 2: "110", 4: "111"}


def test_bytes_of_a_layer():
    # Entries: a filler (gap 3), and the 7 (gap 1). Two codes and two of four gaps, a bit each:
    # lengths 1 1, 0 1 0 1 of five bits; codes 0 1; gaps 1 0, since gap 1 has the lower code.
    weights = np.array([0, 0, 0, 0, 0, 7], np.float32)
    bits = "00001 00001 00000 00001 00000 00001 01 10 000000".replace(" ", "")
    expected = bytes.fromhex("02 01 02000000 0000E040") + int(bits, 2).to_bytes(5, "big")
    assert encode(weights, gap_bits=2) == expected
    np.testing.assert_array_equal(decode(expected, 6), weights)


@pytest.mark.parametrize("gap_bits", [1, 5, 8])
@pytest.mark.parametrize("density", [0.001, 0.02, 0.5, 1])
def test_round_trip(density, gap_bits):
    rng = np.random.default_rng(8)
    values = rng.choice([-2.5, -0.5, 0.25, 3], size=5000).astype(np.float32)
    weights = np.where(rng.random(5000) < density, values, np.float32(0))
    np.testing.assert_array_equal(decode(encode(weights, gap_bits), 5000), weights)


def test_layer_of_zeros():
    assert not decode(encode(np.zeros(9, np.float32), 5), 9).any()
