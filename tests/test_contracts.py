"""What every codec of the registry keeps. A new stage joins by a row in `samples.OPTIONS`."""

import functools
import json
import re

import numpy as np
import pytest
import reference
import samples
from conftest import ISAS
from reference import FLOATS, NUMPY
from reference_quantizers import KINDS

import qcodec
from qcodec import _core, registry

# Every dtype for those that read elements themselves; the others see float32.
PAIRS = [
    (codec, dtype)
    for codec in samples.CODECS
    for dtype in NUMPY
    if samples.takes(codec, dtype, (1, 1))
    and (codec.startswith(("lossless", "uniform", "rounded")) or dtype in ("F32", "BF16"))
]
MEGA = 2**20


@functools.lru_cache(maxsize=4096)
def slow_decode(blob, out_dtype=None):
    return reference.decode_blob(blob, out_dtype)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def test_samples_cover_the_registry():
    assert list(samples.OPTIONS) == sorted(registry.stages("quantizer"))
    known = {kind: sorted(registry.stages(kind)) for kind in KINDS}
    assert {kind: sorted(names) for kind, names in KINDS.items()} == known


@pytest.mark.parametrize(("codec", "dtype"), PAIRS)
def test_values_equal_those_of_the_reference_decoder(isa, codec, dtype):
    for shape in samples.SHAPES:
        if not samples.takes(codec, dtype, shape):
            continue
        array = samples.tensor(codec, dtype, shape)
        blob = qcodec.encode(array, codec)
        decoded = qcodec.decode(blob)
        assert decoded.shape == shape
        assert same_bits(decoded, slow_decode(blob)), shape
        if codec.startswith("lossless"):
            assert same_bits(decoded, array), shape


@pytest.mark.parametrize(("codec", "dtype"), PAIRS)
def test_bytes_do_not_depend_on_the_instruction_set(codec, dtype):
    before, best = _core.isa(), _core.best_isa()
    blobs = {}
    try:
        for level in ISAS[: ISAS.index(best) + 1]:
            _core.set_isa(level)
            blobs[level] = [
                qcodec.encode(samples.tensor(codec, dtype, shape), codec)
                for shape in ((2, 3, 5, 7), (8193,), (91, 90), (9, 4, 3, 3))
                if samples.takes(codec, dtype, shape)
            ]
    finally:
        _core.set_isa(before)
    assert all(made == blobs["portable"] for made in blobs.values())


BIG = [
    ("lossless | huffman", "U8"), ("lossless | bitpack", "F32"), ("lossless | rans", "BF16"),
    ("uniform(bits=4, group=100) | huffman", "F32"), ("uniform(step=0.02) | huffman", "F16"),
    ("uniform(bits=4, group=100) | rans", "F32"), ("uniform(step=0.02) | rans", "F16"),
    ("uniform(bits=16, axis=1, symmetric=False) | bitpack", "F32"),
]  # fmt: skip


@pytest.mark.parametrize("n", [MEGA - 1, MEGA, MEGA + 1], ids=["2^20-1", "2^20", "2^20+1"])
@pytest.mark.parametrize(("codec", "dtype"), BIG)
def test_values_around_the_end_of_a_chunk_equal_those_of_the_reference(isa, codec, dtype, n):
    shape = (1, n) if "axis" in codec else (n,)
    array = samples.weights("F32", shape)
    array = (100 + 10 * array).astype(np.uint8) if dtype == "U8" else array.astype(NUMPY[dtype])
    blob = qcodec.encode(array, codec)
    decoded = qcodec.decode(blob)
    assert same_bits(decoded, slow_decode(blob))
    if codec.startswith("lossless"):
        assert same_bits(decoded, array)


