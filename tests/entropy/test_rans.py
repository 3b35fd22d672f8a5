"""rANS: what is special to it. Rules shared by every coder: test_contracts.py."""

import contextlib
import functools

import numpy as np
import pytest
from conftest import ISAS
from entropy import twin_rans as twin

from qcodec import _core

RANS = _core.coders()["rans"]
TRUNCATED, CORRUPT, UNSUPPORTED = 2, 3, 4


def decode(payload, count, bits):
    return _core.stream_decode(RANS, np.frombuffer(payload, np.uint8), count, bits)


def encode(symbols, bits):
    return _core.stream_encode(RANS, np.ascontiguousarray(symbols, np.uint8), bits)


def failure(payload, count, bits):
    """The code of the failure, which the slow twin must share; None where both decode alike."""
    code, fast, slow = None, None, None
    try:
        fast = decode(payload, count, bits).tobytes()
    except _core.KernelError as error:
        code = error.args[0]
    with contextlib.suppress(twin.BadStreamError):
        slow = twin.decode(payload, count, bits).tobytes()
    assert fast == slow
    assert fast is None or max(fast) >> bits == 0
    assert code in (None, TRUNCATED, CORRUPT, UNSUPPORTED)
    return code


# The example of FORMAT.md, "rans": header, escapes and their list, table, places, high, low, refill.
SYMBOLS = bytes(map(int, "3 4 4 5 3 4 2 4 4 3 5 4 4 4 3 4 6 4 3 4 0 4 5 4".split()))
HEADER, ESCAPES, TABLE, PLACES = "00 01 00", "02 02 02 06", "d0 20 85 40 cb 58 10", "02"
HIGH, LOW, REFILL = "3d 31", "9e 47", "64 27 9d 00"


def example(
    header=HEADER, escapes=ESCAPES, table=TABLE, places=PLACES, high=HIGH, low=LOW, refill=REFILL
):
    return bytes.fromhex(header + escapes + table + places + high + low + refill)


def test_example_of_the_format_page_decodes(isa):
    payload = bytes.fromhex(
        "00 01 00 02 02 02 06 d0 20 85 40 cb 58 10 02 3d 31 9e 47 64 27 9d 00"
    )
    assert payload == example()
    assert decode(payload, 24, 3).tobytes() == SYMBOLS
    assert twin.decode(payload, 24, 3).tobytes() == SYMBOLS


def test_example_with_escapes_as_bytes_decodes(isa):
    # A list size of 0, then the escaped symbols 2 and 6 as they are.
    assert decode(example(escapes="02 00", places="02 06"), 24, 3).tobytes() == SYMBOLS


# ---- streams of the twin


