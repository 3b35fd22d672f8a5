"""The form of rANS along a trellis. The other forms: test_rans.py."""

import functools
import itertools

import numpy as np
import pytest
from entropy import twin_rans as twin
from entropy.test_rans import CORRUPT, RANS, TRUNCATED, UNSUPPORTED, decode, failure

from qcodec import _core

MEMORIES = list(twin.TRELLISES)


@functools.cache
def along(n, bits, memory, lanes, wrong=0.0, spread=0.12):
    """Bell-shaped symbols, of the kind that the state wants but for a share of `wrong`."""
    rng = np.random.default_rng([n, bits, memory, lanes])
    top = (1 << bits) - 1
    symbols = np.clip(np.rint(rng.normal(top / 2, top * spread, n)), 0, top).astype(int)
    free = rng.random(n) < wrong
    trellis = [0] * lanes
    for i in range(n):
        lane = i % lanes
        if not free[i]:
            symbols[i] += (trellis[lane] & 1) - symbols[i] % 2
        trellis[lane] = twin.next_state(trellis[lane], symbols[i], memory)
    return symbols.astype(np.uint8)


@functools.cache
def twin_stream(n, bits, memory, lanes, wrong=0.0, **options):
    symbols = along(n, bits, memory, lanes, wrong)
    payload = twin.encode(symbols, bits, lanes=lanes, memory=memory, **options)
    np.testing.assert_array_equal(twin.decode(payload, n, bits), symbols)
    return symbols.tobytes(), payload


# ---- trellises, and the page's example


@pytest.mark.parametrize("memory", MEMORIES)
def test_every_state_has_two_ways_in_and_all_are_reached(memory):
    # Two symbols of a kind that differ in bit 1 lead to two states; so each is reached from two.
    ways = [
        twin.next_state(t, symbol, memory)
        for t in range(2**memory)
        for symbol in (t % 2, t % 2 + 2)
    ]
    assert sorted(ways) == sorted(2 * list(range(2**memory)))
    reached = {0}
    for _ in range(memory):
        reached = {twin.next_state(t, symbol, memory) for t in reached for symbol in (0, 2)}
    assert reached == set(range(2**memory))


# The example of FORMAT.md, "rans".
SYMBOLS = bytes(int(digit) for digit in "442446325744")
HEADER, ESCAPES, TABLE = "02 31 00", "01 01 07", "4c 14 c4 9b ed 8f 02"
HIGH, LOW, REFILL = "51 1d", "39 a8", "7e"


def example(header=HEADER, escapes=ESCAPES, table=TABLE, high=HIGH, refill=REFILL, places=""):
    return bytes.fromhex(header + escapes + table + places + high + LOW + refill)


def test_example_of_the_format_page_decodes(isa):
    assert decode(example(), 12, 3).tobytes() == SYMBOLS
    assert twin.decode(example(), 12, 3).tobytes() == SYMBOLS
    # With a list size of 0, the escaped symbol as it is.
    assert decode(example(escapes="01 00", places="07"), 12, 3).tobytes() == SYMBOLS
    states = twin.walk(np.frombuffer(SYMBOLS, np.uint8), 2, 3)
    assert states.reshape(-1, 2).T.tolist() == [[0, 0, 2, 1, 7, 6], [0, 0, 0, 2, 3, 6]]


# ---- streams of the twin


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("lanes", [1, 2, 16, 64, 256])
def test_any_number_of_lanes_and_symbols_decodes(isa, lanes, memory):
    for count in [1, 2, 15, 17, 64, 65, 255, 257, 513, 4097]:
        for escape in (False, True):
            symbols, payload = twin_stream(count, 5, memory, lanes, keep=14, escape=escape)
            assert payload[:2] == bytes([2, lanes.bit_length() - 1 | memory << 4])
            assert decode(payload, count, 5).tobytes() == symbols, (count, escape)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("lanes", [1, 16, 256])
