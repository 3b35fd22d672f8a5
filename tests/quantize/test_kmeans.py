"""Codebook quantizer. The search for the best codebook itself: tests/search/test_kmeans.py."""

import functools

import numpy as np
import pytest
from codebook_chunks import CHUNK, NUMPY, blob_of, chunks_of, open_section, slow_decode
from conftest import ISAS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import qcodec
from qcodec import InputError, KMeans, _core
from qcodec.search import kmeans

CODERS = ["bitpack", "huffman", "rans", "zero_run", "zero_run(then='rans')"]
OPTIONS = [
    "kmeans", "kmeans(k=1)", "kmeans(k=2)", "kmeans(k=5, axis=0)", "kmeans(k=9, axis=-1)",
    "kmeans(k=256)", "kmeans(k=4, group=1)", "kmeans(k=7, group=70)", "kmeans(k=3, group=1000)",
    "kmeans(k=16, keep_zeros=True)", "kmeans(k=8, group=64, keep_zeros=True)",
    "kmeans(k=64, rate=0.02)", "kmeans(k=12, keep_zeros=True, rate=0.01)",
]  # fmt: skip
SHAPES = [(), (1,), (7,), (64,), (15, 17), (5, 4, 3), (1000,), (91, 90)]


def sample(shape, dtype="F32", seed=0):
    rng = np.random.default_rng(seed)
    flat = rng.standard_normal(int(np.prod(shape)))
    flat[1::3] = 0
    flat[2::7] *= 6
    return flat.reshape(shape).astype(NUMPY[dtype])


@functools.cache
def encoded(codec, dtype, shape):
    """Chunks of the sample, and what the slow decoder makes of them."""
    chunks = chunks_of(sample(shape, dtype), codec)
    return chunks, slow_decode(chunks, codec, dtype, shape)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


# ---- values and bytes


def test_chunk_of_five_elements_is_the_example_of_the_format():
    w = np.array([0.5, -2, -2, 0.5, 1], np.float32)
    [chunk] = chunks_of(w, "kmeans(k=3) | bitpack")
    assert chunk == bytes.fromhex("09 02 00C0 003F 803F 00 4102")


def test_values_are_means_of_clusters_worked_out_by_hand():
    w = np.array([1, 2, 10, 12, 2], np.float32)
    decoded = qcodec.decode(qcodec.encode(w, "kmeans(k=2)"))
    # (1 + 2 + 2) / 3, rounded to the 8 significant bits that 16 bits of a float have.
    np.testing.assert_array_equal(decoded, np.array([213, 213, 1408, 1408, 213], np.float32) / 128)


@pytest.mark.parametrize("dtype", NUMPY)
@pytest.mark.parametrize("options", OPTIONS)
def test_values_equal_those_of_the_slow_decoder(isa, options, dtype):
    for shape in SHAPES:
        if "axis" in options and shape == ():
            continue
        if ("group=1)" in options or "axis=-1" in options) and shape == (91, 90):
            continue
        for coder in CODERS if shape == (15, 17) else ["rans"]:
            codec = f"{options} | {coder}"
            chunks, slow = encoded(codec, dtype, shape)
            decoded = qcodec.decode(blob_of(codec, dtype, shape, *chunks))
            assert same_bits(decoded, slow), (shape, coder)


@pytest.mark.parametrize("options", OPTIONS)
def test_bytes_depend_on_neither_instruction_set_nor_threads(options):
    w = sample((31, 30))
    before, best = _core.isa(), _core.best_isa()
    blobs = set()
    try:
        for level in ISAS[: ISAS.index(best) + 1]:
            _core.set_isa(level)
            blobs |= {qcodec.encode(w, options, threads=threads) for threads in (1, 3)}
    finally:
        _core.set_isa(before)
    assert len(blobs) == 1


@pytest.mark.parametrize("k", [2, 16, 200])
def test_every_weight_takes_the_nearest_value(k):
    w = sample((3000,))
    decoded = qcodec.decode(qcodec.encode(w, KMeans(k=k))).astype(np.float64)
    values = np.unique(decoded)
    assert values.size <= k
    nearest = np.abs(w.astype(np.float64)[:, None] - values).min(axis=1)
    np.testing.assert_array_equal(np.abs(w - decoded), nearest)


def test_all_distinct_values_come_back_where_they_fit_the_codebook():
    w = np.array([0.1, -7e37, 3e-39, 0.1, 5], np.float32)
    assert same_bits(qcodec.decode(qcodec.encode(w, "kmeans(k=4)")), w)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e38, 1e-45])
