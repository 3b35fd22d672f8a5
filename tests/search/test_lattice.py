"""Lattice quantizers: nearest and cheapest points, against lattices from their definitions."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from search import twin_lattice as twin

from qcodec import InputError
from qcodec.search.lattice import (
    D4,
    E8,
    LATTICES,
    LEECH,
    Z,
    cheapest,
    nearest,
    quantize,
    to_vectors,
)
from qcodec.search.lattice_rates import Rates, fit_rates, log2

ALL = list(LATTICES.values())


def uniform(lattice, n, seed=0, span=64):
    return np.random.default_rng(seed).uniform(0, span, (n, lattice.dim))


def random_rates(seed):
    rng = np.random.default_rng(seed)
    return Rates(rng.uniform(0, 9, 4 * 3 * 256), np.array([1.0, 13.0]))


# ---- nearest points


@pytest.mark.parametrize("lattice", ALL, ids=lambda lattice: lattice.name)
def test_result_is_a_point_of_the_lattice(lattice):
    points = nearest(uniform(lattice, 500) - 32, lattice)
    assert points.dtype == np.int32
    assert twin.is_point(points, lattice.name).all()


@pytest.mark.parametrize("lattice", [D4, E8], ids=lambda lattice: lattice.name)
def test_no_point_is_nearer_than_the_nearest(lattice):
    rng = np.random.default_rng(1)
    # Multiples of 1/4 hit corners and faces of cells, where points tie.
    y = np.concatenate([uniform(lattice, 100), rng.integers(-16, 16, (100, lattice.dim)) / 4])
    got = ((y - nearest(y, lattice)) ** 2).sum(1)
    expected = [twin.nearest_distance(row, lattice.name) for row in y]
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)


def test_integers_are_rounded_with_halves_to_even():
    y = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49999999999999994, -7.9, 2**23 + 0.5])
    expected = [[0], [2], [2], [0], [-2], [0], [-8], [2**23]]
    np.testing.assert_array_equal(nearest(y[:, None], Z), expected)


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0]),  # halves to even, and the sum is even
        ([0.6, 0.0, 0.0, 0.0], [0, 0, 0, 0]),  # 1 has an odd sum: down again
        ([0.9, 0.2, 0.0, -0.3], [1, 0, 0, -1]),  # the largest error is the last one's
        ([1.25, 0.25, 0.0, -0.25], [2, 0, 0, 0]),  # equal errors: the first is moved
        ([1.0, 0.0, 0.0, 0.0], [2, 0, 0, 0]),  # no error at all: the first, upwards
    ],
)
def test_points_of_d4_worked_out_by_hand(y, expected):
    np.testing.assert_array_equal(nearest(np.array([y]), D4), [expected])


def test_points_of_e8_worked_out_by_hand():
    y = np.array([[0.9] * 8, [0.5] * 8, [2, 2, 0, 0, 0, 0, 0, 0.4], [1, 1, 1, 1, 1, 1, 1, -0.9]])
    # Half way between the even point 0 and the odd point of all ones, the even one is taken. The
    # last row lies 0.1 from a vector of sum 6, no point: the last -1 becomes 1 for 3.61 - 0.01.
    expected = [[1] * 8, [0] * 8, [2, 2, 0, 0, 0, 0, 0, 0], [1] * 8]
    np.testing.assert_array_equal(nearest(y, E8), expected)


@pytest.mark.parametrize(("lattice", "kissing"), [(D4, 24), (E8, 240)])
def test_shortest_vectors_own_the_half_of_the_way_that_is_theirs(lattice, kissing):
    vectors = twin.shortest_vectors(lattice.name)
    assert len(vectors) == kissing
    np.testing.assert_array_equal(nearest(vectors, lattice), vectors)
    np.testing.assert_array_equal(nearest(0.51 * vectors, lattice), vectors)
    assert not nearest(0.49 * vectors, lattice).any()


@pytest.mark.parametrize(
    # The Leech figure is Conway and Sloane's 0.065771; 30,000 vectors pin it to 0.1 %.
    ("lattice", "moment", "n"),
    [(Z, 1 / 12, 500_000), (D4, 0.076603, 200_000), (E8, 0.071682, 150_000),
     (LEECH, 0.065771, 30_000)],
    ids=["z", "d4", "e8", "leech"],
)  # fmt: skip
def test_second_moment_is_the_known_one(lattice, moment, n):
    y = uniform(lattice, n)
    error = (y - nearest(y, lattice)) * lattice.unit
    assert (error**2).mean() == pytest.approx(moment, rel=0.005)
    assert lattice.second_moment == pytest.approx(moment, rel=1e-5)


@pytest.mark.parametrize(
    # Volume of a cell in integer coordinates: index of the lattice in Z^n.
    ("lattice", "volume"),
    [(Z, 1), (D4, 2), (E8, 2**8), (LEECH, 2**36)],
    ids=["z", "d4", "e8", "leech"],
)
def test_a_step_means_the_same_volume_for_every_lattice(lattice, volume):
    assert lattice.unit**lattice.dim * volume == pytest.approx(1, rel=1e-14)
    assert lattice.scale(3.0) == np.float32(3 * lattice.unit)


@pytest.mark.parametrize("lattice", ALL, ids=lambda lattice: lattice.name)
def test_float32_vectors_give_the_points_of_their_float64_values(lattice):
    y = uniform(lattice, 50).astype(np.float32)
    np.testing.assert_array_equal(nearest(y, lattice), nearest(y.astype(np.float64), lattice))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**24])
@pytest.mark.parametrize("lattice", ALL, ids=lambda lattice: lattice.name)
def test_weight_out_of_reach_is_named_by_index(lattice, bad):
    y = np.zeros((3, lattice.dim))
    y[2, lattice.dim - 1] = bad
    with pytest.raises(InputError, match=f"{lattice.name}: weight {3 * lattice.dim - 1} is"):
        nearest(y, lattice)


def test_vectors_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"takes shape \(n, 8\), got \(2, 4\)"):
        nearest(np.zeros((2, 4)), E8)
    with pytest.raises(ValueError, match=r"takes shape \(n, 8\), got \(8,\)"):
        nearest(np.zeros(8), E8)


def test_no_vectors_give_no_points():
    for lattice in ALL:
        assert nearest(np.zeros((0, lattice.dim)), lattice).shape == (0, lattice.dim)


# ---- points by error and rate


@pytest.mark.parametrize("lattice", [D4, E8, LEECH], ids=lambda lattice: lattice.name)
def test_no_point_is_cheaper_than_the_cheapest(lattice):
    rates = random_rates(2)
    y = np.random.default_rng(3).normal(0, 6, (30, lattice.dim))
    for weight in (0.0, 0.1, 1.0):
        points = cheapest(y, lattice, rates, weight)
        assert twin.is_point(points, lattice.name).all()
        for x, target in zip(points, y, strict=True):
            args = (target, lattice.name, rates.bits, rates.coset_bits, weight)
            assert twin.cost_of(x, *args) == pytest.approx(twin.cheapest_cost(*args), rel=1e-12)


def test_cheapest_integer_weighs_error_against_bits():
    bits = np.full(4 * 3 * 256, 10.0)
    bits[128] = 1.0  # zero takes 1 bit, all others 10
    y = np.array([[0.4], [0.9], [1.1], [2.4]])
    # Zero instead of 1 costs 0.9^2 - 0.1^2 = 0.8 and 1.1^2 - 0.1^2 = 1.2, and saves 9 bits of 0.1.
    got = cheapest(y, Z, Rates(bits, np.zeros(2)), 0.1)
    np.testing.assert_array_equal(got, [[0], [0], [1], [2]])


@pytest.mark.parametrize("lattice", ALL, ids=lambda lattice: lattice.name)
def test_without_a_price_on_bits_the_cheapest_point_is_the_nearest(lattice):
    y = uniform(lattice, 300)
    points = cheapest(y, lattice, random_rates(4), 0.0)
    np.testing.assert_array_equal(points, nearest(y, lattice))


def entropy(values):
    counts = np.unique(values, return_counts=True)[1]
    return (counts * np.log2(values.size / counts)).sum() if values.size else 0.0


def entropy_by_class(points, name):
    """Bits of the streams with a table for each class, from the prose of the streams."""
    modulus = {"z": 1, "d4": 1, "e8": 2, "leech": 4}[name]
    h = points[:, 0] % min(modulus, 2)
    residue = points % modulus
    z = (points - residue) // modulus
    if name == "z":
        return entropy(points)
    total = entropy(h)
    if name == "leech":
        total += entropy(residue[:, :12] // 2)
        z, residue = np.where(residue == 3, -1 - z, z), np.where(residue == 3, 1, residue)
    for r in range(modulus):
        total += entropy(z[:, :-1][residue[:, :-1] == r])
        for odd in range(2):
            total += entropy(z[:, -1][(residue[:, -1] == r) & (z[:, -1] % 2 == odd)])
    return total


@pytest.mark.parametrize("lattice", ALL, ids=lambda lattice: lattice.name)
def test_rates_add_up_to_the_entropy_of_the_streams(lattice):
    w = np.random.default_rng(5).standard_normal(480_000)
    points = nearest(to_vectors(w, lattice, lattice.scale(0.7)), lattice)
    rates = fit_rates(points, lattice.name)
    some = points[: 96_000 // lattice.dim]
    costs = [twin.cost_of(x, x, lattice.name, rates.bits, rates.coset_bits, 1.0) for x in some]
    expected = entropy_by_class(points, lattice.name) / len(points)
    assert np.mean(costs) == pytest.approx(expected, rel=0.006)


def test_logarithm_is_exact_for_powers_of_two_and_rounded_down_elsewhere():
    x = np.array([0.25, 1, 2, 3, 1000, 2**40])
    got = log2(x)
    np.testing.assert_array_equal(got[[0, 1, 2, 5]], [-2, 0, 1, 40])
    assert ((np.log2(x) - got >= 0) & (np.log2(x) - got < 2.0**-16)).all()


# ---- quantizing


@pytest.mark.parametrize("lattice", ALL, ids=lambda lattice: lattice.name)
def test_weights_of_any_shape_come_back_within_the_covering_radius(lattice):
    # Covering radii in integer coordinates: 1/2, 1, 2 and 4.
    radius = {"z": 0.5, "d4": 1, "e8": 2, "leech": 4}[lattice.name]
    w = np.random.default_rng(6).standard_normal((7, 11, 3)).astype(np.float32)
    points, scale = quantize(w, lattice, 0.01)
    assert points.shape == (-(-231 // lattice.dim), lattice.dim)
    decoded = points.reshape(-1)[:231].astype(np.float32) * scale
    assert np.abs(decoded - w.reshape(-1)).max() <= 1.02 * radius * lattice.scale(0.01)


def test_scale_is_that_of_least_squares():
    w = np.random.default_rng(7).standard_normal(8000)
    points, scale = quantize(w, E8, 2.0)
    q = points.reshape(-1).astype(np.float64)
    assert scale == pytest.approx((w @ q) / (q @ q), rel=1e-6)
    assert scale < E8.scale(2.0)


def test_weights_that_all_become_zero_keep_the_scale_of_the_step():
    points, scale = quantize(np.full(16, 0.01), E8, 1.0)
    assert not points.any()
    assert scale == E8.scale(1.0)


@pytest.mark.parametrize(
    # dB above the rate-distortion bound of a Gaussian at two bits with ideal coders: measured on
    # 4 Mi weights as 1.53, 1.17, 0.88 and 0.51.
    ("lattice", "gap"),
    [(Z, 1.56), (D4, 1.20), (E8, 0.91), (LEECH, 0.54)],
    ids=["z", "d4", "e8", "leech"],
)
def test_gap_to_the_bound_at_two_bits(lattice, gap):
    w = np.random.default_rng(8).standard_normal(480_000)
    points, scale = quantize(w, lattice, 1.07)
    error = ((points.reshape(-1) * float(scale) - w) ** 2).mean()
    bits = entropy_by_class(points, lattice.name) / w.size
    assert bits == pytest.approx(2, abs=0.08)
    assert 10 * np.log10(error / w.var()) + 6.0206 * bits < gap


def test_pricing_bits_lowers_error_plus_price():
    w = np.random.default_rng(9).standard_normal(240_000)
    sums = []
    for worth in (0.0, 0.15):
        points, scale = quantize(w, E8, 2.0, bit_worth=worth)
        error = ((points.reshape(-1) * float(scale) - w) ** 2).mean()
        sums.append(error + 0.15 * 4 * entropy_by_class(points, "e8") / w.size)
    assert sums[1] < 0.98 * sums[0]


def test_worth_of_a_bit_is_counted_in_squared_steps():
    # E8's integers are twice the coordinates of unit volume: a squared step is 4 there.
    w = np.random.default_rng(11).standard_normal(8000)
    y = to_vectors(w, E8, E8.scale(1.5))
    expected = cheapest(y, E8, fit_rates(nearest(y, E8), "e8"), 0.1 * 4)
    np.testing.assert_array_equal(quantize(w, E8, 1.5, bit_worth=0.1, passes=1)[0], expected)


# ---- the same points everywhere

DIGEST = """
import hashlib
import numpy as np
from qcodec.search.lattice import LATTICES, nearest, cheapest, quantize
from qcodec.search.lattice_rates import Rates
rng = np.random.default_rng(10)
rates = Rates(rng.uniform(0, 9, 4 * 3 * 256), rng.uniform(0, 9, 2))
digest = hashlib.sha256()
for lattice in LATTICES.values():
    y = rng.normal(0, 5, (6, lattice.dim))
    digest.update(nearest(y, lattice).tobytes())
    digest.update(cheapest(y, lattice, rates, 0.3).tobytes())
    points, scale = quantize(y, lattice, 1.7, bit_worth=0.1)
    digest.update(points.tobytes() + scale.tobytes())
"""


def test_compiled_and_interpreted_searches_give_the_same_bits(tmp_path):
    # The interpreter neither reorders nor fuses, so what the compiler makes must not either.
    names = {}
    exec(DIGEST, names)
    done = subprocess.run(
        [sys.executable, "-c", DIGEST + "\nprint(digest.hexdigest())"],
        cwd=tmp_path,  # away from the source folder, which has no native core
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == names["digest"].hexdigest()
    assert len(names["digest"].digest()) == hashlib.sha256().digest_size