@pytest.mark.parametrize(
    "codec",
    [f"{quantizer} | {coder}" for coder in samples.CODERS
     for quantizer in ("lossless", "uniform(bits=5, axis=0)", "uniform(step=0.001)")],
)  # fmt: skip
def test_bytes_and_values_do_not_depend_on_threads(codec):
    array = samples.weights("F32", (3, MEGA + 12345), seed=3)
    blobs = {qcodec.encode(array, codec, threads=threads) for threads in (1, 2, 7)}
    assert len(blobs) == 1
    blob = blobs.pop()
    values = {qcodec.decode(blob, threads=threads).tobytes() for threads in (1, 2, 7)}
    assert len(values) == 1


# ---- lossless

SPECIAL = {
    "F16": [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x7BFF, 0x7C00, 0xFC00, 0x7C01, 0x7E00, 0xFFFF],
    "F32": [0, 1 << 31, 1, 0x807FFFFF, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7F800001, 0x7FC12345],
    "F64": [0, 1 << 63, 1, (1 << 52) - 1, 0x7FF << 52, 0xFFF << 52, (0x7FF << 52) + 1, 2**64 - 1],
}


@pytest.mark.parametrize("coder", samples.CODERS)
@pytest.mark.parametrize("dtype", [name for name in NUMPY if NUMPY[name].itemsize <= 2])
def test_lossless_gives_every_pattern_of_a_small_dtype_back(isa, coder, dtype):
    size = NUMPY[dtype].itemsize
    patterns = np.arange(2 if dtype == "BOOL" else 256**size, dtype=f"u{size}").view(NUMPY[dtype])
    decoded = qcodec.decode(qcodec.encode(patterns, f"lossless | {coder}"))
    assert same_bits(decoded, patterns)


@pytest.mark.parametrize("coder", samples.CODERS)
@pytest.mark.parametrize("dtype", SPECIAL)
def test_lossless_keeps_payloads_of_nan_negative_zeros_and_subnormals(isa, coder, dtype):
    size = NUMPY[dtype].itemsize
    values = np.array(SPECIAL[dtype], f"u{size}").view(NUMPY[dtype])
    assert same_bits(qcodec.decode(qcodec.encode(values, f"lossless | {coder}")), values)


# ---- the error that a lossy codec may make


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "codec",
    [
        c
        for c in samples.LOSSY
        if re.match("uniform", c) and not re.search(r"bits=1\)|rdo|dead_zone|clip", c)
    ],
)
def test_error_stays_within_half_a_step(codec, dtype):
    # Half a step; the step is up to 2^-8 larger than fitted, so that 16 bits hold it, or the 32nd
    # part of an octave where groups are short and it is a code. To that come
    # the roundings to the dtype, to float32 and of the product. Groups below 2^-126 become zeros.
    quantizer = qcodec.parse(codec).quantizer
    w = samples.weights(dtype, (64, 125), seed=1)
    decoded = qcodec.decode(qcodec.encode(w, codec)).astype(np.float64)
    w = w.astype(np.float64)
    if quantizer.step is not None:
        step = np.float64(np.float32(quantizer.step))
    else:
        groups = [w.reshape(1, -1)]
        if quantizer.axis is not None:
            groups = [np.moveaxis(w, quantizer.axis, 0)]
        elif quantizer.group is not None:
            groups = np.split(w.ravel(), range(quantizer.group, w.size, quantizer.group))
        steps = []
        for part in groups:
            part = np.atleast_2d(part)
            if quantizer.symmetric:
                fitted = np.abs(part).max(axis=1) / (2 ** (quantizer.bits - 1) - 1)
            else:
                fitted = (part.max(axis=1) - part.min(axis=1)) / (2**quantizer.bits - 1)
                fitted = np.maximum(fitted, np.abs(part).max(axis=1) / (2**23 - 2**16))
            steps.append(np.broadcast_to(fitted[:, None], part.shape))
        step = np.concatenate([s.ravel() for s in steps]) * 2 ** (1 / 32) + 2.0**-126
        step = step.reshape((125, 64)).T if quantizer.axis == -1 else step.reshape(w.shape)
    rounding = {"F16": 2.0**-11, "BF16": 2.0**-8, "F32": 2.0**-23, "F64": 2.0**-23}[dtype]
    flushed = 2.0**-126 * 2**16 if quantizer.step is None else 0
    bound = step * (0.5 + 2**-20) + np.abs(w) * rounding * 1.01 + flushed + 2.0**-25
    assert np.all(np.abs(decoded - w) <= bound)


