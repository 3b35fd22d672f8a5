"""Streams of lattice points: what they hold, that they come back, and what they cost in bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from search import twin_lattice as twin

from qcodec import CorruptError, _core
from qcodec.search.lattice import LATTICES, nearest, quantize
from qcodec.search.lattice_streams import BIT_STREAMS, from_symbols, merge, split, to_symbols

RANS = 3
NAMES = list(LATTICES)
i32 = np.int32


def points_of(name, n, seed=0, spread=6.0):
    lattice = LATTICES[name]
    y = np.random.default_rng(seed).normal(0, spread, (n, lattice.dim))
    return nearest(y, lattice)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 500])
@pytest.mark.parametrize("spread", [0.5, 6.0, 1e5])
def test_points_come_back_from_their_streams(name, n, spread):
    points = points_of(name, n, spread=spread)
    streams = split(points, name)
    assert all(stream.dtype == i32 and stream.ndim == 1 for stream in streams)
    back = merge(streams, name, n)
    assert back.dtype == i32
    np.testing.assert_array_equal(back, points)


@pytest.mark.parametrize(
    ("name", "sizes"), [("z", (1,)), ("d4", (3, 1)), ("e8", (1, 7, 1)), ("leech", (1, 12, 23, 1))]
)
def test_sizes_of_streams_follow_from_the_number_of_vectors(name, sizes):
    streams = split(points_of(name, 100), name)
    counts = [s.size for s in streams]
    if name == "leech":  # 23 coordinates in three classes
        counts[2:5] = [sum(counts[2:5])]
    assert counts == [100 * size for size in sizes]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_any_integers_in_the_streams_are_points_of_the_lattice(name, seed):
    # What a coder decodes from a damaged file is a point too: nothing has to be checked.
    rng = np.random.default_rng(seed)
    bits = BIT_STREAMS[name]
    streams = [
        s if k < bits else rng.integers(-9, 9, s.size).astype(i32)
        for k, s in enumerate(split(points_of(name, 40), name))
    ]
    points = merge(streams, name, 40)
    assert twin.is_point(points, name).all()
    for a, b in zip(split(points, name), streams, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_streams(points, name, *expected):
    streams = split(np.array(points, i32), name)
    assert [s.tolist() for s in streams] == [list(e) for e in expected]


def test_streams_of_d4_worked_out_by_hand():
    # Sums of the first three: 2, -1, 1. Even ones first: 4 = 2*2; then -3 = 2*(-2) + 1, 1 = 0 + 1.
    points = [[-1, 0, 0, -3], [1, 1, 0, 4], [0, 0, 1, 1]]
    assert_streams(points, "d4", [-1, 0, 0, 1, 1, 0, 0, 0, 1], [2, -2, 0])


def test_streams_of_e8_worked_out_by_hand():
    # h, z and z7 halved: odd, z = (0, 0, 0, 0, 0, 0, -1, 1), odd sum: 1 = 2*0 + 1, class 3;
    # even, z = (1, 1, 0, 0, 0, 0, 0, -2), even sum: -1, class 0;
    # odd, z = (0, ..., 0, 2): 1, class 2; even, z = (1, 0, ..., 0, -1): -1 = 2*(-1) + 1, class 1.
    points = [
        [1, 1, 1, 1, 1, 1, -1, 3],
        [2, 2, 0, 0, 0, 0, 0, -4],
        [1, 1, 1, 1, 1, 1, 1, 5],
        [2, 0, 0, 0, 0, 0, 0, -2],
    ]
    assert twin.is_point(np.array(points), "e8").all()
    free = [1, 1, 0, 0, 0, 0, 0] + [1, 0, 0, 0, 0, 0, 0] + [0, 0, 0, 0, 0, 0, -1] + [0] * 7
    assert_streams(points, "e8", [1, 0, 1, 0], free, [-1, -1, 1, 0])


def test_streams_of_leech_worked_out_by_hand():
    octad = 2 * twin.golay_words()[1]  # coordinates 0, 12, 14, 16, 17, 18, 22 and 23
    moved = octad.copy()
    moved[12] += 4  # z = 1 in coordinate 12, and in the last: 1 = 2*0 + 1
    moved[23] += 4
    odd = [1] * 23 + [-3]  # z = -1 = 2*(-1) + 1 in the last
    points = np.array([odd, octad, moved])
    assert twin.is_point(points, "leech").all()
    # Seven of the first 23 have c = 1, in both even points; coordinate 12 is the second of them.
    two_mod_four = [0] * 7 + [0, 1] + [0] * 5
    information = [0] * 12 + [1, *[0] * 11] * 2
    # Classes of the last: odd 3*1 + 2, octad 1, moved 3*1 + 1. In that order: octad, moved, odd.
    last = [0, 0, -1]
    assert_streams(points, "leech", [1, 0, 0], information, [0] * 32, two_mod_four, [0] * 23, last)


def test_odd_coordinates_of_leech_and_their_negatives_have_the_same_symbols():
    # Minus a point: h stays, c becomes its complement (the code holds the word of all ones).
    points = points_of("leech", 200)
    points = points[points[:, 0] % 2 == 1]
    streams, negative = split(points, "leech"), split(-points, "leech")
    np.testing.assert_array_equal(negative[1], 1 - streams[1])
    np.testing.assert_array_equal(negative[4], streams[4])
    np.testing.assert_array_equal(negative[5], streams[5])


@pytest.mark.parametrize("name", NAMES)
def test_stream_of_another_size_is_corrupt(name):
    streams = split(points_of(name, 10), name)
    for k in range(len(streams)):
        for wrong in (streams[k][:-1], np.append(streams[k], i32(0))):
            forged = [*streams[:k], wrong, *streams[k + 1 :]]
            with pytest.raises(CorruptError, match=f"{streams[k].size} expected"):
                merge(forged, name, 10)


# ---- symbols


@given(hnp.arrays(i32, st.integers(0, 40), elements=st.integers(-200, 200)))
def test_integers_come_back_from_their_symbols(stream):
    symbols, escapes, width = to_symbols(stream)
    assert symbols.dtype == np.uint8
    assert (symbols >> width == 0).all()
    np.testing.assert_array_equal(from_symbols(symbols, escapes, width), stream)


@pytest.mark.parametrize(
    ("stream", "symbols", "escapes", "width"),
    [
        ([], [], [], 1),
        ([0, 0], [1, 1], [], 1),
        ([-1, 0], [0, 1], [], 1),
        ([0, 1], [2, 3], [], 2),
        ([-2, 1], [0, 3], [], 2),
        ([-3], [1], [], 3),
        ([64, 0], [192, 128], [], 8),
        ([127, -127], [255, 1], [], 8),
        ([128, 0, -128, 2**31 - 1], [0, 128, 0, 0], [128, -128, 2**31 - 1], 8),
    ],
)
def test_symbols_worked_out_by_hand(stream, symbols, escapes, width):
    got = to_symbols(np.array(stream, i32))
    assert (got[0].tolist(), got[1].tolist(), got[2]) == (symbols, escapes, width)


@pytest.mark.parametrize("escapes", [[], [200, 200]])
def test_number_of_escapes_is_checked(escapes):
    with pytest.raises(CorruptError, match="escapes for 1 symbols"):
        from_symbols(np.array([0, 128], np.uint8), np.array(escapes, i32), 8)


# ---- bytes


def coded_bits(points, name):
    """Bits of all streams after the rANS coder."""
    streams = split(points, name)
    total = 0
    for k, stream in enumerate(streams):
        symbols, escapes, width = to_symbols(stream)
        if k < BIT_STREAMS[name]:
            symbols, width = stream.astype(np.uint8), 1
        coded = _core.stream_encode(RANS, symbols, width)
        total += 8 * len(coded) if coded else symbols.size * width
        total += 32 * escapes.size
    return total


@pytest.mark.parametrize(
    # dB above the rate-distortion bound of a Gaussian. With 4 Mi weights E8 has 0.96 .. 1.00 and
    # Leech 0.57 .. 0.63; half a million pay more for tables.
    ("name", "step", "gap"),
    [
        ("d4", 1.0758, 1.26), ("d4", 0.5212, 1.29), ("d4", 0.2584, 1.32),
        ("e8", 1.0727, 1.02), ("e8", 0.5212, 1.03), ("e8", 0.2584, 1.03),
        ("leech", 1.0696, 0.66), ("leech", 0.5197, 0.665), ("leech", 0.2584, 0.68),
    ],
)  # fmt: skip
def test_gap_to_the_bound_in_coded_bytes_at_two_three_and_four_bits(name, step, gap):
    w = np.random.default_rng(1).standard_normal(20 * 24 * 1024)
    points, scale = quantize(w, LATTICES[name], step)
    error = ((points.reshape(-1) * float(scale) - w) ** 2).mean()
    bits = coded_bits(points, name) / w.size
    assert 10 * np.log10(error / w.var()) + 6.0206 * bits < gap
