"""Zero runs and the bytes of 3LC: what is special to them. For every coder: test_contracts.py."""

import contextlib
import itertools

import numpy as np
import pytest
import reference_coders
from conftest import ISAS

import qcodec
from qcodec import _core

THEN = {"none": 4, "huffman": 5, "rans": 6}
CODERS = {"none": "bitpack", "huffman": "huffman", "rans": "rans"}
TRUNCATED, CORRUPT, UNSUPPORTED = 2, 3, 4
MEGA = 2**20


def decode(payload, count, bits, then="none"):
    symbols = _core.stream_decode(THEN[then], np.frombuffer(payload, np.uint8), count, bits)
    return symbols.tobytes()


def encode(symbols, bits, then="none"):
    return _core.stream_encode(THEN[then], np.frombuffer(bytes(symbols), np.uint8), bits)


def refuses(payload, count, bits, then="none"):
    """The code of the failure, which the slow twin must share; None where both decode alike."""
    code, fast, slow = None, None, None
    try:
        fast = decode(payload, count, bits, then)
    except _core.KernelError as failure:
        code = failure.args[0]
    with contextlib.suppress(reference_coders.RejectedError):
        slow = reference_coders.decode_zero_run(payload, count, bits, then).tobytes()
    assert fast == slow
    assert code in (None, TRUNCATED, CORRUPT, *[UNSUPPORTED] * (then == "rans"))
    return code


# ---- slow twin of the encoder


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def put_stream(symbols, bits, then="none"):
    if len(set(symbols)) == 1:
        return bytes([1, symbols[0]])
    array = np.array(symbols, np.uint8)
    stored = np.unpackbits(array[:, None], axis=1, bitorder="little")[:, :bits]
    stored = np.packbits(stored, bitorder="little").tobytes()
    coded = _core.stream_encode(_core.coders()[CODERS[then]], array, bits)
    if coded is not None:
        return b"\2" + varint(len(coded)) + coded
    return b"\0" + stored


