"""Transform dct: its constants, its sums, and which elements it takes."""

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest
import reference
import samples
from reference_dct import Grid, basis
from reference_quantizers import Part

import qcodec
from qcodec import InputError, _core
from qcodec.pipeline import make_job

SIDES = range(2, 9)
CHUNK = 2**20


def job_of(text, shape):
    return make_job(qcodec.parse(text), "F32", shape)


class Shaped:
    """A tensor, as the reference's grid wants it."""

    def __init__(self, shape):
        self.shape = shape


def grid_of(shape, block=None, first=0, count=None):
    count = math.prod(shape) if count is None else count
    return Grid(Part(Shaped(shape), first, count), {"block": block})


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# ---- constants

getcontext().prec = 60
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def cosine(x):
    """By its series, to 50 digits for the angles below 2 pi that are needed."""
    term = total = Decimal(1)
    for k in range(1, 60):
        term *= -x * x / ((2 * k - 1) * (2 * k))
        total += term
    return total


def exact(k, u, i):
    return (Decimal(2 if u else 1) / k).sqrt() * cosine(PI * (2 * i + 1) * u / (2 * k))


@pytest.mark.parametrize("k", SIDES)
def test_constants_are_the_nearest_float32_and_no_tie_is_near(k):
    # What a decoder computes in double precision must round the same way as the exact value.
    for u in range(k):
        for i in range(k):
            value, b = exact(k, u, i), basis(k)[u, i]
            if abs(value) < Decimal("1e-40"):
                assert b == 0
                continue
            ulp = Decimal(float(np.spacing(np.abs(b))))
            off = abs(value - Decimal(float(b))) / ulp
            assert off < Decimal("0.5") - Decimal("1e-9"), (u, i)


@pytest.mark.parametrize("k", SIDES)
def test_kernel_has_the_same_constants(isa, k):
    # An impulse at (p, q) has the coefficients b[i][p] * b[j][q], each rounded once.
    b = basis(k)
    job = job_of("dct | uniform(step=1.0)", (k * k, 1, k, k))
    impulses = np.eye(k * k, dtype=np.float32)
    got = job.coefficients(impulses.ravel(), 0).reshape(k, k, k, k)
    for p in range(k):
        for q in range(k):
            np.testing.assert_array_equal(got[p, q], b[None, :, q] * b[:, None, p])


@pytest.mark.parametrize("k", SIDES)
def test_basis_is_orthonormal(k):
    b = basis(k).astype(np.float64)
    np.testing.assert_allclose(b @ b.T, np.eye(k), atol=2e-7)


# ---- sums


def test_block_worked_out_by_hand():
    # b = [[r, r], [r, -r]] with r = sqrt(1/2): half the sums and differences of rows and columns.
    job = job_of("dct | uniform(step=1.0)", (1, 1, 2, 2))
    got = job.coefficients(np.array([1, 2, 3, 4], np.float32), 0)
    np.testing.assert_allclose(got, [5, -1, -2, 0], atol=1e-6)
    np.testing.assert_allclose(grid_of((1, 1, 2, 2)).inverse(got), [1, 2, 3, 4], atol=1e-6)


@pytest.mark.parametrize("k", SIDES)
def test_inverse_of_forward_is_the_tensor_within_rounding(isa, k):
    shape = (37, 3, k, k)
    w = normal(shape, k)
    coefficients = job_of("dct | uniform(step=1.0)", shape).coefficients(w.ravel(), 0)
    back = grid_of(shape).inverse(coefficients).reshape(shape)
    norms = np.sqrt((w.astype(np.float64) ** 2).sum(axis=(2, 3), keepdims=True))
    # 4k roundings of half a unit each, on numbers no larger than the norm of the block.
    assert np.all(np.abs(back - w) <= 4 * k * 2.0**-24 * norms)


@pytest.mark.parametrize("k", SIDES)
def test_energy_stays_within_rounding(k):
    w = normal((50, 1, k, k), k)
    got = job_of("dct | uniform(step=1.0)", w.shape).coefficients(w.ravel(), 0)
    np.testing.assert_allclose(np.sum(got.astype(float) ** 2), np.sum(w.astype(float) ** 2), 1e-6)


@pytest.mark.parametrize("dtype", reference.FLOATS)
@pytest.mark.parametrize("k", SIDES)
def test_decoded_bits_are_those_of_the_reference(isa, k, dtype):
    w = samples.weights(dtype, (23, 3, k, k), seed=k)
    for quantizer in ("uniform(step=0.01)", "uniform(bits=3)", "uniform(step=0.3)",
                      "dithered(step=0.01)", "dithered(step=0.3)"):  # fmt: skip
        blob = qcodec.encode(w, f"dct | {quantizer} | bitpack")
        assert qcodec.decode(blob).tobytes() == reference.decode_blob(blob).tobytes()


@pytest.mark.parametrize(("block", "shape"), [("", (43, 1, 5, 5)), ("(block=3)", (47, 70))])
def test_dither_outside_the_blocks_is_that_of_the_reference(isa, block, shape):
    # 15 * 23 blocks of nine, then 140 elements that begin with the second of a group of sixteen.
    w = normal(shape)
    blob = qcodec.encode(w, f"dct{block} | dithered(step=0.3) | bitpack")
    assert qcodec.decode(blob).tobytes() == reference.decode_blob(blob).tobytes()


# ---- which elements