def bell(n, bits, seed=0, spread=8.0):
    """Bell-shaped symbols; every seventh tile or so lies elsewhere, so that tables differ."""
    top = (1 << bits) - 1
    rng = np.random.default_rng([n, bits, seed])
    centre = top * (0.5 + 0.2 * (np.arange(n) // 256 % 7 == 3))
    return np.clip(np.rint(rng.normal(centre, top / spread, n)), 0, top).astype(np.uint8)


@functools.cache
def twin_stream(n, bits, seed=0, **options):
    symbols = bell(n, bits, seed)
    return symbols.tobytes(), twin.encode(symbols, bits, **options)


LANES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
# From few symbols to one more than two rounds of 256 lanes; a tile; a block of the decode loop.
COUNTS = [1, 2, 3, 31, 33, 63, 64, 65, 127, 129, 255, 256, 257, 511, 513, 1000, 8191, 8192, 8193]


@pytest.mark.parametrize("lanes", LANES)
def test_any_number_of_lanes_and_symbols_decodes(isa, lanes):
    for count in COUNTS:
        symbols, payload = twin_stream(count, 6, lanes=lanes, keep=20, escape=True)
        assert decode(payload, count, 6).tobytes() == symbols, count


@pytest.mark.parametrize("lanes", [1, 4, 32, 64, 128, 256])
@pytest.mark.parametrize("bits", range(1, 9))
def test_any_number_of_raw_bits_decodes(isa, bits, lanes):
    for raw in range(bits):
        for escape in (False, True):
            keep = 63 if not escape else max(1, (1 << bits - raw) // 3)
            options = {"lanes": lanes, "raw": raw, "keep": min(keep, 63), "escape": escape}
            symbols, payload = twin_stream(1111, bits, **options)
            assert decode(payload, 1111, bits).tobytes() == symbols, (raw, escape)


@pytest.mark.parametrize("lanes", [2, 32, 64, 256])
@pytest.mark.parametrize("n_tables", [2, 3, 5, 16])
def test_tables_change_from_tile_to_tile(isa, n_tables, lanes):
    for tile, count in [(256, 9000), (512, 4097), (256 * 255, 3000)]:
        for raw, keep in [(0, 40), (2, 10)]:
            options = {"tile": tile, "raw": raw, "keep": keep, "lanes": lanes}
            symbols, payload = twin_stream(count, 6, n_tables=n_tables, **options)
            assert decode(payload, count, 6).tobytes() == symbols, (tile, raw)


@pytest.mark.parametrize("lanes", [1, 64, 256])
def test_table_with_any_number_of_symbols_decodes(isa, lanes):
    # From one symbol with an escape to the most that a table gives.
    for keep in range(1, 64):
        symbols, payload = twin_stream(700, 8, lanes=lanes, keep=keep, escape=keep % 2 == 1)
        assert decode(payload, 700, 8).tobytes() == symbols, keep


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("keep", [1, 3, 30])
@pytest.mark.parametrize("lanes", [1, 4, 64, 256])
def test_escapes_decode_by_place_in_a_list_and_as_bytes(isa, lanes, keep, listed):
    # Nearly all of 20,000 symbols escape with one in the table: more than wait at a time.
    for bits, raw, count in [(8, 0, 20_000), (5, 1, 3000), (3, 0, 999)]:
        options = {"lanes": lanes, "raw": raw, "keep": min(keep, 3 if bits < 8 else 30)}
        symbols, payload = twin_stream(count, bits, listed=listed, **options)
        assert decode(payload, count, bits).tobytes() == symbols


@pytest.mark.parametrize("lanes", [1, 64])
def test_list_of_one_escaped_symbol_takes_no_bits_for_places(isa, lanes):
    symbols = np.where(np.arange(2000) % 9 == 4, 5, 2).astype(np.uint8)
    payload = twin.encode(symbols, 3, lanes=lanes, keep=1)
    # 222 of the numbers 4, 13, .. 1993 = 0xDE: a varint of two bytes; then list size 1 and symbol 5.
    assert payload[3:7] == bytes.fromhex("de 01 01 05")
    np.testing.assert_array_equal(decode(payload, 2000, 3), symbols)


@pytest.mark.parametrize("lanes", [1, 2, 64, 128, 256])
def test_masked_form_decodes(isa, lanes):
    for count in [1, 5, 257, 8191, 8193, 20_001]:
        for share in [0.02, 0.3, 1.0]:
            rng = np.random.default_rng(count)
            hit = rng.random(count) < share
            hit[-1] = True
            symbols = np.where(hit, rng.integers(0, 4, count), 4).astype(np.uint8)
            options = {"lanes": lanes, "keep": 15, "escape": lanes == 2}
            payload = twin.encode_masked(
                symbols, 3, 4, mask_options=options, value_options={"lanes": lanes, "raw": 1}
            )
            np.testing.assert_array_equal(decode(payload, count, 3), symbols)


def every_split(parts, step):
    """Frequencies that add up to 256, the first ones 1, 1 + step, ..."""
    if parts == 1:
        return [[256]]
    heads = range(1, 256, step)
    splits = [[f, *(rest)] for f in heads for rest in every_split(parts - 1, step)]
    splits = [[*s[:-1], 256 - sum(s[:-1])] for s in splits]
    return [s for s in splits if 1 <= s[-1] <= 255]


@pytest.mark.parametrize(("parts", "step", "lanes"), [(2, 1, 1), (2, 1, 64), (3, 17, 64)])
@pytest.mark.parametrize("keep", [3, 1])
def test_every_small_table_decodes(isa, parts, step, lanes, keep):
    # As many symbols as slots, so frequencies are counts; with keep = 1 all but one escape.
    for split in every_split(parts, step):
        symbols, payload = split_stream(tuple(split), lanes, keep)
        assert decode(payload, 256, 3).tobytes() == symbols, split


@functools.cache
def split_stream(split, lanes, keep):
    symbols = np.repeat(np.array([1, 2, 6], np.uint8)[: len(split)], split)
    symbols = np.random.default_rng(split).permutation(symbols)
    if keep >= len(split):
        expected = dict(zip([1, 2, 6], split, strict=False))
        assert twin.fit(symbols, keep, False).freq == expected
    return symbols.tobytes(), twin.encode(symbols, 3, lanes=lanes, keep=keep)


def test_all_splits_are_there():
    # f and 256 - f, f = 1 .. 255; f and g from 1, 18, .. 239 (15 of them), 256 - f - g >= 1: with f =
    # 1 + 17 i and g = 1 + 17 k, i + k <= 14 and so 15 * 16 / 2.
    assert len(every_split(2, 1)) == 255
    assert len(every_split(3, 17)) == 120


# ---- streams of the encoder

KINDS = {
    "bell of 8 bits": (8, lambda rng, n: np.clip(rng.normal(128, 20, n), 0, 255)),
    "bell of 4 bits": (4, lambda rng, n: np.clip(rng.normal(8, 2, n), 0, 15)),
    "steep": (8, lambda rng, n: np.minimum(rng.geometric(0.5, n) - 1, 255)),
    "two": (8, lambda rng, n: 7 + 200 * (rng.random(n) < 0.2)),
    "one bit": (1, lambda rng, n: rng.random(n) < 0.1),
    "rare": (8, lambda rng, n: np.where(rng.random(n) < 0.99, n % 4, rng.integers(0, 256, n))),
    "sparse": (4, lambda rng, n: np.where(rng.random(n) < 0.95, 8, rng.integers(0, 16, n))),
    "drift": (8, lambda rng, n: np.clip(rng.normal(60 + 130 * np.arange(n) / n, 3), 0, 255)),
}
COUNTS_OF_KINDS = [40, 255, 1000, 1025, 8191, 8192, 8193, 20_000, 66_000]


@functools.cache
def kind(name, n):
    bits, make = KINDS[name]
    return bits, make(np.random.default_rng(n), n).astype(np.uint8)


@functools.cache
def portable_stream(name, n):
    """The payload of the portable encoder, or None; the slow twin must decode it."""
    bits, symbols = kind(name, n)
    before = _core.isa()
    _core.set_isa("portable")
    payload = encode(symbols, bits)
    _core.set_isa(before)
    if payload is not None and (n <= 8193 or name == "bell of 8 bits"):
        np.testing.assert_array_equal(twin.decode(payload, n, bits), symbols)
    return payload


@pytest.mark.parametrize("n", COUNTS_OF_KINDS)
@pytest.mark.parametrize("name", KINDS)
def test_every_instruction_set_encodes_the_same_bytes_and_decodes_them(isa, name, n):
    bits, symbols = kind(name, n)
    payload = encode(symbols, bits)
    assert payload == portable_stream(name, n)
    if payload is None:
        assert n <= 255  # tables and states take more than they save
        return
    assert len(payload) < (n * bits + 7) // 8
    np.testing.assert_array_equal(decode(payload, n, bits), symbols)


def test_kinds_reach_what_the_encoder_can_do():
    def streams(n):
        return [p for name in KINDS if (p := portable_stream(name, n)) is not None]

    assert {p[0] for p in streams(66_000)} == {0, 1}  # plain and masked
    plain = [p for n in COUNTS_OF_KINDS for p in streams(n) if p[0] == 0]
    assert {p[1] & 15 for p in plain} >= {0, 1, 3, 5, 6, 7}  # lanes
    assert max(p[1] >> 4 for p in plain) >= 1  # raw bits
    assert max(p[2] for p in plain) >= 1  # several tables


def test_symbols_without_structure_are_not_coded(isa):
    symbols = np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8)
    assert encode(symbols, 8) is None
    assert encode(symbols % 16, 4) is None


@pytest.mark.parametrize("name", ["bell of 8 bits", "bell of 4 bits", "steep", "two", "one bit"])
def test_size_is_within_two_percent_of_the_entropy(name):
    n = 300_000
    bits, symbols = kind(name, n)
    share = np.bincount(symbols) / n
    share = share[share > 0]
    entropy = -n * float(np.sum(share * np.log2(share))) / 8
    assert 0.99 * entropy < len(encode(symbols, bits)) < 1.02 * entropy


def test_levels_that_this_file_runs_are_those_of_the_engine():
    assert _core.best_isa() in ISAS
