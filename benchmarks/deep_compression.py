"""Deep Compression's code for a pruned and clustered layer: gaps, filler zeros, Huffman.

An **entry** is a code, 0 for zero and c for the c-th value of the codebook, and the gap to it: how
many weights lie between it and the entry before. A gap is less than 2**gap_bits; where the next
weight is further away, a filler, of code 0 and the largest gap, comes between. As in the paper, and
unlike its released files, both streams are Huffman coded. Everything a decoder needs is counted,
but for the shape of the layer:

| field | type |
|---|---|
| gap bits, values | u8, u8 |
| entries | u32 |
| codebook | f32 each, without the zero |
| code lengths | 5 bits each: of codes 0 .. values, of gaps 0 .. 2**gap_bits - 1; 0: not in use |
| codes, gaps | canonical Huffman codes, all codes before all gaps; zero bits up to a byte |

References
----------
.. [1] S. Han, H. Mao, W. Dally, "Deep Compression", ICLR 2016, arXiv:1510.00149, sections 2 to 4.
"""

import heapq
import struct
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

HEADER = struct.Struct("<BBI")
LENGTH_BITS = 5  # a code of 26 bits needs 200,000 entries

Weights = npt.NDArray[np.float32]


def relative_indices(symbols: Sequence[int], gap_bits: int) -> tuple[list[int], list[int]]:
    """Gaps and codes of the entries that stand for `symbols`, of which 0 is zero."""
    span = 1 << gap_bits
    gaps: list[int] = []
    codes: list[int] = []
    last = -1
    for position in np.flatnonzero(symbols).tolist():
        fillers, gap = divmod(position - last - 1, span)
        gaps += [span - 1] * fillers + [gap]
        codes += [0] * fillers + [int(symbols[position])]
        last = position
    return gaps, codes


def huffman_lengths(counts: Sequence[int]) -> list[int]:
    """Length of each symbol's code; 0 where it does not occur, 1 where no other does."""
    lengths = [0] * len(counts)
    heap = [(count, [symbol]) for symbol, count in enumerate(counts) if count]
    if len(heap) == 1:
        lengths[heap[0][1][0]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:
        (few, below), (more, above) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in below + above:
            lengths[symbol] += 1
        heapq.heappush(heap, (few + more, below + above))
    return lengths


def canonical_codes(lengths: Sequence[int]) -> dict[int, str]:
    """The codes as strings of 0 and 1, in the order of length, then symbol."""
    codes = {}
    code = previous = 0
    for length, symbol in sorted((length, s) for s, length in enumerate(lengths) if length):
        code <<= length - previous
        codes[symbol] = f"{code:0{length}b}"
        code, previous = code + 1, length
    return codes


def encode(weights: Weights, gap_bits: int) -> bytes:
    """A layer of few different values, in C order."""
    flat = weights.ravel()
    codebook = np.unique(flat[flat != 0])
    symbols = np.where(flat == 0, 0, np.searchsorted(codebook, flat) + 1)
    gaps, codes = relative_indices(symbols.tolist(), gap_bits)
    streams = ((codes, codebook.size + 1), (gaps, 1 << gap_bits))
    lengths = [huffman_lengths(np.bincount(s, minlength=n).tolist()) for s, n in streams]
    bits = "".join(f"{length:0{LENGTH_BITS}b}" for both in lengths for length in both)
    for (stream, _), own in zip(streams, lengths, strict=True):
        code_of = canonical_codes(own)
        bits += "".join(code_of[symbol] for symbol in stream)
    packed = np.packbits(np.frombuffer(bits.encode(), np.uint8) - ord("0"))
    header = HEADER.pack(gap_bits, codebook.size, len(codes))
    return header + codebook.astype("<f4").tobytes() + packed.tobytes()


def decode(blob: bytes, count: int) -> Weights:
    """The `count` weights that `encode` was given."""
    gap_bits, values, entries = HEADER.unpack_from(blob)
    codebook = np.frombuffer(blob, "<f4", values, HEADER.size)
    packed = np.frombuffer(blob, np.uint8, offset=HEADER.size + codebook.nbytes)
    bits = iter("".join(map(str, np.unpackbits(packed))))
    codes_of, gaps_of = (
        [int("".join(islice(bits, LENGTH_BITS)), 2) for _ in range(n)]
        for n in (values + 1, 1 << gap_bits)
    )
    codes = _read(bits, codes_of, entries)
    gaps = _read(bits, gaps_of, entries)
    weights = np.zeros(count, np.float32)
    weights[np.cumsum(np.array(gaps, np.int64) + 1) - 1] = np.append(np.float32(0), codebook)[
        np.array(codes, np.int64)
    ]
    return weights


def _read(bits: Iterator[str], lengths: Sequence[int], count: int) -> list[int]:
    symbol_of = {code: symbol for symbol, code in canonical_codes(lengths).items()}
    symbols: list[int] = []
    code = ""
    while len(symbols) < count:
        code += next(bits)
        if code in symbol_of:
            symbols.append(symbol_of[code])
            code = ""
    return symbols
