"""``qcodec demo``."""

import io
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from qcodec.cli import _common
from qcodec.container.writer import AtomicFile, Writer
from qcodec.demo import lenet5
from qcodec.files import load_file, save_file
from qcodec.metrics import compression_ratio, quantization_error
from qcodec.packing import Packer
from qcodec.recipe import Recipe

CODECS = (
    "lossless",
    "uniform(bits=8, axis=0) | bitpack",
    "uniform(bits=8, axis=0) | huffman",
    "uniform(bits=8, axis=0) | rans",
    "uniform(step=0.02) | rans",
    "uniform(bits=4, group=64) | rans",
    "uniform(bits=3, group=64) | rans",
    "uniform(bits=2, group=64) | rans",
)
_REPEATS = 7

Weights = Mapping[str, npt.NDArray[np.float32]]


@click.command()
@click.option("--plot", metavar="FILE.png", help="Draw size against accuracy.")
@_common.force_option
@_common.json_option
def command(plot: str | None, force: bool, as_json: bool) -> None:
    """Encode LeNet-5, trained on MNIST, at several codecs; show size, accuracy and speed.

    Weights and 1,000 test images come with qcodec. Biases stay lossless. Speeds are those of this
    network, whose small tensors cost more per byte than large ones do.
    """
    if plot is not None:
        if not plot.lower().endswith(".png"):
            raise click.UsageError(f"{plot} does not end in .png")
        _common.check_target(plot, force=force)
        _require_matplotlib()
    weights = lenet5.weights()
    images = lenet5.test_images()
    before = lenet5.top1(weights, *images)
    rows = [_measure(codec, weights, images, before) for codec in CODECS]
    if plot is not None:
        with _common.blame(plot):
            _plot(rows, before, plot)
    if as_json:
        _common.emit_json({"network": "LeNet-5 on MNIST", "top1_before": before, "codecs": rows})
    else:
        _show(rows, weights)


def _measure(codec: str, weights: Weights, images: Any, before: float) -> dict[str, Any]:
    """One row: a file is written, read back, and run."""
    original = sum(w.nbytes for w in weights.values())
    codecs = Recipe.of(codec).assign((n, "F32", w.shape) for n, w in weights.items())

    def encode() -> None:
        packer = Packer(Writer(io.BytesIO()))
        for name, array in weights.items():
            packer.add(name, array, codecs[name])
        packer.finish()

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lenet5.qc")
        save_file(weights, path, codec)
        size = os.path.getsize(path)
        decoded = load_file(path)
        encode_s = _best(encode)
        decode_s = _best(lambda: load_file(path))
    error = quantization_error(_joined(weights), _joined(decoded))
    return {
        "codec": codec,
        "bytes": size,
        "ratio": compression_ratio(original, size),
        "snr_db": error.snr_db,
        "top1_before": before,
        "top1_after": lenet5.top1(decoded, *images),
        "encode_mb_per_s": original / encode_s / 1e6,
        "decode_mb_per_s": original / decode_s / 1e6,
    }


def _joined(weights: Weights) -> npt.NDArray[np.float32]:
    return np.concatenate([weights[name].reshape(-1) for name in sorted(weights)])


def _best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of several runs."""
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _show(rows: list[dict[str, Any]], weights: Weights) -> None:
    original = sum(w.nbytes for w in weights.values())
    count = sum(w.size for w in weights.values())
    out = _common.table(
        f"LeNet-5 on MNIST: {count:,} weights, {original:,} bytes of float32, top-1"
        f" {rows[0]['top1_before']:.1f} % of 1,000 images",
        *("codec", ">bytes", ">ratio", ">SNR dB", ">top-1 %", ">change"),
        *(">encode MB/s", ">decode MB/s"),
    )
    for row in rows:
        _common.add_row(
            out,
            row["codec"],
            f"{row['bytes']:,}",
            f"{row['ratio']:.2f}",
            f"{row['snr_db']:.1f}",
            f"{row['top1_after']:.1f}",
            f"{row['top1_after'] - row['top1_before']:+.1f}",
            f"{row['encode_mb_per_s']:,.0f}",
            f"{row['decode_mb_per_s']:,.0f}",
        )
    _common.print_table(out)


def _require_matplotlib() -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise click.UsageError('--plot needs matplotlib: pip install "qcodec[plot]"') from None


def _plot(rows: list[dict[str, Any]], before: float, path: str) -> None:
    # The object interface: no window system is touched, and pyplot keeps no state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.axhline(before, color="grey", linestyle="--", label="float32")
    for row in rows:
        axes.plot(row["bytes"] / 1000, row["top1_after"], "o", label=row["codec"])
    axes.set_xlabel("file size, kB")
    axes.set_ylabel("top-1, % of 1,000 images")
    axes.set_title("LeNet-5 on MNIST")
    axes.set_xlim(left=0)
    axes.legend()
    with AtomicFile(path) as target:
        figure.savefig(target.stream, format="png", dpi=150)
