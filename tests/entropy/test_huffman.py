"""Huffman coding: what is special to it. Rules shared by every coder: test_contracts.py."""

import contextlib
import itertools

import numpy as np
import pytest
import reference_coders
from entropy import twin_huffman as twin

from qcodec import _core

HUFFMAN = _core.coders()["huffman"]
TRUNCATED, CORRUPT = 2, 3


def decode(payload, count, bits):
    return _core.stream_decode(HUFFMAN, np.frombuffer(payload, np.uint8), count, bits).tobytes()


def encode(symbols, bits=8):
    return _core.stream_encode(HUFFMAN, np.frombuffer(bytes(symbols), np.uint8), bits)


def refuses(payload, count, bits):
    """The code of the failure, which the slow twin must share; None where both decode alike."""
    code, fast, slow = None, None, None
    try:
        fast = decode(payload, count, bits)
    except _core.KernelError as failure:
        code = failure.args[0]
    with contextlib.suppress(twin.CorruptError):
        slow = twin.decode(payload, count, bits)
    assert fast == slow
    assert code in (None, TRUNCATED, CORRUPT)
    return code


# Lengths 1, 2, 3, 3 give the codes 0, 10, 110, 111. Table: symbols 0 to 3, then low bit first the
# length 1 (1000), one of it (1), + 1 (00), one (1), + 1 (00), two (010): 91 08. The symbols
# 0 1 2 3 0 0 0 are 0 10 110 111 0 0 0, from bit 0 up: DA 01.
SYMBOLS = bytes([0, 1, 2, 3, 0, 0, 0])
PAYLOAD = bytes.fromhex("00 01 0003 9108 0200 DA01")


def test_stream_worked_out_by_hand(isa):
    assert decode(PAYLOAD, 7, 2) == SYMBOLS
    assert twin.decode(PAYLOAD, 7, 2) == SYMBOLS
    assert twin.encode(SYMBOLS, {0: 1, 1: 2, 2: 3, 3: 3}, 0) == PAYLOAD


@pytest.mark.parametrize("streams", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 63, 1000, 8192, 8193, 65536, 65537, 70001])
def test_any_number_of_segments_and_symbols_decodes(isa, streams, count):
    # Segments are ceil(count / k) symbols, the last ones shorter or empty.
    lengths = {0: 2, 1: 2, 3: 2, 7: 3, 200: 4, 255: 4}
    symbols = np.random.default_rng(count).choice(list(lengths), count).astype(np.uint8).tobytes()
    payload = twin.encode(symbols, lengths, streams)
    assert decode(payload, count, 8) == symbols


@pytest.mark.parametrize("longest", range(1, 12))
def test_codes_of_every_length_decode(isa, longest):
    # 1, 2, 3, ..., longest, longest: the steepest code there is.
    lengths = {k: min(k + 1, longest) for k in range(longest + 1)}
    rng = np.random.default_rng(longest)
    symbols = np.concatenate([rng.integers(0, longest + 1, 3000), np.zeros(1000, int)])
    symbols = rng.permutation(symbols).astype(np.uint8).tobytes()
    assert decode(twin.encode(symbols, lengths, 2), 4000, 4) == symbols


def test_flat_code_of_256_symbols_decodes(isa):
    symbols = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    assert decode(twin.encode(symbols, dict.fromkeys(range(256), 8), 3), 5000, 8) == symbols


DISTRIBUTIONS = {
    "bell": lambda rng, n: np.clip(rng.normal(128, 20, n), 0, 255),
    "narrow bell": lambda rng, n: np.clip(rng.normal(128, 0.6, n), 0, 255),
    "sparse": lambda rng, n: np.where(rng.random(n) < 0.97, 0, rng.integers(0, 256, n)),
    "two": lambda rng, n: 7 + 200 * (rng.random(n) < 0.2),
    "steep": lambda rng, n: np.minimum(rng.geometric(0.5, n) - 1, 255),
    "drift": lambda rng, n: np.clip(rng.normal(60 + 130 * np.arange(n) / n, 3), 0, 255),
    "gaps": lambda rng, n: 16 * rng.binomial(15, 0.5, n),
}


@pytest.mark.parametrize("n", [40, 300, 3000, 20_000, 140_000])
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_stream_of_the_encoder_decodes_slowly_and_fast(kind, n):
    symbols = DISTRIBUTIONS[kind](np.random.default_rng(n), n).astype(np.uint8)
    payload = encode(symbols.tobytes())
    if payload is None:
        assert n == 40  # too few for a table to pay
        return
    assert len(payload) < n
    assert decode(payload, n, 8) == symbols.tobytes()
    np.testing.assert_array_equal(reference_coders.decode_huffman(payload, n, 8), symbols)
    if n <= 3000:
        assert twin.decode(payload, n, 8) == symbols.tobytes()


