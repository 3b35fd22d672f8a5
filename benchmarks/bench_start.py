"""Cold start: a fresh process that imports qcodec and loads ResNet-20 from a .qc file."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from data import shared
from safetensors.numpy import load_file

import qcodec

LOAD = """
import sys, time
start = time.perf_counter()
import qcodec
qcodec.load_file(sys.argv[1])
print(time.perf_counter() - start)
assert "numba" not in sys.modules
"""


def test_import_and_load_resnet20(benchmark: Any, tmp_path: Path) -> None:
    path = tmp_path / "resnet20.qc"
    qcodec.save_file(
        load_file(shared("resnet20.safetensors")), path, "uniform(bits=8, axis=0) | huffman"
    )
    inside: list[float] = []

    def run() -> None:
        command = [sys.executable, "-c", LOAD, str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        inside.append(float(done.stdout))

    benchmark.group = "cold start"
    benchmark.pedantic(run, rounds=15, warmup_rounds=1)
    inside.sort()
    benchmark.extra_info.update(best_ms=1e3 * inside[0], median_ms=1e3 * inside[len(inside) // 2])