def test_constant_tensor_costs_next_to_nothing_and_comes_back(value):
    w = np.full((300, 1000), value, np.float32)
    blob = qcodec.encode(w, KMeans())
    [chunk] = chunks_of(w, "kmeans")
    assert len(chunk) <= 8  # form, size, entry, and a stream of one constant
    assert same_bits(qcodec.decode(blob), w)


def test_empty_tensor_comes_back():
    for options in ("kmeans", "kmeans(k=4, axis=0)", "kmeans(group=3)"):
        w = np.zeros((3, 0, 2), np.float32)
        assert same_bits(qcodec.decode(qcodec.encode(w, options)), w)


@given(hnp.arrays(np.float32, st.integers(1, 200), elements=st.sampled_from([0, 1e-30, -2, 3, 7])))
def test_kept_zeros_are_exactly_the_zeros(w):
    decoded = qcodec.decode(qcodec.encode(w, KMeans(k=3, keep_zeros=True)))
    np.testing.assert_array_equal(decoded == 0, w == 0)


def test_kept_zeros_survive_rounding_to_16_bits():
    # Values that 16 bits cannot tell from zero keep the codebook in 32 bits.
    w = np.array([0, 1e-45, -1e-45, 0, 2e-45] * 20, np.float32)
    decoded = qcodec.decode(qcodec.encode(w, KMeans(k=4, keep_zeros=True)))
    assert same_bits(decoded, w)


@pytest.mark.parametrize("options", [{"axis": 0}, {"axis": 1}, {"axis": -1}, {"group": 100}])
def test_each_group_has_the_codebook_that_it_would_have_alone(options):
    w = sample((6, 10, 50))
    decoded = qcodec.decode(qcodec.encode(w, KMeans(k=4, **options)))
    if "axis" in options:
        groups = [np.moveaxis(a, options["axis"], 0) for a in (w, decoded)]
    else:
        groups = [a.reshape(-1, 100) for a in (w, decoded)]
    for before, after in zip(*groups, strict=True):
        alone = kmeans.fit(before.ravel(), 4)
        assert np.unique(after).size <= 4
        # 16 bits keep 8 significant ones.
        np.testing.assert_allclose(np.unique(after), alone, rtol=2**-8, atol=0)


def test_last_group_may_be_short():
    w = np.array([1, 2, 3, 4, 5], np.float32)
    assert same_bits(qcodec.decode(qcodec.encode(w, "kmeans(k=2, group=2)")), w)


# ---- 16 bits


def form_of(w, codec):
    return chunks_of(w, codec)[0][0]


def test_entries_have_16_bits_where_these_are_worth_more_than_the_error():
    rng = np.random.default_rng(1)
    w = rng.standard_normal(CHUNK).astype(np.float32)
    # The rise of the error is at most 22 * k / n of it: for k = 256 and a mebi of elements rounding
    # raises it by more, for 4 Ki by less.
    for n, short in ((4096, True), (CHUNK, False)):
        assert bool(form_of(w[:n], "kmeans(k=256)") & 8) == short
        values = kmeans.fit(w[:n], 256).astype(np.float64)
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
        rounded = ((bits + 0x8000 & 0xFFFF0000).astype(np.uint32)).view(np.float32)
        nearest = kmeans.assign(w[:n], values.astype(np.float32))
        errors = [np.square(w[:n] - v[nearest]).sum() for v in (values, rounded)]
        assert ((errors[1] / errors[0] - 1) * n <= 22 * 256) == short


# ---- rate


def cost(w, codec, rate):
    """Mean squared error in units of the variance, plus the price of the indices' entropy."""
    decoded = qcodec.decode(qcodec.encode(w, codec)).astype(np.float64)
    share = np.unique(decoded, return_counts=True)[1] / w.size
    entropy = -(share * np.log2(share)).sum()
    return np.square(w - decoded).mean() / w.astype(np.float64).var() + rate * entropy, entropy


@pytest.mark.parametrize("rate", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e12])
def test_rate_lowers_error_plus_priced_bits_whatever_the_scale(rate, scale):
    w = (np.random.default_rng(2).standard_normal(30_000) * scale).astype(np.float32)
    plain, bits = cost(w, KMeans(k=64), rate)
    chosen, fewer_bits = cost(w, KMeans(k=64, rate=rate), rate)
    assert chosen < plain
    assert fewer_bits < bits


