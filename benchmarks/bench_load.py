"""A model from a file in the page cache to float32 arrays, beside safetensors."""

from pathlib import Path
from typing import Any

import pytest
from data import minilm_path
from safetensors.numpy import load_file

import qcodec

CODECS = ["uniform(bits=4, group=64) | rans", "uniform(bits=4, group=64) | bitpack", "lossless"]


def test_safetensors(benchmark: Any) -> None:
    benchmark.group = "load_file"
    path = minilm_path()
    count = sum(t.size for t in load_file(path).values())
    benchmark.extra_info.update(weights=count, role="safetensors")
    benchmark.pedantic(load_file, (path,), rounds=15, warmup_rounds=2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("codec", CODECS)
def test_qcodec(benchmark: Any, codec: str, threads: int, tmp_path: Path) -> None:
    benchmark.group = "load_file"
    tensors = load_file(minilm_path())
    path = tmp_path / "model.qc"
    qcodec.save_file(tensors, path, codec)
    count = sum(t.size for t in tensors.values())
    benchmark.extra_info.update(weights=count, bits=8 * path.stat().st_size / count)
    benchmark.pedantic(qcodec.load_file, (path,), {"threads": threads}, rounds=15, warmup_rounds=2)
