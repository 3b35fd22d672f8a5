"""One-dimensional k-means: optimal codebooks, weights, zeros that stay, prices on bits."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qcodec.search import kmeans

small = st.integers(-50, 50).map(lambda n: n / 4)
few = hnp.arrays(np.float32, st.integers(1, 10), elements=small)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def array(*values):
    return np.array(values, np.float32)


def error_of(values, codebook, indices, weights=None):
    squares = (values.astype(np.float64) - codebook[indices].astype(np.float64)) ** 2
    return float((squares if weights is None else squares * weights).sum())


def error(values, codebook, weights=None):
    """Weighted squared error with each value at its nearest entry."""
    distance = np.abs(values[:, None].astype(np.float64) - codebook.astype(np.float64))
    return error_of(values, codebook, distance.argmin(axis=1), weights)


def entropy(indices):
    p = np.bincount(indices) / indices.size
    return -sum(q * math.log2(q) for q in p if q)


def lagrangian(values, codebook, indices, rate, weights):
    """Mean squared error + rate * entropy, with weights of mean 1."""
    return error_of(values, codebook, indices, weights) / values.size + rate * entropy(indices)


# ---- the slow twin: all ways to cut the sorted values into k runs


def slow_least_error(values, k, weights=None):
    order = np.argsort(values)
    x = values[order].astype(np.float64)
    w = np.ones(x.size) if weights is None else weights[order].astype(np.float64)
    least = math.inf
    for cuts in itertools.combinations(range(1, x.size), min(k, x.size) - 1):
        total = 0.0
        for a, b in itertools.pairwise((0, *cuts, x.size)):
            mass = w[a:b].sum()
            centre = (w[a:b] * x[a:b]).sum() / mass if mass else 0.0
            total += (w[a:b] * (x[a:b] - centre) ** 2).sum()
        least = min(least, total)
    return least


def laplace(n, seed=0, scale=0.05):
    return np.random.default_rng(seed).laplace(0, scale, n).astype(np.float32)


# ---- codebooks


def test_codebook_worked_out_by_hand():
    # 1, 2 | 10, 12: means 1.5 and 11, error 0.5 + 2; any other cut costs more.
    np.testing.assert_array_equal(kmeans.fit(array(12, 1, 10, 2), 2), [1.5, 11])


@given(few, st.integers(1, 6))
def test_error_is_the_least_of_all_partitions(values, k):
    found = error(values, kmeans.fit(values, k))
    assert found <= slow_least_error(values, k) * (1 + 1e-6) + 1e-9


@given(few, st.integers(1, 5), st.data())
def test_weighted_error_is_the_least_of_all_partitions(values, k, data):
    weights = data.draw(
        hnp.arrays(np.float32, values.size, elements=st.sampled_from([0, 0.25, 1, 8]))
    )
    if not weights.any():
        return
    found = error(values, kmeans.fit(values, k, weights=weights), weights)
    assert found <= slow_least_error(values, k, weights) * (1 + 1e-6) + 1e-9


def test_weights_pull_a_centroid_worked_out_by_hand():
    # (3 * 0 + 1 * 4) / 4
    np.testing.assert_array_equal(kmeans.fit(array(0, 4), 1, weights=array(3, 1)), [1])


def test_elements_without_weight_have_no_say():
    np.testing.assert_array_equal(kmeans.fit(array(1, 3, 99), 2, weights=array(1, 1, 0)), [1, 3])


def test_weights_that_are_all_zero_count_as_equal():
    np.testing.assert_array_equal(kmeans.fit(array(1, 3), 1, weights=array(0, 0)), [2])


@pytest.mark.parametrize("method", ["exact", "lloyd"])
def test_fewer_distinct_values_than_entries_are_all_kept(method):
    values = array(3, -1, 3, 0.1, -1)
    np.testing.assert_array_equal(kmeans.fit(values, 16, method=method), array(-1, 0.1, 3))


@pytest.mark.parametrize("method", ["exact", "lloyd"])
@pytest.mark.parametrize("k", [1, 2, 256])
def test_constant_data_has_one_entry(k, method):
    np.testing.assert_array_equal(
        kmeans.fit(np.full(1000, 0.3, np.float32), k, method=method), array(0.3)
    )


@pytest.mark.parametrize("method", ["exact", "lloyd"])
@pytest.mark.parametrize("options", [{}, {"keep_zeros": True}, {"rate": 0.5}])
def test_no_values_have_an_empty_codebook(method, options):
    codebook = kmeans.fit(array(), 4, method=method, **options)
    assert (codebook.dtype, codebook.shape) == (np.float32, (0,))
    assert kmeans.assign(array(), codebook).shape == (0,)


def test_one_entry_is_the_mean():
    np.testing.assert_array_equal(kmeans.fit(array(1, 2, 6), 1), [3])


def test_256_entries_use_every_index():
    values = laplace(50_000)
    codebook = kmeans.fit(values, 256)
    indices = kmeans.assign(values, codebook)
    assert codebook.size == 256
    assert np.all(np.diff(codebook) > 0)
    assert set(indices) == set(range(256))


def test_negative_zero_is_zero():
    codebook = kmeans.fit(array(-0.0, 0.0, 1), 4)
    assert codebook.tobytes() == array(0, 1).tobytes()
    assert kmeans.fit(array(-0.0), 1).tobytes() == array(0).tobytes()


@pytest.mark.parametrize("scale", [2.0**-120, 2.0**-100, 2.0**100, 2.0**120])
@pytest.mark.parametrize("n", [500, 20_000])
def test_magnitude_changes_nothing_but_the_scale(scale, n):
    # Multiplying by a power of two is exact; squares of these would leave float32, not float64.
    values = np.round(laplace(n) * 2**20) / np.float32(2**20)
    scaled = kmeans.fit(values * np.float32(scale), 8)
    np.testing.assert_allclose(scaled / np.float32(scale), kmeans.fit(values, 8), rtol=1e-6)


def test_magnitudes_at_both_ends_of_float32():
    values = array(1e-30, 2e-30, 1e30, 3e38, -3e38)
    np.testing.assert_array_equal(kmeans.fit(values, 5), np.sort(values))
    np.testing.assert_array_equal(kmeans.fit(values, 4), array(-3e38, 1.5e-30, 1e30, 3e38))


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=finite), st.integers(1, 9))
def test_codebook_is_ascending_distinct_finite_and_no_longer_than_asked(values, k):
    for method in ("exact", "lloyd"):
        codebook = kmeans.fit(values, k, method=method)
        assert 1 <= codebook.size <= k
        assert np.isfinite(codebook).all()
        assert np.all(codebook[1:] > codebook[:-1])
        assert values.min() <= codebook[0]
        assert codebook[-1] <= values.max()


def slow_exact(values, k):
    """Least error by the plain O(k n^2) recursion on sorted values."""
    x = np.sort(values).astype(np.float64)
    s, q = np.append(0, x.cumsum()), np.append(0, (x * x).cumsum())
    best = np.full(x.size + 1, math.inf)
    best[0] = 0
    for _ in range(k):
        new = best.copy()
        for m in range(1, x.size + 1):
            n = np.arange(m, 0, -1)
            new[m] = (best[:m] + q[m] - q[:m] - (s[m] - s[:m]) ** 2 / n).min()
        best = new
    return best[-1]


@pytest.mark.parametrize("weighted", [False, True])
def test_histogram_search_is_within_a_ten_thousandth_of_the_optimum(weighted):
    # 9000 distinct values: more than the search keeps apart. A weight of 2 is a value twice.
    values = laplace(9000)
    weights = np.where(np.arange(values.size) % 9, 1, 2).astype(np.float32) if weighted else None
    codebook = kmeans.fit(values, 8, weights=weights)
    twice = values if weights is None else np.repeat(values, weights.astype(int))
    assert error(values, codebook, weights) <= slow_exact(twice, 8) * 1.0001


def test_outliers_do_not_coarsen_the_search_for_the_rest():
    values = laplace(9000)
    values[[5, 77]] = 1e6, -1e6
    rest = np.delete(values, [5, 77])
    codebook = kmeans.fit(values, 10)
    assert (codebook[0], codebook[-1]) == (-1e6, 1e6)
    assert error(rest, codebook[1:-1]) <= slow_exact(rest, 8) * 1.0001


def test_values_mostly_equal_are_still_told_apart():
    values = np.zeros(3_000_000, np.float32)
    values[::300] = laplace(10_000)
    assert error(values, kmeans.fit(values, 16)) <= 1.02 * error(
        values, kmeans.fit(values[::300], 15, keep_zeros=True)
    )


def test_reference_method_finds_separate_clusters_from_any_seed():
    values = np.concatenate([laplace(300, seed, 0.01) + 10 * seed for seed in range(3)])
    exact = error(values, kmeans.fit(values, 3))
    for seed in range(20):
        assert error(values, kmeans.fit(values, 3, method="lloyd", seed=seed)) <= exact * 1.0001


def test_seed_chooses_the_start_of_the_reference_method():
    values = laplace(2000)
    books = [kmeans.fit(values, 32, method="lloyd", seed=s).tobytes() for s in (1, 1, 2)]
    assert books[0] == books[1] != books[2]


# ---- zeros that stay


def test_zeros_keep_an_entry_of_their_own():
    values = array(0, -0.0, 1, 1.5, -4, 0.25, 0)
    codebook = kmeans.fit(values, 3, keep_zeros=True)
    # -4 | 0.25, 1, 1.5: mean 2.75 / 3
    np.testing.assert_array_equal(codebook, array(-4, 0, 2.75 / 3))
    indices = kmeans.assign(values, codebook, keep_zeros=True)
    np.testing.assert_array_equal(indices, [1, 1, 2, 2, 0, 2, 1])


@given(
    hnp.arrays(np.float32, st.integers(1, 30), elements=st.one_of(st.just(0.0), small, finite)),
    st.integers(2, 6),
    st.sampled_from([0.0, 0.1, 10.0]),
)
@example(array(-1, 0, 1), 2, 0.0)  # the mean of the non-zeros is 0
@example(array(1e-45, -1e-45), 2, 0.0)
def test_exactly_the_zeros_take_the_entry_zero(values, k, rate):
    codebook, rates = kmeans.fit_with_rates(values, k, keep_zeros=True, rate=rate)
    assert codebook.size <= k
    assert np.all(codebook[1:] > codebook[:-1])
    indices = kmeans.assign(values, codebook, rates=rates, strength=rate, keep_zeros=True)
    np.testing.assert_array_equal(codebook[indices] == 0, values == 0)


def test_zeros_alone_have_the_entry_zero():
    codebook = kmeans.fit(array(0, -0.0), 8, keep_zeros=True)
    assert codebook.tobytes() == array(0).tobytes()
    np.testing.assert_array_equal(kmeans.assign(array(0, 0), codebook, keep_zeros=True), [0, 0])


# ---- entropy


@pytest.mark.parametrize("method", ["exact", "lloyd"])
@pytest.mark.parametrize("keep_zeros", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [3000, 20_000])
def test_price_on_bits_lowers_entropy_and_never_raises_the_cost(n, weighted, keep_zeros, method):
    values = laplace(n)
    values[::2] = 0 if keep_zeros else values[::2]
    weights = np.random.default_rng(1).exponential(1, n).astype(np.float32) if weighted else None
    options = {"keep_zeros": keep_zeros, "weights": weights}
    plain = kmeans.fit(values, 16, method=method, **options)
    nearest = kmeans.assign(values, plain, keep_zeros=keep_zeros)
    before = entropy(nearest)
    w = np.ones(n)
    if weighted:  # the mean is that of the elements that are clustered
        w = weights / weights[values != 0].mean(dtype=np.float64)
    for rate in (1e-5, 1e-4, 1e-3):
        codebook, rates = kmeans.fit_with_rates(values, 16, rate=rate, method=method, **options)
        indices = kmeans.assign(values, codebook, rates=rates, strength=rate, **options)
        assert entropy(indices) < before
        cost = lagrangian(values, codebook, indices, rate, w)
        assert cost <= lagrangian(values, plain, nearest, rate, w) * (1 + 1e-9)
        before = entropy(indices)


@pytest.mark.parametrize("keep_zeros", [False, True])
def test_rates_are_the_bits_of_the_entries(keep_zeros):
    values = np.repeat(array(-1, 0, 5), [250, 500, 250])
    for rate in (0.0, 1e-6):
        codebook, rates = kmeans.fit_with_rates(values, 4, rate=rate, keep_zeros=keep_zeros)
        np.testing.assert_array_equal(codebook, [-1, 0, 5])
        np.testing.assert_array_equal(rates, [2, 1, 2])


def test_high_price_leaves_one_entry():
    np.testing.assert_allclose(kmeans.fit(array(1, 2, 3, 6), 4, rate=1e9), [3])


def test_price_is_in_units_of_the_mean_squared_error():
    # Half of the values at -1, half at 1: two entries cost one bit and no error, one entry costs
    # an error of 1 and no bit. They break even at a rate of 1, whatever the number of values.
    values = np.repeat(array(-1, 1), 500)
    assert kmeans.fit(values, 2, rate=0.99).size == 2
    assert kmeans.fit(values, 2, rate=1.01).size == 1
    weights = np.full(1000, 7, np.float32)
    assert kmeans.fit(values, 2, rate=0.99, weights=weights).size == 2
    assert kmeans.fit(values, 2, rate=1.01, weights=weights).size == 1


def test_weights_of_kept_zeros_do_not_change_the_price():
    # As above, with 500 zeros that keep an entry of their own.
    values = np.repeat(array(-1, 1, 0), 500)
    options = {"weights": np.repeat(array(7, 7, 1000), 500), "keep_zeros": True}
    assert kmeans.fit(values, 3, rate=0.99, **options).size == 3
    assert kmeans.fit(values, 3, rate=1.01, **options).size == 2


# ---- arguments


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"k": 0}, ValueError),
        ({"k": 257}, ValueError),
        ({"k": 2.0}, TypeError),
        ({"k": 2, "method": "fast"}, ValueError),
        ({"k": 2, "rate": -1.0}, ValueError),
        ({"k": 2, "rate": math.nan}, ValueError),
        ({"k": 2, "seed": -1}, ValueError),
        ({"k": 1, "keep_zeros": True}, ValueError),
    ],
)
def test_options_out_of_range_are_refused(options, error):
    with pytest.raises(error):
        kmeans.fit(array(1, 2), **options)
