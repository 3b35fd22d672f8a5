"""Tables and plot of ``bloomier_lenet.py``: bytes against test error, means over seeds."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

LIMITS = (1.8, 1.9, 2.0, 2.2, 2.5, 3.0, 4.0, 5.0)  # per cent of test images
COLOURS = {
    "bloomier": "#4477AA",
    "bloomier, rans for fc2": "#66CCEE",
    "rans": "#EE6677",
    "Deep Compression, best gaps": "#228833",
    "Deep Compression, 5-bit gaps": "#CCBB44",
    "entropy": "#000000",
}
MARKERS = {3: "v", 4: "o", 16: "D"}
PARAMETERS = 266_610


@dataclass(frozen=True, kw_only=True)
class Row:
    """One coder on one network: sizes in bytes, errors in per cent of the test images.

    `density` is that of fc1, `k` the codebook of fc1 and fc2 with its zero, `file` the whole
    network; `wrong1` and `wrong2` are wrong weights for each one that is not zero.
    """

    seed: int
    density: float
    coder: str
    file: int
    after: float
    k: int | None = None
    bits: int | None = None
    fc1: int | None = None
    fc2: int | None = None
    fc3: int | None = None
    wrong1: float | None = None
    wrong2: float | None = None
    before: float | None = None


INTEGERS = {"seed", "k", "bits", "fc1", "fc2", "fc3", "file"}


def write_csv(path: Path, head: str, rows: Iterable[Row]) -> Iterator[Row]:
    """Pass rows on, each after it is in the file."""
    with open(path, "w", newline="") as stream:
        stream.write(f"# {head}\n")
        out = csv.DictWriter(stream, [f.name for f in fields(Row)], lineterminator="\n")
        out.writeheader()
        for row in rows:
            cells = asdict(row).items()
            out.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in cells})
            stream.flush()
            yield row


def read_csv(path: Path) -> tuple[str, list[Row]]:
    """What `write_csv` wrote: where it comes from, and the rows."""
    head, *lines = path.read_text().splitlines()

    def value(name: str, cell: str) -> int | float | str | None:
        if name == "coder":
            return cell
        if not cell:
            return None
        return int(cell) if name in INTEGERS else float(cell)

    rows = [Row(**{k: value(k, v) for k, v in line.items()}) for line in csv.DictReader(lines)]  # type: ignore[arg-type]
    return head.removeprefix("# "), rows


@dataclass(frozen=True)
class Point:
    """The same coder on the networks of all seeds."""

    rows: Sequence[Row]

    @property
    def row(self) -> Row:
        """For what the seeds share."""
        return self.rows[0]

    def mean(self, name: str) -> float:
        """Of a column."""
        return mean(getattr(row, name) for row in self.rows)

    @property
    def spread(self) -> tuple[float, float]:
        """Least and greatest error after retraining."""
        errors = [row.after for row in self.rows]
        return min(errors), max(errors)

    @property
    def name(self) -> str:
        """Of the coder, with its option."""
        bits = f", {self.row.bits} bits" if self.row.bits else ""
        return f"{self.row.coder}{bits}"


def points_of(rows: Iterable[Row]) -> list[Point]:
    """Rows that differ by their seed together, in the order of the first."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.density, row.k, row.coder, row.bits), []).append(row)
    return [Point(group) for group in groups.values()]


