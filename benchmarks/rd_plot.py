"""Plots of the rate-distortion benchmark: what is left of the SNR after 6.02 dB for each bit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from rd_math import BOUNDS, DB_PER_BIT
from rd_peers import FORMATS, nncodec
from rd_run import Row

mpl.use("Agg")

from matplotlib import pyplot as plt

MAX_BITS = 5.25
ACCURACY_SPAN = 8  # percent; a network further below is of no use
LABEL_POINTS = 9  # from one label to the next
TITLES = {
    "gaussian": "unit Gaussian",
    "laplacian": "unit-variance Laplacian",
    "resnet20": "ResNet-20 for CIFAR-10",
    "resnet32": "ResNet-32 for CIFAR-10",
    "minilm": "MiniLM",
}
# Paul Tol's "bright" and "muted" without their greys: apart for all kinds of colour vision.
COLOURS = ("#4477AA", "#EE6677", "#228833", "#AA3377", "#CCBB44", "#66CCEE", "#882255", "#332288")
NNCODEC_MARKERS = {
    "NNCodec dependent": "s",
    "NNCodec dependent, lambda 1.0": "D",
    "NNCodec uniform": "^",
}

Points = list[tuple[float, float]]
Ends = list[tuple[float, float, str, str]]  # bits, height, name, colour


def plot_all(rows: Sequence[Row], out: Path) -> None:
    """One PNG for each source in `rows`, named after `out`."""
    for source in dict.fromkeys(row.source for row in rows):
        own = [row for row in rows if row.source == source]
        figure = plot(source, own)
        figure.savefig(out.with_name(f"{out.name}-{source}.png"), dpi=130)
        plt.close(figure)


def plot(source: str, rows: Sequence[Row]) -> Any:
    """The figure of one source; a second panel where networks were scored."""
    scored = any(row.top1 is not None for row in rows)
    figure, panels = plt.subplots(
        1 + scored, 1, sharex=True, squeeze=False, figsize=(9, 8.5 if scored else 5.2),
        layout="constrained", height_ratios=[3, 2][: 1 + scored],
    )  # fmt: skip
    upper, lower = panels[0, 0], panels[-1, 0]
    figure.suptitle(f"Rate and distortion, {TITLES.get(source, source)}", x=0.02, ha="left")
    whole = "whole file" if nncodec(source) else "file"
    lower.set_xlabel(f"bits per value, of the {whole}")
    lower.set_xlim(0.5, MAX_BITS)
    if source in BOUNDS:
        bits = np.linspace(0.5, MAX_BITS, 200)
        bound = [BOUNDS[source](b) - DB_PER_BIT * b for b in bits]
        upper.plot(bits, bound, color="black", linewidth=1)
        upper.annotate("rate-distortion bound", (0.6, bound[4]), (0, -3), va="top",
                       textcoords="offset points", fontsize=8)  # fmt: skip
    _label(upper, _panel(upper, source, rows, lambda bits, row: row.snr_db - DB_PER_BIT * bits))
    upper.set_ylabel("SNR less 6.02 dB for each bit (dB); higher is better")
    if scored:
        _panel(lower, source, rows, lambda bits, row: row.top1)
        lower.set_ylabel("top-1 (%), 10,000 images")
        best = max(row.top1 for row in rows if row.top1 is not None)
        lower.set_ylim(best - ACCURACY_SPAN, best + 0.5)
        for row in rows:
            if row.family == "float32" and row.top1 is not None:
                lower.axhline(row.top1, color="black", linewidth=1)
                lower.annotate("float32", (0.6, row.top1), (0, -3), va="top",
                               textcoords="offset points", fontsize=8)  # fmt: skip
    return figure


def _panel(
    axes: Any, source: str, rows: Sequence[Row], height: Callable[[float, Any], float | None]
) -> Ends:
    """Every series in one panel; returns where each ends."""
    ends: Ends = []

    def series(name: str, points: Points, colour: str, **style: Any) -> None:
        shown = sorted(p for p in points if p[0] <= MAX_BITS)
        if shown:
            axes.plot(*zip(*shown, strict=True), color=colour, markersize=4, **style)
            ends.append((*shown[-1], name, colour))

    values = {id(r): height(r.bits, r) for r in rows}
    families = [x for x in dict.fromkeys(r.family for r in rows) if x not in FORMATS]
    for k, name in enumerate(families):
        points = [(r.bits, y) for r in rows if r.family == name if (y := values[id(r)]) is not None]
        dashes = ("-", "--", ":")[k // len(COLOURS)]
        series(name, points, COLOURS[k % len(COLOURS)], marker="o", linestyle=dashes, linewidth=1.4)
    theirs: dict[str, Points] = {}
    size = next(8 * row.bytes / row.bits for row in rows)
    for point in nncodec(source):
        bits = 8 * point.bytes / size
        if (y := height(bits, point)) is not None:
            theirs.setdefault(point.series, []).append((bits, y))
    for name, points in theirs.items():
        marker = NNCODEC_MARKERS[name]
        series(name, points, "#555555", marker=marker, linestyle=(0, (4, 2)), linewidth=1)
    for row in rows:
        y = values[id(row)]
        if row.family in FORMATS and y is not None and row.bits <= MAX_BITS:
            series(row.family, [(row.bits, y)], "#999999", marker="X", linestyle="none")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return ends


def spread(heights: Sequence[float], line: float, high: float) -> list[float]:
    """Rising heights moved apart: at least `line` between neighbours, none above `high`."""
    at = list(heights)
    for k in range(1, len(at)):
        at[k] = max(at[k], at[k - 1] + line)
    return [min(y, high - line * (len(at) - 1 - k)) for k, y in enumerate(at)]


def _label(axes: Any, ends: Ends) -> None:
    """Names beside the right edge, in the order of the curves' ends."""
    low, high = axes.get_ylim()
    inches = axes.get_subplotspec().get_position(axes.figure).height * axes.figure.get_figheight()
    line = (high - low) / (inches * 72) * LABEL_POINTS
    ends = sorted(ends, key=lambda end: end[1])
    at = spread([end[1] for end in ends], line, high)
    for y, (end_x, end_y, name, colour) in zip(at, ends, strict=True):
        axes.annotate(
            name, (end_x, end_y), (1.03, y), textcoords=axes.get_yaxis_transform(), color=colour,
            fontsize=8, va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "alpha": 0.5,
                        "relpos": (0, 0.5)},
        )  # fmt: skip
