"""3LC of float32 gradients on one core, beside memcpy of the same array in the same run.

Each gradient meets a context in its steady state; bits are of the last message. Memory speed
drifts on shared machines, so each round copies, encodes and decodes in turn, and ratios are of best
times. ``python benchmarks/bench_traffic.py`` prints a table.
"""

import time
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qcodec.traffic import ThreeLC

N = 1 << 24
ROUNDS = 15
# Gradients by what their messages look like: share of values sent, and how they lie.
KINDS = {
    "two values, s=1": (lambda r, n: np.sign(r.standard_normal(n)), 1.0),
    "uniform, s=1": (lambda r, n: r.uniform(-1, 1, n), 1.0),
    "uniform, s=1.75": (lambda r, n: r.uniform(-1, 1, n), 1.75),
    "half zeros, s=1": (lambda r, n: r.uniform(-1, 1, n) * (r.random(n) < 0.5), 1.0),
    "normal, s=1": (lambda r, n: r.standard_normal(n), 1.0),
    "normal, s=1.75": (lambda r, n: r.standard_normal(n), 1.75),
    "1 % not zero, s=1.75": (lambda r, n: r.uniform(-1, 1, n) * (r.random(n) < 0.01), 1.75),
    "zeros": (lambda r, n: np.zeros(n), 1.75),
}
DTYPES = {"f32": np.float32, "bf16": ml_dtypes.bfloat16}


def best_of(rounds: int, *tasks: Any) -> list[float]:
    """Best seconds of each task; tasks take turns."""
    best = [float("inf")] * len(tasks)
    for _ in range(rounds):
        for k, task in enumerate(tasks):
            began = time.perf_counter()
            task()
            best[k] = min(best[k], time.perf_counter() - began)
    return best


def measure(kind: str, dtype: str) -> tuple[str, Any, Any]:
    """A row of the table, and what encodes and decodes once more."""
    make, sparsity = KINDS[kind]
    gradient = make(np.random.default_rng(0), N).astype(DTYPES[dtype])
    context = ThreeLC(N, sparsity, gradient.dtype.name)
    memory = bytearray(context.max_bytes)
    for _ in range(4):
        message = bytes(context.encode(gradient))
    out, target = np.ones_like(gradient), np.ones(N, np.float32)
    source = gradient.astype(np.float32)
    again, back = (
        lambda: context.encode(gradient, out=memory),
        lambda: ThreeLC.decode(message, out=out),
    )
    copy, encode, decode = best_of(ROUNDS, lambda: np.copyto(target, source), again, back)
    sent = np.count_nonzero(ThreeLC.decode(message)) / N
    gb = 4 * N / 1e9  # of float32, whatever the dtype
    row = (
        f"| {dtype} | {kind} | {100 * sent:.2f} | {8 * len(message) / N:.3f} | {gb / copy:.1f} "
        f"| {gb / encode:.1f} | {gb / decode:.1f} | {copy / encode:.2f} | {copy / decode:.2f} |"
    )
    return row, again, back


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_encode_and_decode(benchmark: Any, kind: str, dtype: str) -> None:
    row, again, _ = measure(kind, dtype)
    benchmark.group = f"3LC {dtype}"
    benchmark.extra_info.update(weights=N, row=row)
    benchmark.pedantic(again, rounds=5)


if __name__ == "__main__":
    print("| dtype | gradient | sent % | bits | memcpy GB/s | encode | decode ", end="")
    print("| encode / memcpy | decode / memcpy |\n|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for dtype_ in DTYPES:
        for kind_ in KINDS:
            print(measure(kind_, dtype_)[0], flush=True)
