"""``python -m qcodec.cli``."""

from qcodec.cli import main

main(prog_name="qcodec")
