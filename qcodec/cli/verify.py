"""``qcodec verify``."""

import math
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import click

from qcodec._arrays import numpy_dtype
from qcodec.cli import _common
from qcodec.container import _fields
from qcodec.container.reader import Contents, Entry, File
from qcodec.errors import CorruptError, QCodecError, UnsupportedError
from qcodec.io.qc import QcSource
from qcodec.pipeline import Codec, decode_range, decode_together, empty_output

_CHUNK = _fields.CHUNK_ELEMENTS
_AT_ONCE = 16  # chunks decoded by one call


@click.command()
@_common.inputs_argument
@_common.threads_option
@_common.json_option
def command(inputs: tuple[str, ...], threads: int | None, as_json: bool) -> None:
    """Check every byte of .qc files: structure, hashes, and that everything decodes.

    All problems are reported, not only the first. Exit code 2 if there are any; 3 if all there is
    are tensors of a codec that this version does not know.
    """
    _common.run_each(
        _common.expand(inputs), lambda path: _verify(path, threads), _show, as_json=as_json
    )


def _verify(path: str, threads: int | None) -> dict[str, Any]:
    problems: list[QCodecError] = []
    warnings: list[str] = []
    tensors = 0
    try:
        data = File(path)
        try:
            contents = Contents(data, path)
            entries = list(contents.entries.values())
            tensors = len(entries)
            total = sum(_nbytes(entry) for entry in entries)
            problems += _padding(data, entries, path)
            with _common.progress(path, total) as advance:
                for entry in entries:
                    problems += _decode(data, entry, path, threads)
                    advance(_nbytes(entry))
            warnings = _lookalikes([*contents.entries, *contents.aliases])
        finally:
            data.close()
        with QcSource(path) as source:
            if "header" in contents.source:
                source.layout()
    except QCodecError as error:
        problems.append(error)
    damaged = [p for p in problems if not isinstance(p, UnsupportedError)]
    return {
        "tensors": tensors,
        "problems": [str(problem) for problem in problems],
        "warnings": warnings,
        "exit_code": 2 if damaged else 3 if problems else 0,
    }


def _nbytes(entry: Entry) -> int:
    return math.prod(entry.shape) * numpy_dtype(entry.dtype).itemsize


def _decode(data: File, entry: Entry, path: str, threads: int | None) -> Iterator[QCodecError]:
    """Problems of one tensor: one for each damaged chunk."""
    if entry.shared is not None:
        yield from _decode_shared(data, entry, path)
        return
    where = f"{path}: tensor {entry.name!r}"
    try:
        codec = Codec.from_config(entry.config)
        size = math.prod(entry.shape)
        scratch = empty_output((min(size, _CHUNK * _AT_ONCE),), entry.dtype, where)
    except QCodecError as error:
        yield error if str(error).startswith(where) else type(error)(f"{where}: {error}")
        return

    def decode(begin: int, end: int) -> None:
        out = scratch[: end - begin]
        decode_range(
            codec, entry, data.source, out, entry.dtype, begin, end,
            verify=True, threads=threads, where=where,
        )  # fmt: skip

    for begin in range(0, size, _CHUNK * _AT_ONCE):
        end = min(begin + _CHUNK * _AT_ONCE, size)
        try:
            decode(begin, end)
        except QCodecError:
            for first in range(begin, end, _CHUNK):  # again, to tell which of them are damaged
                try:
                    decode(first, min(first + _CHUNK, end))
                except QCodecError as error:
                    yield error


def _decode_shared(data: File, entry: Entry, path: str) -> Iterator[QCodecError]:
    """Problems of a shared chunk, told with the first of its tensors."""
    assert entry.shared is not None
    if entry.shared.members[0] is not entry:
        return
    where = f"{path}: tensor {entry.name!r}"
    try:
        codec = Codec.from_config(entry.config)
        decode_together(codec, entry.shared, data.source, {}, {}, verify=True, where=where)
    except QCodecError as error:
        yield error if str(error).startswith(where) else type(error)(f"{where}: {error}")


def _padding(data: File, entries: Iterable[Entry], path: str) -> Iterator[CorruptError]:
    """Problems between the chunks."""
    places = []
    for entry in entries:
        for number, (offset, length) in enumerate(zip(entry.offsets, entry.lengths, strict=True)):
            places.append((int(offset), int(length), f"tensor {entry.name!r}: chunk {number}"))
        if entry.shared is not None and entry.shared.members[0] is entry:
            shared = entry.shared
            places.append((shared.offset, shared.length, f"tensor {entry.name!r}: shared chunk"))
    at = _fields.HEADER_BYTES
    for offset, length, what in sorted(places):
        gap = offset - at
        if gap and any(data.read(at, gap)):
            yield CorruptError(
                f"{path}: {what}, byte {at}: the {gap} bytes before it are not all zero"
            )
        at = offset + length


def _lookalikes(names: Iterable[str]) -> list[str]:
    first: dict[str, str] = {}
    warnings = []
    for name in names:
        folded = unicodedata.normalize("NFKC", name).casefold()
        other = first.setdefault(folded, name)
        if other != name:
            warnings.append(f"tensor names {other!a} and {name!a} look alike")
    return warnings


def _show(result: dict[str, Any]) -> None:
    for problem in result["problems"]:
        click.echo(_common.printable(f"problem: {problem}"))
    for warning in result["warnings"]:
        click.echo(_common.printable(f"warning: {result['file']}: {warning}"))
    count = len(result["problems"])
    verdict = f"{count} problem{'s' * (count != 1)}" if count else "no problem"
    click.echo(_common.printable(f"{result['file']}: {result['tensors']} tensors, {verdict}"))
