"""Presets on whole models: ``python benchmarks/preset_table.py`` prints the table of the README.

Bytes are those of the file. Loading is `load_file` beside safetensors' on the float32
file, both from the page cache with one thread, best of runs that take turns.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from data import minilm_path, shared
from rate_distortion import scorer
from rd_report import provenance
from rd_run import Score
from rd_sources import Source, load
from safetensors.numpy import load_file

import qcodec
from qcodec.metrics import quantization_error

SNR = 20.0
ROUNDS = 15
HEAD = ("model", "preset", "bytes", "bits", "SNR dB", "top-1 %", "encode M weights/s", "load")


def best(calls: list[Callable[[], object]]) -> list[float]:
    """Seconds of the fastest run of each, in turns."""
    times = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def row(source: Source, plain: Path, name: str, score: Score | None, folder: Path) -> list[str]:
    """One preset on one model."""
    snr = SNR if name in ("balanced", "archive") else None
    path = folder / f"{name}.qc"
    start = time.perf_counter()
    recipe = qcodec.preset(name, source.tensors, snr=snr)
    qcodec.save_file(source.tensors, path, recipe, threads=1)
    seconds = time.perf_counter() - start
    decoded = qcodec.load_file(path, threads=1)
    error = quantization_error(source.flat(source.tensors), source.flat(decoded))
    ours, theirs = best([lambda: qcodec.load_file(path, threads=1), lambda: load_file(plain)])
    size = path.stat().st_size
    accuracy = "" if score is None else f"{score(decoded):.2f}"
    return [
        source.name, name, f"{size:,}", f"{8 * size / source.size:.3f}", f"{error.snr_db:.2f}",
        accuracy, f"{source.size / seconds / 1e6:.1f}", f"{theirs / ours:.2f}x",
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    print(f"{provenance()}\n\n| {' | '.join(HEAD)} |")
    print("|---|---|" + "---:|" * (len(HEAD) - 2))
    models = {"resnet20": shared("resnet20.safetensors"), "minilm": Path(minilm_path())}
    for model, plain in models.items():
        source = load(model)
        score = scorer() if model == "resnet20" else None
        with tempfile.TemporaryDirectory() as folder:
            for name in ("lossless", "fast", "balanced", "archive"):
                cells = row(source, plain, name, score, Path(folder))
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
