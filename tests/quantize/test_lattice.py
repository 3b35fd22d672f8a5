"""Lattice quantizers: what is special to them. Rules for every quantizer: test_contracts.py."""

import struct

import forge
import numpy as np
import pytest
import reference

import qcodec
from qcodec import _core
from qcodec.search.lattice import LATTICES

F32 = 12
NAMES = list(LATTICES)
DITHERED = NAMES[:3]
# Points of the page's examples and their streams: widths of integers, then symbols of all planes.
EXAMPLES = {
    "d4": (
        [-1, 0, 0, -3, 1, 1, 0, 4, 0, 0, 1, 1],
        [[-1, 0, 0, 1, 1, 0, 0, 0, 1], [2, -2, 0]],
    ),
    "e8": (
        [1, 1, 1, 1, 1, 1, -1, 3, 2, 2, 0, 0, 0, 0, 0, -4,
         1, 1, 1, 1, 1, 1, 1, 5, 2, 0, 0, 0, 0, 0, 0, -2],
        [[1, 0, 1, 0],
         [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, *[0] * 7],
         [-1, -1, 1, 0]],
    ),
    "leech": (
        [*[1] * 23, -3,
         2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 2, 2, 0, 0, 0, 2, 2,
         2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 2, 0, 2, 2, 2, 0, 0, 0, 2, 6],
        [[1, 0, 0], [*[0] * 12, 1, *[0] * 11, 1, *[0] * 11], [0] * 32,
         [*[0] * 7, 0, 1, *[0] * 5], [0] * 23, [0, 0, -1]],
    ),
}  # fmt: skip
BIT_STREAMS = {"z": 0, "d4": 0, "e8": 1, "leech": 2}


def config(name, **options):
    defaults = {"step": 1.0, "rdo": 0.0, "dither": False, "seed": 0, "wiener": False}
    quantizer = {"name": "lattice", "lattice": name} | defaults | options
    return {"quantizer": quantizer, "coder": {"name": "bitpack"}}


def stored(symbols, bits):
    """A stored stream."""
    flat = (np.asarray(symbols)[:, None] >> np.arange(bits) & 1).astype(np.uint8)
    return b"\0" + np.packbits(flat.reshape(-1), bitorder="little").tobytes()


def chunk_of(name, streams, width=4, scale=1.0, escapes=(), last=None):
    """A chunk from streams of integers, all of one width but perhaps the last.

    `escapes` are those of the first stream.
    """
    n_bits = BIT_STREAMS[name]
    integers = streams[n_bits:]
    widths = [width] * (len(integers) - 1) + [last or width]
    section = struct.pack("<f", scale) + bytes(widths)
    if width == 8:
        section += bytes([len(escapes)] + [0] * (len(integers) - 1))
    section += b"".join(struct.pack("<i", q) for q in escapes)
    planes = [stored(bits, 1) for bits in streams[:n_bits]]
    for q, w in zip(integers, widths, strict=True):
        planes += [stored(np.array(q) + 2 ** (w - 1), w)] * (len(q) > 0)
    return section + b"".join(planes)


def decoded(name, chunk, n, **options):
    return qcodec.decode(forge.file_of(config(name, **options), (n,), F32, chunk))