# ---- arrays as they come


def layouts(array):
    wide = np.zeros((array.shape[0], 2 * array.shape[1]), array.dtype)
    wide[:, ::2] = array
    return {
        "fortran": np.asfortranarray(array),
        "strided": wide[:, ::2],
        "reversed": array[::-1, ::-1].copy()[::-1, ::-1],
        "transposed": array.T.copy().T,
        "read only": np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    }


@pytest.mark.parametrize("dtype", NUMPY)
@pytest.mark.parametrize("codec", ["lossless", "uniform(bits=8, axis=0)", "uniform(step=0.01)"])
def test_layout_in_memory_does_not_change_the_bytes(codec, dtype):
    if not samples.takes(codec, dtype, (1, 1)):
        pytest.skip("uniform takes floating dtypes")
    array = samples.tensor(codec, dtype, (33, 65))
    blob = qcodec.encode(array, codec)
    for what, same in layouts(array).items():
        assert qcodec.encode(same, codec) == blob, what


@pytest.mark.parametrize("dtype", [d for d in NUMPY if NUMPY[d].itemsize > 1 and d != "BF16"])
def test_big_endian_input_is_the_same_tensor(dtype):
    array = samples.weights("F32", (33, 65)).astype(NUMPY[dtype]) if dtype in FLOATS else (
        samples.bits(dtype, (33, 65))
    )  # fmt: skip
    swapped = array.astype(array.dtype.newbyteorder(">"))
    for codec in ("lossless", "uniform(bits=8, axis=0)")[: 2 if dtype in FLOATS else 1]:
        assert qcodec.encode(swapped, codec) == qcodec.encode(array, codec)


def test_broadcast_input_is_the_same_tensor():
    row = np.arange(5, dtype=np.float32)
    assert qcodec.encode(np.broadcast_to(row, (4, 5))) == qcodec.encode(np.tile(row, (4, 1)))


# ---- configuration


@pytest.mark.parametrize("text", samples.CODECS)
def test_codec_survives_its_string_and_its_json(text):
    codec = qcodec.parse(text)
    assert str(codec) == text
    assert qcodec.parse(str(codec)) == codec
    assert qcodec.Codec.from_config(json.loads(json.dumps(codec.get_config()))) == codec


@pytest.mark.parametrize("text", samples.CODECS)
def test_codec_of_a_file_is_the_one_it_was_written_with(text):
    with qcodec.safe_open(qcodec.encode(np.ones((2, 2), np.float32), text)) as f:
        assert str(f.get_codec("")) == text


# ---- out=


@pytest.mark.parametrize("out_dtype", FLOATS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "codec", ["lossless", "uniform(bits=8, axis=0) | bitpack", "uniform(step=1e-05)"]
)
def test_out_of_another_dtype_gets_the_rounded_values(isa, codec, dtype, out_dtype):
    array = samples.weights(dtype, (91, 90))
    blob = qcodec.encode(array, codec)
    out = np.empty(array.shape, NUMPY[out_dtype])
    assert qcodec.decode(blob, out=out) is out
    assert same_bits(out, slow_decode(blob, out_dtype))


@pytest.mark.parametrize("codec", ["lossless", "uniform(bits=4) | bitpack"])
def test_out_that_is_not_contiguous_is_filled_and_nothing_else_touched(codec):
    array = samples.weights("F32", (91, 90))
    blob = qcodec.encode(array, codec)
    expected = slow_decode(blob)
    wide = np.full((91, 180), 7, np.float32)
    qcodec.decode(blob, out=wide[:, ::2])
    assert same_bits(wide[:, ::2].copy(), expected)
    assert np.all(wide[:, 1::2] == 7)
    fortran = np.empty((91, 90), np.float32, order="F")
    qcodec.decode(blob, out=fortran)
    assert same_bits(np.ascontiguousarray(fortran), expected)
    raw = np.zeros(4 * array.size + 1, np.uint8)
    unaligned = raw[1:].view(np.float32).reshape(array.shape)
    qcodec.decode(blob, out=unaligned)
    assert same_bits(unaligned.copy(), expected)


