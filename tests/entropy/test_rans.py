"""rANS: what is special to it. Rules shared by every coder: test_contracts.py."""

import contextlib
import functools
import itertools

import numpy as np
import pytest
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


# The example of FORMAT.md, "rans".
SYMBOLS = bytes(int(digit) for digit in "344534244354443464340454")
HEADER, ESCAPES, TABLE, PLACES = "00 01 00", "02 02 02 06", "d0 20 85 40 cb 58 10", "02"
HIGH, LOW, REFILL = "3d 31", "9e 47", "64 27 9d 00"


def example(header=HEADER, escapes=ESCAPES, places=PLACES, high=HIGH, refill=REFILL):
    return bytes.fromhex(header + escapes + TABLE + places + high + LOW + refill)


def test_example_of_the_format_page_decodes(isa):
    payload = bytes.fromhex("00 01 00 02 02 02 06 d0 20 85 40 cb 58 10 02 3d 31 9e 47 64 27 9d 00")
    assert payload == example()
    assert decode(payload, 24, 3).tobytes() == SYMBOLS
    assert twin.decode(payload, 24, 3).tobytes() == SYMBOLS
    # With a list size of 0, the escaped symbols 2 and 6 as they are.
    assert decode(example(escapes="02 00", places="02 06"), 24, 3).tobytes() == SYMBOLS


# ---- streams of the twin


