"""Order of symbols by classes: FORMAT.md, "Order". And the search that fits a profile."""

import math

import forge
import numpy as np
import pytest
import reference
import samples

import qcodec
from qcodec import _core

STEPPED = {"quantizer": {"name": "uniform", "bits": None, "step": 0.5, "axis": None, "group": None,
                         "symmetric": True}}  # fmt: skip
PROFILED = {"quantizer": STEPPED["quantizer"] | {"profile": True}, "coder": {"name": "bitpack"}}
DCT = {"transform": {"name": "dct", "block": None}} | STEPPED | {"coder": {"name": "bitpack"}}
F32 = 12


def bit_string(values, bits):
    total = sum(value << (bits * k) for k, value in enumerate(values))
    return b"\0" + total.to_bytes(-(-bits * len(values) // 8), "little")


def integers(symbols):
    """Sections of a part of width 4 whose scale is the step, and the stream of all symbols."""
    return bytes.fromhex("08 04 00"), bit_string([8 + q for q in symbols], 4)


def decoded(data, name=""):
    got = reference.open_file(data).decode(name)
    with qcodec.safe_open(data) as f:
        assert f.get_tensor(name).tobytes() == got.tobytes()
    return got.ravel().tolist()


# ---- files by hand


def test_symbols_stand_by_class_of_the_profile():
    # One row, four channels, one position. Classes 35, 34, 33, 32: the last element comes first.
    section, symbols = integers([1, 2, 3, 4])
    profile = bit_string([32, 35, 34, 33, 32, 32], 6)
    data = forge.file_of(PROFILED, (1, 4), F32, section + profile + symbols)
    assert decoded(data) == [2.0, 1.5, 1.0, 0.5]


def test_symbols_of_equal_class_stand_by_element():
    section, symbols = integers([1, 2, 3, 4])
    profile = bit_string([32, 33, 32, 33, 32, 32], 6)
    data = forge.file_of(PROFILED, (1, 4), F32, section + profile + symbols)
    assert decoded(data) == [1.5, 0.5, 2.0, 1.0]


@pytest.mark.parametrize(
    ("codes", "order"),
    [
        # two rows of two channels: sums less 64 are clamped to 0..63, and then are equal
        ([0, 1, 31, 30, 32], [1, 2, 3, 4]),  # -1, -2, 0, -1: all 0
        ([63, 63, 33, 32, 32], [1, 2, 3, 4]),  # 64, 63, 64, 63: all 63
        ([33, 32, 32, 32, 32], [3, 4, 1, 2]),
    ],
)
def test_classes_are_clamped(codes, order):
    section, symbols = integers([1, 2, 3, 4])
    data = forge.file_of(PROFILED, (2, 2), F32, section + bit_string(codes, 6) + symbols)
    assert decoded(data) == [q / 2 for q in order]


def test_position_codes_go_by_the_axes_behind_the_channels():
    # One row, one channel, positions 2 x 2.
    section, symbols = integers([1, 2, 3, 4])
    profile = bit_string([32, 32, 32, 30, 31, 29], 6)
    data = forge.file_of(PROFILED, (1, 1, 2, 2), F32, section + profile + symbols)
    assert decoded(data) == [2.0, 1.0, 1.5, 0.5]


def test_vector_has_no_profile_and_no_order():
    section, symbols = integers([1, 2, 3, 4])
    assert decoded(forge.file_of(PROFILED, (4,), F32, section + symbols)) == [0.5, 1.0, 1.5, 2.0]


def test_coefficients_stand_by_position_in_their_block():
    # Two blocks of 2 x 2 with nothing but their means, 2 and 4: a mean is half of coefficient 0.
    section, symbols = integers([4, 7, 0, 0, 0, 0, 0, 0])
    got = decoded(forge.file_of(DCT, (2, 1, 2, 2), F32, section + symbols))
    np.testing.assert_allclose(got, [1.0] * 4 + [1.75] * 4, rtol=1e-6)


def test_parts_of_a_chunk_are_ordered_together():
    # A vector and two rows of a matrix: the vector has class 64, behind all of the profile.
    section, symbols = integers([1, 2, 3, 4, 5, 6])
    profile = bit_string([33, 32, 32, 32, 32], 6)
    chunk = 2 * section + profile + symbols
    data = forge.shared_file(PROFILED, [(2,), (2, 2)], F32, chunk)
    assert decoded(data, "0") == [2.5, 3.0]
    assert decoded(data, "1") == [1.5, 2.0, 0.5, 1.0]


def test_shifts_of_the_part_before_serve_again():
    # Magnitude 1 stands for 1 - 64 / 128 steps, magnitude 2 for 2 + 32 / 128, 3 for itself.
    first = bytes.fromhex("0C 04 00 02 40 E0")
    again = bytes.fromhex("18 04 00")
    symbols = bit_string([9, 7, 10, 6, 11, 8], 4)
    config = STEPPED | {"coder": {"name": "bitpack"}}
    data = forge.shared_file(config, [(3,), (3,)], F32, first + again + symbols)
    assert decoded(data, "0") == [0.25, -0.25, 1.125]
    assert decoded(data, "1") == [-1.125, 1.5, 0.0]


def test_escaped_values_have_no_shifts():
    section = bytes.fromhex("0C 08 01 01 40 01000000")
    symbols = bit_string([0, 129], 8)
    config = STEPPED | {"coder": {"name": "bitpack"}}
    assert decoded(forge.file_of(config, (2,), F32, section + symbols)) == [0.5, 0.25]


@pytest.mark.parametrize("shape", [(40, 64), (37, 33, 2), (1, 70), (19, 8, 3, 3), (3, 63)])
@pytest.mark.parametrize("dct", [False, True])
@pytest.mark.parametrize("spread", [3, 32])  # 32: most rows have sums that are clamped
def test_long_rows_of_any_codes(isa, shape, dct, spread):
    rng = np.random.default_rng(spread)
    sizes = (shape[0], shape[1], math.prod(shape[2:]))
    codes = np.concatenate([rng.integers(32 - spread, 32 + spread, n) for n in sizes])
    section, symbols = integers(rng.integers(-8, 8, math.prod(shape)).tolist())
    config = ({"transform": DCT["transform"]} if dct else {}) | PROFILED
    data = forge.file_of(config, shape, F32, section + bit_string(codes.tolist(), 6) + symbols)
    decoded(data)


# ---- files of the engine


@pytest.mark.parametrize("dtype", reference.FLOATS)
@pytest.mark.parametrize("coder", samples.CODERS)
@pytest.mark.parametrize("stages", ["uniform({})", "dct | uniform({})"])
@pytest.mark.parametrize("step", [0.3, 0.01, 0.0003])
@pytest.mark.parametrize("channels", [5, 11])  # rows of 45 and 99
def test_elements_come_back_in_their_places(isa, stages, step, coder, dtype, channels):
    # Widths of 5, 8 with escapes and 16.
    w = samples.weights(dtype, (7, channels, 3, 3), seed=4)
    codec = f"{stages.format(f'step={step}, profile=True')} | {coder}"
    blob = qcodec.encode(w, codec)
    got = qcodec.decode(blob)
    assert got.tobytes() == reference.decode_blob(blob).tobytes()
    plain = qcodec.decode(qcodec.encode(w, f"{stages.format(f'step={step}')} | {coder}"))
    assert got.tobytes() == plain.tobytes()  # a profile changes no value


@pytest.mark.parametrize("stages", ["uniform({})", "dct | uniform({})"])
def test_rows_across_chunks_come_back_in_their_places(stages):
    # Rows of 2592: chunks begin and end inside of them.
    rng = np.random.default_rng(8)
    w = rng.standard_normal((1213, 288, 3, 3), np.float32)
    w *= np.exp2(rng.integers(-3, 4, (1, 288, 1, 1)) / 2).astype(np.float32)
    w[::3] *= 0.001  # clamped
    profiled, plain = (
        qcodec.decode(qcodec.encode(w, f"{stages.format(f'step=0.3{profile}')} | bitpack"))
        for profile in (", profile=True", "")
    )
    assert profiled.tobytes() == plain.tobytes()


def test_profile_of_separable_scales_is_found():
    # Scales of 4 and 16 steps by row, twice and half by channel, equal by position: quarter octaves
    # 8 and 16 above 32, and for channels with mean 1, log2(8/5) and log2(2/5).
    from qcodec.search.profile import fit_profile

    rows, channels = np.array([400.0, 1600.0]), np.array([2.0, 0.5])
    signs = np.where(np.arange(2 * 2 * 9).reshape(2, 2, 9) % 2, 1, -1)
    w = (signs * rows[:, None, None] * channels[None, :, None]).astype(np.float32)
    elements = np.arange(w.size)
    codes = fit_profile(w.ravel(), elements, 2, 9, 100.0)
    mean = channels.mean()
    expected = [
        *(32 + 4 * np.log2(rows / 100 * mean)), *(32 + 4 * np.log2(channels / mean)), *[32] * 9,
    ]  # fmt: skip
    assert np.all(np.abs(codes - np.array(expected)) < 0.75)  # the floor lifts small magnitudes


def test_profile_of_zeros_is_harmless():
    w = np.zeros((3, 4, 3, 3), np.float32)
    blob = qcodec.encode(w, "dct | uniform(step=0.5, profile=True)")
    assert not qcodec.decode(blob).any()
    assert not reference.decode_blob(blob).any()


def test_profile_makes_a_tensor_of_unequal_scales_smaller():
    rng = np.random.default_rng(3)
    scales = 2.0 ** rng.uniform(-3, 3, (64, 1, 1, 1)) * 2.0 ** rng.uniform(-2, 2, (1, 32, 1, 1))
    w = (rng.standard_normal((64, 32, 3, 3)) * scales).astype(np.float32)
    plain, profiled = (
        len(qcodec.encode(w, f"uniform(step=0.5{more}) | rans")) for more in ("", ", profile=True")
    )
    assert profiled < 0.9 * plain


@pytest.mark.parametrize("n", [0, 1, 5, 1000, 2**20])
def test_coding_order_keeps_the_elements_of_a_class_as_they_come(n):
    classes = np.random.default_rng(n).integers(0, 256, n).astype(np.uint8)
    order = np.argsort(classes, kind="stable")
    np.testing.assert_array_equal(_core.coding_order(classes), order)
