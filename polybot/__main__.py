"""`python -m polybot`: the bot, the exchange, the laboratory; and the operator's commands.

The operator's commands import only what they need: `stop --now` is in a hurry, and the program
takes a second to load.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from types import FrameType

from polybot.console.outlet import stand_in
from polybot.lab.commands import Command, to_its_reader
from polybot.operator import COMMANDS


def main(argv: list[str] | None = None) -> int:
    stand_in()
    words = sys.argv[1:] if argv is None else argv
    module = COMMANDS.get(words[0]) if words else None
    if module is None:
        return import_module("polybot.program").main(words)  # type: ignore[no-any-return]
    command: Command = import_module(module).main
    if module.startswith("polybot.lab."):
        return to_its_reader(command, words[1:])
    return command(words[1:])


def _leave(number: int, _frame: FrameType | None) -> None:
    """A signal before the run hears them, or after it did: nothing of ours rests, so just go."""
    os._exit(128 + number)


def run() -> None:
    """The program, by whichever name it was called."""
    signal.signal(signal.SIGINT, _leave)
    sys.exit(main())


if __name__ == "__main__":
    run()
