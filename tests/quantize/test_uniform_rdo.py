"""What `uniform` got with 1.1: choice by rate and distortion, dead zone, shifted points."""

from pathlib import Path

import forge
import numpy as np
import pytest
import reference
from golden import make

import qcodec
from qcodec import InputError

GOLDEN = Path(__file__).parents[1] / "golden"


def laplacian(n, seed=0):
    return np.random.default_rng(seed).laplace(size=n).astype(np.float32)


def decoded(w, codec):
    blob = qcodec.encode(w, codec)
    got = qcodec.decode(blob)
    assert got.tobytes() == reference.decode_blob(blob).tobytes()
    return got


# ---- nothing asked, nothing changed


def test_codec_without_new_options_has_the_config_of_1_0():
    config = reference.compact(qcodec.parse("uniform(step=0.25) | rans").get_config())
    assert config == (
        b'{"quantizer":{"name":"uniform","bits":null,"step":0.25,"axis":null,"group":null,'
        b'"symmetric":true},"coder":{"name":"rans"}}'
    )


# Short groups have scales as codes since 1.1.
UNCHANGED = [n for n in make.FILES if n.startswith("1.0") and "bits8-affine" not in n]


@pytest.mark.parametrize("name", UNCHANGED)
def test_chunks_without_new_options_are_those_of_1_0(name):
    was = forge.take_apart((GOLDEN / f"{name}.qc").read_bytes())
    now = forge.take_apart(qcodec.encode(make.golden_tensor(name), make.FILES[name]))
    assert (now.rows, now.json) == (was.rows, was.json)


@pytest.mark.parametrize("step", [0.5, 0.01, 1e-4])
def test_profile_alone_changes_no_value(step):
    w = laplacian(6000).reshape(20, 300)
    plain = decoded(w, f"uniform(step={step}) | huffman")
    assert decoded(w, f"uniform(step={step}, profile=True) | huffman").tobytes() == plain.tobytes()


def test_no_price_and_no_dead_zone_are_the_plain_codec():
    assert qcodec.parse("uniform(step=0.5, rdo=0, dead_zone=0.0, profile=False)") == qcodec.parse(
        "uniform(step=0.5)"
    )


# ---- rate and distortion


@pytest.mark.parametrize("rdo", [0.03, 0.1, 0.3])
@pytest.mark.parametrize("step", [0.25, 1.0])
def test_price_of_bits_lowers_what_error_and_bytes_cost_together(step, rdo):
    w = laplacian(100_000)

    def cost(codec):
        blob = qcodec.encode(w, codec)
        error = np.sum((qcodec.decode(blob).astype(np.float64) - w) ** 2)
        return error + rdo * step**2 * 8 * len(blob)

    plain, chosen = cost(f"uniform(step={step})"), cost(f"uniform(step={step}, rdo={rdo})")
    assert chosen < plain


def test_higher_price_gives_fewer_bytes():
    w = laplacian(50_000)
    prices = (0.05, 0.1, 0.2, 0.8)
    sizes = [len(qcodec.encode(w, f"uniform(step=0.5, rdo={rdo})")) for rdo in prices]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4


@pytest.mark.parametrize("codec", ["uniform(step=0.02, rdo=0.1)", "uniform(step=0.1, rdo=1.0)"])
def test_price_moves_no_weight_by_more_than_two_steps(codec):
    # The two nearest integers or zero; a point is shifted by less than a step.
    w = laplacian(20_000)
    step = qcodec.parse(codec).quantizer.step
    off = np.abs(decoded(w, codec) - w)
    assert np.all((off <= 2 * step) | (np.abs(w) <= off * 1.000001))


def test_largest_magnitudes_stay_rounded():
    # At the end of the grid there is nothing to choose from.
    w = laplacian(5000)
    w[17] = 1000.0
    assert decoded(w, "uniform(step=1.0, rdo=0.5)")[17] == 1000.0


@pytest.mark.parametrize("value", [0.0, -0.0, 0.2, -3.0])
def test_tensor_of_one_value_is_no_trouble(value):
    w = np.full((5, 40), value, np.float32)
    got = decoded(w, "uniform(step=1.0, rdo=1.0)")
    assert np.all(np.abs(got - w) <= 1)


@pytest.mark.parametrize("threads", [1, 3])
def test_choice_does_not_depend_on_threads_or_repetition(threads):
    w = laplacian(40_000).reshape(100, 400)
    codec = "uniform(step=0.3, rdo=0.1, profile=True)"
    assert qcodec.encode(w, codec, threads) == qcodec.encode(w, codec, 2)