def frontier(points: Iterable[Point]) -> list[Point]:
    """Those that no smaller file equals in error, by rising size."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: p.mean("file")):
        if not best or point.mean("after") < best[-1].mean("after"):
            best.append(point)
    return best


def write_report(head: str, rows: Sequence[Row], out: Path) -> None:
    """Markdown and plot beside the CSV."""
    points = points_of(rows)
    lines = ["# LeNet-300-100: bloomier and exact coders", "", head, ""]
    seeds = len({row.seed for row in rows})
    lines += [
        f"Test error in per cent of 10,000 images, mean of {seeds} seeds (least .. greatest), "
        "before and after retraining. Bytes are means over them, of the blob of a layer and of the "
        "whole file: layers, biases, codebooks, tables and headers. Deep Compression's biases are "
        "float32; `entropy` is of order 0, of the symbols alone, with such biases. `wrong`: wrong "
        "weights for each true one in fc1. Rows of float32 are the networks that were coded.",
        "",
        "## Smallest file by test error after retraining",
        "",
        *_table(_limit_cells(points)),
    ]
    for density in dict.fromkeys(p.row.density for p in points):
        own = [p for p in points if p.row.density == density]
        title = "Trained" if density == 1 else f"fc1 pruned to {100 * density:g} %"
        lines += ["", f"## {title}", "", *_table(_cells(own))]
    out.with_name(f"{out.name}.md").write_text("\n".join(lines) + "\n")
    draw(points, out.with_name(f"{out.name}.png"))


def _table(cells: Iterable[Sequence[str]]) -> list[str]:
    head, *rest = cells
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rest)]


def _limit_cells(points: Sequence[Point]) -> Iterator[list[str]]:
    coders = [c for c in dict.fromkeys(p.row.coder for p in points) if c != "float32"]
    yield ["error at most", *coders]
    for limit in LIMITS:
        cells = []
        for coder in coders:
            fit = [p for p in points if p.row.coder == coder and p.mean("after") <= limit]
            best = min(fit, key=lambda p: p.mean("file"), default=None)
            cells.append(f"{best.mean('file'):,.0f} ({_setting(best.row)})" if best else "")
        yield [f"{limit:g} %", *cells]


def _setting(row: Row) -> str:
    bits = f", {row.bits} bits" if row.bits else ""
    return f"{100 * row.density:g} %, k={row.k}{bits}"


def _cells(points: Sequence[Point]) -> Iterator[list[str]]:
    yield ["coder", "k", "fc1", "fc2", "fc3", "file", "float32 / file", "wrong", "before", "after"]
    for point in points:
        row = point.row
        least, most = point.spread
        after = f"{point.mean('after'):.2f} ({least:.2f} .. {most:.2f})"
        sizes = [f"{point.mean(c):,.0f}" if row.k else "" for c in ("fc1", "fc2", "fc3")]
        ratio = f"{4 * PARAMETERS / point.mean('file'):.1f}"
        wrong = f"{point.mean('wrong1'):.2f}" if row.bits else ""
        before = f"{point.mean('before'):.2f}" if row.k else ""
        file = f"{point.mean('file'):,.0f}"
        k = str(row.k or "")
        yield [point.name, k, *sizes, file, ratio, wrong, before, after]


def draw(points: Sequence[Point], path: Path) -> None:
    """Test error against bytes; a line through the best of each coder."""
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    for coder, colour in COLOURS.items():
        own = [p for p in points if p.row.coder == coder]
        for point in own if coder != "entropy" else []:
            at = (point.mean("file") / 1000, point.mean("after"))
            shown = MARKERS[point.row.k or 0]
            axes.plot(*at, color=colour, marker=shown, markersize=4, alpha=0.35, linestyle="none")
        best = frontier(own)
        sizes = [p.mean("file") / 1000 for p in best]
        errors = [p.mean("after") for p in best]
        ends = [[abs(p.mean("after") - p.spread[k]) for p in best] for k in (0, 1)]
        dotted = coder == "entropy"
        axes.errorbar(
            sizes, errors, yerr=None if dotted else ends, color=colour, label=coder,
            linestyle=":" if dotted else "-", linewidth=1.4, elinewidth=0.7, capsize=2,
        )  # fmt: skip
    for k, shown in MARKERS.items():
        axes.plot([], [], color="#777777", marker=shown, linestyle="none", label=f"k = {k}")
    dense = next(p for p in points if p.row.density == 1)
    axes.axhline(dense.mean("after"), color="#777777", linewidth=0.8)
    axes.annotate(
        "float32, 1,066 kB", (0.01, dense.mean("after")), (0, 3), fontsize=8,
        xycoords=axes.get_yaxis_transform(), textcoords="offset points",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, ticks in (
        (axes.xaxis, (4, 5, 6, 8, 10, 15, 20, 30)),
        (axes.yaxis, (1.5, 2, 3, 5, 10, 20)),
    ):
        axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    axes.set_ylim(1.45, 40)
    axes.set_xlabel("kB of the whole file")
    axes.set_ylabel("test error after retraining, %; bars: least and greatest of the seeds")
    axes.set_title("LeNet-300-100 on MNIST, fc1 of 1 to 8 % density", loc="left")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)
