"""Turns pytest-benchmark's JSON into a table of ratios: ``python benchmarks/report.py run.json``.

Every ratio is to the first row of its group that is a copy or a named peer, by best
and by median time, all from the same run.
"""

import json
import sys
from pathlib import Path
from typing import Any

REFERENCES = ("memcpy", "huff0", "safetensors", "zipnn")


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
        "| group | what | M weights/s best | median | bits | entropy | ratio best | median |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    rows = run["benchmarks"]
    groups = list(dict.fromkeys(row["group"] for row in rows))
    for group in groups:
        members = [row for row in rows if row["group"] == group]
        base = next((r for r in members if r["extra_info"].get("role") in REFERENCES), None)
        for row in members:
            lines.append(_row(row, base))
    return "\n".join(lines) + "\n"


def _row(row: dict[str, Any], base: dict[str, Any] | None) -> str:
    info = row["extra_info"]
    stats = row["stats"]
    if "weights" not in info:
        return (
            f"| {row['group']} | {row['name']} | | | | | {info['best_ms']:.0f} ms best "
            f"| {info['median_ms']:.0f} ms |"
        )
    speed = [info["weights"] / stats[k] / 1e6 for k in ("min", "median")]
    ratio = ["", ""]
    if base is not None and base is not row:
        scale = info["weights"] / base["extra_info"]["weights"]
        ratio = [f"{scale * base['stats'][k] / stats[k]:.2f}" for k in ("min", "median")]
    bits = f"{info['bits']:.4f}" if "bits" in info else ""
    floor = f"{info['entropy']:.4f}" if "entropy" in info else ""
    what = row["name"].removeprefix("test_")
    return (
        f"| {row['group']} | {what} | {speed[0]:.0f} | {speed[1]:.0f} | {bits} | {floor} "
        f"| {ratio[0]} | {ratio[1]} |"
    )


if __name__ == "__main__":
    sys.stdout.write(table(json.loads(Path(sys.argv[1]).read_text())))
