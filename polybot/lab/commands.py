"""`python -m polybot lab …`: the commands of the laboratory, in one table.

A command is a module with `HELP`, `configure(parser)` and `run(said, out, progress) -> exit code`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

import attrs

from polybot.lab import calibrate_crowd


@attrs.frozen
class Command:
    """One command: what it is for, its words, and what it does."""

    help: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, TextIO, TextIO], int]


COMMANDS: dict[str, Command] = {
    "calibrate-crowd": Command(
        calibrate_crowd.HELP, calibrate_crowd.configure, calibrate_crowd.run
    ),
}


def main(argv: Sequence[str]) -> int:
    """Run one command; SystemExit 2 for a word it does not know, 0 for help."""
    parser = argparse.ArgumentParser(
        prog="polybot lab", description="Measure and prove.", allow_abbrev=False
    )
    named = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.configure(named.add_parser(name, help=command.help, allow_abbrev=False))
    said = parser.parse_args(argv)
    return COMMANDS[said.command].run(said, sys.stdout, sys.stderr)
