"""``qcodec encode``."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from qcodec.cli import _common
from qcodec.container.writer import AtomicFile, Writer
from qcodec.encoding import symbol_planes
from qcodec.errors import InputError, QCodecError, UnsupportedError
from qcodec.io import Source, TensorInfo, open_source
from qcodec.metrics import compression_ratio
from qcodec.packing import Packer
from qcodec.pipeline import Codec
from qcodec.presets import PRESETS, SNR_RANGE
from qcodec.presets import preset as make_preset
from qcodec.recipe import Recipe

_COUNTED = 1 << 20  # symbols counted at once: bincount widens them to 8 bytes


@click.command(epilog="Codecs: lossless, 'uniform(bits=8, axis=0) | huffman', ...")
@_common.inputs_argument
@click.option("-o", "--output", metavar="OUT", help="File, or folder for several inputs.")
@click.option("--codec", metavar="CODEC", help="For matrices; other tensors stay lossless.")
@click.option("--recipe", metavar="FILE.toml", help="Codecs by tensor name.")
@click.option("--preset", metavar="NAME", help=f"Chosen for the model: {', '.join(PRESETS)}.")
@click.option(
    "--snr",
    type=click.FloatRange(*SNR_RANGE),
    metavar="DB",
    help="Of balanced and archive. [default: 20]",
)
@_common.threads_option
@_common.force_option
@click.option("--dry-run", is_flag=True, help="Show sizes and entropies; write nothing.")
@_common.json_option
def command(
    inputs: tuple[str, ...],
    output: str | None,
    codec: str | None,
    recipe: str | None,
    preset: str | None,
    snr: float | None,
    threads: int | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Turn .safetensors or .npz models into .qc files.

    Without --codec, --recipe and --preset nothing is lost, and decoding gives the same .safetensors
    file byte for byte. Files go beside their inputs unless -o tells otherwise.

    Presets: lossless; fast (4 bits, a scale for 64 weights, bitpack); balanced (one step for all
    matrices, rans); archive (the smallest file: transform and profile where they pay, trellis,
    compact norms and biases, exact integers and clusters).
    """
    if sum(option is not None for option in (codec, recipe, preset)) > 1:
        raise click.UsageError("give one of --codec, --recipe and --preset")
    if snr is not None and preset is None:
        raise click.UsageError("--snr is for --preset balanced or archive")
    rules: Recipe | _Preset
    if preset is not None:
        if preset not in PRESETS:
            raise click.UsageError(f"no preset {preset!r}: there are {', '.join(PRESETS)}")
        rules = _Preset(preset, snr)
    else:
        rules = Recipe.from_toml(recipe) if recipe is not None else Recipe.of(codec or "lossless")
    paths = _common.expand(inputs)
    if dry_run:
        _common.run_each(paths, lambda path: _predict(path, rules, threads), _show, as_json=as_json)
    outputs = _common.plan(paths, output, ".qc", force=force)
    _common.run_each(
        paths,
        lambda path: _encode(path, outputs[path], rules, threads),
        lambda result: click.echo(summary(result)),
        as_json=as_json,
    )


def _open(path: str) -> Source:
    if path.lower().endswith(".qc"):
        raise UnsupportedError(f"{path}: encode takes .safetensors or .npz; decode this first")
    return open_source(path)


@dataclass(frozen=True)
class _Preset:
    """A recipe that is made for each model."""

    name: str
    snr: float | None


