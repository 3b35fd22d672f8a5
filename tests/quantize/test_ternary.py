"""3LC's quantizer: what is special to it."""

import numpy as np
import pytest
from codebook_chunks import NUMPY, blob_of, chunks_of, slow_decode
from conftest import ISAS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import qcodec
from qcodec import InputError, Ternary, _core

finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
tensors = hnp.arrays(np.float32, st.integers(1, 60), elements=finite32)
sparsities = st.floats(1, 2, exclude_max=True)


def back(w, codec):
    return qcodec.decode(qcodec.encode(w, codec))


def test_values_worked_out_by_hand():
    # M = 1.5 * 4 = 6: 3 is half of it and goes to zero, 3.5 to one.
    w = np.array([4, 3, 3.5, -3.5, -3, 0, -0.0], np.float32)
    np.testing.assert_array_equal(back(w, Ternary(sparsity=1.5)), [6, 0, 6, -6, 0, 0, 0])


def test_chunk_is_scale_and_byte_code_of_3lc():
    # Parts of 2: 2 1 | 1 1 | 1 0 | 1 1 | 1 1: bytes 162 + 27 + 9 + 3 + 1 and 81 + 27 + 0 + 3 + 1.
    w = np.array([7, 0, 0, 0, 0, -7, 0, 0, 0, 0], np.float32)
    [chunk] = chunks_of(w, "ternary(sparsity=1.0) | zero_run")
    coded = _core.stream(4, np.array([2, 1, 1, 1, 1, 0, 1, 1, 1, 1], np.uint8), 2, False)
    assert chunk == np.float32(7).tobytes() + coded
    blob = np.float32(7).tobytes() + bytes.fromhex("02 03 01 CA 70")
    np.testing.assert_array_equal(
        qcodec.decode(blob_of("ternary(sparsity=1.0)", "F32", (10,), blob)), w
    )


def test_its_coder_is_zero_run():
    assert str(qcodec.parse("ternary")) == "ternary | zero_run"
    zeros = np.zeros(1_000_000, np.float32)
    zeros[::100_000] = [1, -1] * 5
    assert len(chunks_of(zeros, "ternary")[0]) < 1_000_000 / 70 + 100  # 280 : 1


@given(sparsities, tensors)
def test_largest_weight_never_becomes_zero_and_no_error_exceeds_it(sparsity, w):
    decoded = back(w, Ternary(sparsity=sparsity)).astype(np.float64)
    top = np.abs(w).max()
    assert np.all(decoded[np.abs(w) == top] * w[np.abs(w) == top] > 0) or top == 0
    assert np.abs(decoded - w).max() <= top


@given(sparsities, tensors)
def test_symbols_are_those_of_the_definition(sparsity, w):
    decoded = back(w, Ternary(sparsity=sparsity)).astype(np.float64)
    scale = np.abs(decoded).max()
    for weight, value in zip(w.astype(np.float64), decoded, strict=True):
        expected = 0 if scale == 0 else np.rint(weight / scale)
        assert value == expected * scale


def test_scale_that_rounds_up_to_twice_the_largest_weight_stays_below():
    w = np.array([1.0000001, 0.5], np.float32)
    decoded = back(w, Ternary(sparsity=np.nextafter(2, 0)))
    assert decoded[0] == np.nextafter(np.float32(2) * w[0], np.float32(0))
    assert decoded[1] == 0


@pytest.mark.parametrize("top", [np.finfo(np.float32).max, np.float32(1e-45)])
def test_scales_at_both_ends_of_float32(top):
    np.testing.assert_array_equal(back(np.array([top, 0, -top]), "ternary"), [top, 0, -top])


@pytest.mark.parametrize("coder", ["zero_run", "bitpack", "rans", "huffman"])
@pytest.mark.parametrize("dtype", NUMPY)
def test_values_equal_those_of_the_slow_decoder(isa, dtype, coder):
    for shape in ((), (1,), (64,), (15, 17), (91, 90)):
        w = np.random.default_rng(0).standard_normal(shape).astype(NUMPY[dtype])
        codec = f"ternary(sparsity=1.0) | {coder}"
        decoded = back(w, codec)
        slow = slow_decode(chunks_of(w, codec), codec, dtype, shape)
        assert decoded.dtype == slow.dtype
        assert decoded.tobytes() == slow.tobytes()


def test_bytes_depend_on_neither_instruction_set_nor_threads():
    w = np.random.default_rng(0).laplace(size=(300, 400)).astype(np.float32)
    before, best = _core.isa(), _core.best_isa()
    blobs = set()
    try:
        for level in ISAS[: ISAS.index(best) + 1]:
            _core.set_isa(level)
            blobs |= {qcodec.encode(w, "ternary", threads=threads) for threads in (1, 3)}
    finally:
        _core.set_isa(before)
    assert len(blobs) == 1


def test_one_scale_serves_all_chunks():
    w = np.zeros(2**20 + 9, np.float32)
    w[0], w[-1] = 8, 5
    np.testing.assert_array_equal(np.flatnonzero(back(w, Ternary(sparsity=1.0))), [0, w.size - 1])
    np.testing.assert_array_equal(np.flatnonzero(back(w, Ternary(sparsity=1.5))), [0])


def test_sum_of_what_is_sent_follows_the_sum_of_gradients():
    rng = np.random.default_rng(1)
    residual = np.zeros(200, np.float32)
    sent, given_ = np.zeros(200), np.zeros(200)
    for _ in range(100):
        gradient = rng.laplace(size=200).astype(np.float32)
        residual += gradient
        given_ += gradient
        decoded = back(residual, Ternary())
        residual -= decoded
        sent += decoded
    np.testing.assert_allclose(sent + residual, given_, atol=1e-3)
    assert np.abs(residual).max() < 40  # the sum of 100 gradients alone has a deviation of 14


def test_empty_and_small_tensors_come_back(tmp_path):
    model = {"a": np.zeros((0, 3), np.float32), "b": np.ones((2, 2), np.float32)}
    model["c"] = np.array([[3, -1], [0, 1]], np.float32)
    qcodec.save_file(model, tmp_path / "m.qc", "ternary(sparsity=1.0)")
    loaded = qcodec.load_file(tmp_path / "m.qc")
    assert loaded["a"].shape == (0, 3)
    np.testing.assert_array_equal(loaded["b"], model["b"])
    np.testing.assert_array_equal(loaded["c"], [[3, 0], [0, 0]])


def test_coefficients_of_a_transform_are_taken():
    w = np.outer(np.ones(8), 10 + np.arange(8)).astype(np.float32)
    decoded = back(w, "dct(block=8) | ternary(sparsity=1.0)")
    np.testing.assert_allclose(decoded, 13.5, rtol=1e-5)  # more than half of it is the mean alone


@pytest.mark.parametrize("sparsity", [0.99, 2, 2.5, -1.0, float("nan")])
def test_sparsity_out_of_range_is_refused(sparsity):
    with pytest.raises(ValueError, match="sparsity must be"):
        Ternary(sparsity=sparsity)


def test_sparsity_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="sparsity must be a number"):
        Ternary(sparsity="1.75")


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_non_finite_weight_is_named_by_index(bad):
    w = np.ones((4, 5), np.float32)
    w[3, 1] = bad
    with pytest.raises(InputError, match=rf"\[3, 1\] is {bad}.*ternary cannot"):
        qcodec.encode(w, "ternary")
