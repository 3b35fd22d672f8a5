"""Rate-distortion benchmark: sources, peers and measured points."""

import math

import numpy as np
import pytest
from rd_families import FAMILIES, RATES, Family, of_template
from rd_peers import NF4, ggml, nf4, nncodec
from rd_report import markdown, read_csv, write_csv
from rd_run import Bench, Row
from rd_sources import Source, load

import qcodec
from qcodec.metrics import quantization_error

# ---- NF4


def test_values_of_the_nf4_table_come_back_exactly():
    # A largest magnitude of 1 makes the scale 1.
    weights = np.tile(NF4, 4)
    size, decoded = nf4(weights, double=False)
    np.testing.assert_array_equal(decoded, weights)
    assert size == 64 // 2 + 4


def test_nf4_takes_the_nearest_value():
    # Halfway between 0 and 0.0796 is 0.0398; block maximum 2 doubles everything.
    weights = np.zeros(64, np.float32)
    weights[:3] = [2, 2 * 0.039, 2 * 0.041]
    decoded = nf4(weights, double=False)[1]
    np.testing.assert_allclose(decoded[:3], [2, 0, 2 * 0.07958029955625534])


def test_nf4_of_zeros_is_zeros():
    for double in (False, True):
        assert not nf4(np.zeros(100, np.float32), double)[1].any()


def test_nf4_bits_a_weight():
    # 4 + 32 / 64, and with double quantization 4 + 8 / 64 + 32 / (64 * 256) and one mean.
    weights = np.ones((256, 256), np.float32)
    assert 8 * nf4(weights, double=False)[0] / weights.size == 4.5
    size = nf4(weights, double=True)[0]
    assert size == (65536 * 4 + 1024 * 8 + 4 * 32 + 32) / 8


def test_nf4_keeps_the_shape_where_the_last_block_is_short():
    weights = np.linspace(-1, 1, 90, dtype=np.float32).reshape(9, 10)
    size, decoded = nf4(weights, double=False)
    assert decoded.shape == (9, 10)
    assert size == 2 * (32 + 4)
    assert np.abs(decoded - weights).max() < 0.16  # half the widest distance of the table


def test_q8_0_has_eight_and_a_half_bits():
    weights = np.linspace(-1, 1, 64, dtype=np.float32)
    size, decoded = ggml(weights, "Q8_0")
    assert size == 2 * 34
    assert np.abs(decoded - weights).max() < 1 / 127


# ---- NNCodec's points


def test_snr_counts_what_that_of_nncodec_counts():
    # Its uniform quantizer at qp -20 rounds the tensors of two or more dimensions to 2**-5.
    source = load("resnet20")
    step = 2.0**-5
    decoded = {n: step * np.rint(t / step).astype(np.float32) for n, t in source.tensors.items()}
    snr = quantization_error(source.flat(source.tensors), source.flat(decoded)).snr_db
    theirs = next(p for p in nncodec("resnet20") if p.series == "NNCodec uniform" and p.qp == -20)
    assert snr == pytest.approx(theirs.snr_db, abs=0.01)


def test_samples_have_no_points_of_nncodec():
    assert nncodec("gaussian") == []


# ---- sources


def model():
    rng = np.random.default_rng(0)
    return Source(
        "toy",
        {
            "a.weight": rng.normal(0, 0.1, (64, 48)).astype(np.float32),
            "a.bias": np.arange(64, dtype=np.float32),
        },
    )


def test_codec_takes_matrices_of_a_model_and_all_of_a_sample():
    assert model().weights == ["a.weight"]
    assert Source("toy", {"": np.ones(3, np.float32)}, is_model=False).weights == [""]


def test_probe_of_a_large_source_has_rows_from_all_over():
    source = Source("toy", {"w": np.ones((4096, 512), np.float32), "b": np.arange(8.0)})
    # 2**21 + 8 values are four times as many as a probe has.
    probe = source.probe()
    assert probe.tensors["w"].shape == (1024, 512)
    assert list(probe.tensors["b"]) == [0, 4]


def test_samples_have_unit_variance_and_are_the_same_each_time():
    for name in ("gaussian", "laplacian"):
        source = load(name, quick=True)
        assert source.rms == pytest.approx(1, abs=0.005)
        np.testing.assert_array_equal(source.tensors[""], load(name, quick=True).tensors[""])


# ---- families


