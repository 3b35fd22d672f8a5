"""Bytes against error: every codec family on random samples and on real models.

``python benchmarks/rate_distortion.py --out benchmarks/results/rd`` writes ``rd.csv`` and a plot
for each source beside it, and prints Markdown. What is missing is named on standard error.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rd_families import FAMILIES, Family, of_template
from rd_report import markdown, provenance, read_csv, write_csv
from rd_run import Bench, Row, Score
from rd_sources import SOURCES, Array, load

import qcodec


def scorer() -> Score:
    """Top-1 on the 10,000 CIFAR-10 test images."""
    import numpy as np
    from cifar_resnet import import_torch, top1
    from data import shared

    import_torch().set_num_threads(1)
    with np.load(shared("cifar10_test.npz")) as test:
        images, labels = test["images"], test["labels"]

    def score(tensors: dict[str, Array]) -> float:
        return top1(tensors, images, labels, batch=100)  # faster than the default on one thread

    return score


def log(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def measure(args: argparse.Namespace) -> Iterator[Row]:
    """All rows of a run, as they come."""
    score = scorer() if args.top1 else None
    families = [of_template(x) for x in args.codec] or list(FAMILIES)
    if args.families:
        families = [f for f in families if f.label in args.families]
    for family in families:
        if refusal := family.refusal():
            log(f"{family.label} is not available: {refusal}")
    families = [f for f in families if f.refusal() is None]
    for name in args.sources:
        try:
            source = load(name, args.quick)
        except pytest.skip.Exception as reason:
            log(f"{name} is not available: {reason}")
            continue
        log(f"{name}: {source.size} values, {len(source.tensors)} tensors")
        bench = Bench(source, args.rest, score if name.startswith("resnet") else None)
        yield from _all(bench, families)


def _all(bench: Bench, families: list[Family]) -> Iterator[Row]:
    for family in families:
        if family.models_only and not bench.source.is_model:
            continue
        try:
            for row in bench.family(family):
                log(f"  {row.codec}: {row.bits:.3f} bits, {row.snr_db:.2f} dB")
                yield row
        except qcodec.QCodecError as error:
            log(f"  {family.label} refuses: {error}")
    yield from bench.formats()


def main() -> None:
    """Measure, or read what was measured; write plots; print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = list(SOURCES)
    parser.add_argument("--sources", nargs="+", choices=known, default=known, metavar="SOURCE",
                        help=f"default: {' '.join(known)}")  # fmt: skip
    parser.add_argument("--families", nargs="+", choices=[f.label for f in FAMILIES],
                        metavar="FAMILY", help="labels of rd_families; default: all")  # fmt: skip
    parser.add_argument("--codec", nargs="+", default=[], metavar="TEMPLATE",
                        help="codec strings instead, {} where a step is to be found")  # fmt: skip
    parser.add_argument("--rest", default="lossless", help="codec of a model's 1-D tensors")
    parser.add_argument("--top1", action="store_true", help="score the ResNets; needs torch")
    parser.add_argument("--quick", action="store_true", help="fewer samples, fewer tensors")
    parser.add_argument("--out", type=Path, help="path without suffix of the CSV and the plots")
    parser.add_argument("--read", type=Path, metavar="CSV", help="measure nothing, read this")
    args = parser.parse_args()
    if args.read:
        head, rows = read_csv(args.read)
    else:
        head, found = provenance(), measure(args)
        rows = list(write_csv(args.out.with_suffix(".csv"), head, found) if args.out else found)
    print(markdown(head, rows), end="")
    if args.out:
        try:
            from rd_plot import plot_all
        except ImportError as error:
            log(f"no plots: {error}")
        else:
            plot_all(rows, args.out)


if __name__ == "__main__":
    main()