# ---- dead zone


def test_dead_zone_moves_the_thresholds():
    # With 0.25, magnitudes are rounded up from q + 0.75 on. So few weights are worth no shifts.
    w = np.array([0.74, 0.75, 0.76, 1.0, 1.74, 1.76, -0.74, -0.76, -1.76, 0.0, 100.7], np.float32)
    got = decoded(w, "uniform(step=1.0, dead_zone=0.25)")
    np.testing.assert_array_equal(got, [0, 1, 1, 1, 1, 2, 0, -1, -2, 0, 100])


def test_widest_dead_zone_rounds_towards_zero():
    w = np.array([0.99, 1.0, 1.99, -0.99, -1.0, -2.5], np.float32)
    got = decoded(w, "uniform(step=1.0, dead_zone=0.5)")
    np.testing.assert_array_equal(got, [0, 1, 1, 0, -1, -2])


# ---- shifts


def test_points_are_the_centroids_of_their_cells():
    # 1.25 is rounded down to 1, whose cell holds nothing else: its point is 1 + 32 / 128 steps.
    # 2.1 becomes 2, which is 13 / 128 off: 12.8, to the nearest.
    w = np.tile(np.array([1.25, -1.25, 2.1, 0.0], np.float32), 1000)
    got = decoded(w, "uniform(step=1.0, dead_zone=0.2)")
    np.testing.assert_array_equal(got[:4], [1.25, -1.25, 2 + 13 / 128, 0])


def test_points_of_two_signs_share_a_shift():
    w = np.repeat(np.array([1.5, -1.0], np.float32), 3000)
    got = decoded(w, "uniform(step=1.0, dead_zone=0.2)")
    np.testing.assert_array_equal(np.unique(got), [-1.25, 1.25])


def test_shifts_that_do_not_pay_are_not_stored():
    w = np.array([1.25] * 3, np.float32)
    assert decoded(w, "uniform(step=1.0, dead_zone=0.2)").tolist() == [1, 1, 1]
    form = forge.take_apart(qcodec.encode(w, "uniform(step=1.0, dead_zone=0.2)")).rows[0].chunks[0]
    assert form[0] == 8  # the scale is the step, and nothing else


def test_shifts_lower_the_error():
    w = laplacian(50_000)
    shifted = decoded(w, "uniform(step=1.0, dead_zone=0.2)")
    integers = np.sign(w) * np.floor(np.abs(w) + np.float32(0.3))
    assert np.mean((shifted - w) ** 2) < np.mean((integers - w) ** 2)


@pytest.mark.parametrize("dtype", reference.FLOATS)
def test_shifted_points_decode_to_the_bits_of_the_reference(isa, dtype):
    w = laplacian(30_000).astype(reference.NUMPY[dtype])
    for step in (1.0, 0.3, 0.07, 0.001):  # widths 4, 6, 8 and 16, which has no shifts
        decoded(w, f"uniform(step={step}, dead_zone=0.2) | bitpack")


# ---- what it refuses


@pytest.mark.parametrize(
    "options",
    ["bits=4, rdo=0.1", "bits=4, dead_zone=0.1", "bits=4, profile=True", "step=1.0, rdo=1.01",
     "step=1.0, rdo=-0.1", "step=1.0, dead_zone=0.51", "step=1.0, dead_zone=-0.1",
     "step=1.0, rdo=True", "step=1.0, rdo='x'", "step=1.0, rdo=None", "step=1.0, profile=1",
     "step=1.0, dead_zone=False"],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(InputError):
        qcodec.parse(f"uniform({options})")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**24 + 2])
@pytest.mark.parametrize("codec", ["uniform(step=1.0, rdo=0.1)", "uniform(step=1.0, profile=True)"])
def test_weight_out_of_reach_is_named_by_index(codec, bad):
    w = np.zeros((4, 5), np.float32)
    w[3, 2] = bad
    with pytest.raises(InputError, match=r"element \[3, 2\]"):
        qcodec.encode(w, codec)


def test_profile_of_too_many_codes_is_refused():
    with pytest.raises(InputError, match="codes"):
        qcodec.encode(np.zeros((1, 2**18), np.float32), "uniform(step=1.0, profile=True)")
    w = np.ones((1, 2**18 - 1), np.float32)
    np.testing.assert_array_equal(decoded(w, "uniform(step=1.0, profile=True) | bitpack"), w)
