"""Blocks whose symbols are not stored position by position: profiles, and outliers of a trellis."""

import numpy as np
import pytest
import reference

import qcodec


@pytest.mark.parametrize("side", [2, 3, 5, 7, 8])
@pytest.mark.parametrize(
    "quantizer",
    ["trellis(states=8, step=0.1, profile=True)", "trellis(states=8, step=0.01)",
     "uniform(step=0.1, profile=True)", "uniform(step=0.001, profile=True)",
     "uniform(step=0.1, rdo=0.1, profile=True)"],
)  # fmt: skip
def test_blocks_decode_as_the_reference_does(isa, quantizer, side):
    # More than 64 blocks and no multiple of it; outliers are patched or escaped.
    w = np.random.default_rng(side).standard_normal((29, 7, side, side)).astype(np.float32)
    w *= np.exp2(np.arange(29) % 5).astype(np.float32)[:, None, None, None]
    w[3, 2, 0, 0], w[28, 6, 1, 1], w[11, 0] = 900, -700, 120
    blob = qcodec.encode(w, f"dct | {quantizer}")
    assert qcodec.decode(blob).tobytes() == reference.decode_blob(blob).tobytes()