def bell(n, bits):
    """Bell-shaped symbols; every seventh tile or so lies elsewhere, so that tables differ."""
    top = (1 << bits) - 1
    rng = np.random.default_rng([n, bits])
    centre = top * (0.5 + 0.2 * (np.arange(n) // 256 % 7 == 3))
    return np.clip(np.rint(rng.normal(centre, top / 8, n)), 0, top).astype(np.uint8)


@functools.cache
def twin_stream(n, bits, **options):
    symbols = bell(n, bits)
    return symbols.tobytes(), twin.encode(symbols, bits, **options)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_any_number_of_lanes_and_symbols_decodes(isa, lanes):
    for count in [1, 2, 3, 31, 33, 63, 64, 65, 127, 129, 255, 256, 257, 513, 8191, 8192, 8193]:
        symbols, payload = twin_stream(count, 6, lanes=lanes, keep=20, escape=True)
        assert decode(payload, count, 6).tobytes() == symbols, count


@pytest.mark.parametrize("lanes", [1, 4, 32, 64, 128, 256])
@pytest.mark.parametrize("bits", range(1, 9))
def test_any_number_of_raw_bits_decodes(isa, bits, lanes):
    for raw, escape in itertools.product(range(bits), [False, True]):
        keep = min(max(1, (1 << bits - raw) // 3), 63) if escape else 63
        options = {"lanes": lanes, "raw": raw, "keep": keep, "escape": escape}
        symbols, payload = twin_stream(1111, bits, **options)
        assert decode(payload, 1111, bits).tobytes() == symbols, (raw, escape)


@pytest.mark.parametrize("lanes", [2, 32, 64, 256])
@pytest.mark.parametrize("n_tables", [2, 3, 5, 16])
def test_tables_change_from_tile_to_tile(isa, n_tables, lanes):
    for tile, count, raw, keep in [(256, 9000, 0, 40), (512, 4097, 2, 10), (65_280, 3000, 0, 9)]:
        options = {"tile": tile, "raw": raw, "keep": keep, "lanes": lanes}
        symbols, payload = twin_stream(count, 6, n_tables=n_tables, **options)
        assert decode(payload, count, 6).tobytes() == symbols, tile


@pytest.mark.parametrize("lanes", [1, 64, 256])
def test_table_with_any_number_of_symbols_decodes(isa, lanes):
    # From one symbol with an escape to the most that a table gives.
    for keep in range(1, 64):
        symbols, payload = twin_stream(700, 8, lanes=lanes, keep=keep, escape=keep % 2 == 1)
        assert decode(payload, 700, 8).tobytes() == symbols, keep


@pytest.mark.parametrize("lanes", [1, 2, 64, 128, 256])
def test_masked_form_decodes(isa, lanes):
    options = {"lanes": lanes, "keep": 15, "escape": lanes == 2}
    for count, share in itertools.product([1, 5, 257, 8191, 8193, 20_001], [0.02, 0.3, 1.0]):
        rng = np.random.default_rng(count)
        hit = rng.random(count) < share
        hit[-1] = True
        symbols = np.where(hit, rng.integers(0, 4, count), 4).astype(np.uint8)
        values = {"lanes": lanes, "raw": 1}
        payload = twin.encode_masked(symbols, 3, 4, mask_options=options, value_options=values)
        np.testing.assert_array_equal(decode(payload, count, 3), symbols)


PAIRS = [(f, 256 - f) for f in range(1, 256)]
THREES = [(f, g, 256 - f - g) for f in range(1, 255, 17) for g in range(1, 256 - f, 17)]


@pytest.mark.parametrize(("splits", "lanes"), [(PAIRS, 1), (PAIRS, 64), (THREES, 64)])
@pytest.mark.parametrize("keep", [3, 1])
def test_every_small_table_decodes(isa, splits, lanes, keep):
    # As many symbols as slots, so frequencies are counts; with keep = 1 all but one escape.
    for split in splits:
        symbols, payload = split_stream(split, lanes, keep)
        assert decode(payload, 256, 3).tobytes() == symbols, split


@functools.cache
def split_stream(split, lanes, keep):
    symbols = np.repeat(np.array([1, 2, 6], np.uint8)[: len(split)], split)
    symbols = np.random.default_rng(split).permutation(symbols)
    return symbols.tobytes(), twin.encode(symbols, 3, lanes=lanes, keep=keep)


# ---- streams of the encoder

KINDS = {
    "bell of 8 bits": (8, lambda rng, n: np.clip(rng.normal(128, 20, n), 0, 255)),
    "bell of 4 bits": (4, lambda rng, n: np.clip(rng.normal(8, 2, n), 0, 15)),
    "steep": (8, lambda rng, n: np.minimum(rng.geometric(0.5, n) - 1, 255)),
    "two": (8, lambda rng, n: 7 + 200 * (rng.random(n) < 0.2)),
    "one bit": (1, lambda rng, n: rng.random(n) < 0.1),
    "rare": (8, lambda rng, n: np.where(rng.random(n) < 0.99, 2, rng.integers(0, 256, n))),
    "sparse": (4, lambda rng, n: np.where(rng.random(n) < 0.998, 8, rng.integers(0, 16, n))),
    "in runs": (4, lambda rng, n: np.where(np.arange(n) % 512 < 128, rng.integers(0, 9, n), 8)),
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
    streams = [portable_stream(name, n) for name in KINDS for n in COUNTS_OF_KINDS[3:]]
    plain = [p for p in streams if p[0] == 0]
    assert len(plain) < len(streams)  # some are masked
    assert {p[1] & 15 for p in plain} >= {0, 1, 3, 5, 6, 7}  # lanes
    assert max(p[1] >> 4 for p in plain) >= 1  # raw bits
    assert max(p[2] & 15 for p in plain) >= 1  # several tables
    assert {p[2] >> 4 for p in plain} >= {0, 1, 3}  # ranked escapes of orders 0 and 1


@pytest.mark.parametrize("name", ["bell of 8 bits", "bell of 4 bits", "steep", "two", "one bit"])
def test_size_is_within_two_percent_of_the_entropy(name):
    n = 300_000
    bits, symbols = kind(name, n)
    share = np.bincount(symbols) / n
    share = share[share > 0]
    entropy = -n * float(np.sum(share * np.log2(share))) / 8
    assert 0.99 * entropy < len(encode(symbols, bits)) < 1.02 * entropy


# ---- refusals


def table_bits(b, escape, first, *numbers):
    """A table: gamma codes and bits from (value,) and (value, n_bits) fields after the head."""
    out = twin.BitsOut()
    out.gamma(escape + 1)
    out.put(first, b)
    for number in numbers:
        out.gamma(*number) if len(number) == 1 else out.put(*number)
    return out.bytes()


def tiny(table, header="00 00 00", escapes="00", more="02 00"):
    """One symbol in one lane. State 0x200, slot 0 of frequency 128: 128 * 2 + 0 = 256."""
    return bytes.fromhex(header + escapes) + table + bytes.fromhex(more)


# 128 is (128 >> 3) + 1 = 17 in gamma code and 3 low bits; after it k is 7: 2 in gamma code, 7 bits.
F128, THEN128, THEN0 = [(17,), (0, 3)], [(2,), (0, 7)], [(1,), (0, 7)]
EVEN = table_bits(3, 0, 0, *F128, *THEN128)


def test_tiny_stream_and_a_table_with_a_run_decode(isa):
    assert decode(tiny(EVEN), 1, 3).tolist() == [0]
    # 128 for symbol 5, a run of one, then 128 = 128 + 1 in gamma code of order 0 for symbol 7.
    run = table_bits(3, 0, 5, *F128, *THEN0, (1,), (129,))
    assert decode(tiny(run), 1, 3).tolist() == [5]


PAD = 70 * "00"
BAD_TABLES = {
    "sum of 257": table_bits(3, 0, 0, *F128, (2,), (1, 7)),
    "sum of 257 with the escape": table_bits(3, 1, 0, *F128, *THEN128),
    "frequency of 256": table_bits(3, 0, 0, (33,), (0, 3)),
    "zero in front": table_bits(3, 0, 0, (1,), (0, 3), (1,), *F128, *THEN128),
    "zero after a run": table_bits(3, 0, 0, *F128, *THEN0, (1,), (1,), (1,), (129,)),
    "symbol 8 of 3 bits": table_bits(3, 0, 7, *F128, *THEN128),
    "run beyond 3 bits": table_bits(3, 0, 5, *F128, *THEN0, (2,), (129,)),
    "escape of 256": table_bits(3, 256, 0, *F128, *THEN128),
    "gamma code of 512": table_bits(3, 511, 0, *F128, *THEN128),
    "gamma code of 512 for a frequency": table_bits(3, 0, 0, (512,), (0, 3)),
    "bits after the tables": EVEN[:-1] + bytes([EVEN[-1] | 0x80]),
}


def test_table_of_more_than_63_symbols_is_corruption(isa):
    # 4 each: (4 >> 3) + 1 and three low bits; then (4 >> 2) + 1 and two. 4 * 0x40 = 256.
    most = table_bits(8, 4, 0, (1,), (4, 3), *(62 * [(2,), (0, 2)]))
    assert failure(tiny(most, more="40 00"), 1, 8) is None
    longer = table_bits(8, 0, 0, (1,), (4, 3), *(63 * [(2,), (0, 2)]))
    assert failure(tiny(longer, more="40 00" + PAD), 1, 8) == CORRUPT


def masked(masks, values, zero=0, n_values=None):
    masks = twin.encode(masks, 4)
    n_values = len(values) if n_values is None else n_values
    head = bytes([1, zero]) + twin.varint(n_values) + twin.varint(len(masks))
    return head + masks + (twin.encode(values, 3) if len(values) else b"")


def test_masks_and_values_worked_out_by_hand(isa):
    # 5 = 0101: symbols 0 and 2 are values; 2 = 0010: symbol 4 + 1 is.
    payload = masked([5, 2], [1, 2, 3], zero=7)
    assert failure(payload, 6, 3) is None
    assert decode(payload, 6, 3).tolist() == [1, 7, 2, 7, 7, 3]


MASKED = masked([5, 2], [1, 2, 3])
RAW = table_bits(2, 0, 0, *F128, *THEN128)
BAD_STREAMS = (
    {  # payload, count, code; 3 bits
        "form 3": (example(header="03 01 00"), 24, UNSUPPORTED),
        "masked within masked": (MASKED[:4] + b"\1" + MASKED[5:], 6, UNSUPPORTED),
        "512 lanes": (example(header="00 09 00"), 24, CORRUPT),
        "3 raw bits of 3": (example(header="00 31 00"), 24, CORRUPT),
        "tile of no symbols": (example(header="00 01 01 00"), 24, CORRUPT),
        "25 escapes of 24 symbols": (example(escapes="19 02 02 06"), 24, CORRUPT),
        "escapes in a long varint": (example(escapes="82 00 02 02 06"), 24, CORRUPT),
        "list that descends": (example(escapes="02 02 06 02"), 24, CORRUPT),
        "list that repeats": (example(escapes="02 02 02 02"), 24, CORRUPT),
        "list with an 8": (example(escapes="02 02 02 08"), 24, CORRUPT),
        "place 3 in a list of 3": (example(escapes="02 03 02 06 07", places="0c"), 24, CORRUPT),
        "escaped byte 8": (example(escapes="02 00", places="02 08"), 24, CORRUPT),
        "one escape too few": (example(escapes="01 02 02 06", places="00"), 24, CORRUPT),
        "no escapes": (example(escapes="00", places=""), 24, CORRUPT),
        "an escape left": (example(escapes="03 02 02 06"), 24, CORRUPT),
        "escapes that no table has": (tiny(EVEN, escapes="01 01 00"), 1, CORRUPT),
        "bits after the places": (example(places="06"), 24, CORRUPT),
        "bit after the raw bit": (tiny(RAW, "00 10 00", more="03 02 00"), 1, CORRUPT),
        "state below 256 in lane 0": (example(high="00 31"), 24, CORRUPT),
        "state below 256 in lane 1": (example(high="3d 00"), 24, CORRUPT),
        "another last byte": (example(refill="64 27 9d 01"), 24, CORRUPT),
        "a byte left": (example() + b"\0", 24, CORRUPT),
        "no last byte": (example(refill="64 27 9d"), 24, TRUNCATED),
        "nothing": (b"", 24, TRUNCATED),
        # Six symbols: the second mask may use bits 0 and 1 only.
        "a one after the last symbol": (masked([5, 6], [1, 2, 3, 4]), 6, CORRUPT),
        "too many ones": (masked([7, 2], [1, 2, 3]), 6, CORRUPT),
        "too few ones": (masked([5, 0], [1, 2, 3]), 6, CORRUPT),
        "no values": (masked([5, 2], [], n_values=0), 6, CORRUPT),
        "7 values of 6 symbols": (masked([5, 2], [1] * 7), 6, CORRUPT),
        "most frequent symbol 8": (masked([5, 2], [1, 2, 3], zero=8), 6, CORRUPT),
        "no stream of values": (masked([5, 2], [], n_values=3), 6, TRUNCATED),
        "masks cut": (MASKED[:8], 6, TRUNCATED),
        # One value for 30,000 ones, and the other way round: read on, but not beyond memory.
        "29,999 ones too many": (masked([15] * 7500, [1]), 30_000, CORRUPT),
        "29,996 values too many": (masked([0] * 7499 + [15], [1] * 30_000), 30_000, CORRUPT),
    }
    | {name: (tiny(table, more="02 00" + PAD), 1, CORRUPT) for name, table in BAD_TABLES.items()}
)


@pytest.mark.parametrize("name", BAD_STREAMS)
def test_stream_with_one_rule_broken_is_refused(isa, name):
    payload, count, code = BAD_STREAMS[name]
    assert failure(payload, count, 3) == code


def test_stream_of_another_length_or_width_is_refused(isa):
    for count, bits in [(1, 3), (23, 3), (25, 3), (2**20, 3), (24, 1), (24, 2), (24, 4), (24, 8)]:
        assert failure(example(), count, bits) in (TRUNCATED, CORRUPT)


def test_choice_of_a_table_that_is_not_there_is_corruption(isa):
    # Two bits a tile: 0 1 2 0 is 0x24, 0 1 3 0 is 0x34. Three tiles leave two bits.
    for count, wrong in [(1000, b"\x34"), (700, b"\x64")]:
        payload = twin.encode(bell(count, 4), 4, n_tables=3)
        at = payload.rindex(b"\x24", 0, 60)
        assert failure(payload, count, 4) is None
        assert failure(payload[:at] + wrong + payload[at + 1 :], count, 4) == CORRUPT


def test_table_that_the_stream_ends_in_is_truncated(isa):
    for end in range(len(EVEN)):
        assert failure(tiny(EVEN[:end], more=""), 1, 3) == TRUNCATED


# ---- damage


@functools.cache
def small_streams():
    symbols = np.where(np.arange(300) % 11 == 3, np.arange(300) % 8, bell(300, 3))
    few = np.where(np.arange(90) % 7 == 3, np.arange(90) % 4, 5)
    return {
        "the example": (example(), 24, 3),
        "two tables": (twin.encode(symbols, 3, lanes=2, n_tables=2, keep=4), 300, 3),
        "64 lanes": (twin.encode(symbols, 3, lanes=64, raw=1, keep=2, listed=False), 300, 3),
        "masked": (twin.encode_masked(few, 3, 5), 90, 3),
        "ranked": (twin.encode(symbols, 3, lanes=2, keep=2, ranked=1), 300, 3),
    }


@pytest.mark.parametrize("name", small_streams())
def test_every_flipped_bit_and_truncation_is_judged_as_by_the_slow_twin(isa, name):
    payload, count, bits = small_streams()[name]
    assert failure(payload, count, bits) is None
    damaged = bytearray(payload)
    for at in range(8 * len(payload)):
        damaged[at // 8] ^= 1 << at % 8
        failure(bytes(damaged), count, bits)
        damaged[at // 8] ^= 1 << at % 8
    for end in range(len(payload)):
        assert failure(payload[:end], count, bits) in (TRUNCATED, CORRUPT)


@pytest.mark.parametrize("lanes", [4, 64, 256])
def test_damage_amid_a_long_stream_is_judged_as_by_the_slow_twin(isa, lanes):
    options = {"lanes": lanes, "n_tables": 3, "keep": 8, "raw": 1}
    payload = twin_stream(3000, 6, **options)[1]
    rng = np.random.default_rng(lanes)
    for _ in range(40):
        damaged = bytearray(payload)
        damaged[rng.integers(len(payload))] ^= int(rng.integers(1, 256))
        failure(bytes(damaged), 3000, 6)
        assert failure(payload[: rng.integers(len(payload))], 3000, 6) in (TRUNCATED, CORRUPT)
