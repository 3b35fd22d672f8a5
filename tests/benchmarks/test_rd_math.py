"""Rate-distortion benchmark: bounds, gaps, interpolation and solving, by hand."""

import math

import pytest
from rd_math import (
    LAPLACIAN,
    LAPLACIAN_ADVANTAGE_DB,
    bytes_at_snr,
    gap_db,
    gaussian_bound,
    laplacian_bound,
    saving,
    solve,
)

# ---- bounds


def test_gaussian_bound_is_six_decibels_a_bit():
    # D = 2**(-2 R): 2 bits leave a sixteenth of the energy, 10 log10(16) = 12.0412 dB.
    assert gaussian_bound(2) == pytest.approx(12.0412, abs=1e-4)


def test_gap_is_what_the_bound_would_give_more():
    # 2 bits allow 12.0412 dB; 10.0 dB were reached.
    assert gap_db("gaussian", 2, 10.0) == pytest.approx(2.0412, abs=1e-4)


def test_real_weights_have_no_bound():
    assert gap_db("resnet20", 2, 10.0) is None


def test_exact_copy_has_no_gap():
    assert gap_db("gaussian", 32, math.inf) is None


def test_laplacian_bound_starts_at_nothing():
    assert laplacian_bound(0) == 0


def test_laplacian_bound_meets_the_shannon_lower_bound_at_high_rates():
    # h(X) = log2(sqrt(2) e), so D = (e / pi) 2**(-2 R): 10 log10(pi / e) = 0.6285 dB more than the
    # Gaussian. The table must come to that at its end, and the bound go on without a step.
    assert pytest.approx(0.6285, abs=1e-4) == LAPLACIAN_ADVANTAGE_DB
    end = LAPLACIAN[-1][0]
    assert laplacian_bound(end) == pytest.approx(laplacian_bound(end + 1e-6), abs=2e-3)
    assert laplacian_bound(6) == pytest.approx(36.1236 + 0.6285, abs=1e-3)


def test_laplacian_bound_lies_between_gaussian_and_shannon_lower_bound():
    for tenths in range(1, 80):
        bits = tenths / 10
        over = laplacian_bound(bits) - gaussian_bound(bits)
        assert 0 < over <= LAPLACIAN_ADVANTAGE_DB + 2e-3


def test_table_of_the_laplacian_is_that_of_the_script():
    # Slope 16 is the steep end, where the iteration settles soon.
    from laplace_bound import point

    rate, snr = point(16.0, iterations=300)
    assert laplacian_bound(rate) == pytest.approx(snr, abs=5e-3)


# ---- interpolation


def test_bytes_between_two_points_are_linear_in_snr():
    # A quarter of the way from 10 to 20 dB is a quarter of the way from 100 to 400 bytes.
    assert bytes_at_snr([(100, 10.0), (400, 20.0)], 12.5) == pytest.approx(175)


def test_bytes_at_a_point_are_those_of_the_point():
    points = [(400, 20.0), (100, 10.0), (900, 30.0)]
    assert [bytes_at_snr(points, snr) for snr in (10.0, 20.0, 30.0)] == pytest.approx(
        [100, 400, 900]
    )


@pytest.mark.parametrize("snr", [9.99, 20.01])
def test_nothing_is_extrapolated(snr):
    assert bytes_at_snr([(100, 10.0), (400, 20.0)], snr) is None


def test_no_points_no_bytes():
    assert bytes_at_snr([], 10.0) is None


def test_point_that_is_larger_and_worse_than_another_is_left_out():
    # 200 bytes for 8 dB are beaten by 100 for 10.
    assert bytes_at_snr([(100, 10.0), (200, 8.0), (400, 20.0)], 15.0) == pytest.approx(250)


def test_saving_is_in_percent_of_their_bytes():
    ours = [(100, 10.0), (400, 20.0)]
    # Ours take 250 bytes at 15 dB.
    assert saving(ours, (500, 15.0)) == pytest.approx(50)
    assert saving(ours, (200, 15.0)) == pytest.approx(-25)
    assert saving(ours, (160, 25.0)) is None


# ---- solving for a rate


def test_step_is_found_where_the_rate_falls_with_it():
    # 3 - log2(step) is 1 at step 4.
    step = solve(lambda x: 3 - math.log2(x), 1.0, 0.01, 100.0)
    assert step == pytest.approx(4, rel=0.003)


def test_parameter_is_found_where_the_rate_rises_with_it():
    assert solve(math.log2, 3.0, 1.0, 100.0) == pytest.approx(8, rel=0.003)


def test_rate_with_steps_ends_at_the_nearest_one():
    # Rates 4, 3, 2, 1 and nothing between: 2.4 is nearest to 2.
    found = solve(lambda x: 4 - math.floor(x), 2.4, 0.1, 3.9)
    assert 4 - math.floor(found) == 2


@pytest.mark.parametrize("target", [0.5, 3.5])
def test_rate_out_of_reach_is_none(target):
    assert solve(lambda x: 2 - x, target, 0.001, 1.0) is None


def test_end_of_the_range_may_be_the_answer():
    assert solve(lambda x: 2 - x, 1.0, 0.5, 1.0) == 1.0