def test_rate_leaves_out_entries_that_nothing_takes():
    w = np.random.default_rng(3).standard_normal(5000).astype(np.float32)
    codec = "kmeans(k=256, rate=0.1)"
    [chunk] = chunks_of(w, codec)
    _, section, _ = open_section(chunk, codec, "F32", w.shape)
    [book] = section.books.values()
    assert len(book) < 16
    assert set(book) == set(qcodec.decode(qcodec.encode(w, codec)).tolist())


# ---- weights


def test_value_of_a_cluster_is_the_weighted_mean():
    w = np.array([1, 2, 10, 12], np.float32)
    importance = np.array([1, 3, 0, 5], np.float32)
    decoded = qcodec.decode(qcodec.encode(w, KMeans(k=2), weights=importance))
    np.testing.assert_array_equal(decoded, np.array([1.75, 1.75, 12, 12], np.float32))


WEIGHTED = ["kmeans(k=5)", "kmeans(k=3, axis=1)", "kmeans(k=5, rate=0.01)"]


@pytest.mark.parametrize("options", WEIGHTED)
def test_weights_lower_the_weighted_error(options):
    w = sample((40, 50))
    importance = np.random.default_rng(4).exponential(size=w.shape) ** 3
    plain, weighted = (
        qcodec.decode(qcodec.encode(w, options, weights=weights)) for weights in (None, importance)
    )
    error = [(importance * np.square(w - decoded)).sum() for decoded in (plain, weighted)]
    assert error[1] < error[0]


def test_scale_and_dtype_of_weights_do_not_matter():
    w = sample((500,))
    importance = np.random.default_rng(5).integers(1, 9, w.shape)
    blobs = {
        qcodec.encode(w, "kmeans(k=5, rate=0.01)", weights=x)
        for x in (importance, importance.astype(np.float64) * 4, (importance / 8).tolist())
    }
    assert len(blobs) == 1


