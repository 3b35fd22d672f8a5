"""Dithered quantizer: lengths about the widths of vector code. Rules shared by every quantizer: test_contracts.py."""

import numpy as np
import pytest

import qcodec
from qcodec import _core

# Groups are of 16 elements; kernels take 8, 32 or 64 groups at a time.
LENGTHS = sorted({16 * groups + k for groups in (1, 8, 32, 64, 96, 136) for k in (-16, -1, 0, 1, 7, 15, 16)})
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
        np.testing.assert_array_equal(got.view(np.uint32), portable(blob).view(np.uint32), err_msg=str(n))
