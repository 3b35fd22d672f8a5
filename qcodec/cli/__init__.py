"""The command line, `qcodec`. One file per verb, imported when it is called."""

import sys
from importlib import import_module
from typing import Any

import click

from qcodec import __version__
from qcodec.cli._common import HANDLED, complain, exit_code

VERBS = {
    "encode": "Turn .safetensors or .npz models into .qc files.",
    "decode": "Turn .qc files back into .safetensors or .npz.",
    "inspect": "Show what is in .qc files, without decoding it.",
    "verify": "Check every byte of .qc files.",
    "compare": "Show how far the tensors of two models are apart.",
    "demo": "Encode a small trained network, and show what it saves and costs.",
}


class _Verbs(click.Group):
    """Imports a verb when it is called, and ends with the exit codes that the help tells."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = import_module(f"qcodec.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except click.Abort:
            complain("interrupted")
            sys.exit(130)
        except HANDLED as error:
            complain(error)
            sys.exit(exit_code(error))
        sys.exit(code if isinstance(code, int) else 0)


@click.group(
    cls=_Verbs,
    epilog="Exit codes: 0 fine, 1 usage, 2 input damaged, 3 input unsupported, 4 limit exceeded, "
    "5 input or output failed, 130 interrupted.",
)
@click.version_option(__version__, prog_name="qcodec")
def main() -> None:
    """Neural-network weights into few bytes and back."""
