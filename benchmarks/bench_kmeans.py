"""Codebooks of MiniLM's weights, beside scikit-learn: time of a fit, and its squared error.

scikit-learn runs on one million weights alone, where it takes a second.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from data import minilm

from qcodec.search import kmeans

SIZES = {"1M": 1_000_000, "16M": 16_000_000}


def weights_of(size: str) -> npt.NDArray[np.float32]:
    w = minilm()
    return np.random.default_rng(0).permutation(w)[: SIZES[size]]


def squared_error(w: npt.NDArray[np.float32], codebook: npt.NDArray[np.float32]) -> float:
    indices = kmeans.assign(w, codebook)
    return float(np.square(w.astype(np.float64) - codebook[indices]).sum())


def note(benchmark: Any, w: npt.NDArray[np.float32], codebook: Any, role: str) -> None:
    benchmark.extra_info.update(weights=w.size, error=squared_error(w, codebook), role=role)


@pytest.mark.parametrize("k", [16, 256])
@pytest.mark.parametrize("size", SIZES)
def test_fit(benchmark: Any, size: str, k: int) -> None:
    benchmark.group = f"fit {size} k={k}"
    w = weights_of(size)
    note(benchmark, w, kmeans.fit(w, k), "exact")
    benchmark.pedantic(lambda: kmeans.fit(w, k), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("k", [16, 256])
def test_fit_scikit_learn(benchmark: Any, k: int) -> None:
    cluster = pytest.importorskip("sklearn.cluster", reason="pip install scikit-learn")
    benchmark.group = f"fit 1M k={k}"
    w = weights_of("1M")
    model = cluster.KMeans(k, n_init=1, random_state=0, max_iter=100)
    benchmark.pedantic(lambda: model.fit(w[:, None]), rounds=1)
    found = np.sort(model.cluster_centers_.ravel()).astype(np.float32)
    excess = squared_error(w, found) / squared_error(w, kmeans.fit(w, k)) - 1
    benchmark.extra_info["excess"] = excess
    note(benchmark, w, found, "scikit-learn")


@pytest.mark.parametrize("k", [16, 256])
@pytest.mark.parametrize("size", SIZES)
def test_assign(benchmark: Any, size: str, k: int) -> None:
    benchmark.group = f"assign {size} k={k}"
    w = weights_of(size)
    codebook = kmeans.fit(w, k)
    note(benchmark, w, codebook, "nearest")
    benchmark.pedantic(lambda: kmeans.assign(w, codebook), rounds=5, warmup_rounds=1)
