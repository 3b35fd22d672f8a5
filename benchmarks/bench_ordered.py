"""Whole calls where symbols stand in the order of classes, or in planes of their own.

One thread, 16 Mi normal weights; decoding into a preallocated output, beside memcpy of it.
"""

from typing import Any

import numpy as np
import pytest

import qcodec

SHAPES = {"matrix": (4096, 4096), "scaled": (4096, 4096), "kernels": (3640, 512, 3, 3)}
CASES = [
    ("matrix", "uniform(step=0.3) | rans"),  # for comparison: no order
    ("matrix", "dithered(step=0.3) | rans"),
    ("matrix", "lattice(lattice='d4', step=0.3) | rans"),
    ("matrix", "lattice(lattice='e8', step=0.3) | rans"),
    ("matrix", "lattice(lattice='leech', step=0.3) | rans"),
    ("scaled", "uniform(step=0.3, profile=True) | rans"),
    ("scaled", "dithered(step=0.3) | rans"),  # escapes
    ("scaled", "lattice(lattice='e8', step=0.3) | rans"),
    ("matrix", "dct(block=8) | uniform(step=0.3) | rans"),
    ("kernels", "uniform(step=0.3, profile=True) | rans"),
    ("kernels", "dct | uniform(step=0.3) | rans"),
    ("kernels", "dct | dithered(step=0.3) | rans"),
]


def weights(shape: str) -> Any:
    """Normal weights, or products of those with scales by row and column."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal(SHAPES[shape], dtype=np.float32)
    if shape == "scaled":
        rows, columns = np.exp(rng.standard_normal((2, 4096), dtype=np.float32) / 2)
        w *= rows[:, None] * columns
    return w


@pytest.mark.parametrize("role", ["memcpy", ""], ids=["copy", "decode"])
@pytest.mark.parametrize(("shape", "codec"), CASES)
def test_decode(benchmark: Any, shape: str, codec: str, role: str) -> None:
    benchmark.group = f"{shape}: {codec}"
    w = weights(shape)
    out = np.ones_like(w)
    benchmark.extra_info.update(weights=w.size, role=role)
    if role:
        benchmark.pedantic(np.copyto, (out, w), rounds=25, warmup_rounds=2)
        return
    blob = qcodec.encode(w, codec)
    benchmark.extra_info.update(bits=8 * len(blob) / w.size)
    benchmark.pedantic(
        qcodec.decode, (blob,), {"out": out, "threads": 1}, rounds=25, warmup_rounds=2
    )


@pytest.mark.parametrize(
    ("shape", "codec"), [*CASES, ("matrix", "uniform(step=0.3, rdo=0.1) | rans")]
)
def test_encode(benchmark: Any, shape: str, codec: str) -> None:
    benchmark.group = "encode from f32"
    w = weights(shape)
    benchmark.extra_info.update(weights=w.size)
    benchmark.pedantic(qcodec.encode, (w, codec), {"threads": 1}, rounds=5, warmup_rounds=1)
