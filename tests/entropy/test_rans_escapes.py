"""Escaped symbols of rANS: in bytes, by place in a list, by rank."""

import numpy as np
import pytest
from entropy import twin_rans as twin
from entropy.test_rans import (
    CORRUPT,
    EVEN,
    SYMBOLS,
    TRUNCATED,
    decode,
    example,
    failure,
    tiny,
    twin_stream,
)  # fmt: skip

# The same with ranked escapes of order 0: place 0 is a zero bit, place 1 a one and a zero bit.
RANKED = {"header": "00 01 10", "escapes": "02 02 02 06 01"}


def test_ranks_of_the_example_decode(isa):
    # Ranked in either order of the list: 0 10, and 10 0; with one low bit 0 0 and 0 1.
    assert decode(example(**RANKED, places="02"), 24, 3).tobytes() == SYMBOLS
    swapped = {"header": "00 01 10", "escapes": "02 02 06 02 01"}
    assert decode(example(**swapped, places="01"), 24, 3).tobytes() == SYMBOLS
    low_bit = {"header": "00 01 30", "escapes": "02 02 02 06 01"}
    assert decode(example(**low_bit, places="08"), 24, 3).tobytes() == SYMBOLS


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("keep", [1, 3, 30])
@pytest.mark.parametrize("lanes", [1, 4, 64, 256])
def test_escapes_decode_by_place_in_a_list_and_as_bytes(isa, lanes, keep, listed):
    # Nearly all of 20,000 symbols escape with one in the table: more than wait at a time.
    # With one bit, one symbol is in the list, and its place takes no bits.
    for bits, raw, top, count in [(8, 0, 30, 20_000), (5, 1, 3, 999), (3, 0, 3, 99), (1, 0, 1, 99)]:
        options = {"lanes": lanes, "raw": raw, "keep": min(keep, top)}
        symbols, payload = twin_stream(count, bits, listed=listed, **options)
        assert decode(payload, count, bits).tobytes() == symbols


@pytest.mark.parametrize("order", [0, 1, 3, 7])
@pytest.mark.parametrize("lanes", [1, 64, 256])
def test_ranked_escapes_decode_with_any_order(isa, lanes, order):
    # 20,000 symbols, nearly all of them escapes: windows begin at every bit of a byte.
    width = min(5 + order, 8)
    for bits, keep, count in [(width, 3, 20_000), (4, 1, 999)]:
        symbols, payload = twin_stream(count, bits, lanes=lanes, keep=keep, ranked=order)
        assert payload[2] == 0x10 | order << 5
        assert decode(payload, count, bits).tobytes() == symbols


def test_ranked_list_of_33_needs_an_order(isa):
    # Places 0 .. 32 are 0 .. 32 ones with order 0, of which the last is one too many.
    symbols = np.concatenate([np.arange(34), np.zeros(60)]).astype(np.uint8)
    payload = twin.encode(symbols, 6, lanes=1, keep=1, ranked=1)
    assert payload[:5] == bytes.fromhex("00 00 30 21 21")  # header, 33 escapes, a list of 33
    assert failure(payload, 94, 6) is None
    assert failure(payload[:2] + b"\x10" + payload[3:], 94, 6) == CORRUPT


BAD_STREAMS = {
    "order of escapes that are not ranked": (example(header="00 01 20"), 24, CORRUPT),
    "ranked escapes, of which there are none": (
        tiny(EVEN, header="00 00 10"),
        1,
        CORRUPT,
    ),
    "ranked escapes without a list": (
        example("00 01 10", escapes="02 00 02", places="02 06"),
        24,
        CORRUPT,
    ),
    "ranked list that repeats": (example("00 01 10", escapes="02 02 06 06 01"), 24, CORRUPT),
    "ranked list with an 8": (example("00 01 10", escapes="02 02 08 02 01"), 24, CORRUPT),
    "rank 2 in a list of 2": (example(**RANKED, places="06"), 24, CORRUPT),
    "bits after the ranks": (example(**RANKED, places="0a"), 24, CORRUPT),
    "a byte after the ranks": (
        example("00 01 10", escapes="02 02 02 06 02", places="02 00"),
        24,
        CORRUPT,
    ),
    "ranks in no bytes": (
        example("00 01 10", escapes="02 02 02 06 00", places=""),
        24,
        CORRUPT,
    ),
    "ranks in more bytes than there are": (
        example("00 01 10", escapes="02 02 02 06 40"),
        24,
        TRUNCATED,
    ),
    "33 ones of a rank": (
        example("00 01 10", escapes="02 02 02 06 06", places="fe ff ff ff ff 03"),
        24,
        CORRUPT,
    ),
    "63 ones, after which a window ends": (
        example("00 01 10", escapes="02 02 02 06 09", places="ff ff ff ff ff ff ff 7f 00"),
        24,
        CORRUPT,
    ),
}


@pytest.mark.parametrize("name", BAD_STREAMS)
def test_stream_with_one_rule_of_escapes_broken_is_refused(isa, name):
    payload, count, code = BAD_STREAMS[name]
    assert failure(payload, count, 3) == code
