"""E8P: what is special to it. Rules shared by every quantizer: test_contracts.py."""

import functools
import struct

import forge
import numpy as np
import pytest
import reference

import qcodec

CONFIG = {"quantizer": {"name": "e8p", "axis": None, "group": None}, "coder": {"name": "bitpack"}}
F32 = 12


def chunk_of(codes, scale=1.0, form=0):
    """A chunk of whole vectors, stored, from their 16-bit codes."""
    code = np.asarray(codes, np.uint16)
    scales = struct.pack("<f", scale) if form == 0 else struct.pack("<H", scale)
    low, high = (code & 255).astype(np.uint8).tobytes(), (code >> 8).astype(np.uint8).tobytes()
    return bytes([form]) + scales + b"\0" + low + b"\0" + high


def decoded(chunk, n, config=CONFIG, shape=None):
    return qcodec.decode(forge.file_of(config, shape or (n,), F32, chunk))


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_codes_of_the_page_decode_to_its_points(isa):
    # Pattern 0 without signs; the page's example; a sign of s_1 that s_0 makes even; pattern 227.
    points = decoded(chunk_of([0x0000, 0x0103, 0x0002, 0xE300]), 32).reshape(4, 8)
    assert points[0].tolist() == [0.75] * 8
    assert points[1].tolist() == [0.25, -0.75, 0.25, 0.25, 0.25, 0.25, 0.25, 1.25]
    assert points[2].tolist() == [-0.25, -0.25, *[0.75] * 6]
    assert points[3].tolist() == [-0.25, 0.75, 0.75, *[1.75] * 5]


def test_every_code_decodes_as_in_the_reference_decoder(isa):
    blob = forge.file_of(CONFIG, (8 * 65536,), F32, chunk_of(np.arange(65536), 0.3))
    assert qcodec.decode(blob).tobytes() == every_code(blob).tobytes()


@functools.cache
def every_code(blob):
    return reference.decode_blob(blob)


def test_points_are_of_e8_moved_by_a_quarter_and_all_different():
    points = decoded(chunk_of(np.arange(65536)), 8 * 65536).reshape(-1, 8).astype(np.float64)
    moved = np.where((np.arange(65536) & 1)[:, None] == 1, points + 0.25, points - 0.25)
    assert np.all(moved * 2 % 2 == 1)
    assert np.all(moved.sum(1) % 2 == 0)
    assert len(np.unique(points, axis=0)) == 65536


def test_two_bits_a_weight_and_one_scale():
    w = normal((1024, 1024))
    chunk = forge.take_apart(qcodec.encode(w, "e8p")).rows[0].chunks[0]
    assert len(chunk) == 1 + 2 + 1 + 2**17 + 1 + 2**17  # form, scale, two stored planes


def test_error_of_bell_shaped_weights_is_that_of_the_codebook():
    w = normal(2**18)
    error = ((qcodec.decode(qcodec.encode(w, "e8p")) - w) ** 2).mean()
    assert 0.0905 < error < 0.093


def test_groups_and_axes_keep_their_own_scales():
    w = normal((16, 100)) * np.logspace(-3, 3, 16, dtype=np.float32)[:, None]
    for codec in ("e8p(axis=0)", "e8p(group=100)", "e8p(axis=-2)"):
        back = qcodec.decode(qcodec.encode(w, codec))
        assert (((back - w) ** 2).mean(1) < 0.15 * (w**2).mean(1)).all()


def test_a_scale_is_that_of_least_squared_error_in_nine_bits():
    w = normal(4096)
    back = qcodec.decode(qcodec.encode(w, "e8p")).astype(np.float64)
    assert abs((w * back).sum() / (back * back).sum() - 1) < 2**-8


