"""``qcodec inspect``."""

import os
from typing import Any

import click

from qcodec.cli import _common
from qcodec.container.reader import Entry
from qcodec.errors import QCodecError
from qcodec.io import TensorInfo
from qcodec.reading import safe_open

_SHOWN_CHARS = 200


@click.command()
@_common.inputs_argument
@_common.json_option
def command(inputs: tuple[str, ...], as_json: bool) -> None:
    """Show what is in .qc files: tensors, codecs, sizes, metadata.

    Nothing is decoded but symbols of lossy coders, whose errors are counted.
    """
    _common.run_each(_common.expand(inputs), _inspect, _show, as_json=as_json)


def _inspect(path: str) -> dict[str, Any]:
    with safe_open(path) as f:
        rows = [_row(f, entry) for entry in f.contents.entries.values()]
        file_bytes = os.stat(path).st_size
        stored = sum(row["stored_bytes"] for row in rows)
        weights = sum(row["weights"] for row in rows)
        decoded = sum(row["decoded_bytes"] for row in rows)
        return {
            "tensors": rows,
            "aliases": f.contents.aliases,
            "metadata": f.metadata(),
            "source": f.contents.source.get("format"),
            "weights": weights,
            "decoded_bytes": decoded,
            "stored_bytes": stored,
            "index_bytes": f.contents.index_bytes,
            "overhead_bytes": file_bytes - stored,
            "file_bytes": file_bytes,
            "bits_per_weight": 8 * file_bytes / weights if weights else None,
            "ratio": decoded / file_bytes,
        }


def _row(f: safe_open, entry: Entry) -> dict[str, Any]:
    info = TensorInfo(entry.name, entry.dtype, entry.shape)
    try:
        codec = str(f.get_codec(entry.name))
        rates = f.get_error_rates(entry.name)
    except QCodecError as error:
        codec, rates = f"({error})", None
    stored = entry.stored_bytes
    return {
        "name": entry.name,
        "shape": list(entry.shape),
        "dtype": entry.dtype,
        "codec": codec,
        "config": entry.config,
        "weights": info.size,
        "chunks": 1 if entry.shared else len(entry.lengths),
        "stored_bytes": stored,
        "decoded_bytes": info.nbytes,
        "bits_per_weight": 8 * stored / info.size if info.size else None,
        "ratio": info.nbytes / stored if stored else None,
    } | _error_rates(rates)


def _error_rates(rates: tuple[float, float] | None) -> dict[str, Any]:
    """Only of a lossy coder, so that other rows stay as they are."""
    if rates is None:
        return {}
    return {"error_rate_asked": rates[0], "error_rate_measured": rates[1]}


def _show(result: dict[str, Any]) -> None:
    out = _common.table(
        result["file"],
        *("tensor", "shape", "dtype", "codec", ">bytes", ">bits/weight", ">ratio"),
    )
    for row in result["tensors"]:
        _common.add_row(
            out,
            row["name"],
            _common.shape_text(row["shape"]),
            row["dtype"],
            row["codec"],
            f"{row['stored_bytes']:,}",
            _common.number(row["bits_per_weight"], 3),
            _common.number(row["ratio"]),
        )
    _common.print_table(out)
    for row in result["tensors"]:
        if "error_rate_asked" in row:
            asked, measured = row["error_rate_asked"], row["error_rate_measured"]
            click.echo(
                _common.printable(
                    f"{row['name']}: lossy coder; of the weights not stored, {100 * asked:.3f} % "
                    f"are to come back as another value, {100 * measured:.3f} % do"
                )
            )
    for name, target in result["aliases"].items():
        click.echo(_common.printable(f"{name} is the same as {target}"))
    for key, value in result["metadata"].items():
        cut = value if len(value) <= _SHOWN_CHARS else value[:_SHOWN_CHARS] + "..."
        click.echo(_common.printable(f"metadata {key}: {cut}"))
    click.echo(
        f"{len(result['tensors'])} tensors, {result['weights']:,} weights, "
        f"{result['decoded_bytes']:,} -> {result['file_bytes']:,} bytes, ratio "
        f"{result['ratio']:.2f}, {_common.number(result['bits_per_weight'], 3)} bits per weight; "
        f"{result['overhead_bytes']:,} bytes are not tensor data, {result['index_bytes']:,} of "
        "them the index"
    )