@pytest.mark.parametrize("bits", range(2, 9))
def test_any_width_decodes_with_few_symbols_and_many(isa, bits, lanes, memory):
    for keep, listed in [(1, True), (3, False), (31, True)]:
        symbols, payload = twin_stream(900, bits, memory, lanes, keep=keep, listed=listed)
        assert decode(payload, 900, bits).tobytes() == symbols, keep


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("lanes", [2, 64, 256])
@pytest.mark.parametrize("n_tables", [2, 3, 16])
def test_tables_change_from_tile_to_tile(isa, n_tables, lanes, memory):
    for tile, count, keep in [(256, 5000, 14), (512, 2049, 3), (65_280, 900, 14)]:
        options = {"tile": tile, "keep": keep, "n_tables": n_tables}
        symbols, payload = twin_stream(count, 4, memory, lanes, **options)
        assert decode(payload, count, 4).tobytes() == symbols, tile


@pytest.mark.parametrize("wrong", [0.03, 1.0])
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("lanes", [1, 16, 64, 256])
def test_escaped_symbols_of_the_wrong_kind_decode_as_they_are(isa, lanes, memory, wrong):
    # Their bit 1 moves the state all the same. With 1.0, half of all symbols are of the wrong kind.
    for n_tables, keep in itertools.product([1, 2], [3, 15]):
        options = {"keep": keep, "n_tables": n_tables}
        symbols, payload = twin_stream(3001, 5, memory, lanes, wrong, **options)
        assert decode(payload, 3001, 5).tobytes() == symbols


def test_table_of_63_symbols_of_both_kinds_decodes(isa):
    # 32 even ones of 8 each; of the 31 odd ones, one of 16.
    frequencies = dict.fromkeys(range(63), 8) | {61: 16}
    tables = [[twin.Table(kind) for kind in twin.kinds(frequencies, 3)]]
    symbols = along(2000, 6, 3, 16, spread=0.08)
    assert symbols.max() < 62
    payload = twin.encode(symbols, 6, lanes=16, memory=3, tables=tables)
    assert failure(payload, 2000, 6) is None
    assert decode(payload, 2000, 6).tobytes() == symbols.tobytes()


# ---- streams of the encoder


def encode(symbols, bits, memory, lanes, patient=True):
    """The payload of a stream that is coded."""
    stream = _core.stream(RANS, np.ascontiguousarray(symbols), bits, patient, memory, lanes)
    assert stream[0] == 2
    cursor = twin.Bytes(stream[1:])
    return cursor.take(cursor.varint())


@functools.cache
def portable_stream(*case, patient):
    n, bits, memory, lanes, _wrong, _spread = case
    before = _core.isa()
    _core.set_isa("portable")
    payload = encode(along(*case), bits, memory, lanes, patient)
    _core.set_isa(before)
    np.testing.assert_array_equal(twin.decode(payload, n, bits), along(*case))
    return payload


CASES = [
    (n, bits, memory, lanes, wrong, spread)
    for memory in MEMORIES
    for n, bits, lanes, wrong, spread in [
        (1000, 3, 16, 0.0, 0.12), (8193, 5, 16, 0.0, 0.1), (5003, 8, 32, 0.0, 0.03),
        (12_001, 8, 256, 0.0, 0.15), (9000, 4, 64, 0.0, 0.12), (3000, 4, 2, 0.0, 0.1),
        (3000, 4, 1, 0.0, 0.1), (20_000, 6, 128, 0.0, 0.02), (4000, 2, 16, 0.0, 0.4),
    ]
]  # fmt: skip


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_instruction_set_encodes_the_same_bytes_and_decodes_them(isa, case, patient):
    n, bits, memory, lanes, _, _ = case
    payload = encode(along(*case), bits, memory, lanes, patient)
    assert payload == portable_stream(*case, patient=patient)
    assert payload[0] == 2
    assert payload[1] == lanes.bit_length() - 1 | memory << 4
    np.testing.assert_array_equal(decode(payload, n, bits), along(*case))


