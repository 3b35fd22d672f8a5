"""``qcodec decode``."""

import os
from typing import Any

import click

from qcodec.cli import _common
from qcodec.cli.encode import summary
from qcodec.io.qc import QcSource

_DTYPES = {"f16": "F16", "bf16": "BF16", "f32": "F32", "f64": "F64"}
_SUFFIXES = (".safetensors", ".npz")


@click.command()
@_common.inputs_argument
@click.option("-o", "--output", metavar="OUT", help="File (.safetensors or .npz), or folder.")
@click.option("--dtype", type=click.Choice(list(_DTYPES)), help="For all floating tensors.")
@_common.threads_option
@_common.force_option
@_common.json_option
def command(
    inputs: tuple[str, ...],
    output: str | None,
    dtype: str | None,
    threads: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Turn .qc files back into .safetensors or .npz.

    Files go beside their inputs, as .safetensors, unless -o tells otherwise. Tensors that share
    their data become separate ones.
    """
    if output and not os.path.isdir(output) and not output.lower().endswith(_SUFFIXES):
        raise click.UsageError(f"{output} ends neither in .safetensors nor in .npz")
    paths = _common.expand(inputs)
    outputs = _common.plan(paths, output, ".safetensors", force=force)

    def decode(path: str) -> dict[str, Any]:
        target = outputs[path]
        with QcSource(path, dtype=_DTYPES[dtype] if dtype else None, threads=threads) as source:
            total = sum(info.nbytes for info in source.tensors)
            with _common.blame(target), _common.progress(path, total) as advance:
                size = source.write(target, advance)
            if source.metadata and target.lower().endswith(".npz"):
                click.echo(f"note: {target} cannot hold the metadata", err=True)
            return {
                "output": target,
                "tensors": len(source.tensors),
                "input_bytes": source.file_bytes,
                "output_bytes": size,
            }

    _common.run_each(paths, decode, lambda r: click.echo(summary(r)), as_json=as_json)
