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
    """Show what is in .qc files: tensors, codecs, sizes, metadata. Nothing is decoded."""
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
    except QCodecError as error:
        codec = f"({error})"
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
    }


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
