"""``qcodec compare``."""

import dataclasses
import sys
from typing import Any

import click

from qcodec.cli import _common
from qcodec.io import TensorInfo, open_source
from qcodec.metrics import quantization_error


@click.command()
@click.argument("a")
@click.argument("b")
@_common.threads_option
@_common.json_option
def command(a: str, b: str, threads: int | None, as_json: bool) -> None:
    """Show how far the tensors of model B are from those of model A, worst first.

    Models are .qc, .safetensors or .npz. Exit code 1 if tensors of one model have no counterpart
    of the same shape in the other.
    """
    result = _compare(a, b, threads)
    if as_json:
        _common.emit_json(result)
    else:
        _show(result)
    unmatched = len(result["only_in_a"]) + len(result["only_in_b"]) + len(result["other_shape"])
    if unmatched:
        _common.complain(f"{unmatched} tensors have no counterpart of the same shape")
        sys.exit(1)


def _compare(a: str, b: str, threads: int | None) -> dict[str, Any]:
    with open_source(a, threads) as left, open_source(b, threads) as right:
        mine = {info.name: info for info in left.tensors}
        yours = {info.name: info for info in right.tensors}
        rows = []
        other_shape = []
        with _common.progress(a, sum(info.nbytes for info in left.tensors)) as advance:
            for name, info in mine.items():
                if name in yours and yours[name].shape == info.shape:
                    error = quantization_error(left.read(name), right.read(name))
                    rows.append(_row(info, yours[name]) | dataclasses.asdict(error))
                elif name in yours:
                    other_shape.append(
                        {"name": name, "a": list(info.shape), "b": list(yours[name].shape)}
                    )
                advance(info.nbytes)
    rows.sort(key=lambda row: (-row["relative_l2"], -row["max_abs"]))
    return {
        "a": a,
        "b": b,
        "tensors": rows,
        "only_in_a": [name for name in mine if name not in yours],
        "only_in_b": [name for name in yours if name not in mine],
        "other_shape": other_shape,
    }


def _row(a: TensorInfo, b: TensorInfo) -> dict[str, Any]:
    return {"name": a.name, "shape": list(a.shape), "dtype_a": a.dtype, "dtype_b": b.dtype}


def _show(result: dict[str, Any]) -> None:
    out = _common.table(
        f"{result['b']} against {result['a']}",
        *("tensor", "shape", "dtype", ">max error", ">MSE", ">SNR dB", ">relative L2"),
    )
    for row in result["tensors"]:
        same = row["dtype_a"] == row["dtype_b"]
        _common.add_row(
            out,
            row["name"],
            _common.shape_text(row["shape"]),
            row["dtype_a"] if same else f"{row['dtype_a']}, {row['dtype_b']}",
            f"{row['max_abs']:.6g}",
            f"{row['mse']:.4g}",
            f"{row['snr_db']:.2f}",
            f"{row['relative_l2']:.4g}",
        )
    _common.print_table(out)
    for key, model in (("only_in_a", result["a"]), ("only_in_b", result["b"])):
        for name in result[key]:
            click.echo(_common.printable(f"only in {model}: {name}"))
    for row in result["other_shape"]:
        shapes = f"{_common.shape_text(row['a'])} and {_common.shape_text(row['b'])}"
        click.echo(_common.printable(f"shapes differ: {row['name']}, {shapes}"))
