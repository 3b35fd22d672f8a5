"""Results of the rate-distortion benchmark as CSV and Markdown."""

import csv
import datetime
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from rd_math import saving
from rd_peers import FORMATS, nncodec
from rd_run import Row

DIGITS = {"bits": 4, "snr_db": 3, "gap_db": 3, "top1": 2, "encode_s": 3, "decode_s": 3}


def provenance() -> str:
    """Machine, commit, command and date in one line."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    here = Path(__file__).parent
    commit = _git(here, "rev-parse", "--short", "HEAD") or "unknown"
    # Results are written while the run goes on, and are no change of the code.
    changed = _git(here, "status", "--porcelain", "--", "..", ":!results")
    dirty = ", dirty" if changed else ""
    script = Path(sys.argv[0])
    command = shlex.join(["python", f"{script.parent.name}/{script.name}", *sys.argv[1:]])
    today = datetime.date.today().isoformat()
    return f"{cpu}, commit {commit}{dirty}, {command}, {today}"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def write_csv(path: Path, head: str, rows: Iterable[Row]) -> Iterator[Row]:
    """Pass rows on, each after it is in the file."""
    with open(path, "w", newline="") as stream:
        stream.write(f"# {head}\n")
        out = csv.DictWriter(stream, [f.name for f in fields(Row)], lineterminator="\n")
        out.writeheader()
        for row in rows:
            out.writerow({k: _text(k, v) for k, v in asdict(row).items()})
            stream.flush()
            yield row


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    return f"{value:.{DIGITS[name]}f}" if name in DIGITS else str(value)


def read_csv(path: Path) -> tuple[str, list[Row]]:
    """What `write_csv` wrote: the provenance and the rows."""
    head, *lines = path.read_text().splitlines()
    return head.removeprefix("# "), [
        Row(
            row["source"],
            row["family"],
            row["codec"],
            float(row["bits"]),
            int(row["bytes"]),
            float(row["snr_db"]),
            *(float(row[k]) if row[k] else None for k in ("gap_db", "top1")),
            *(float(row[k]) if row[k] else None for k in ("encode_s", "decode_s")),
        )
        for row in csv.DictReader(lines)
    ]


def markdown(head: str, rows: Sequence[Row]) -> str:
    """One table a source, and where NNCodec has points, one that compares with each."""
    parts = ["# Rate and distortion", "", f"{head}", ""]
    for source in dict.fromkeys(row.source for row in rows):
        own = [row for row in rows if row.source == source]
        parts += [f"## {source}", "", *_points(own), ""]
        if nncodec(source):
            parts += [*_against_nncodec(source, own), ""]
    return "\n".join(parts)


def _table(head: Sequence[str], text_columns: int, lines: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---"] * text_columns + ["---:"] * (len(head) - text_columns)
    rows = (head, rule, *lines)
    escaped = ([cell.replace("|", "\\|") for cell in cells] for cells in rows)
    return [f"| {' | '.join(cells)} |" for cells in escaped]


def _points(rows: Sequence[Row]) -> list[str]:
    head = ["family", "codec", "bits", "bytes", "SNR dB"]
    bounded = any(row.gap_db is not None for row in rows)
    scored = any(row.top1 is not None for row in rows)
    head += ["gap dB"] * bounded + ["top-1 %"] * scored + ["encode s", "decode s"]
    return _table(head, 2, (_cells(row, bounded, scored) for row in rows))


def _cells(row: Row, bounded: bool, scored: bool) -> list[str]:
    def number(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    cells = [row.family, f"`{row.codec}`"]
    cells += [f"{row.bits:.3f}", f"{row.bytes:,}", f"{row.snr_db:.2f}"]
    cells += [number(row.gap_db, 2)] * bounded + [number(row.top1, 2)] * scored
    return [*cells, number(row.encode_s, 3), number(row.decode_s, 3)]


def _against_nncodec(source: str, rows: Sequence[Row]) -> list[str]:
    """Percent of NNCodec's bytes that each family saves at NNCodec's SNR."""
    families = {
        name: [(float(r.bytes), r.snr_db) for r in rows if r.family == name]
        for name in dict.fromkeys(row.family for row in rows)
        if name not in FORMATS
    }
    lines = []
    for point in nncodec(source):
        percent = [saving(points, (point.bytes, point.snr_db)) for points in families.values()]
        if any(x is not None for x in percent):
            what = [point.series, str(point.qp), f"{point.bytes:,}", f"{point.snr_db:.2f}"]
            lines.append([*what, *("" if x is None else f"{x:+.1f}" for x in percent)])
    head = ["NNCodec at", "qp", "bytes", "SNR dB", *families]
    text = "Percent smaller than NNCodec at its SNR (negative: larger; empty: outside what was run)"
    return [f"{text}:", "", *_table(head, 1, lines)]