@pytest.mark.parametrize("n", [1, 7, 8, 9, 2**20 + 3])
def test_ranges_decode_as_the_whole_does(n):
    w = normal(n)
    blob = qcodec.encode(w, "e8p(group=5)")
    whole = qcodec.decode(blob)
    with qcodec.safe_open(blob) as f:
        part = f.get_slice("")
        for begin, end in ((0, 1), (n // 2, n // 2 + 1), (max(n - 9, 0), n)):
            assert part[begin:end].tobytes() == whole[begin:end].tobytes()


def test_groups_of_zeros_stay_zeros():
    w = normal((4, 64))
    w[1] = 0
    back = qcodec.decode(qcodec.encode(w, "e8p(axis=0)"))
    assert not back[1].any()
    assert not qcodec.decode(qcodec.encode(np.zeros(20, np.float32), "e8p")).any()


@pytest.mark.parametrize("size", [1e-38, 1e-45, 3e38])
def test_weights_of_any_size_are_taken(size):
    w = (np.array([1, -1, 0.5, 0.25, -1, 1, 1, 1]) * size).astype(np.float32)
    back = qcodec.decode(qcodec.encode(w, "e8p"))
    assert np.isfinite(back).all()
    assert np.abs(back - w).max() <= np.abs(w).max()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused_by_element(value):
    w = normal((3, 5))
    w[1, 2] = value
    with pytest.raises(qcodec.InputError, match=r"element \[1, 2\]"):
        qcodec.encode(w, "e8p")


@pytest.mark.parametrize(
    ("options", "error"),
    [({"axis": 0, "group": 2}, ValueError), ({"group": 0}, ValueError), ({"axis": 0.5}, TypeError)],
)
def test_options_out_of_range_are_refused(options, error):
    with pytest.raises(error):
        qcodec.E8P(**options)


def test_an_axis_that_the_tensor_lacks_is_refused():
    with pytest.raises(qcodec.InputError, match="axis 2"):
        qcodec.encode(normal((2, 2)), "e8p(axis=2)")


BAD_CHUNKS = {
    "form": (b"\x02" + chunk_of([1])[1:], qcodec.CorruptError),
    "negative scale": (chunk_of([1], -1.0), qcodec.CorruptError),
    "subnormal scale": (chunk_of([1], 1e-40), qcodec.CorruptError),
    "infinite scale": (chunk_of([1], float("inf")), qcodec.CorruptError),
    "scale that is no number": (chunk_of([1], float("nan")), qcodec.CorruptError),
    "negative short scale": (chunk_of([1], 0xFFFF, form=1), qcodec.CorruptError),
    "a byte too many": (chunk_of([1]) + b"\0", qcodec.CorruptError),
    "a code too many": (chunk_of([1, 2]), qcodec.CorruptError),
    "no second plane": (chunk_of([1])[:-2], qcodec.TruncatedError),
    "half a scale": (chunk_of([1])[:3], qcodec.TruncatedError),
    "nothing but the form": (b"\x00", qcodec.TruncatedError),
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_chunks_that_break_a_rule_are_refused(isa, name):
    chunk, error = BAD_CHUNKS[name]
    with pytest.raises(error):
        decoded(chunk, 8)
    with pytest.raises(reference.RejectedError):
        reference.decode_blob(forge.file_of(CONFIG, (8,), F32, chunk))


def test_damaged_chunks_give_values_or_errors_and_both_readers_agree():
    w = normal(200)
    rng = np.random.default_rng(3)
    for codec in ("e8p(group=16)", "e8p | rans"):
        parts = forge.take_apart(qcodec.encode(w, codec))
        config = qcodec.parse(codec).get_config()
        chunk = parts.rows[0].chunks[0]
        for _ in range(150):
            bad = bytearray(chunk[: rng.integers(1, len(chunk) + 1)])
            bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
            blob = forge.file_of(config, (200,), F32, bytes(bad))
            try:
                expected = reference.decode_blob(blob).tobytes()
            except reference.RejectedError:
                expected = None
            try:
                assert qcodec.decode(blob).tobytes() == expected
            except (qcodec.CorruptError, qcodec.TruncatedError):
                assert expected is None