class _Tensors(Mapping[str, npt.NDArray[Any]]):
    """A model whose tensors are read when asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = [info.name for info in source.tensors]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._source.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _assign(source: Source, rules: Recipe | _Preset, threads: int | None) -> dict[str, Codec]:
    try:
        if isinstance(rules, _Preset):
            rules = make_preset(rules.name, _Tensors(source), rules.snr, threads=threads)
        return rules.assign(source.tensors)
    except InputError as error:
        raise InputError(f"{source.where}: {error}") from None


def _writer(stream: Any, source: Source, codecs: dict[str, Codec]) -> Writer:
    writer = Writer(stream, source.metadata)
    writer.set_source(source.origin(verbatim=not any(c.lossy for c in codecs.values())))
    return writer


def _add(
    packer: Packer, source: Source, info: TensorInfo, codec: Codec, advance: Callable[[int], None]
) -> npt.NDArray[Any]:
    """Encode one tensor; returns its elements."""
    array = source.read(info.name)
    with _naming(source):
        packer.add(info.name, array, codec, advance)
    return array


@contextlib.contextmanager
def _naming(source: Source) -> Iterator[None]:
    """Errors of encoding say which input they are of."""
    try:
        yield
    except QCodecError as error:
        raise type(error)(f"{source.where}: {error}") from None


def _encode(path: str, target: str, rules: Recipe | _Preset, threads: int | None) -> dict[str, Any]:
    with _open(path) as source:
        codecs = _assign(source, rules, threads)
        total = sum(info.nbytes for info in source.tensors)
        with (
            _common.blame(target),
            _common.progress(path, total) as advance,
            AtomicFile(target) as out,
        ):
            packer = Packer(_writer(out.stream, source, codecs), threads)
            for info in source.tensors:
                _add(packer, source, info, codecs[info.name], advance)
            with _naming(source):
                size = packer.finish()
        return {
            "output": target,
            "tensors": len(source.tensors),
            "input_bytes": source.file_bytes,
            "output_bytes": size,
            "ratio": compression_ratio(source.file_bytes, size),
        }


def summary(result: dict[str, Any]) -> str:
    """One line on a file that was encoded or decoded."""
    line = (
        f"{result['file']} -> {result['output']}: {result['tensors']} tensors, "
        f"{result['input_bytes']:,} -> {result['output_bytes']:,} bytes"
    )
    return _common.printable(line + (f", ratio {result['ratio']:.2f}" if "ratio" in result else ""))


class _Counter:
    """A stream that forgets what is written to it; the writer counts."""

    def write(self, data: bytes) -> int:
        return len(data)


def _predict(path: str, rules: Recipe | _Preset, threads: int | None) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    with _open(path) as source:
        codecs = _assign(source, rules, threads)
        packer = Packer(_writer(_Counter(), source, codecs), threads)
        total = sum(info.nbytes for info in source.tensors)
        with _common.progress(path, total) as advance:
            for info in source.tensors:
                codec = codecs[info.name]
                array = _add(packer, source, info, codec, advance)
                entropy = _entropy(array, info.dtype, codec) if info.size else None
                del array
                rows.append(
                    {
                        "name": info.name,
                        "shape": list(info.shape),
                        "dtype": info.dtype,
                        "codec": str(codec),
                        "bits_per_weight": None,
                        "entropy_bits_per_weight": entropy,
                        "bytes": 0,
                        "input_bytes": info.nbytes,
                    }
                )
            with _naming(source):
                size = packer.finish()
        for row, info in zip(rows, source.tensors, strict=True):
            row["bytes"] = packer.sizes[info.name]
            row["bits_per_weight"] = 8 * row["bytes"] / info.size if info.size else None
        return {
            "tensors": rows,
            "input_bytes": source.file_bytes,
            "output_bytes": size,
            "ratio": compression_ratio(source.file_bytes, size),
        }


def _entropy(array: npt.NDArray[Any], dtype: str, codec: Codec) -> float:
    """Order-0 entropy of the symbols, summed over planes, in bits per element."""
    bits = 0.0
    for plane in symbol_planes(array, dtype, codec):
        counts = np.zeros(256, np.int64)
        for at in range(0, plane.size, _COUNTED):
            counts += np.bincount(plane[at : at + _COUNTED], minlength=256)
        counts = counts[counts > 0]
        bits -= float((counts * np.log2(counts / plane.size)).sum())
    return abs(bits) / array.size


def _show(result: dict[str, Any]) -> None:
    out = _common.table(
        f"{result['file']}: nothing is written",
        *("tensor", "shape", "dtype", "codec", ">bits/weight", ">entropy", ">bytes"),
    )
    for row in result["tensors"]:
        _common.add_row(
            out,
            row["name"],
            _common.shape_text(row["shape"]),
            row["dtype"],
            row["codec"],
            _common.number(row["bits_per_weight"], 3),
            _common.number(row["entropy_bits_per_weight"], 3),
            f"{row['bytes']:,}",
        )
    _common.print_table(out)
    click.echo(
        f"{len(result['tensors'])} tensors, {result['input_bytes']:,} -> "
        f"{result['output_bytes']:,} bytes, ratio {result['ratio']:.2f}"
    )