@pytest.mark.parametrize("memory", MEMORIES)
def test_size_is_that_of_the_entropy_given_the_state(memory):
    # A bit a symbol less than that of the plain form, which knows nothing of states.
    n, bits = 200_000, 4
    symbols = along(n, bits, memory, 64)
    entropy = 0.0
    for kind in (0, 1):
        share = np.bincount(symbols[symbols % 2 == kind]) / n
        share = share[share > 0]
        entropy -= n * float(np.sum(share * np.log2(share / share.sum()))) / 8
    size = len(encode(symbols, bits, memory, 64))
    assert 0.99 * entropy < size < 1.015 * entropy + 300
    assert abs(len(_core.stream(RANS, symbols, bits, True)) - size - n / 8) < 0.02 * n / 8


def test_symbols_of_one_kind_take_the_plain_form(isa):
    # No trellis leads there; the coder takes what it is given.
    symbols = 2 * np.random.default_rng(0).integers(0, 4, 5000).astype(np.uint8)
    payload = encode(symbols, 3, 3, 16)
    assert payload[0] == 0
    np.testing.assert_array_equal(decode(payload, 5000, 3), symbols)


def test_symbols_that_are_mostly_of_one_kind_take_the_plain_form(isa):
    # More than a table has, and the 63 most frequent ones are even.
    symbols = np.append(np.tile(np.arange(0, 256, 2), 10), 1).astype(np.uint8)
    payload = np.frombuffer(_core.stream(RANS, symbols, 8, True, 3, 16), np.uint8)
    decoded, _ = _core.read_stream(RANS, payload, symbols.size, 8)
    np.testing.assert_array_equal(decoded, symbols)


# ---- refusals


def table_of(frequencies, b=3):
    """A table written as the page says, whether it is one or not."""

    class Raw:
        freq = frequencies

    out = twin.BitsOut()
    twin.write_table(out, [Raw], b)
    return out.bytes().hex()


ESC = twin.ESCAPE
GOOD = {2: 40, 3: 126, 4: 172, 5: 126, 6: 40, ESC: 4}
PAD = 70 * "00"
BAD_STREAMS = {
    **{
        f"memory {memory}": (example(header=f"02 {memory:x}1 00"), CORRUPT)
        for memory in range(16)
        if memory not in MEMORIES
    },
    "512 lanes": (example(header="02 39 00"), CORRUPT),
    "order of escapes that are not ranked": (example(header="02 31 20"), CORRUPT),
    "13 escapes of 12 symbols": (example(escapes="0d 01 07"), CORRUPT),
    "no escapes": (example(escapes="00"), CORRUPT),
    "an escape left": (example(escapes="02 01 07"), CORRUPT),
    "list with an 8": (example(escapes="01 01 08"), CORRUPT),
    "even symbols of 257": (example(table=table_of(GOOD | {4: 173}), refill=PAD), CORRUPT),
    "odd symbols of 257": (example(table=table_of(GOOD | {5: 127}), refill=PAD), CORRUPT),
    "odd symbols of 255": (example(table=table_of(GOOD | {5: 125}), refill=PAD), CORRUPT),
    "no odd symbols": (example(table=table_of({2: 80, 4: 172, ESC: 4}), refill=PAD), CORRUPT),
    "no even symbols": (example(table=table_of({3: 126, 5: 126, ESC: 4}), refill=PAD), CORRUPT),
    "a symbol after both sums": (
        example(table=table_of(GOOD | {7: 1}), refill=PAD),
        CORRUPT,
    ),
    "an even symbol of 256": (
        example(escapes="00", table=table_of({4: 256, 3: 128, 5: 128}), refill=PAD),
        CORRUPT,
    ),
    "symbols of all but the escape": (
        example(table=table_of({2: 128, 4: 128, 3: 128, 5: 128, ESC: 4}), refill=PAD),
        CORRUPT,
    ),
    "bits after the table": (example(table=TABLE[:-2] + "82"), CORRUPT),
    "state below 256 in lane 0": (example(high="00 1d"), CORRUPT),
    "another last byte": (example(refill="7f"), CORRUPT),
    "a byte left": (example() + b"\0", CORRUPT),
    "no last byte": (example()[:-1], TRUNCATED),
    "form 3": (example(header="03 31 00"), UNSUPPORTED),
}