# ---- sizes


def limited_lengths(counts, limit=11):
    """Optimal code lengths of at most `limit` bits: package-merge as its authors describe it."""
    coins = sorted((count, (symbol,)) for symbol, count in counts.items())
    row = coins
    for _ in range(limit - 1):
        packages = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(row[::2], row[1::2], strict=False)]
        row = sorted(coins + packages)
    lengths = dict.fromkeys(counts, 0)
    for _, symbols in row[: 2 * len(counts) - 2]:
        for symbol in symbols:
            lengths[symbol] += 1
    return lengths


def test_optimal_lengths_worked_out_by_hand():
    # 1 1 2 4 8: the code of Huffman has lengths 4 4 3 2 1; in three bits the best is 3 3 3 3 1.
    counts = dict(enumerate([1, 1, 2, 4, 8]))
    assert list(limited_lengths(counts, 4).values()) == [4, 4, 3, 2, 1]
    assert list(limited_lengths(counts, 3).values()) == [3, 3, 3, 3, 1]


@pytest.mark.parametrize("kind", [*DISTRIBUTIONS, "fibonacci"])
def test_stream_is_no_longer_than_with_an_optimal_table(kind):
    # One block. Fibonacci counts want codes of up to 20 bits, so the limit bites.
    if kind == "fibonacci":
        fibonacci = [1, 1]
        while len(fibonacci) < 21:
            fibonacci.append(sum(fibonacci[-2:]))
        symbols = np.repeat(np.arange(21, dtype=np.uint8), fibonacci)
        symbols = np.random.default_rng(0).permutation(symbols)
    else:
        symbols = DISTRIBUTIONS[kind](np.random.default_rng(8), 30_000).astype(np.uint8)
    payload = encode(symbols.tobytes())
    values, counts = np.unique(symbols, return_counts=True)
    lengths = limited_lengths(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    best = twin.encode(symbols.tolist(), lengths, payload[0])
    assert len(payload) <= len(best)


def test_symbols_without_structure_are_not_coded():
    symbols = np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8)
    assert encode(symbols.tobytes()) is None
    assert _core.stream_encode(HUFFMAN, symbols % 16, 4) is None


# ---- refusals


def table(*fields, ends=(0, 3)):
    """A table from (value, bits) fields and gamma-coded counts as plain ints."""
    writer = twin.BitWriter()
    for field in fields:
        if isinstance(field, tuple):
            writer.bits(*field)
        else:
            k = field.bit_length() - 1
            writer.bits(1 << k, k + 1)
            writer.bits(field - (1 << k), k)
    return bytes(ends) + writer.bytes()


FIRST, UP, DOWN, UP_TWO, NEW = 4, (0, 2), (1, 2), (2, 2), (3, 2)
GOOD = table((1, 4), 1, UP, 1, UP, 2)


def stream_with(table_bytes, streams=0, flag=1, sizes=(2,), segments=b"\xda\x01", more=b""):
    lengths = b"".join(size.to_bytes(2, "little") for size in sizes)
    return bytes([streams, flag]) + table_bytes + lengths + segments + more