@pytest.mark.parametrize(
    "out",
    [np.empty((2, 2), np.float32), np.empty((2, 3), np.int32), np.empty((2, 3), np.complex64)],
    ids=["shape", "integers", "complex"],
)
def test_out_that_cannot_hold_the_tensor_is_refused(out):
    blob = qcodec.encode(np.ones((2, 3), np.float32))
    with pytest.raises(qcodec.InputError):
        qcodec.decode(blob, out=out)


def test_out_that_is_read_only_is_refused():
    out = np.zeros((2, 3), np.float32)
    out.flags.writeable = False
    with pytest.raises(qcodec.InputError, match="read-only"):
        qcodec.decode(qcodec.encode(np.ones((2, 3), np.float32)), out=out)


# ---- slices

ROWS = [
    0, -1, 149, slice(None), slice(3, 50), slice(140, 400), slice(9, 2), slice(None, None, 7),
    slice(None, None, -1), slice(100, 5, -3), slice(-5, None), slice(60, 60), Ellipsis, (),
    (slice(2, 9), 3), (slice(None), slice(1, 4), -1), (5, Ellipsis, 2), (Ellipsis, 1), (1, 2, 3),
    (slice(0, 0), 1), np.int64(7),
]  # fmt: skip


@pytest.mark.parametrize("index", ROWS, ids=str)
@pytest.mark.parametrize("codec", ["lossless", "uniform(bits=4, group=33)", "uniform(step=1e-05)"])
def test_slice_equals_that_of_the_whole_tensor(codec, index):
    blob = qcodec.encode(samples.weights("F32", (150, 8, 9)), codec)
    with qcodec.safe_open(blob) as f:
        got = f.get_slice("")[index]
    assert same_bits(np.asarray(got), np.asarray(slow_decode(blob)[index]))


@pytest.mark.parametrize("codec", ["lossless", "uniform(bits=4, axis=1)", "uniform(step=0.0003)"])
def test_slice_across_chunks_equals_that_of_the_whole_tensor(isa, codec):
    array = samples.weights("F32", (700, 3000), seed=2)
    with qcodec.safe_open(qcodec.encode(array, codec)) as f:
        whole = f.get_tensor("")
        for rows in (slice(349, 350), slice(348, 352), slice(699, 700), slice(1, 699)):
            assert same_bits(f.get_slice("")[rows], whole[rows])


# ---- values that a lossy codec cannot keep


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "codec", ["uniform(bits=4, axis=0)", "uniform(bits=1)", "uniform(step=1.0)"]
)
def test_non_finite_weight_is_named_by_tensor_and_index(isa, tmp_path, codec, dtype, bad):
    array = samples.weights(dtype, (91, 90))
    array[90, 17] = bad
    with pytest.raises(qcodec.InputError, match=rf"'blk\.w'.*\[90, 17\] is {bad}"):
        qcodec.save_file({"ok": array[:5], "blk.w": array}, tmp_path / "m.qc", codec)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("codec", samples.LOSSY[::5])
@pytest.mark.parametrize("dtype", [name for name in NUMPY if name not in FLOATS])
def test_lossy_codec_refuses_what_is_no_float(codec, dtype):
    with pytest.raises(qcodec.InputError, match="takes floating dtypes"):
        qcodec.encode(samples.bits(dtype, (4, 4)), codec)


@pytest.mark.parametrize("dtype", ["complex128", "U5", "datetime64[s]", "longdouble", "V3"])
def test_dtype_that_no_file_has_is_refused(dtype):
    with pytest.raises(qcodec.UnsupportedError, match="is not supported"):
        qcodec.encode(np.zeros(3, dtype))
