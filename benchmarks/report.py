"""Turns pytest-benchmark's JSON into a table of ratios: ``python benchmarks/report.py run.json``.

Ratios are to the rows of the same group that are a copy or a named peer, by best and by median
time, all from the same run.
"""

import json
import sys
from pathlib import Path
from typing import Any

REFERENCES = ("memcpy", "huff0", "safetensors", "zipnn", "blosc2", "one thread")


def table(run: dict[str, Any]) -> str:
    """Markdown of one run."""
    machine = run["machine_info"]
    commit = run.get("commit_info", {})
    cpu = machine.get("cpu", {}).get("brand_raw", machine.get("processor", ""))
    lines = [
        f"Machine: {cpu}, {machine['system']}, Python {machine['python_version']}. "
        f"Commit: {commit.get('id', 'unknown')[:12]}{', dirty' if commit.get('dirty') else ''}. "
        f"Date: {run['datetime'][:10]}.",
        "",
        "| group | what | M weights/s best | median | bits | entropy | ratio best / median |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    rows = run["benchmarks"]
    groups = list(dict.fromkeys(row["group"] for row in rows))
    for group in groups:
        members = [row for row in rows if row["group"] == group]
        bases = [r for r in members if r["extra_info"].get("role") in REFERENCES]
        lines += [_row(row, bases) for row in members]
    return "\n".join(lines) + "\n"


def _row(row: dict[str, Any], bases: list[dict[str, Any]]) -> str:
    info = row["extra_info"]
    stats = row["stats"]
    what, group = (x.replace("|", "\\|") for x in (row["name"].removeprefix("test_"), row["group"]))
    if "weights" not in info:
        times = f"{info['best_ms']:.0f} ms best, {info['median_ms']:.0f} ms median"
        return f"| {group} | {what} | | | | | {times} |"
    speed = [info["weights"] / stats[k] / 1e6 for k in ("min", "median")]
    ratios = []
    for base in bases if info.get("role") not in REFERENCES else []:
        scale = info["weights"] / base["extra_info"]["weights"]
        best, median = (scale * base["stats"][k] / stats[k] for k in ("min", "median"))
        ratios.append(f"{best:.2f} / {median:.2f} x {base['extra_info']['role']}")
    bits = f"{info['bits']:.4f}" if "bits" in info else ""
    floor = f"{info['entropy']:.4f}" if "entropy" in info else ""
    return (
        f"| {group} | {what} | {speed[0]:.0f} | {speed[1]:.0f} | {bits} | {floor} "
        f"| {', '.join(ratios)} |"
    )


if __name__ == "__main__":
    sys.stdout.write(table(json.loads(Path(sys.argv[1]).read_text())))