def normal(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


# ---- streams to points


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("name", EXAMPLES)
def test_streams_of_the_page_decode_to_its_points(isa, name, width):
    points, streams = EXAMPLES[name]
    assert decoded(name, chunk_of(name, streams, width), len(points)).tolist() == points
    halves = decoded(name, chunk_of(name, streams, width, 0.5), len(points))
    assert halves.tolist() == [x / 2 for x in points]


@pytest.mark.parametrize("name", NAMES)
def test_any_integers_are_points_of_the_lattice(isa, name):
    rng = np.random.default_rng(5)
    dim, n = LATTICES[name].dim, 67
    # Leech points fit bytes up to 6 bits and 5 in the last place, from where on all extremes occur.
    for width, last in [(1, 1), (2, 2), (5, 5), (6, 5), (5, 6), (6, 6), (8, 8)]:
        blob = forged_at_random(rng, name, n, width, last)
        x = qcodec.decode(blob).astype(np.int64).reshape(n, dim)
        assert x.tobytes() == reference.decode_blob(blob).astype(np.int64).tobytes()
        if name == "d4":
            assert not (x.sum(1) % 2).any()
        if name == "e8":
            assert (x % 2 == x[:, :1] % 2).all()
            assert not (x.sum(1) % 4).any()
        if name == "leech":
            assert (x % 2 == x[:, :1] % 2).all()
            assert (x.sum(1) % 8 == 4 * (x[:, 0] % 2)).all()


def forged_at_random(rng, name, n, width, last):
    bits = [rng.integers(0, 2, n), rng.integers(0, 2, 12 * n)][: BIT_STREAMS[name]]
    lengths = {"z": [n], "d4": [3 * n, n], "e8": [7 * n, n]}.get(name)
    if lengths is None:
        h, ones = bits[0], codeword_weights(bits[1])
        even = (1 - h) @ np.column_stack([23 - ones, ones])
        lengths = [*even.tolist(), 23 * int(h.sum()), n]
    streams = list(bits)
    for k, length in enumerate(lengths):
        top = 2 ** ((last if k == len(lengths) - 1 else width) - 1)
        streams.append(rng.integers(-top + (top == 128), top, length))
    count = n * LATTICES[name].dim
    return forge.file_of(config(name), (count,), F32, chunk_of(name, streams, width, last=last))


def codeword_weights(information):
    """Ones among coordinates 0 .. 22 of the Golay codewords with these twelve bits each."""
    from reference_lattice import GOLAY

    weights = []
    for bits in information.reshape(-1, 12):
        word = 0
        for row, bit in zip(GOLAY, bits, strict=True):
            word ^= row * int(bit)
        weights.append((word & 0x7FFFFF).bit_count())
    return np.array(weights)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("coder", ["rans", "huffman", "bitpack", "zero_run"])
def test_values_are_the_points_of_the_search_times_the_scale(isa, name, coder):
    from qcodec.search.lattice import quantize

    for n in (1, 23, 25, 8195, 20000):
        w = normal(n, seed=n)
        points, scale = quantize(w, LATTICES[name], 0.4)
        expected = (points.astype(np.float32) * scale).reshape(-1)[:n]
        blob = qcodec.encode(w, f"lattice({name!r}, step=0.4) | {coder}")
        assert qcodec.decode(blob).tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_outliers_come_back_through_escapes(isa, name):
    w = normal(5000)
    w[[0, 77, 4998, 4999]] = 1e5, -2e5, 1e6, -1e6
    blob = qcodec.encode(w, f"lattice({name!r}, step=0.5)")
    back = qcodec.decode(blob)
    assert np.abs(back - w).max() < 1.5
    assert back.tobytes() == reference.decode_blob(blob).tobytes()


@pytest.mark.parametrize("every", [1, 3, 50, 1009])
@pytest.mark.parametrize("name", NAMES)
def test_escapes_anywhere_keep_the_classes_of_all_others(isa, name, every):
    # An escaped value is odd or even, which its symbol does not say, and the class of its vector
    # follows from that.
    from qcodec.search.lattice import quantize

    w = normal(3001, seed=every)
    w[::every] *= 300
    points, scale = quantize(w, LATTICES[name], 0.4)
    expected = (points.astype(np.float32) * scale).reshape(-1)[: w.size]
    blob = qcodec.encode(w, f"lattice({name!r}, step=0.4)")
    assert qcodec.decode(blob).tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_ranges_and_threads_give_what_the_whole_does(isa, name):
    w = normal(2**20 + 30000)
    blob = qcodec.encode(w, f"lattice({name!r}, step=0.5)", threads=2)
    assert blob == qcodec.encode(w, f"lattice({name!r}, step=0.5)", threads=1)
    whole = qcodec.decode(blob, threads=1)
    assert whole.tobytes() == qcodec.decode(blob, threads=3).tobytes()
    with qcodec.safe_open(blob) as f:
        part = f.get_slice("")
        for begin, end in ((0, 1), (8191, 8200), (2**20 - 5, 2**20 + 5), (w.size - 1, w.size)):
            assert part[begin:end].tobytes() == whole[begin:end].tobytes()


# ---- error and rate


@pytest.mark.parametrize("name", NAMES)
def test_error_at_high_rates_is_the_second_moment_of_the_cell(name):
    w = normal(240000)
    error = (qcodec.decode(qcodec.encode(w, f"lattice({name!r}, step=0.1)")) - w).astype(float)
    assert abs((error**2).mean() / 0.01 / LATTICES[name].second_moment - 1) < 0.01


def test_better_lattices_take_fewer_bytes_for_the_same_error():
    # Gaps to the rate-distortion function in dB, with real bytes.
    w = normal(2**19)
    for name, ideal in zip(NAMES, (1.53, 1.17, 0.88, 0.5), strict=True):
        blob = qcodec.encode(w, f"lattice({name!r}, step=0.5)")
        snr = 10 * np.log10((w**2).mean() / ((qcodec.decode(blob) - w) ** 2).mean())
        assert ideal < 6.0206 * 8 * len(blob) / w.size - snr < ideal + 0.13


@pytest.mark.parametrize("name", NAMES)
def test_rdo_trades_error_for_bytes_at_a_profit(name):
    w = normal(2**18) ** 3  # heavy tails: many small weights
    gains = []
    for options in ("step=0.5", "step=0.45, rdo=0.1"):
        blob = qcodec.encode(w, f"lattice({name!r}, {options})")
        snr = 10 * np.log10((w**2).mean() / ((qcodec.decode(blob) - w) ** 2).mean())
        gains.append(snr - 6.0206 * 8 * len(blob) / w.size)
    assert gains[1] > gains[0]


# ---- dither


@pytest.mark.parametrize("step", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("name", DITHERED)
def test_dithered_error_has_the_second_moment_at_any_rate_and_no_correlation(name, step):
    w = normal(2**19)
    blob = qcodec.encode(w, f"lattice({name!r}, step={step}, dither=True, seed=3)")
    error = (qcodec.decode(blob).astype(np.float64) - w) / step
    moment = LATTICES[name].second_moment
    # A squared error has a deviation of less than its mean: 4 standard errors.
    assert abs((error**2).mean() / moment - 1) < 4 / np.sqrt(w.size)
    for of_w in (w, np.abs(w), w**2):
        for of_error in (error, error**2):
            assert abs(np.corrcoef(of_w, of_error)[0, 1]) < 5 / np.sqrt(w.size)


@pytest.mark.parametrize("name", DITHERED)
def test_dither_is_that_of_the_page_for_any_seed_and_element(isa, name):
    from reference_lattice import dither

    number = 1 + NAMES.index(name)
    dim = LATTICES[name].dim
    for seed, first in ((0, 0), (2**63 - 1, 2**20), (5, 7 * 2**32 + 2**21)):
        u = _core.lattice_dither(number, seed, first, 37 * dim)
        assert u.tobytes() == dither(name, seed, first, 37).tobytes()


def test_seeds_give_different_errors_of_one_size():
    w = normal(80000)
    values = [
        qcodec.decode(qcodec.encode(w, f"lattice('e8', step=0.5, dither=True, seed={seed})"))
        for seed in (0, 1)
    ]
    assert abs(np.corrcoef(values[0] - w, values[1] - w)[0, 1]) < 0.02


def test_wiener_scales_lower_the_error_where_rates_are_low():
    w = normal(2**17)
    errors = []
    for more in ("", ", wiener=True"):
        codec = f"lattice('e8', step=3, dither=True{more})"
        errors.append(((qcodec.decode(qcodec.encode(w, codec)) - w) ** 2).mean())
    assert errors[1] < 0.75 * errors[0]


# ---- options


def test_the_lattice_may_stand_first_or_be_named():
    codec = qcodec.Lattice("e8", step=0.02) | qcodec.Rans()
    assert str(codec) == "lattice('e8', step=0.02) | rans"
    for text in (str(codec), "lattice(lattice='e8', step=0.02)", "lattice('e8', step=0.02)"):
        assert qcodec.parse(text) == codec
    assert qcodec.Codec.from_config(codec.get_config()) == codec


@pytest.mark.parametrize(
    "text",
    ["lattice", "lattice('e8')", "lattice('e8', 0.1)", "lattice('e7', step=1)",
     "lattice(8, step=1)", "lattice('e8', lattice='d4', step=1)", "uniform(8)",
     "lattice(*'e8', step=1)",
     "lattice(x, step=1)", "lattice('e8', step=0)", "lattice('e8', step=1, rdo=2)",
     "lattice('leech', step=1, dither=True)", "lattice('e8', step=1, dither=True, rdo=0.1)",
     "lattice('e8', step=1, seed=1)", "lattice('e8', step=1, wiener=True)",
     "lattice('e8', step=1, dither=1)", "lattice('e8', step=1, dither=True, seed=-1)",
     "dct | lattice('e8', step=1)"],
)  # fmt: skip
def test_what_is_no_lattice_codec_is_refused(text):
    with pytest.raises(qcodec.InputError):
        qcodec.parse(text)


@pytest.mark.parametrize("name", NAMES)
def test_weights_out_of_reach_are_refused_by_element(name):
    for value in (np.nan, np.inf, -3e7):
        w = normal((3, 5))
        w[1, 2] = value
        with pytest.raises(qcodec.InputError, match=r"element \[1, 2\]"):
            qcodec.encode(w, f"lattice({name!r}, step=1)")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", [1.2e-38, 3e38])
def test_steps_at_the_ends_of_the_range_give_files_that_open(name, step):
    w = normal(100) * np.float32(step / 10)
    assert np.isfinite(qcodec.decode(qcodec.encode(w, f"lattice({name!r}, step={step})"))).all()


# ---- hostile chunks


def d4_chunk(width=4, escapes=(), first=0, **more):
    streams = [[first, 0, 0], [0]] if width < 8 else [[first or 1, 1, 1], [1]]
    return chunk_of("d4", streams, width, escapes=escapes, **more)


BAD_CHUNKS = {
    "a scale of zero": (d4_chunk(scale=0.0), qcodec.CorruptError),
    "a negative scale": (d4_chunk(scale=-1.0), qcodec.CorruptError),
    "a subnormal scale": (d4_chunk(scale=1e-39), qcodec.CorruptError),
    "an infinite scale": (d4_chunk(scale=float("inf")), qcodec.CorruptError),
    "width 0": (struct.pack("<f", 1) + b"\0\4", qcodec.CorruptError),
    "width 9": (struct.pack("<f", 1) + b"\x04\x09", qcodec.CorruptError),
    "no widths": (struct.pack("<f", 1), qcodec.TruncatedError),
    "no streams": (struct.pack("<f", 1) + b"\4\4", qcodec.TruncatedError),
    "a byte too many": (d4_chunk() + b"\0", qcodec.CorruptError),
    "a symbol for no escape": (d4_chunk(8, first=-128), qcodec.CorruptError),
    "an escape for no symbol": (d4_chunk(8, escapes=[300]), qcodec.CorruptError),
    "too large an escape": (d4_chunk(8, escapes=[2**24 + 1], first=-128), qcodec.CorruptError),
    "the least integer": (d4_chunk(8, escapes=[-(2**31)], first=-128), qcodec.CorruptError),
    "more escapes than symbols": (
        struct.pack("<f", 1) + b"\x08\x08\x04\0" + bytes(16) + b"\0" + bytes(3) + b"\0\1",
        qcodec.CorruptError,
    ),
    "2^62 escapes": (
        struct.pack("<f", 1) + b"\x08\x08" + b"\xff" * 8 + b"\x3f\0",
        qcodec.CorruptError,
    ),
    "escapes beyond the chunk": (struct.pack("<f", 1) + b"\x08\x08\x03\0", qcodec.TruncatedError),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_chunks_that_break_a_rule_are_refused(isa, name):
    chunk, error = BAD_CHUNKS[name]
    with pytest.raises(error):
        decoded("d4", chunk, 4)
    with pytest.raises(reference.RejectedError):
        reference.decode_blob(forge.file_of(config("d4"), (4,), F32, chunk))


@pytest.mark.parametrize("most", [True, False])
def test_the_largest_coordinate_is_2_to_the_24(isa, most):
    # x_3 = 2m: with m = 2^23 at the limit, with more beyond it.
    m = 2**23 + (not most)
    section = struct.pack("<f", 1) + b"\4\x08\x01" + struct.pack("<i", m)
    chunk = section + stored([8, 8, 8], 4) + stored([0], 8)
    if most:
        assert decoded("d4", chunk, 4).tolist() == [0, 0, 0, 2**24]
    else:
        with pytest.raises(qcodec.CorruptError, match="beyond"):
            decoded("d4", chunk, 4)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_chunks_give_values_or_errors_and_both_readers_agree(isa, name):
    rng = np.random.default_rng(3)
    w = normal(300)
    w[7] = 900
    for options in ("step=0.5", "step=4.0", *(["step=0.5, dither=True"] * (name != "leech"))):
        for coder in ("bitpack", "rans"):
            codec = f"lattice({name!r}, {options}) | {coder}"
            parts = forge.take_apart(qcodec.encode(w, codec))
            chunk = parts.rows[0].chunks[0]
            for _ in range(25):
                bad = bytearray(chunk[: rng.integers(len(chunk) // 2, len(chunk) + 1)])
                if rng.integers(3):
                    bad = bytearray(chunk)
                bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
                blob = forge.file_of(qcodec.parse(codec).get_config(), (300,), F32, bytes(bad))
                try:
                    expected = reference.decode_blob(blob).tobytes()
                except reference.RejectedError:
                    expected = None
                try:
                    assert qcodec.decode(blob).tobytes() == expected
                except (qcodec.CorruptError, qcodec.TruncatedError, qcodec.UnsupportedError):
                    assert expected is None
