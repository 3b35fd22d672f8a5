"""`trellis`: what is special to it. Rules shared by every quantizer: test_contracts.py."""

import forge
import numpy as np
import pytest
import reference
from entropy import twin_rans as twin

import qcodec
from qcodec import _core

MEMORY = {8: 3, 32: 5, 128: 7}


def normal(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def chunk_of(blob):
    return forge.take_apart(blob).rows[0].chunks[0]


def decoded(w, codec):
    """What comes back, which the reference decoder must confirm."""
    blob = qcodec.encode(w, codec)
    got = qcodec.decode(blob)
    assert got.tobytes() == reference.decode_blob(blob).tobytes()
    return got


def snr_of(w, got):
    w = w.astype(np.float64)
    return 10 * np.log10((w**2).sum() / ((got - w) ** 2).sum())


# ---- the search


def walk(values, states, scale=1.0, rdo=0.0, weights=()):
    weights = np.array(weights, np.float32)
    return _core.walk_trellis(values, weights, MEMORY[states], scale, rdo, True)


def points_of(width, shifts):
    """Of all symbols, in steps that bfloat16 has exactly, by the page."""
    q = np.arange(2**width) - 2 ** (width - 1)
    units = 128 * q
    for j, shift in enumerate(shifts, 1):
        units[np.abs(q) == j] -= shift * np.sign(q[np.abs(q) == j])
    return units / 128


def least_error(values, points, memory):
    """Over all paths of a lane from state 0, of every symbol that its states take."""
    best = np.inf

    def go(at, state, error):
        nonlocal best
        if error >= best:
            return
        if at == len(values):
            best = error
            return
        errors = (values[at] - points) ** 2
        for s in sorted(range(state % 2, len(points), 2), key=errors.__getitem__):
            go(at + 1, twin.next_state(state, s, memory), error + errors[s])

    go(0, 0, 0.0)
    return best


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("states", MEMORY)
def test_without_a_price_no_path_has_less_error(isa, states, seed):
    # 16 lanes of 6 symbols. Points are fitted once more after the search: they may move a little.
    values = np.random.default_rng(seed).uniform(-1.9, 1.9, 96).astype(np.float32)
    symbols, width, lanes, shifts = walk(values, states)
    assert (width, lanes) == (3, 16)
    points = points_of(width, shifts)
    assert np.array_equal(twin.walk(symbols, 16, MEMORY[states]) % 2, symbols % 2)
    error, least = 0.0, 0.0
    for lane in range(16):
        own = values[lane::16].astype(np.float64)
        error += ((own - points[symbols[lane::16]]) ** 2).sum()
        least += least_error(own, points, MEMORY[states])
    assert least * 0.9999 < error < least * 1.005


# ---- the page


def config(**options):
    quantizer = qcodec.parse("trellis(step=0.5)").get_config()["quantizer"] | options
    return {"quantizer": quantizer, "coder": {"name": "bitpack"}}


SECTION = "03 03 01 10 01 03 00 00 00 06 00 00 00"
PLANE = "00 15 0f"  # stored: 5 2 4 7, in three bits each


def chunk(section=SECTION, plane=PLANE):
    return bytes.fromhex(section + plane)


def test_example_of_the_page_decodes(isa):
    blob = forge.file_of(config(), (4,), 12, chunk())
    assert qcodec.decode(blob).tolist() == [0.4375, -1, 0, 3]
    assert reference.decode_blob(blob).tolist() == [0.4375, -1, 0, 3]
    # Without the patch, symbol 7 is 3: the point is 1.5.
    blob = forge.file_of(config(), (4,), 12, chunk("03 03 01 10 00"))
    assert qcodec.decode(blob).tolist() == [0.4375, -1, 0, 1.5]


def test_points_are_rounded_to_bfloat16_and_patches_are_not(isa):
    # 1.1 is 3F8CCCCD in float32; 3F8D is 1.1015625.
    step = float(np.float32(1.1))
    blob = forge.file_of(config(step=step), (4,), 12, chunk("01 03 01 03000000 01000000"))
    assert qcodec.decode(blob).tolist() == [1.1015625, -2.203125, 0, np.float32(1.1)]
    assert reference.decode_blob(blob).tobytes() == qcodec.decode(blob).tobytes()


TOO_MANY = "01 03 05" + "".join(f"{k:02x} 00 00 00" for k in range(5)) + 20 * "00"
BAD = {  # section, its config, what the error says
    "an unknown form": ("10 03 01 10 00", {}, "form"),
    "shifts twice": ("07 03 01 10 00", {}, "form"),
    "a step that is not given": ("01 03 00", {"step": None, "bits": 2.0}, "form"),
    "width 2": ("01 02 00", {}, "width"),
    "width 9": ("01 09 00", {}, "width"),
    "a scale of zero": ("00 03 00 00 00 00 00", {}, "scale"),
    "a scale of -0": ("00 03 00 00 00 80 00", {}, "scale"),
    "a subnormal scale": ("00 03 ff ff 7f 00 00", {}, "scale"),
    "a negative scale": ("00 03 00 00 80 bf 00", {}, "scale"),
    "an infinite scale": ("00 03 00 00 80 7f 00", {}, "scale"),
    "a scale that is no number": ("00 03 00 00 c0 7f 00", {}, "scale"),
    "no shifts": ("03 03 00 00", {}, "number of shifts"),
    "32 shifts": ("03 03 20" + 32 * "00" + "00", {}, "number of shifts"),
    "shifts of nobody": ("05 03 00", {}, "no shifts before these"),
    "more patches than elements": (TOO_MANY, {}, "more patches than elements"),
    "patches that descend": (
        "01 03 02 02000000 01000000 00000000 00000000", {}, "patched element"),
    "a patch twice": ("01 03 02 02000000 02000000 00000000 00000000", {}, "patched element"),
    "a patch beyond the part": ("01 03 01 04000000 00000000", {}, "patched element"),
    "a patch far beyond": ("01 03 01 ffffffff 00000000", {}, "patched element"),
    "a patch beyond 2^24": ("01 03 01 00000000 01000001", {}, "beyond 2\\^24"),
    "a patch below -2^24": ("01 03 01 00000000 fffffffe", {}, "beyond 2\\^24"),
    "the least patch": ("01 03 01 00000000 00000080", {}, "beyond 2\\^24"),
    "2^62 patches": ("01 03" + 8 * "ff" + "3f", {}, "more patches than elements"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_section_with_one_rule_broken_is_refused(isa, name):
    section, options, reason = BAD[name]
    blob = forge.file_of(config(**options), (4,), 12, chunk(section))
    with pytest.raises(qcodec.CorruptError, match=reason):
        qcodec.decode(blob)
    with pytest.raises(reference.RejectedError):
        reference.decode_blob(blob)


def test_section_at_its_limits_is_taken(isa):
    for section in (
        "03 03 1f" + 31 * "80" + "00", "01 08 00", "00 03 00 00 80 00 00", "00 03 ff ff 7f 7f 00",
        "01 03 01 03000000 00000001", "01 03 01 03000000 000000ff",
        "01 03 04 00000000 01000000 02000000 03000000" + 16 * "00",
    ):  # fmt: skip
        plane = "00 01 02 ff 80" if section.startswith("01 08") else PLANE
        blob = forge.file_of(config(), (4,), 12, chunk(section, plane))
        assert qcodec.decode(blob).tobytes() == reference.decode_blob(blob).tobytes()


def test_section_that_ends_early_is_truncated(isa):
    for end in range(1, len(chunk())):
        blob = forge.file_of(config(), (4,), 12, chunk()[:end])
        with pytest.raises(qcodec.TruncatedError):
            qcodec.decode(blob)


@pytest.mark.parametrize(
    "more",
    [{"states": 16}, {"states": 8.0}, {"states": True}, {"bits": 2.0}, {"step": None},
     {"step": 0.0}, {"step": 1e39}, {"rdo": None}, {"rdo": 2.5}, {"profile": 1},
     {"step": None, "bits": 6.5}, {"step": None, "snr": 61.0}],
    ids=str,
)  # fmt: skip
def test_config_that_no_writer_writes_is_corrupt(more):
    blob = forge.file_of(config(**more), (4,), 12, chunk())
    with pytest.raises(qcodec.CorruptError):
        qcodec.decode(blob)
    with pytest.raises(reference.RejectedError):
        reference.decode_blob(blob)


# ---- error and rate


@pytest.mark.parametrize(("states", "most"), [(8, 0.62), (32, 0.48), (128, 0.40)])
def test_gap_to_the_rate_distortion_bound_of_gaussian_weights(states, most):
    # D(R) = 2^-2R; 1 dB is 0.166 bits. No code of any length gets below.
    w = normal(2**18)
    blob = qcodec.encode(w, f"trellis(states={states}, bits=2.0)")
    bits = 8 * len(chunk_of(blob)) / w.size
    assert 0.25 < 20 * np.log10(2) * bits - snr_of(w, qcodec.decode(blob)) < most


@pytest.mark.parametrize(
    ("power", "bits"), [(1, 1.0), (1, 2.0), (1, 3.5), (1, 5.0), (3, 1.0), (3, 2.0), (3, 3.5)]
)
def test_bits_are_those_asked_for(power, bits):
    # Cubes have heavy tails: many are patched, which takes bits as well.
    w = normal(2**18) ** power
    got = 8 * len(chunk_of(qcodec.encode(w, f"trellis(states=8, bits={bits})"))) / w.size
    assert abs(got / bits - 1) < 0.02


@pytest.mark.parametrize("snr", [1.0, 6.0, 12.0, 30.0, 42.0])
def test_ratio_of_power_to_error_is_that_asked_for(snr):
    w = normal(2**18, seed=4)
    got = snr_of(w, qcodec.decode(qcodec.encode(w, f"trellis(states=8, snr={snr})")))
    assert abs(got - snr) < 0.15


@pytest.mark.parametrize("states", MEMORY)
@pytest.mark.parametrize("step", [1.0, 0.1])
def test_outliers_come_back_within_half_a_step(states, step):
    w = normal(20_000)
    at = np.random.default_rng(1).choice(w.size, 300, replace=False)
    w[at] = np.random.default_rng(2).choice([-1, 1], 300) * np.geomspace(129 * step, 1e4, 300)
    off = np.abs(decoded(w, f"trellis(states={states}, step={step})") - w) / step
    assert off[at].max() < 0.51  # float32 rounds 1e4
    # 2 steps by the kind of level that the state takes, and what bits are worth.
    assert off.max() < 3


def test_few_outliers_take_no_bit_of_all_symbols(isa):
    w = normal(2**18) * 3
    w[[7, 200_000]] = [90, -1000]
    blob = qcodec.encode(w, "trellis(states=8, step=1.0)")
    # 5 sigma are 15 levels and one to spare; both outliers are patches.
    assert chunk_of(blob)[1] == 6
    assert np.abs(qcodec.decode(blob) - w)[[7, 200_000]].tolist() == [0, 0]
    w[[8, 9]] = 100  # one more than one of 2^17 may be
    assert chunk_of(qcodec.encode(w, "trellis(states=8, step=1.0)"))[1] == 8


def test_price_of_bits_lowers_what_error_and_bytes_cost_together():
    w, rdo = normal(100_000) ** 3, 0.35

    def cost(codec):
        blob = qcodec.encode(w, codec)
        error = np.sum((qcodec.decode(blob).astype(np.float64) - w) ** 2)
        return error + rdo * 0.25 * 8 * len(blob)

    assert cost("trellis(step=0.5)") < cost("trellis(step=0.5, rdo=0.0)")


def test_importance_lowers_the_weighted_error():
    w = normal(100_000)
    importance = np.random.default_rng(1).exponential(size=w.size).astype(np.float32) ** 2
    errors = []
    for weights in (None, importance):
        got = qcodec.decode(qcodec.encode(w, "trellis(step=1.0)", weights=weights))
        errors.append(np.sum(importance * (got - w) ** 2))
    assert errors[1] < 0.85 * errors[0]


def test_equal_importance_changes_nothing():
    w = normal(10_000)
    blob = qcodec.encode(w, "trellis(step=1.0)")
    for value in (1.0, 4.0, 0.0):  # none at all is as good as equal
        weights = np.full(w.shape, value, np.float32)
        assert qcodec.encode(w, "trellis(step=1.0)", weights=weights) == blob


# ---- the same everywhere


@pytest.mark.parametrize("codec", ["trellis(step=0.3)", "trellis(states=8, bits=2.0, rdo=1.0)"])
def test_coders_change_no_value(isa, codec):
    w = normal(30_000)
    w[77] = 1e3
    values = {
        decoded(w, f"{codec} | {coder}").tobytes()
        for coder in ("rans", "bitpack", "huffman", "zero_run", "zero_run(then='rans')")
    }
    assert len(values) == 1


def test_threads_and_ranges_give_what_the_whole_does():
    w = normal(2**20 + 30_000)
    w[[5, 2**20 - 1, 2**20, w.size - 1]] = 1e4, -1e4, 2e4, -3e4  # patches
    codec = "trellis(states=8, step=0.5)"
    blob = qcodec.encode(w, codec, threads=2)
    assert blob == qcodec.encode(w, codec, threads=1)
    whole = qcodec.decode(blob, threads=1)
    assert whole.tobytes() == qcodec.decode(blob, threads=3).tobytes()
    assert np.abs(whole[[5, 2**20 - 1, 2**20, w.size - 1]] - w[[5, 2**20 - 1, 2**20, -1]]).max() < 1
    with qcodec.safe_open(blob) as f:
        part = f.get_slice("")
        for begin, end in (
            (0, 1),
            (5, 6),
            (8191, 8200),
            (2**20 - 5, 2**20 + 5),
            (w.size - 1, None),
        ):
            assert part[begin:end].tobytes() == whole[begin:end].tobytes()


@pytest.mark.parametrize("states", MEMORY)
def test_search_is_the_same_at_every_instruction_set(isa, states):
    w = np.concatenate([normal(9000), [300, -300, 0, 0]]).astype(np.float32)
    weights = np.random.default_rng(0).random(w.size, dtype=np.float32)
    before = _core.isa()
    here = walk(w, states, 0.3, 0.35, weights)
    _core.set_isa("portable")
    there = walk(w, states, 0.3, 0.35, weights)
    _core.set_isa(before)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(a, b)


TENSORS = {
    "one": np.array([0.3]),
    "two": np.array([1.0, -1.0]),
    "constant": np.full(1000, 0.7),
    "zeros": np.zeros(1000),
    "subnormal": normal(999) * 1e-41,
    "tiny": normal(999) * 1e-37,
    "huge": normal(999) * 5e37,
    "largest": np.full(7, 3.4e38),
    "sparse": np.where(np.arange(20_000) % 20 == 0, normal(20_000), 0),
    "scalar": np.array(0.5),
}


@pytest.mark.parametrize("codec", ["step=1.2e-38", "step=3e38", "step=0.3", "bits=3.0", "snr=20.0"])
@pytest.mark.parametrize("name", TENSORS)
def test_odd_tensors_come_back_or_are_refused_by_name(name, codec):
    w = TENSORS[name].astype(np.float32)
    step = qcodec.parse(f"trellis({codec})").quantizer.step
    if step is not None and float(np.abs(w).max()) > 2**24 * step:
        with pytest.raises(qcodec.InputError, match="more than 2\\^24 steps from zero"):
            qcodec.encode(w, f"trellis({codec})")
        return
    got = decoded(w, f"trellis({codec})")
    assert got.shape == w.shape
    assert np.isfinite(got).all()
    if step is not None:
        assert np.all(np.abs(got.astype(np.float64) - w) <= 3 * step)


@pytest.mark.parametrize("dtype", reference.FLOATS)
def test_every_floating_dtype_decodes_to_the_values_of_the_reference(isa, dtype):
    w = (normal(20_000) * 3).astype(reference.NUMPY[dtype])
    w[33] = 2000
    for step in (1.0, 0.07, 0.01):
        got = decoded(w, f"trellis(states=8, step={step})").astype(np.float64)
        rounding = {"F16": 2.0**-11, "BF16": 2.0**-8}.get(dtype, 0)
        assert np.all(np.abs(got - w.astype(np.float64)) <= 3 * step + 2000 * rounding)


# ---- what it refuses


@pytest.mark.parametrize(
    ("options", "reason"),
    [("", "exactly one"), ("step=1.0, bits=2.0", "exactly one"), ("bits=2.0, snr=9.0", "one of"),
     ("step=1.0, states=16", "states"), ("step=1.0, states=8.0", "states"),
     ("step=1.0, states=True", "states"), ("step=0.0", "step"), ("step=-1.0", "step"),
     ("step=1e-40", "step"), ("bits=0.05", "bits"), ("bits=6.5", "bits"), ("snr=-1.0", "snr"),
     ("snr=61.0", "snr"), ("step=1.0, rdo=2.1", "rdo"), ("step=1.0, rdo=-0.1", "rdo"),
     ("step=1.0, rdo=None", "rdo"), ("step=1.0, profile=1", "profile"), ("step='x'", "step")],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options, reason):
    with pytest.raises(qcodec.InputError, match=reason):
        qcodec.parse(f"trellis({options})")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**24 + 2])
def test_weight_out_of_reach_is_named_by_index(bad):
    w = np.zeros((4, 5), np.float32)
    w[3, 2] = bad
    with pytest.raises(qcodec.InputError, match=r"element \[3, 2\]"):
        qcodec.encode(w, "trellis(step=1.0)")
