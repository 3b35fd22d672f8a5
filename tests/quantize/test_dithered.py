"""`dithered`: its kernels at every level. Rules shared by every quantizer: test_contracts.py."""

import numpy as np
import pytest

import qcodec
from qcodec import _core
from qcodec.pipeline import make_job

# Groups are of 16 elements; kernels take 8, 32 or 64 groups at a time.
GROUPS = (1, 8, 32, 64, 96, 136)
LENGTHS = sorted({16 * groups + k for groups in GROUPS for k in (-16, -1, 0, 1, 7, 15, 16)})
STEPS = {8: 0.05, 16: 0.0003}  # bits of a symbol: one plane, or two


def portable(blob):
    before = _core.isa()
    _core.set_isa("portable")
    try:
        return qcodec.decode(blob)
    finally:
        _core.set_isa(before)


@pytest.mark.parametrize("bits", STEPS)
def test_every_length_decodes_to_the_portable_bits(isa, bits):
    rng = np.random.default_rng(3)
    for n in LENGTHS:
        w = rng.standard_normal(n).astype(np.float32)
        w[::97] *= 2
        blob = qcodec.encode(w, f"dithered(step={STEPS[bits]}, seed={2**40 + n}) | bitpack")
        got = qcodec.decode(blob)
        assert np.abs(got - w).max(initial=0) <= STEPS[bits]
        bits_of = [x.view(np.uint32) for x in (got, portable(blob))]
        np.testing.assert_array_equal(*bits_of, err_msg=str(n))


RANGES = [(0, 0), (7, 5), (2**62 + 3, 2**32 - 37), (1, 2**33 + 16)]  # seed, first element


@pytest.mark.parametrize(("seed", "first"), RANGES)
def test_levels_are_values_in_steps_with_the_dither_added(isa, seed, first):
    rng = np.random.default_rng(4)
    for n in (1, 15, 16, 17, 100, 5000):
        w = rng.standard_normal(n).astype(np.float32)
        expected = np.rint(w / np.float32(0.1) + _core.dither(seed, first, n)).astype(np.int32)
        np.testing.assert_array_equal(_core.dithered_levels(w, seed, first, 0.1), expected)


@pytest.mark.parametrize("n", [1, 16, 255, 256, 257, 2**20])
def test_symbols_are_scattered_in_the_order_of_their_classes(isa, n):
    for first in (0, 2**32 - 2**20, 2**32):
        job = make_job(qcodec.parse("dithered(step=1.0, seed=9) | rans"), "F32", (2**34,))
        plane = np.random.default_rng(n).integers(0, 256, n).astype(np.uint8)
        order = np.argsort(job.classes(first, n, np.zeros(0, np.uint8)), kind="stable")
        np.testing.assert_array_equal(job.scatter(plane, first), plane[order])
