"""The lossy coder: keys come back, zeros at a rate, and every byte of a stream is checked.

`test_contracts.py` asserts of coders that they lose nothing, so this one is not among them.
"""

import contextlib
import functools

import numpy as np
import pytest
import reference_coders
from conftest import ISAS
from entropy import twin_bloomier

from qcodec import _core

BLOOMIER = 7
TRUNCATED, CORRUPT = 2, 3
MEGA = 2**20

# FORMAT.md, "bloomier", Example; the answers at positions 0 .. 15 are those of the page.
EXAMPLE = bytes.fromhex("03 01 00 03 0D 04 00 01 01 0C 00 00 21 00 01 52 00")
EXAMPLE_KEYS = {5: 3, 40: 0, 41: 0, 77: 2}
EXAMPLE_START = [2, 1, 1, 0, 3, 3, 0, 1, 0, 1, 0, 1, 0, 1, 3, 1]


def decode(payload, count, bits):
    return _core.stream_decode(BLOOMIER, np.frombuffer(payload, np.uint8), count, bits)


def encode(symbols, bits, word_bits, seed=0):
    return _core.bloomier_encode(np.asarray(symbols, np.uint8), bits, word_bits, seed)


def at_all_levels(payload, count, bits):
    """The symbols, which every instruction set must give alike."""
    before, out = _core.isa(), []
    try:
        for level in ISAS[: ISAS.index(_core.best_isa()) + 1]:
            _core.set_isa(level)
            out.append(decode(payload, count, bits))
    finally:
        _core.set_isa(before)
    assert all(np.array_equal(symbols, out[0]) for symbols in out)
    return out[0]


def refuses(payload, count, bits):
    """The code of the failure, which the slow twin must share; None where both decode alike."""
    code, fast, slow = None, None, None
    try:
        fast = decode(payload, count, bits).tobytes()
    except _core.KernelError as failure:
        code = failure.args[0]
    with contextlib.suppress(reference_coders.RejectedError):
        slow = reference_coders.decode_bloomier(payload, count, bits).tobytes()
    assert fast == slow
    assert code in (None, TRUNCATED, CORRUPT)
    return code


def sparse(n, density, values, zero=0, seed=0):
    """Symbols of which a part are one of `values` others than zero, all of them in use."""
    rng = np.random.default_rng([n, values, seed])
    others = np.array([v for v in range(256) if v != zero][:values])
    symbols = np.where(rng.random(n) < density, others[rng.integers(0, values, n)], zero)
    some = rng.choice(n, values + 1, replace=False)
    symbols[some[:values]], symbols[some[values]] = others, zero
    return symbols.astype(np.uint8)


def weights(shape, density=0.08, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * (rng.random(shape) < density)).astype(np.float32)


# ---- streams


def test_example_of_the_page(isa):
    symbols = np.ones(96, np.uint8)
    symbols[list(EXAMPLE_KEYS)] = list(EXAMPLE_KEYS.values())
    assert encode(symbols, 4, 3) == EXAMPLE
    for decoded in (decode(EXAMPLE, 96, 4), reference_coders.decode_bloomier(EXAMPLE, 96, 4)):
        assert decoded[:16].tolist() == EXAMPLE_START
        assert {p: decoded[p] for p in EXAMPLE_KEYS} == EXAMPLE_KEYS


COUNTS = [3, 15, 16, 17, 47, 63, 64, 65, 100, 1000, 4097]


@pytest.mark.parametrize("word_bits", [*range(1, 10), 12, 16])
@pytest.mark.parametrize("density", [0.02, 0.3, 0.9])
def test_keys_come_back_and_zeros_as_the_slow_twin_says(word_bits, density):
    values = min(2**word_bits - 1, 20)
    for n in COUNTS:
        if n < 2 * values:
            continue
        symbols = sparse(n, density, values)
        # The engine takes the most frequent symbol for zero; the twin takes the one it is given.
        common = np.bincount(symbols).argmax()
        twin = twin_bloomier.encode(symbols.tolist(), word_bits, 0)
        for payload, zero in ((encode(symbols, 8, word_bits), common), (twin, 0)):
            if payload is None:
                continue
            decoded = at_all_levels(payload, n, 8)
            keys = symbols != zero
            np.testing.assert_array_equal(decoded[keys], symbols[keys])
            np.testing.assert_array_equal(decoded, reference_coders.decode_bloomier(payload, n, 8))