def test_templates_have_at_most_one_parameter_and_labels_are_unique():
    assert len({f.label for f in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert family.template.count("{}") == bool(family.search or family.values)


def test_codec_that_does_not_parse_is_refused_with_the_reason():
    assert of_template("uniform(step={})").refusal() is None
    assert "unknown stage 'nonesuch'" in of_template("nonesuch(step={})").refusal()


def test_step_is_written_in_five_digits():
    assert of_template("uniform(step={})").codec(1 / 3) == "uniform(step=0.33333)"


def test_codec_without_a_parameter_runs_as_it_is():
    assert list(of_template("lossless").fixed()) == ["lossless"]


# ---- points


def test_point_counts_the_bytes_of_the_file_and_the_error_of_the_matrices(tmp_path):
    source = model()
    row = Bench(source).measure("f", "uniform(step=0.01)")
    path = tmp_path / "same.qc"
    qcodec.save_file(source.tensors, path, "uniform(step=0.01)")
    assert row.bytes == path.stat().st_size
    assert row.bits == 8 * row.bytes / (64 * 48 + 64)
    # A step of a tenth of sigma: 10 log10(12 * 100) = 30.8 dB; the bias, stored exactly, is out.
    assert row.snr_db == pytest.approx(30.8, abs=0.3)
    assert row.codec == "uniform(step=0.01) | rans"


@pytest.mark.parametrize(("rest", "exact"), [("lossless", True), ("uniform(bits=4)", False)])
def test_other_tensors_take_the_codec_for_the_rest(rest, exact):
    source = model()
    seen = []
    bench = Bench(source, rest, score=lambda tensors: seen.append(tensors["a.bias"]) or 0.0)
    bench.measure("f", "uniform(step=0.01)")
    assert np.array_equal(seen[0], source.tensors["a.bias"]) == exact


def test_family_is_solved_for_each_rate():
    rng = np.random.default_rng(1)
    sample = Source("toy", {"": rng.standard_normal(1 << 16).astype(np.float32)}, is_model=False)
    rows = list(Bench(sample).family(Family.stepped("u", "uniform(step={}) | rans")))
    assert [row.bits for row in rows] == pytest.approx(RATES, abs=0.02)
    assert all(row.gap_db is None for row in rows)


def test_rates_out_of_reach_are_named(capsys):
    source = model()  # its 1-D tensor alone takes part of a bit
    family = Family("u", "uniform(step={}) | rans", (0.9, 1.0))
    assert list(Bench(source).family(family)) == []
    assert "u: 4.0 bits are out of reach" in capsys.readouterr().err


def test_step_too_fine_for_the_codec_does_not_end_the_search(capsys):
    # Weights of 0.1 are more than 2**24 steps of 1e-9 from zero.
    family = Family("u", "uniform(step={}) | rans", (1e-9, 1.0))
    rows = list(Bench(model()).family(family))
    assert [row.bits for row in rows][-1] == pytest.approx(4, abs=0.02)
    hopeless = Family("u", "uniform(step={}) | rans", (1e-10, 1e-9))
    assert list(Bench(model()).family(hopeless)) == []
    assert "u: 4.0 bits are out of reach: tensor 'a.weight'" in capsys.readouterr().err


def test_score_sees_all_decoded_tensors():
    row = Bench(model(), score=lambda tensors: float(len(tensors))).measure("f", "lossless")
    assert row.top1 == 2
    assert math.isinf(row.snr_db)


# ---- results

ROWS = [
    Row("resnet20", "u", "uniform(step=0.1) | rans", 2.0, 100_000, 16.0, None, 90.0, 0.5, 0.25),
    Row("resnet20", "u", "uniform(step=0.05) | rans", 3.0, 160_000, 22.0, None, 91.0, 0.5, 0.25),
    Row("gaussian", "NF4", "NF4", 4.5, 36, 20.0, 7.093, None, None, None),
]


def test_rows_come_back_from_the_file(tmp_path):
    path = tmp_path / "run.csv"
    assert list(write_csv(path, "machine, commit", iter(ROWS))) == ROWS
    assert read_csv(path) == ("machine, commit", ROWS)


def test_tables_compare_with_nncodec_at_its_snr():
    text = markdown("machine, commit", ROWS)
    # At 20.82 dB: 100,000 + 60,000 * 4.82 / 6 = 148,200 bytes; NNCodec takes 123,911.
    row = "| NNCodec uniform | -20 | 123,911 | 20.82 | -19.6 |"
    assert row in text
    assert "| NF4 | `NF4` | 4.500 | 36 | 20.00 | 7.09 |  |  |" in text
    # 11.32 dB is below all of ours.
    assert "| -14 | 74,621" not in text


def test_bars_of_codec_strings_do_not_cut_cells():
    row = Row("gaussian", "a | b", "a | b", 2.0, 10, 9.0, 3.04, None, 0.5, 0.25)
    line = "| a \\| b | `a \\| b` | 2.000 | 10 | 9.00 | 3.04 | 0.500 | 0.250 |"
    assert line in markdown("machine, commit", [row]).splitlines()