def test_helper_builds_the_stream_worked_out_by_hand():
    assert bytes.fromhex("0003 9108") == GOOD
    assert stream_with(GOOD) == PAYLOAD


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        # tables
        (stream_with(table((2, 4), 3, UP, 1)), CORRUPT),  # incomplete: 3/4 + 1/8
        (stream_with(table((1, 4), 4)), CORRUPT),  # over-subscribed: 4 * 1/2
        (stream_with(table((1, 4), 1, UP, 3)), CORRUPT),  # over-subscribed: 1/2 + 3/4
        (stream_with(table((1, 4), 1, ends=(0, 0))), CORRUPT),  # one symbol alone
        (stream_with(table((1, 4), 1, ends=(3, 3))), CORRUPT),
        (stream_with(table((1, 4), 2, ends=(3, 0))), CORRUPT),  # highest below lowest
        (stream_with(table((1, 4), 1, UP, 1, UP, 2, ends=(1, 4))), CORRUPT),  # symbol 4 in two bits
        (stream_with(table((0, 4), 1, NEW, (1, 4), 1, UP, 2)), CORRUPT),  # first length 0
        (stream_with(table((12, 4), 4)), CORRUPT),
        (stream_with(table((15, 4), 4)), CORRUPT),
        (stream_with(table((11, 4), 2, UP, 2)), CORRUPT),  # + 1 beyond 11
        (stream_with(table((10, 4), 2, UP_TWO, 2)), CORRUPT),
        (stream_with(table((1, 4), 2, DOWN, 2)), CORRUPT),  # - 1 to zero
        (stream_with(table((1, 4), 2, NEW, (1, 4), 2)), CORRUPT),  # no change
        (stream_with(table((1, 4), 2, NEW, (0, 4), 2)), CORRUPT),  # the highest has no code
        (stream_with(table((2, 4), 5)), CORRUPT),  # a run beyond the highest symbol
        (stream_with(table((2, 4), 2**20)), CORRUPT),
        (stream_with(GOOD[:3] + bytes([GOOD[3] | 0x80])), CORRUPT),  # padding of the table
        (b"\x00\x01\x00", TRUNCATED),
        (b"\x00\x01\x00\x03", TRUNCATED),
        (b"\x00\x01\x00\x03\x91", TRUNCATED),
        (b"\x00\x01\x00\x03" + bytes(20), CORRUPT),  # zeros without end
        # streams, flags, lengths of segments
        (b"", TRUNCATED),
        (b"\x00", TRUNCATED),
        (stream_with(GOOD, streams=4), CORRUPT),
        (stream_with(GOOD, streams=255), CORRUPT),
        (stream_with(b"", flag=0), CORRUPT),  # no table yet
        (stream_with(GOOD, flag=2), CORRUPT),
        (stream_with(GOOD, sizes=(3,)), TRUNCATED),
        (stream_with(GOOD, sizes=(65535,)), TRUNCATED),
        (stream_with(GOOD, sizes=(1,)), CORRUPT),  # too short
        (stream_with(GOOD, sizes=(0,), segments=b""), CORRUPT),
        (stream_with(GOOD, sizes=(3,), segments=b"\xda\x01\x00"), CORRUPT),  # a byte too many
        (stream_with(GOOD, segments=b"\xda\x11"), CORRUPT),  # bits behind the last code
        (stream_with(GOOD, segments=b"\xda\x81"), CORRUPT),
        (stream_with(GOOD, more=b"\x00"), CORRUPT),
        (stream_with(GOOD)[:-1], TRUNCATED),
        # two segments of 4 and 3 symbols: 0 10 110 111 and 0 0 0
        (stream_with(GOOD, streams=1, sizes=(2, 1), segments=b"\xda\x01\x00"), None),
        (stream_with(GOOD, streams=1, sizes=(1, 2), segments=b"\xda\x01\x00"), CORRUPT),
        (stream_with(GOOD, streams=1, sizes=(2, 0), segments=b"\xda\x01"), CORRUPT),
        (stream_with(GOOD, streams=1, sizes=(2, 2), segments=b"\xda\x01\x00\x00"), CORRUPT),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else "",
)
def test_stream_that_no_writer_writes_is_refused(isa, payload, code):
    assert refuses(payload, 7, 2) == code


def test_explicit_lengths_are_as_good_as_moves(isa):
    longer = table((1, 4), 1, NEW, (2, 4), 1, NEW, (3, 4), 2)
    assert refuses(stream_with(longer), 7, 2) is None


def test_every_vector_of_small_code_lengths_is_judged_as_by_the_slow_twin():
    # All length vectors of four symbols up to five bits: complete codes decode, all others do not.
    taken = 0
    for vector in itertools.product(range(6), repeat=4):
        lengths = {symbol: length for symbol, length in enumerate(vector) if length}
        if not lengths:
            continue
        symbols = bytes([min(lengths)] * 9)
        payload = twin.encode(symbols, lengths, 0)
        complete = sum(2.0**-length for length in lengths.values()) == 1
        assert (refuses(payload, 9, 2) is None) == complete, vector
        taken += complete
    # Orders of (1,1): 6, (1,2,2) and gaps: 12, (2,2,2,2): 1, (1,2,3,3): 12.
    assert taken == 6 + 12 + 1 + 12


@pytest.mark.parametrize("streams", [0, 1, 2, 3])
def test_every_flipped_bit_and_truncation_is_judged_as_by_the_slow_twin(isa, streams):
    symbols = np.random.default_rng(1).choice(6, 150, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    lengths = {0: 1, 1: 2, 2: 4, 3: 4, 4: 4, 5: 4}
    payload = bytearray(twin.encode(symbols.tolist(), lengths, streams))
    for at in range(8 * len(payload)):
        payload[at // 8] ^= 1 << (at % 8)
        refuses(bytes(payload), 150, 3)
        payload[at // 8] ^= 1 << (at % 8)
    for end in range(len(payload)):
        assert refuses(bytes(payload[:end]), 150, 3) is not None