@pytest.mark.parametrize(
    ("n", "density", "values", "bits", "word_bits"),
    [(8191, 0.1, 15, 4, 5), (8192, 0.05, 200, 8, 8), (8193, 0.1, 100, 7, 7),
     (20_001, 0.004, 3, 2, 2), (40_000, 0.5, 1, 3, 1), (30_000, 0.97, 6, 6, 3),
     (8193, 0.1, 100, 7, 9), (20_001, 0.05, 15, 4, 12), (16_385, 0.2, 255, 8, 16)],
)  # fmt: skip
def test_streams_of_several_windows_decode_as_the_slow_twin_says(
    n, density, values, bits, word_bits
):
    symbols = sparse(n, density, values, zero=1)
    payload = encode(symbols, 8, word_bits)
    decoded = at_all_levels(payload, n, 8)
    np.testing.assert_array_equal(decoded, reference_coders.decode_bloomier(payload, n, 8))


def shapes():
    """Symbols whose keys do not lie evenly."""
    n = 300_000
    at, rng = np.arange(n), np.random.default_rng(1)
    yield "first part", at < 0.08 * n
    yield "every 13th", at % 13 == 0
    yield "runs of 32", np.repeat(rng.random(n // 32 + 1) < 0.08, 32)[:n]
    yield "dense windows", (at % 65536 < 8192) & (rng.random(n) < 0.6)
    yield "dead columns", (rng.random(784) < 0.5)[at % 784] & (rng.random(n) < 0.16)
    yield "all but one", at > 0
    # Blocks that are visited one after another, full, and then none for long.
    order = np.array(list(twin_bloomier.visits(n)))
    full = np.zeros(n // 16 + 1, bool)
    full[order[np.arange(order.size) % 128 < 10]] = True
    yield "against the order", full[at // 16]


@pytest.mark.parametrize(
    ("what", "keys"), list(shapes()), ids=lambda x: x if isinstance(x, str) else ""
)
def test_keys_come_back_wherever_they_lie(what, keys):
    rng = np.random.default_rng(2)
    symbols = np.where(keys, rng.integers(1, 16, keys.size), 0).astype(np.uint8)
    zero = np.bincount(symbols).argmax()
    payload = encode(symbols, 8, 6)
    decoded = at_all_levels(payload, keys.size, 8)
    np.testing.assert_array_equal(decoded[symbols != zero], symbols[symbols != zero])
    # Every structure costs something; none loses its sense.
    assert 8 * len(payload) < 1.08 * 6 * (symbols != zero).sum()


@pytest.mark.parametrize("word_bits", [4, 6, 8, 10, 16])
@pytest.mark.parametrize("values", [1, 2, 15])
def test_zeros_answer_with_a_value_at_the_rate_asked_for(word_bits, values):
    # 3 sigma; no mask, or the sum of the row's columns as one, makes this 1 for one and two values;
    # one mask for bits 0 .. 7 and 8 .. 15 makes it 2**-8 for one value and words of 16 bits.
    symbols = sparse(4 * MEGA, 0.08, values)
    wrong = zeros = 0
    for chunk in symbols.reshape(4, MEGA):
        decoded = decode(encode(chunk, 4, word_bits), MEGA, 4)
        zeros += (chunk == 0).sum()
        wrong += (decoded[chunk == 0] != 0).sum()
    asked = values / 2**word_bits
    assert abs(wrong / zeros - asked) < 3 * np.sqrt(asked * (1 - asked) / zeros)


def test_wrong_values_are_as_frequent_as_each_other_and_lie_apart():
    symbols = sparse(MEGA, 0.08, 15)
    decoded = decode(encode(symbols, 4, 6), MEGA, 4)
    wrong = np.where(symbols == 0, decoded, 0)
    counts = np.bincount(wrong, minlength=16)[1:]
    expected = (symbols == 0).sum() / 64
    assert ((counts - expected) ** 2 / expected).sum() < 40  # chi-square of 15, 99.95 %
    hit = wrong != 0
    for distance in range(1, 33):
        together = (hit[:-distance] & hit[distance:]).sum()
        zeros = ((symbols[:-distance] == 0) & (symbols[distance:] == 0)).sum()
        rate = (15 / 64) ** 2
        assert abs(together - zeros * rate) < 4.5 * np.sqrt(zeros * rate)


@pytest.mark.parametrize(("keys", "percent"), [(3_000, 2.5), (10_000, 1.2), (80_000, 0.7)], ids=str)
def test_tiles_and_all_else_are_little_more_than_the_bits_of_the_keys(keys, percent):
    symbols = sparse(int(keys / 0.08), 0.08, 15)
    payload = encode(symbols, 4, 6)
    assert 8 * len(payload) <= (1 + percent / 100) * 6 * (symbols != 0).sum()


def test_a_seed_gives_the_same_bytes_and_another_one_other_errors():
    symbols = sparse(50_000, 0.1, 7)
    made = [encode(symbols, 3, 5, seed) for seed in (0, 0, 1, 2**28 - 1)]
    assert made[0] == made[1]
    errors = [frozenset(np.flatnonzero(decode(p, 50_000, 3) != symbols)) for p in made]
    assert len(set(errors)) == 3
    rate = 7 / 32
    assert len(errors[0] & errors[2]) / len(errors[0]) == pytest.approx(rate, abs=0.02)


# ---- refusals


HEAD = "03 01 00 03 0D 04 00 01 01 0C 00 00"


@pytest.mark.parametrize(
    ("payload", "code"),
    [  # in hex, of 96 symbols of 4 bits
        (f"{HEAD} 21 00 01 52 00", None),
        ("", TRUNCATED),
        ("00" + HEAD[2:] + "21 00 01 52 00", CORRUPT),  # words of no bits
        ("11" + HEAD[2:] + 17 * "21" + "52 00 00", CORRUPT),  # of 17
        ("10" + HEAD[2:] + 16 * "21" + "52 00 00", None),
        ("10" + HEAD[2:] + 16 * "21" + "52 00 01", CORRUPT),  # word 256 of three values
        ("03 10 00 03 0D 04 00 01 01 0C 00 00 21 00 01 52 00", CORRUPT),  # zero in 4 bits
        ("03 01 04 03 0D 04 00 01 01 0C 00 00 21 00 01 52 00", CORRUPT),  # lowest above highest
        ("03 01 00 10 0D 04 00 01 01 0C 00 00 21 00 01 52 00", CORRUPT),  # highest in 4 bits
        ("03 01 00 03 0F 04 00 01 01 0C 00 00 21 00 01 52 00", CORRUPT),  # zero in use
        ("03 01 00 03 0C 04 00 01 01 0C 00 00 21 00 01 52 00", CORRUPT),  # lowest not in use
        ("03 01 00 03 05 04 00 01 01 0C 00 00 21 00 01 52 00", CORRUPT),  # highest not in use
        ("03 01 00 03 1D 04 00 01 01 0C 00 00 21 00 01 52 00", CORRUPT),  # padding
        ("01 01 00 03 0D 04 00 01 01 0C 00 00 21 52 00", CORRUPT),  # three values, words of one bit
        ("03 01 00 03 0D 00 00 01 00 0C 00 00 21 00 01 00", CORRUPT),  # no keys
        ("03 01 00 03 0D 61 00 01 00 0C 00 00 21 00 01 00", CORRUPT),  # 97 keys
        ("03 01 00 03 0D 04 8080808010 01 01 0C 00 00 21 00 01 52 00", CORRUPT),  # seed of 33 bits
        ("03 01 00 03 0D 04 00 61 00 0C 00 00" + 97 * "21 00 01" + "00", CORRUPT),  # 97 tiles
        ("03 01 00 03 0D 04 00 FFFFFFFFFFFFFFFF7F 00 0C 00 00 21", CORRUPT),
        ("03 01 00 03 0D 04 00 01 05 0C 00 00 21 00 01 52 00", CORRUPT),  # five exceptions
        ("03 01 00 03 0D 04 00 01 01 05 00 00 21 00 01 52 00", CORRUPT),  # bucket of 32
        ("03 01 00 03 0D 04 00 01 01 11 00 00 21 00 01 52 00", CORRUPT),
        ("03 01 00 03 0D 04 00 01 01 0C 00 10 21 00 01 52 00", CORRUPT),  # order 16
        ("03 01 00 03 0D 04 00 01 01 06 01 00 21 00 01 A4 00", None),  # advances of 1
        ("03 01 00 03 0D 04 00 01 00 06 02 00 21 00 01 00", CORRUPT),  # a start behind the tiles
        ("03 01 00 03 0D 04 00 01 00 06 09 00 21 00 01 00", CORRUPT),  # more than 8 in 64
        ("03 01 00 03 0D 04 00 01 00 06 00 00 21 00 01 01", CORRUPT),  # advance -1
        ("03 01 00 03 0D 04 00 01 00 0C 00 00 21 00 01" + 200 * "FF", CORRUPT),
        (f"{HEAD} 21 00 01 C0 00", CORRUPT),  # exception at 96
        (f"{HEAD} 21 00 01 52 03", CORRUPT),  # word 3 of three values
        (f"{HEAD} 21 00 01 52 08", CORRUPT),  # padding
        (f"{HEAD} 21 00 01 52 00 00", CORRUPT),
        (f"{HEAD} 21 00 01 52", TRUNCATED),
        (f"{HEAD} 21 00", TRUNCATED),
        ("03 01 00 03 0D 04 00 01 02 0C 00 00 21 00 01 52 50 02", None),  # at 41 and 74
        ("03 01 00 03 0D 04 00 01 02 0C 00 00 21 00 01 52 48 01", CORRUPT),  # at 41 twice
        ("03 01 00 03 0D 04 00 01 02 0C 00 00 21 00 01 52 40 01", CORRUPT),  # at 41 and 40
    ],
)
def test_stream_that_no_writer_writes_is_refused(isa, payload, code):
    assert refuses(bytes.fromhex(payload), 96, 4) == code


@functools.cache
def small_stream(word_bits):
    symbols = sparse(260, 0.2, 5)  # and too few tiles: with exceptions
    return symbols, twin_bloomier.encode(symbols.tolist(), word_bits, 0, spare=-9)


@pytest.mark.parametrize("word_bits", [3, 11])
def test_every_flipped_bit_and_truncation_is_judged_as_by_the_slow_twin(isa, word_bits):
    symbols, payload = small_stream(word_bits)
    assert payload[8] > 0
    flipped = bytearray(payload)
    for at in range(8 * len(payload)):
        flipped[at // 8] ^= 1 << at % 8
        refuses(bytes(flipped), symbols.size, 3)
        flipped[at // 8] ^= 1 << at % 8
    for end in range(len(payload)):
        assert refuses(payload[:end], symbols.size, 3) is not None
    assert refuses(payload + b"\0", symbols.size, 3) == CORRUPT
    for count in (symbols.size - 1, symbols.size + 1, 1, MEGA):
        with contextlib.suppress(_core.KernelError):
            decode(payload, count, 3)


def test_streams_of_noise_never_leave_the_family_of_errors(isa):
    rng = np.random.default_rng(8)
    for k in range(400):
        noise = rng.integers(0, 256, 40 + 8 * k, dtype=np.uint8)
        noise[:12] = [1 + k % 16, 0, 1, 1, 1, 100, 0, min(127, 4 * k), 1, 6 + k % 11, k % 3, k % 5]
        with contextlib.suppress(_core.KernelError):
            decode(noise.tobytes(), 1000 + k, 8)
