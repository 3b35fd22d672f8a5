"""`trellis` with scales of rows or groups."""

import forge
import numpy as np
import pytest
import reference

import qcodec

pytestmark = pytest.mark.usefixtures("touched")


def normal(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def snr_of(w, got):
    w = w.astype(np.float64)
    return 10 * np.log10((w**2).sum() / ((got - w) ** 2).sum())


def decoded(w, codec):
    """What comes back, which the reference decoder must confirm."""
    blob = qcodec.encode(w, codec)
    got = qcodec.decode(blob)
    assert got.tobytes() == reference.decode_blob(blob).tobytes()
    return got


# ---- the page

GROUPS = {"step": None, "bits": 2.0, "group": 2}
# Codes 0 and 5 of 3 bits: 5 is 2^(1/4) * 2 = 2.3784142, so the second group's scale is 1.1892071.
SECTION = "0a 03 00 00 00 3f 03 28 01 10"
PATCH = "01 03 00 00 00 06 00 00 00"
PLANE = "00 15 0f"  # stored: 5 2 4 7, in three bits each


def file_of(chunk, options=GROUPS):
    quantizer = qcodec.parse("trellis(step=0.5)").get_config()["quantizer"] | options
    config = {"quantizer": quantizer, "coder": {"name": "bitpack"}}
    return forge.file_of(config, (4,), 12, bytes.fromhex(chunk))


def test_groups_have_scales_of_their_own(isa):
    blob = file_of(SECTION + PATCH + PLANE)
    assert qcodec.decode(blob).tolist() == [0.4375, -1, 0, np.float32(7.1352425)]
    assert reference.decode_blob(blob).tobytes() == qcodec.decode(blob).tobytes()
    # 3 * 1.1892071 = 3.5676 is 228.3 of the 256ths of 4 that bfloat16 has.
    blob = file_of(SECTION + "00" + PLANE)
    assert qcodec.decode(blob).tolist() == [0.4375, -1, 0, 3.5625]
    assert reference.decode_blob(blob).tobytes() == qcodec.decode(blob).tobytes()


BAD = {  # section, number of elements in a group, what the error says
    "codes where there is one group": ("08 03 00 00 00 3f 00 00", 4, "form"),
    "no codes where there are two": ("00 03 00 00 00 3f 00", 2, "form"),
    "a step where there are two": ("09 03 00 00", 2, "form"),
    "codes of 7 bits": ("08 03 00 00 00 3f 07 00 00 00", 2, "width of codes"),
    "bits after the codes": ("08 03 00 00 00 3f 03 68 00", 2, "padding"),
    "a group's scale beyond float32": ("08 03 ff ff 7f 7f 01 02 00", 2, "not finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_section_with_one_rule_broken_is_refused(isa, name):
    section, group, reason = BAD[name]
    blob = file_of(section + PLANE, GROUPS | {"group": group})
    with pytest.raises(qcodec.CorruptError, match=reason):
        qcodec.decode(blob)
    with pytest.raises(reference.RejectedError):
        reference.decode_blob(blob)


@pytest.mark.parametrize(
    "section",
    ["08 03 00 00 00 3f 00 00", "08 03 00 00 80 00 06 ff 0f 00", "08 03 ff ff ff 7e 02 0c 00"],
)
def test_section_at_its_limits_is_taken(isa, section):
    blob = file_of(section + PLANE)
    assert qcodec.decode(blob).tobytes() == reference.decode_blob(blob).tobytes()


def test_section_that_ends_early_is_truncated(isa):
    chunk = SECTION + "00"
    for end in range(2, len(chunk), 3):
        with pytest.raises(qcodec.TruncatedError):
            qcodec.decode(file_of(chunk[:end]))


@pytest.mark.parametrize(
    "options",
    [{"step": 0.5, "group": 2}, {"step": 0.5, "axis": 0}, GROUPS | {"group": 0},
     GROUPS | {"group": True}, GROUPS | {"profile": True}, GROUPS | {"axis": None},
     {"step": None, "bits": 2.0, "axis": 0, "group": 2}, {"step": None, "bits": 2.0, "axis": 1}],
    ids=str,
)  # fmt: skip
def test_config_that_no_writer_writes_is_corrupt(options):
    blob = file_of(SECTION + "00" + PLANE, options)
    with pytest.raises(qcodec.CorruptError):
        qcodec.decode(blob)
    with pytest.raises(reference.RejectedError):
        reference.decode_blob(blob)


# ---- error and rate


@pytest.mark.parametrize("bits", [1.5, 4.0])
def test_bits_are_those_asked_for_with_the_codes_of_groups(bits):
    w = normal(2**18) * np.exp(normal(2**14, 1)).repeat(16)
    blob = qcodec.encode(w, f"trellis(states=8, bits={bits}, group=16)")
    got = 8 * len(forge.take_apart(blob).rows[0].chunks[0]) / w.size
    assert abs(got / bits - 1) < 0.02


@pytest.mark.parametrize("options", ["axis=0", "axis=-2", "group=4096"])
def test_every_group_keeps_the_same_ratio_of_power_to_error(options):
    scales = np.exp2(np.linspace(-7, 7, 64)).astype(np.float32)
    w = normal(2**18, 3).reshape(64, 4096) * scales[:, None]
    got = decoded(w, f"trellis(states=8, snr=20.0, {options})")
    # A scale is off by an eighth of an octave at most, 0.75 dB.
    assert all(abs(snr_of(*rows) - 20) < 1 for rows in zip(w, got, strict=True))
    got = decoded(w, "trellis(states=8, snr=20.0)")  # one step for all
    assert snr_of(w[0], got[0]) < 1


def test_an_outlier_is_exact_to_half_a_step_of_its_group():
    w = normal(40_000).reshape(2, 20_000)
    w[1] /= 1024
    w[0, 5], w[1, 7], w[1, 9] = 700, 1.3, -0.9
    got = decoded(w, "trellis(states=8, snr=30.0, axis=0)")
    steps = [np.diff(np.unique(row)).min() * 1.25 for row in got]  # points move by less
    assert abs(got[0, 5] - 700) <= 0.5 * steps[0]
    assert np.abs(got[1, [7, 9]] - w[1, [7, 9]]).max() <= 0.5 * steps[1]
    assert steps[0] > 100 * steps[1]


def test_groups_further_apart_than_codes_reach_keep_the_step_of_the_least_code():
    w = normal(3000).reshape(3, 1000) * np.float32([[1], [2.0**-20], [0]])
    got = decoded(w, "trellis(states=8, snr=20.0, axis=0)")
    assert snr_of(w[0], got[0]) > 20
    # 63 quarters of an octave down the step is less than 2^-15.75.
    assert np.abs(got[1:] - w[1:]).max() < 2.0**-15


def test_chunks_and_ranges_know_their_groups():
    scales = np.exp(normal(11_120, 1)).repeat(97)
    w = normal(2**20 + 30_000) * scales[: 2**20 + 30_000]
    blob = qcodec.encode(w, "trellis(states=8, snr=20.0, group=97)", threads=2)
    assert blob == qcodec.encode(w, "trellis(states=8, snr=20.0, group=97)", threads=1)
    whole = qcodec.decode(blob, threads=1)
    assert whole.tobytes() == reference.decode_blob(blob).tobytes()
    with qcodec.safe_open(blob) as f:
        part = f.get_slice("")
        for begin, end in ((96, 98), (8191, 8200), (2**20 - 5, 2**20 + 200), (w.size - 1, None)):
            assert part[begin:end].tobytes() == whole[begin:end].tobytes()


@pytest.mark.parametrize(
    ("shape", "axis"), [((40, 30), -1), ((7, 3, 40), 1), ((7, 3, 40), -1), ((700, 48, 128), 1)]
)
def test_groups_of_any_axis_come_round_again(isa, shape, axis):
    scales = np.exp(normal(shape[axis], 1))
    w = np.moveaxis(np.moveaxis(normal(np.prod(shape)).reshape(shape), axis, -1) * scales, -1, axis)
    blob = qcodec.encode(np.ascontiguousarray(w), f"trellis(states=8, snr=20.0, axis={axis})")
    got = qcodec.decode(blob, threads=1)
    assert got.tobytes() == reference.decode_blob(blob).tobytes()
    groups = np.moveaxis(w, axis, 0), np.moveaxis(got, axis, 0)
    assert all(snr_of(*group) > 17 for group in zip(*groups, strict=True))


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("scale", [0.0, 1e-41, 1e-37, 1.0, 5e37])
def test_odd_groups_come_back(scale, group):
    w = (normal(1000) * scale).astype(np.float32)
    w[::7] = 0
    for target in ("bits=0.1", "snr=25.0"):
        got = decoded(w, f"trellis(states=8, {target}, group={group})")
        assert np.isfinite(got).all()
        if target == "snr=25.0" and scale > 1e-40:
            assert snr_of(w, got) > 20


# ---- what it refuses


@pytest.mark.parametrize(
    ("options", "reason"),
    [("step=1.0, axis=0", "need bits or snr"), ("step=1.0, group=4", "need bits or snr"),
     ("bits=2.0, axis=0, profile=True", "exclude profile"), ("bits=2.0, group=0", "group"),
     ("bits=2.0, axis=0, group=4", "not both"), ("bits=2.0, axis=40", "axis"),
     ("bits=2.0, group=64.0", "group")],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options, reason):
    with pytest.raises(qcodec.InputError, match=reason):
        qcodec.parse(f"trellis({options})")


def test_coefficients_have_no_groups():
    with pytest.raises(qcodec.InputError, match="no coefficients"):
        qcodec.parse("dct | trellis(bits=2.0, axis=0)")
