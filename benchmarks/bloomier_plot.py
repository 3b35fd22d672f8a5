"""The plot of docs/bloomier.md: bits per non-zero weight against density, and what they buy.

``python benchmarks/bloomier_plot.py docs/bloomier.png`` encodes 2^20 symbols at each density: 15
values, as likely as each other, and zeros. Prints the table of the page.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

from qcodec import _core

mpl.use("Agg")

from matplotlib import pyplot as plt

N = 1 << 20
VALUES, PLANE = 15, 4
DENSITIES = [0.001, 0.002, 0.004, 0.007, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3]
BITS = [4, 5, 6, 8]
COLOURS = {4: "#CCBB44", 5: "#66CCEE", 6: "#4477AA", 8: "#AA3377"}
RANS = 3


def sparse(density: float) -> np.ndarray:
    rng = np.random.default_rng(round(density * 1e6))
    symbols = np.zeros(N, np.uint8)
    keys = round(N * density)
    symbols[rng.choice(N, keys, replace=False)] = rng.integers(1, VALUES + 1, keys)
    return symbols


def entropy(density: float) -> float:
    """Bits per non-zero of exact coding: where they are, and which value of 15."""
    where = -density * np.log2(density) - (1 - density) * np.log2(1 - density)
    return float(where / density + np.log2(VALUES))


def noisy_bound(density: float, rate: float) -> float:
    """Bits per non-zero if zeros come back wrong at random at this rate: mutual information."""
    hit = density + (1 - density) * rate
    said = -hit * np.log2(hit) - (1 - hit) * np.log2(1 - hit)
    unsure = -rate * np.log2(rate) - (1 - rate) * np.log2(1 - rate)
    # All values are as likely as each other, right or wrong: a wrong one costs no bits to name.
    named = hit * np.log2(VALUES) - (1 - density) * rate * np.log2(VALUES)
    return float((said - (1 - density) * unsure + named) / density)


def measure() -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {f"{bits} bits": [] for bits in BITS}
    rows |= {"rans": [], "entropy": [], **{f"wrong {bits}": [] for bits in BITS}}
    for density in DENSITIES:
        symbols = sparse(density)
        keys = int(np.count_nonzero(symbols))
        for bits in BITS:
            payload = np.frombuffer(_core.bloomier_encode(symbols, PLANE, bits, 0), np.uint8)
            decoded = _core.stream_decode(7, payload, N, PLANE)
            rows[f"{bits} bits"].append(8 * payload.size / keys)
            rows[f"wrong {bits}"].append(int((decoded != symbols).sum()) / keys)
        stream = _core.stream(RANS, symbols, PLANE, True)
        rows["rans"].append(8 * len(stream) / keys)
        rows["entropy"].append(entropy(density))
    return rows


def draw(rows: dict[str, list[float]], path: Path) -> None:
    figure, (upper, lower) = plt.subplots(
        2, 1, sharex=True, figsize=(8, 8), layout="constrained", height_ratios=[3, 2]
    )
    figure.suptitle("15 values, each as likely as the others; 1,048,576 weights", x=0.02, ha="left")
    shown = [100 * density for density in DENSITIES]
    upper.plot(shown, rows["entropy"], color="black", linewidth=1, label="entropy (exact)")
    upper.plot(shown, rows["rans"], color="#EE6677", marker="s", markersize=4, label="rans (exact)")
    for bits in BITS:
        style = {"color": COLOURS[bits], "marker": "o", "markersize": 4}
        upper.plot(shown, rows[f"{bits} bits"], label=f"bloomier(bits={bits})", **style)
        bound = [noisy_bound(density, VALUES / 2**bits) for density in DENSITIES]
        upper.plot(shown, bound, color=COLOURS[bits], linestyle=":", linewidth=1)
        lower.plot(shown, rows[f"wrong {bits}"], label=f"bloomier(bits={bits})", **style)
    upper.plot([], [], color="#777777", linestyle=":", label="bound at the same rate of errors")
    upper.set_ylabel("bits per non-zero weight")
    lower.set_ylabel("wrong weights for each true one")
    lower.axhline(1, color="black", linewidth=0.7)
    lower.set_xlabel("density, % of weights that are not zero")
    lower.set_xscale("log")
    lower.set_yscale("log")
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30]
    lower.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    upper.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def table(rows: dict[str, list[float]]) -> str:
    heads = "".join(f" {bits} bits | wrong |" for bits in BITS)
    lines = [f"| density | entropy | rans |{heads}", "|---:|---:|---:|" + "---:|---:|" * len(BITS)]
    for k, density in enumerate(DENSITIES):
        pairs = [(rows[f"{bits} bits"][k], rows[f"wrong {bits}"][k]) for bits in BITS]
        cells = "".join(f" {size:.2f} | {wrong:.2f} |" for size, wrong in pairs)
        lines.append(
            f"| {100 * density:g} % | {rows['entropy'][k]:.2f} | {rows['rans'][k]:.2f} |{cells}"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    rows = measure()
    draw(rows, Path(sys.argv[1] if len(sys.argv) > 1 else "docs/bloomier.png"))
    sys.stdout.write(table(rows))


if __name__ == "__main__":
    main()