@pytest.mark.parametrize(
    ("codec", "weights", "message"),
    [
        ("uniform(bits=4)", np.ones((2, 3)), r"uniform\(bits=4\) \| rans takes no weights"),
        ("lossless", np.ones((2, 3)), "takes no weights"),
        ("dct(block=2) | kmeans", np.ones((2, 3)), "takes no weights"),
        ("kmeans", np.ones((3, 2)), r"weights of shape \[3, 2\] for a tensor of shape \[2, 3\]"),
        ("kmeans", 1.0, r"weights of shape \[\]"),
        ("kmeans", np.full((2, 3), -1), r"weight \[0, 0\] is -1"),
        ("kmeans", [[1, 1, 1], [1, np.nan, 1]], r"weight \[1, 1\] is nan"),
        ("kmeans", [[1, 1, 1], [1, 1, 1e300]], r"weight \[1, 2\] is 1e\+300"),
        ("kmeans", np.ones((2, 3), complex), "real numbers"),
        ("kmeans", [["a"] * 3] * 2, "real numbers"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused(tmp_path, codec, weights, message):
    with pytest.raises(InputError, match=message):
        qcodec.encode(np.ones((2, 3), np.float32), codec, weights=weights)
    model = {"w": np.ones((2, 3), np.float32)}
    with pytest.raises(InputError, match=f"'w': .*{message}"):
        qcodec.save_file(model, tmp_path / "m.qc", {"w": codec}, weights={"w": weights})
    assert list(tmp_path.iterdir()) == []


def test_file_has_weights_for_the_tensors_that_are_named(tmp_path):
    small, large = sample((30, 40)), sample((300, 400), seed=1)
    importance = {"small": np.square(small) + 1, "large": np.square(large) + 1}
    model = {"small": small, "large": large, "plain": small.copy()}
    qcodec.save_file(model, tmp_path / "m.qc", "kmeans(k=5)", weights=importance)
    back = qcodec.load_file(tmp_path / "m.qc")
    for name, w in model.items():
        alone = qcodec.encode(w, "kmeans(k=5)", weights=importance.get(name))
        assert same_bits(back[name], qcodec.decode(alone)), name
    assert not same_bits(back["small"], back["plain"])
    with pytest.raises(InputError, match="weights for 'other': no such tensor"):
        qcodec.save_file(model, tmp_path / "m.qc", "kmeans", weights={"other": small})


def test_tensors_of_one_memory_with_other_weights_are_stored_apart(tmp_path):
    w = sample((30, 40))
    importance = {"b": np.square(w)}
    qcodec.save_file({"a": w, "b": w, "c": w}, tmp_path / "m.qc", "kmeans(k=3)", weights=importance)
    back = qcodec.load_file(tmp_path / "m.qc")
    assert not same_bits(back["a"], back["b"])
    assert same_bits(back["a"], back["c"])


# ---- chunks


def test_codebook_of_a_large_tensor_is_fitted_to_all_of_it():
    w = np.sort(np.random.default_rng(6).standard_normal(2 * CHUNK + 5)).astype(np.float32)
    chunks = chunks_of(w, "kmeans(k=4) | bitpack")
    assert len({chunk[: 2 + 4 * 2] for chunk in chunks}) == 1  # form, size, entries of 16 bits
    values = kmeans.fit(w, 4)
    np.testing.assert_allclose(
        np.frombuffer(chunks[2][2:10], "<u2").astype("<u4") << 16, values.view("<u4"), atol=2**15
    )


@pytest.mark.parametrize("codec", ["kmeans(k=4, axis=0) | rans", "kmeans(k=4, axis=2) | rans"])
def test_chunks_have_the_codebooks_of_the_groups_met_in_them(codec):
    w = sample((3, CHUNK // 2, 1))
    assert same_bits(
        qcodec.decode(qcodec.encode(w, codec)),
        slow_decode(chunks_of(w, codec), codec, "F32", w.shape),
    )


def test_small_tensors_share_chunks_and_keep_their_codebooks(tmp_path):
    # Of 16, 3 and 1 values: symbols of one width for all.
    model = {"a": sample((40, 40)), "b": np.array([[3, 1, 1, 2]], np.float32) + sample((20, 4)) * 0}
    model |= {"c": np.full((5, 5), 0.7, np.float32), "d": sample((7, 30), seed=2)}
    qcodec.save_file(model, tmp_path / "m.qc", "kmeans")
    back = qcodec.load_file(tmp_path / "m.qc")
    for name, w in model.items():
        assert same_bits(back[name], qcodec.decode(qcodec.encode(w, "kmeans"))), name
    with qcodec.safe_open(tmp_path / "m.qc") as f:
        assert all(f.entry(name).shared is not None for name in model)


def test_coefficients_of_a_transform_are_clustered():
    w = sample((64, 64))
    decoded = qcodec.decode(qcodec.encode(w, "dct(block=8) | kmeans(k=256)"))
    assert np.square(w - decoded).mean() < 1e-3
    with pytest.raises(InputError, match="takes no coefficients"):
        qcodec.encode(w, "dct(block=8) | kmeans(axis=0)")


# ---- options and values that are refused


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, ValueError, "1..256"),
        ({"k": 257}, ValueError, "1..256"),
        ({"k": 2.0}, TypeError, "int"),
        ({"axis": 0, "group": 4}, ValueError, "axis or group"),
        ({"group": 0}, ValueError, "1..1048576"),
        ({"axis": 32}, ValueError, "-32..31"),
        ({"keep_zeros": 1}, TypeError, "True or False"),
        ({"k": 1, "keep_zeros": True}, ValueError, "k >= 2"),
        ({"rate": -0.1}, ValueError, "rate"),
        ({"rate": 1.5}, ValueError, "rate"),
        ({"rate": "x"}, TypeError, "rate"),
        ({"rate": 0.1, "axis": 0}, ValueError, "one codebook"),
        ({"rate": 0.1, "group": 9}, ValueError, "one codebook"),
    ],
)
def test_options_out_of_range_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        KMeans(**options)


def test_codec_survives_its_string_and_its_json():
    for text in ["kmeans | rans", "kmeans(k=4, keep_zeros=True) | zero_run(then='rans')"]:
        codec = qcodec.parse(text)
        assert str(codec) == text
        assert qcodec.Codec.from_config(codec.get_config()) == codec


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_weight_is_named_by_index(bad):
    w = sample((9, 9))
    w[8, 2] = bad
    with pytest.raises(InputError, match=rf"\[8, 2\] is {bad}.*kmeans cannot"):
        qcodec.encode(w, KMeans())


def test_axis_that_the_tensor_lacks_is_refused():
    with pytest.raises(InputError, match="axis 2 of a tensor of 2 dimensions"):
        qcodec.encode(np.ones((2, 2), np.float32), KMeans(axis=2))


@pytest.mark.parametrize("value", [np.finfo(np.float32).max, -np.finfo(np.float32).max])
def test_largest_float32_survives(value):
    w = np.array([value, 0, value, 1], np.float32)
    assert same_bits(qcodec.decode(qcodec.encode(w, KMeans())), w)