def runs_of(symbols, bits, zero, then="none"):
    """Form 0 as FORMAT.md describes it."""
    gaps, values, zeros = [], [], 0
    for symbol in symbols:
        if symbol == zero:
            zeros += 1
            continue
        gaps += [255] * (zeros // 255) + [zeros % 255]
        values.append(symbol)
        zeros = 0
    out = bytes([0, zero]) + varint(len(values))
    if values:
        out += varint(len(gaps)) + put_stream(gaps, 8, then) + put_stream(values, bits, then)
    return out


def base3_of(symbols):
    """Form 1 as section 3 of the paper describes it."""
    part = -(-len(symbols) // 5)
    digits = [*symbols, *[1] * (5 * part - len(symbols))]
    weights = (81, 27, 9, 3, 1)
    data = [sum(w * digits[k * part + i] for k, w in enumerate(weights)) for i in range(part)]
    out = bytearray([1])
    for byte, run in itertools.groupby(data):
        left = len(list(run))
        while byte == 121 and left > 1:
            out.append(243 + min(left, 14) - 2)
            left -= min(left, 14)
        out += bytes([byte]) * left
    return bytes(out)


def sparse(n, zero_part, zero, bits, seed=0):
    rng = np.random.default_rng([n, seed])
    symbols = rng.integers(0, 2**bits, n)
    return np.where(rng.random(n) < zero_part, zero, symbols).astype(np.uint8)


def ternary(n, zero_part, seed=0):
    rng = np.random.default_rng([n, seed])
    return np.where(rng.random(n) < zero_part, 1, 2 * rng.integers(0, 2, n)).astype(np.uint8)


# ---- worked out by hand

# (symbols, bits, payload): Z, m, gap bytes, gaps, values; then 40 = 27 + 9 + 3 + 1, 202 = 162 + 40.
BY_HAND = {
    "two values": ([7, 7, 3, 7, 7, 7, 1, 7], 3, "00 07 02 02 0002 03 000B"),
    "value first": ([3, 0, 0, 0], 2, "00 00 01 01 0100 0103"),
    "value last": ([0, 0, 0, 2], 2, "00 00 01 01 0103 0102"),
    "one zero": ([0, 1, 2, 1], 2, "00 00 03 03 00010000 0019"),
    "all values but one": ([1, 2, 1, 0], 2, "00 00 03 03 0100 0019"),
    "all zero": ([5] * 9, 3, "00 05 00"),
    "gap of 254": ([0] * 254 + [1], 1, "00 00 01 01 01FE 0101"),
    "gap of 255": ([0] * 255 + [1], 1, "00 00 01 02 00FF00 0101"),
    "gap of 510": ([0] * 510 + [1, 0], 1, "00 00 01 03 00FFFF00 0101"),
    "m of two bytes": ([1, 0] * 128, 1, "00 00 8001 8001 00 00" + 127 * "01" + " 0101"),
    "no padding": ([0, 1, 2, 1, 1], 2, "01 31"),
    "one symbol": ([2], 2, "01 CA"),
    "three parts": ([0, 1, 2] + [1] * 9, 2, "01 28 79 CA"),
    "half a part": ([0, 0, 2], 8, "01 16"),
    "all 2": ([2] * 10, 2, "01 F2 F2"),
    "ones of 1 byte": ([1] * 5, 2, "01 79"),
    "ones of 2 bytes": ([1] * 10, 2, "01 F3"),
    "ones of 3 bytes": ([1] * 11, 2, "01 F4"),
    "ones of 14 bytes": ([1] * 70, 2, "01 FF"),
    "ones of 15 bytes": ([1] * 75, 2, "01 FF 79"),
    "ones of 28 bytes": ([1] * 140, 2, "01 FF FF"),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_stream_worked_out_by_hand(isa, name):
    symbols, bits, payload = BY_HAND[name]
    payload = bytes.fromhex(payload)
    assert decode(payload, len(symbols), bits) == bytes(symbols)
    assert reference_coders.decode_zero_run(payload, len(symbols), bits).tolist() == symbols
    twin = base3_of(symbols) if payload[0] else runs_of(symbols, bits, payload[1])
    assert twin == payload


def test_paper_says_280_for_zeros(isa):
    # Section 3.3: 14 bytes of five values in a byte, against float32. Runs are shorter still.
    payload = base3_of([1] * MEGA)
    assert 4 * MEGA / len(payload) > 279.9
    assert decode(payload, MEGA, 2) == bytes([1]) * MEGA
    assert encode(bytes([1]) * MEGA, 2) == bytes.fromhex("00 01 00")


def test_dense_ternary_symbols_take_eight_fifths_of_a_bit():
    assert len(encode(ternary(MEGA, 1 / 3).tobytes(), 2)) <= 1 + -(-MEGA // 5)


# ---- encoder against the slow twin

EDGES = [
    *range(1, 12), 31, 32, 33, 63, 64, 65, 127, 128, 129, 159, 160, 161, 254, 255, 256, 257, 319,
    320, 321, 325, 639, 641, 700, 1000, 4095, 8191, 8192, 8193, 16385, 40961,
]  # fmt: skip


@pytest.mark.parametrize("zero_part", [0.0, 0.3, 0.6, 0.9, 0.97, 0.999])
def test_ternary_stream_is_the_shorter_of_the_two_forms(isa, zero_part):
    for n in EDGES:
        symbols = ternary(n, zero_part).tolist()
        zero = int(np.bincount(symbols).argmax())
        forms = [base3_of(symbols), runs_of(symbols, 2, zero)]
        shorter = min(forms, key=len)  # the first of equals
        payload = encode(symbols, 2)
        if len(shorter) < -(-n // 4):
            assert payload == shorter, n
            assert decode(payload, n, 2) == bytes(symbols), n
        else:
            assert payload is None, n
        for form in forms:
            assert decode(form, n, 2) == bytes(symbols), n


@pytest.mark.parametrize("then", THEN)
@pytest.mark.parametrize("zero_part", [0.0, 0.5, 0.9, 0.99, 0.9995])
def test_stream_of_runs_is_that_of_the_slow_twin(isa, then, zero_part):
    for n, bits in itertools.product(EDGES, (4, 8)):
        symbols = sparse(n, zero_part, 2**bits - 2, bits).tolist()
        zero = int(np.bincount(symbols).argmax())
        payload = encode(symbols, bits, then)
        if payload is not None:
            assert payload[:2] == bytes([0, zero]), n
            assert decode(payload, n, bits, then) == bytes(symbols), n
            slow = reference_coders.decode_zero_run(payload, n, bits, then)
            assert slow.tolist() == symbols, n
            assert then != "none" or payload == runs_of(symbols, bits, zero), n
        twin = runs_of(symbols, bits, zero, then)
        assert decode(twin, n, bits, then) == bytes(symbols), n


# Runs that begin and end around vectors and blocks.
GAPS = [0, 1, 31, 32, 33, 63, 64, 65, 254, 255, 256, 509, 510, 511, 8190, 8191, 8192, 8193, 20_000]


@pytest.mark.parametrize("gap", GAPS)
def test_gaps_of_any_length_survive(isa, gap):
    symbols = bytearray()
    for k in range(5):
        symbols += bytes(gap) + bytes([1 + k]) * (1 + 3 * k)
    symbols += bytes(gap + 1)
    payload = runs_of(symbols, 3, 0)
    assert decode(payload, len(symbols), 3) == symbols
    if len(payload) < -(-3 * len(symbols) // 8) and gap > 1:
        assert encode(symbols, 3) == payload


@pytest.mark.parametrize("run", [1, 2, 13, 14, 15, 16, 28, 29, 31, 32, 33, 63, 64, 65, 200, 1000])
def test_runs_of_bytes_of_any_length_survive_in_form_1(isa, run):
    # All five parts alike, so that the bytes are 0, 121 and 242.
    for lead in (0, 1, 2, 31, 50, 63, 64, 65):
        part = [0] * lead + [1] * run + [2, 1, 0] + [1] * run + [2] * 40 + [1] * run
        symbols = 5 * part
        payload = base3_of(symbols)
        assert decode(payload, len(symbols), 2) == bytes(symbols)
        made = encode(symbols, 2)
        assert made in (payload, runs_of(symbols, 2, int(np.bincount(symbols).argmax())))


@pytest.mark.parametrize("then", THEN)
@pytest.mark.parametrize("n", [MEGA - 1, MEGA])
@pytest.mark.parametrize("zero_part", [0.4, 0.95, 0.9999])
def test_whole_chunk_survives(isa, then, n, zero_part):
    for symbols, bits in ((ternary(n, zero_part), 2), (sparse(n, zero_part, 16, 5), 5)):
        payload = encode(symbols.tobytes(), bits, then)
        if payload is not None:
            assert decode(payload, n, bits, then) == symbols.tobytes()


def test_bytes_do_not_depend_on_the_instruction_set():
    made = {}
    before = _core.isa()
    for level in ISAS[: ISAS.index(_core.best_isa()) + 1]:
        _core.set_isa(level)
        made[level] = [
            encode(symbols.tobytes(), bits, then)
            for then in THEN
            for n in (5, 64, 1000, 8193, 100_003, 300_001)
            for zero_part in (0.3, 0.8, 0.97)
            for symbols, bits in (
                (ternary(n, zero_part), 2), (sparse(n, zero_part, 3, 4), 4),
                (sparse(n, zero_part, 200, 8), 8),
            )
        ]  # fmt: skip
    _core.set_isa(before)
    assert all(blobs == made["portable"] for blobs in made.values())


def test_coded_parts_are_shorter_than_stored_ones():
    # A tenth are values: 0.8 + 0.5 bits a symbol stored, about 0.47 + 0.5 by entropy.
    symbols = sparse(MEGA, 0.9, 0, 5).tobytes()
    sizes = {then: len(encode(symbols, 5, then)) for then in THEN}
    assert sizes["rans"] < 0.8 * sizes["none"]
    assert sizes["huffman"] < 0.8 * sizes["none"]


def test_symbols_that_are_not_sparse_are_left_alone():
    rng = np.random.default_rng(0)
    assert encode(rng.integers(0, 256, 50_000, dtype=np.uint8), 8) is None
    assert encode(rng.integers(0, 2, 50_000, dtype=np.uint8), 1) is None
    assert encode(np.arange(250, dtype=np.uint8), 8) is None


# ---- options


def test_options_that_name_no_coder_are_refused():
    with pytest.raises(ValueError, match="then must be one of none, huffman, rans"):
        qcodec.ZeroRun(then="zero_run")
    with pytest.raises(TypeError, match="then must be a string"):
        qcodec.ZeroRun(then=3)
    with pytest.raises(qcodec.InputError, match="then must be one of"):
        qcodec.parse("lossless | zero_run(then='bitpack')")


@pytest.mark.parametrize("then", THEN)
def test_coder_of_the_parts_is_an_option_of_the_codec(isa, then):
    coder = qcodec.ZeroRun(then=then)
    assert (coder.wire_id, coder.get_config()) == (THEN[then], {"name": "zero_run", "then": then})
    assert qcodec.parse(f"lossless | {coder}").coder == coder
    array = sparse(30_000, 0.9, 0, 8)
    blob = qcodec.encode(array, qcodec.Lossless() | coder)
    assert len(blob) < 0.3 * array.size
    np.testing.assert_array_equal(qcodec.decode(blob), array)
    with qcodec.safe_open(blob) as f:
        assert f.get_codec("").coder == coder
        np.testing.assert_array_equal(f.get_slice("")[20_000:20_100], array[20_000:20_100])


# ---- refusals

GOOD = bytes.fromhex("00 07 02 02 0002 03 000B")  # "two values" of BY_HAND


@pytest.mark.parametrize(
    ("payload", "count", "bits", "code"),
    [  # in hex
        ("", 8, 3, TRUNCATED),
        ("02", 8, 3, CORRUPT),
        # form 0
        ("00", 8, 3, TRUNCATED),
        ("00 08 00", 8, 3, CORRUPT),  # Z in three bits
        ("00 07 08 08 0100 0101", 8, 3, CORRUPT),  # as many values as symbols
        ("00 07 8000", 8, 3, CORRUPT),  # varint in two bytes
        ("00 07 FFFFFFFFFFFFFFFF7F 02", 8, 3, CORRUPT),
        ("00 07 00 00", 8, 3, CORRUPT),  # bytes after m = 0
        ("00 07 02 01 0102 0103", 8, 3, CORRUPT),  # fewer gaps than values
        ("00 07 02 03 00020200 0101", 8, 3, CORRUPT),  # more than fit
        ("00 07 02 FFFFFFFFFFFFFFFF7F 0101 0101", 8, 3, CORRUPT),
        ("00 07 02 02 0302 03 000B", 8, 3, CORRUPT),  # mode 3
        ("00 07 02 02 0202 0203 000B", 8, 3, CORRUPT),  # coded, and no coder
        ("00 07 02 02 0002 03 002F", 8, 3, CORRUPT),  # a value 5 7: 7 is Z
        ("00 07 02 02 0002 03 0107", 8, 3, CORRUPT),
        ("00 07 02 02 0002 03 004B", 8, 3, CORRUPT),  # padding of the values
        ("00 07 02 02 0002 05 000B", 8, 3, CORRUPT),  # gap past the end
        ("00 07 02 02 0002 04 000B", 8, 3, None),
        ("00 07 02 02 0002 FF 000B", 8, 3, CORRUPT),
        ("00 07 02 02 0002 03 000B 00", 8, 3, CORRUPT),
        ("00 00 01 02 00FF00 0101", 255, 1, CORRUPT),  # one symbol too far
        ("00 00 01 02 0000FF 0101", 300, 1, CORRUPT),  # 255 at the end
        ("00 00 01 02 0000FE 0101", 300, 1, CORRUPT),  # a gap without a value
        ("00 00 02 02 00FF01 0101", 600, 1, CORRUPT),  # a value without a gap
        ("00 00 01 02 01FF 0101", 600, 1, CORRUPT),  # gaps 255 only
        # form 1
        ("01", 5, 2, CORRUPT),
        ("01 79", 5, 1, CORRUPT),  # two symbols in one bit
        ("01 F3", 5, 2, CORRUPT),
        ("01 FF", 70, 2, None),
        ("01 FF", 75, 2, CORRUPT),
        ("01 FF", 65, 2, CORRUPT),
        ("01 F3 F3", 16, 2, None),  # a run in pieces of other lengths
        ("01 79 79 79 79", 16, 2, None),
        ("01 31", 5, 2, None),
        ("01 31", 3, 2, None),
        ("01 31", 2, 2, CORRUPT),  # padding: digit 2 is 2
        ("01 28 79 C9", 12, 2, CORRUPT),  # padding: the last digit is 0
        ("01 28 79 C9", 15, 2, None),
    ],
)
def test_stream_that_no_writer_writes_is_refused(isa, payload, count, bits, code):
    assert refuses(bytes.fromhex(payload), count, bits) == code


@pytest.mark.parametrize("at", [0, 8000, 8191, 8192, 16_000, 16_383])
def test_value_beyond_the_end_is_found_in_any_block(isa, at):
    # The second gap would reach symbol 16384 of 16384.
    gaps = bytes([255] * (at // 255) + [at % 255])
    rest = 16_384 - at - 1
    gaps += bytes([255] * (rest // 255) + [rest % 255])
    payload = bytes([0, 0, 2]) + varint(len(gaps)) + b"\0" + gaps + bytes([1, 1])
    assert refuses(payload, 16_385, 1) is None
    assert refuses(payload, 16_384, 1) == CORRUPT


def test_coder_that_does_not_match_is_refused(isa):
    symbols = sparse(20_000, 0.9, 0, 8).tobytes()
    made = {then: encode(symbols, 8, then) for then in THEN}
    for a, b in itertools.permutations(THEN, 2):
        if a != "none":
            assert refuses(made[a], 20_000, 8, b) is not None
    assert decode(made["none"], 20_000, 8, "rans") == symbols  # stored parts need no coder


SMALL = {
    "runs": (sparse(300, 0.93, 5, 3).tolist(), 3, "none"),
    "long runs": ([0] * 600 + [3, 1] + [0] * 300 + [2] + [0] * 40, 2, "none"),
    "ternary": (ternary(330, 0.6).tolist(), 2, "none"),
    "then huffman": (sparse(2000, 0.9, 3, 4).tolist(), 4, "huffman"),
    "then rans": (sparse(2000, 0.9, 3, 4).tolist(), 4, "rans"),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_flipped_bit_and_truncation_is_judged_as_by_the_slow_twin(isa, name):
    symbols, bits, then = SMALL[name]
    payload = encode(symbols, bits, then)
    assert payload is not None
    assert payload[0] == (name == "ternary")
    n = len(symbols)
    # The twins of the other coders are slow, and have such tests of their own.
    every = 1 if then == "none" else 7
    flipped = bytearray(payload)
    for at in range(0, 8 * len(payload), every):
        flipped[at // 8] ^= 1 << (at % 8)
        refuses(bytes(flipped), n, bits, then)
        flipped[at // 8] ^= 1 << (at % 8)
    for end in range(0, len(payload), every):
        assert refuses(payload[:end], n, bits, then) is not None
    assert refuses(payload + b"\0", n, bits, then) is not None
    for count in (n - 1, n + 1):
        refuses(payload, count, bits, then)