@pytest.mark.parametrize("shape", [(19, 27), (8, 8), (7, 30), (30, 7), (16, 5, 3), (17, 2, 2, 2)])
@pytest.mark.parametrize("block", [2, 3, 8])
def test_edges_of_a_matrix_stay_as_they_are(shape, block):
    w = normal(shape).ravel()
    got = job_of(f"dct(block={block}) | uniform(step=1.0)", shape).coefficients(w, 0)
    rows, columns = shape[0], math.prod(shape[1:])
    inside = (rows // block * block) * (columns // block * block)
    matrix = w.reshape(rows, columns)
    edge = np.ones((rows, columns), bool)
    edge[: rows // block * block, : columns // block * block] = False
    np.testing.assert_array_equal(got[inside:], matrix[edge])
    if inside:
        first = matrix[:block, :block].astype(np.float64)
        b = basis(block).astype(np.float64)
        np.testing.assert_allclose(
            got[: block**2].reshape(block, block), b @ first @ b.T, atol=1e-5
        )


@pytest.mark.parametrize(
    "shape", [(40,), (6, 7), (8, 8), (5, 4, 3), (4, 4, 1, 1), (3, 3, 9, 9), ()]
)
def test_tensor_without_kernels_is_left_alone(shape):
    w = normal(shape)
    with_dct, without = (
        qcodec.decode(qcodec.encode(w, codec))
        for codec in ("dct | uniform(step=0.05)", "uniform(step=0.05)")
    )
    assert with_dct.tobytes() == without.tobytes()


@pytest.fixture(scope="module")
def two_chunks():
    """Kernels of 3 x 3, one of which the end of the first chunk cuts after 4 elements."""
    assert CHUNK % 9 == 4
    return normal((5, 23_400, 3, 3), 1)


@pytest.mark.parametrize("options", ["", ", profile=True"])
def test_kernel_that_the_end_of_a_chunk_cuts_is_not_transformed(isa, two_chunks, options):
    step = 0.25
    blob = qcodec.encode(two_chunks, f"dct | uniform(step={step}{options}) | bitpack")
    decoded = qcodec.decode(blob)
    assert decoded.tobytes() == reference.decode_blob(blob).tobytes()
    cut = slice(CHUNK - 4, CHUNK + 5)
    plain = np.rint(two_chunks.ravel()[cut] / np.float32(step)) * np.float32(step)
    np.testing.assert_array_equal(decoded.ravel()[cut], plain)
    assert np.any(decoded.ravel()[CHUNK + 5 : CHUNK + 14] % np.float32(step) != 0)


@pytest.mark.parametrize("rows", [slice(1, 2), slice(0, 3), slice(4, 5), 2])
def test_rows_decode_as_in_the_whole_tensor(two_chunks, rows):
    blob = qcodec.encode(two_chunks, "dct | uniform(step=0.25) | bitpack")
    with qcodec.safe_open(blob) as f:
        assert f.get_slice("")[rows].tobytes() == f.get_tensor("")[rows].tobytes()


def test_rows_of_a_matrix_over_chunks_decode_as_in_the_whole_tensor(isa):
    # Rows of 1000 elements: the second chunk begins inside row 1048, so bands begin at row 1049.
    w = normal((1100, 1000), 2)
    blob = qcodec.encode(w, "dct(block=8) | uniform(step=0.25) | bitpack")
    whole = qcodec.decode(blob)
    assert whole.tobytes() == reference.decode_blob(blob).tobytes()
    with qcodec.safe_open(blob) as f:
        for rows in (slice(1040, 1060), slice(1047, 1049), slice(1099, 1100), slice(0, 9)):
            assert f.get_slice("")[rows].tobytes() == whole[rows].tobytes()
    plain = np.rint(w / np.float32(0.25)) * np.float32(0.25)
    np.testing.assert_array_equal(whole[1048], plain[1048])  # the row that both chunks have
    assert not np.array_equal(whole[1049, :992], plain[1049, :992])


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_the_bytes(two_chunks, threads):
    codec = "dct | uniform(step=0.25) | huffman"
    assert qcodec.encode(two_chunks, codec, threads) == qcodec.encode(two_chunks, codec, 2)


# ---- what it refuses


@pytest.mark.parametrize(
    "codec",
    ["dct | lossless", "dct | uniform(bits=4, axis=0)", "dct | uniform(bits=4, group=9)",
     "dct(block=1) | uniform(step=1.0)", "dct(block=9) | uniform(step=1.0)",
     "dct(block=2.0) | uniform(step=1.0)", "dct | dct | uniform(step=1.0)",
     "uniform(step=1.0) | dct"],
)  # fmt: skip
def test_codec_that_makes_no_sense_is_refused(codec):
    with pytest.raises(InputError):
        qcodec.parse(codec)


@pytest.mark.parametrize(
    ("codec", "shape"),
    [
        ("dct(block=2) | uniform(step=1.0)", (8,)),
        ("dct(block=2) | uniform(step=1.0)", ()),
        ("dct(block=2) | uniform(step=1.0)", (2, 2**16 + 1)),
        ("dct(block=2) | uniform(step=1.0, profile=True)", (4, 4)),
    ],
)
def test_tensor_that_has_no_such_blocks_is_refused(codec, shape):
    with pytest.raises(InputError, match=r"tensor .*: dct"):
        qcodec.encode(np.zeros(shape, np.float32), codec)


@pytest.mark.parametrize("block", [1, 9])
def test_native_job_refuses_blocks_of_which_there_is_no_kernel(block):
    # Files cannot ask for these, but a job of block 1 went to the sums of block 8, beyond its
    # memory.
    with pytest.raises(ValueError, match=r"block is 0 or 2\.\.8"):
        _core.Job(quantizer=2, coder=1, dtype=1, n=64, inner=64, step=0.25, block=block)
