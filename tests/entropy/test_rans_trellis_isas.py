"""Streams of `rans` along a trellis: every instruction set decodes the symbols they are of."""

import numpy as np
import pytest

from qcodec import _core

RANS = 3
CODED = 2  # mode of a stream that the coder took on
ALONG_TRELLIS = 2
TAPS = {3: (5, 2), 5: (18, 4), 7: (78, 43)}  # FORMAT.md, "rans", Trellis form


def walk(levels, memory, lanes):
    """The levels, each made even or odd as the state of its lane wants it."""
    a, b = TAPS[memory]
    symbols = np.empty(levels.size, np.uint8)
    states = np.zeros(lanes, np.int64)
    for at in range(0, levels.size, lanes):
        wanted = levels[at : at + lanes]
        state = states[: wanted.size]
        chosen = wanted - (wanted & 1) + (state & 1)
        symbols[at : at + lanes] = chosen
        state[:] = state >> 1 ^ (state & 1) * a ^ (chosen >> 1 & 1) * b
    return symbols


def normal_levels(rng, n, bits, spread):
    middle = 1 << (bits - 1)
    levels = np.rint(rng.standard_normal(n) * spread) + middle
    return np.clip(levels, 0, 2 * middle - 1).astype(np.int64)


# Levels, bits, and what their streams must have: more than one table, escapes.
def few_symbols(rng):
    return normal_levels(rng, 70_001, 3, 0.9), 3, False, False


def gaussian(rng):
    return normal_levels(rng, 70_001, 6, 4.0), 6, None, None


def of_several_scales(rng):
    spreads = np.repeat(rng.choice([0.8, 2.0, 5.0, 9.0], 30), 4096)[:120_007]
    return normal_levels(rng, spreads.size, 6, spreads), 6, True, None


def with_outliers(rng):
    levels = normal_levels(rng, 70_001, 8, 2.5)
    outliers = rng.random(levels.size) < 0.004
    levels[outliers] = rng.integers(0, 256, np.count_nonzero(outliers))
    return levels, 8, None, True


# As many symbols as a table holds, and others: one context has all its 32 entries and the escape.
def more_than_a_table_holds(rng):
    return normal_levels(rng, 70_001, 7, 16.0), 7, None, True


KINDS = (few_symbols, gaussian, of_several_scales, with_outliers, more_than_a_table_holds)


def header_of(stream):
    """Form, memory, lanes, tables and escapes of a coded stream (FORMAT.md, "rans", Plain form)."""
    assert stream[0] == CODED
    at = 1
    while stream[at] & 0x80:
        at += 1
    form, lanes, tables = stream[at + 1 : at + 4]
    escapes = stream[at + 4 + (tables > 0)]
    return form, lanes >> 4, 1 << (lanes & 15), tables + 1, escapes


@pytest.mark.parametrize("lanes", [1, 8, 32, 64, 128, 256])
@pytest.mark.parametrize("memory", sorted(TAPS))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_streams_along_a_trellis_decode_alike(isa, kind, memory, lanes):
    levels, bits, several_tables, escapes = kind(np.random.default_rng(lanes + memory))
    levels = levels[: 600 * lanes + lanes // 2 + 1]
    symbols = walk(levels, memory, lanes)
    stream = _core.stream(RANS, symbols, bits, True, memory, lanes)
    form, *made, n_tables, n_escapes = header_of(stream)
    assert (form, *made) == (ALONG_TRELLIS, memory, lanes)
    if levels.size > 60_000:
        assert several_tables is None or several_tables == (n_tables > 1)
        assert escapes is None or escapes == (n_escapes > 0)
    decoded, taken = _core.read_stream(RANS, np.frombuffer(stream, np.uint8), symbols.size, bits)
    assert taken == len(stream)
    np.testing.assert_array_equal(decoded, symbols)