@pytest.mark.parametrize("name", BAD_STREAMS)
def test_stream_with_one_rule_broken_is_refused(isa, name):
    payload, code = BAD_STREAMS[name]
    assert failure(payload, 12, 3) == code


def test_tables_of_the_refusals_are_written_as_the_example_is():
    assert bytes.fromhex(table_of(GOOD)) == bytes.fromhex(TABLE)


def test_64_symbols_in_a_table_are_too_many(isa):
    for last, code in ((62, None), (63, CORRUPT)):
        even = dict.fromkeys(range(0, 64, 2), 8)
        odd = dict.fromkeys(range(1, last + 1, 2), 8)
        odd[1] += 256 - sum(odd.values())
        # One symbol: state 0x800, slot 0 of frequency 8 gives 8 * 8 = 64, and a byte of refill.
        stream = "02 30 00 00" + table_of(even | odd, 6) + "20 00" + ("" if code is None else PAD)
        assert failure(bytes.fromhex(stream), 1, 6) == code


def test_symbols_of_one_bit_follow_no_trellis(isa):
    table = table_of({0: 252, 1: 252, ESC: 4}, 1)
    stream = bytes.fromhex("02 30 00 00" + table + "02 00" + PAD)
    assert failure(stream, 1, 1) == CORRUPT


def test_masks_and_values_follow_no_trellis(isa):
    masks = twin.encode([5, 2], 4)
    values = twin.encode([4, 4, 4], 3, lanes=1, memory=3)
    stream = bytes([1, 0, 3, len(masks)]) + masks
    assert failure(stream + twin.encode([4, 4, 4], 3), 6, 3) is None
    assert failure(stream + values, 6, 3) == UNSUPPORTED
    along_masks = twin.encode([4, 4], 4, lanes=1, memory=3)
    stream = bytes([1, 0, 2, len(along_masks)]) + along_masks
    assert failure(stream + twin.encode([4, 4], 3), 8, 3) == UNSUPPORTED


@functools.cache
def small_streams():
    return {
        "the example": (example(), 12, 3),
        "two tables": (twin_stream(300, 3, 5, 2, n_tables=2, keep=2)[1], 300, 3),
        "16 lanes": (twin_stream(200, 4, 7, 16, 0.05, keep=4, listed=False)[1], 200, 4),
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


@pytest.mark.parametrize("lanes", [16, 64, 256])
def test_damage_amid_a_long_stream_is_judged_as_by_the_slow_twin(isa, lanes):
    payload = twin_stream(3000, 5, 5, lanes, 0.01, n_tables=3, keep=8)[1]
    rng = np.random.default_rng(lanes)
    for _ in range(30):
        damaged = bytearray(payload)
        damaged[rng.integers(len(payload))] ^= int(rng.integers(1, 256))
        failure(bytes(damaged), 3000, 5)
        assert failure(payload[: rng.integers(len(payload))], 3000, 5) in (TRUNCATED, CORRUPT)


@pytest.mark.parametrize("lanes", [16, 256])
def test_escapes_that_turn_into_the_other_kind_are_judged_alike(isa, lanes):
    # Nothing checks them: they lead elsewhere, and what follows is read by other tables.
    _, payload = twin_stream(4000, 5, 7, lanes, keep=4, escape=True)
    fields = twin.Bytes(payload[3:])
    assert fields.varint() > 100
    names = fields.take(fields.u8())
    odd = bytes(sorted(s ^ 1 for s in names))
    assert len(set(odd)) == len(names)
    at = payload.index(names)
    failure(payload[:at] + odd + payload[at + len(odd) :], 4000, 5)
