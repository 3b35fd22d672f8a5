"""What all verbs share: errors to exit codes, paths, tables, JSON and the progress bar."""

from __future__ import annotations

import errno
import glob
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qcodec.errors import QCodecError

if TYPE_CHECKING:
    from rich.table import Table

HANDLED = (click.ClickException, QCodecError, OSError, MemoryError)

inputs_argument = click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and only that.")
force_option = click.option("--force", is_flag=True, help="Overwrite existing files.")
threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), help="Default: all CPUs. The bytes do not change."
)


def exit_code(error: BaseException) -> int:
    """What the process ends with after this error."""
    if isinstance(error, QCodecError):
        return error.exit_code
    if isinstance(error, MemoryError):
        return 4
    return 5 if isinstance(error, OSError) else 1


def describe(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        return printable(error.format_message().rstrip(".") + hint)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return printable(place + error.strerror)
    return printable(str(error) or "out of memory")


def complain(error: BaseException | str) -> None:
    """Print an error to stderr."""
    click.echo(f"error: {describe(error) if isinstance(error, BaseException) else error}", err=True)


def printable(text: str) -> str:
    """`text` with control, format and bidirectional characters as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def emit_json(value: object) -> None:
    """Print JSON to stdout. JSON has no infinity: non-finite numbers become strings."""
    click.echo(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def expand(patterns: Sequence[str]) -> list[str]:
    """Paths, with globs resolved where the shell has not done it.

    Raises
    ------
    FileNotFoundError
        A glob matches no file.
    """
    paths: list[str] = []
    for pattern in patterns:
        if os.path.lexists(pattern) or not glob.has_magic(pattern):
            found = [pattern]
        else:
            found = sorted(glob.glob(pattern))
        if not found:
            raise FileNotFoundError(errno.ENOENT, "no file matches", pattern)
        paths += [path for path in found if path not in paths]
    return paths


def plan(inputs: Sequence[str], output: str | None, suffix: str, *, force: bool) -> dict[str, str]:
    """Where each input goes: `output`, or a file of this suffix in folder `output` or beside it.

    Raises
    ------
    UsageError
        Several inputs and no folder, two inputs for one output, an input for its own output, or an
        output that exists.
    FileNotFoundError
        The output's folder does not exist.
    """
    if output is not None and not os.path.isdir(output):
        if len(inputs) > 1:
            raise click.UsageError(f"several inputs need a folder for -o, and {output} is none")
        outputs = {inputs[0]: output}
    else:
        outputs = {}
        for path in inputs:
            folder = Path(output) if output else Path(path).parent
            outputs[path] = str(folder / f"{Path(path).stem}{suffix}")
    taken: dict[str, str] = {}
    for source, target in outputs.items():
        if target in taken:
            raise click.UsageError(f"{taken[target]} and {source} would both become {target}")
        if os.path.realpath(source) == os.path.realpath(target):
            raise click.UsageError(f"{source} is both input and output")
        taken[target] = source
        check_target(target, force=force)
    return outputs


def check_target(path: str, *, force: bool) -> None:
    """Refuse, before any work is done, a path that could not or must not be written."""
    if not os.path.isdir(folder := os.path.dirname(path) or "."):
        raise FileNotFoundError(errno.ENOENT, "no such folder", folder)
    if os.path.lexists(path) and not os.path.isfile(path):
        raise click.UsageError(f"{path} is in the way, and no regular file")
    if os.path.lexists(path) and not force:
        raise click.UsageError(f"{path} exists; --force overwrites it")


@contextmanager
def blame(path: str) -> Iterator[None]:
    """Name `path` in system errors that name no file."""
    try:
        yield
    except OSError as error:
        if error.filename is None or str(error.filename).endswith(".tmp"):
            raise OSError(error.errno, error.strerror, path) from None
        raise


def run_each(
    paths: Sequence[str],
    work: Callable[[str], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    *,
    as_json: bool,
) -> None:
    """Work on each file, whatever happened to the one before, then end the process.

    Parameters
    ----------
    paths : sequence of str
        The files.
    work : callable
        A file to its result; a positive ``"exit_code"`` in it is the process's.
    show : callable
        Prints a result, unless `as_json`.
    """
    results, code = [], 0
    for path in paths:
        try:
            result = {"file": path} | work(path)
        except HANDLED as error:
            complain(error)
            result = {"file": path, "error": describe(error), "exit_code": exit_code(error)}
        else:
            if not as_json:
                show(result)
        code = code or result.get("exit_code", 0)
        results.append(result)
    if as_json:
        emit_json({"files": results})
    sys.exit(code)


def table(title: str, *columns: str) -> Table:
    """An empty table; columns whose header begins with ``>`` hold numbers."""
    from rich import box
    from rich.table import Table

    out = Table(
        title=printable(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        out.add_column(
            column.lstrip(">"),
            justify="right" if column.startswith(">") else "left",
            no_wrap=column not in ("tensor", "codec"),
            overflow="fold",
        )
    return out


def add_row(to: Table, *cells: str) -> None:
    """Add cells of plain text: names from files are neither markup nor control characters."""
    from rich.text import Text

    to.add_row(*(Text(printable(cell)) for cell in cells))


def print_table(value: Table) -> None:
    """Print to stdout; nothing is cut off where that is no terminal."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 10_000, highlight=False).print(value)


@contextmanager
def progress(label: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if that is a terminal; yields what is told the bytes done."""
    if not sys.stderr.isatty():
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(label), total=total_bytes)
        yield lambda n: bar.advance(task, n)


def shape_text(shape: Sequence[int]) -> str:
    """A shape as in ``64x3x3``; ``scalar`` for none."""
    return "x".join(map(str, shape)) or "scalar"


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table; ``-`` for none."""
    return "-" if value is None else f"{value:,.{digits}f}"
