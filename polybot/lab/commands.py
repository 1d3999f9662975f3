"""`python -m polybot lab NAME …`: the laboratory's commands by name.

Each takes the words after its name and returns an exit code. They are imported when called:
a bot that trades has no use for what the laboratory needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

Command = Callable[[Sequence[str]], int]

COMMANDS: dict[str, str] = {
    "agreement": "polybot.lab.agreement",
    "calibration": "polybot.lab.calibration",
    "calibrate-crowd": "polybot.lab.calibrate_crowd",
    "config-docs": "polybot.lab.config_docs",
    "conformance": "polybot.lab.conformance",
    "crash-sweep": "polybot.lab.crash_sweep",
    "fuzz": "polybot.lab.fuzz",
    "divergence": "polybot.lab.divergence",
    "exchange-speed": "polybot.lab.exchange_speed",
    "latency-fit": "polybot.lab.latency_fit",
    "maker-match": "polybot.lab.maker_table",
    "naive-maker": "polybot.lab.naive_maker",
    "paper-twin": "polybot.lab.paper_twin",
    "queue-fit": "polybot.lab.queue_fit",
    "season": "polybot.lab.season",
    "soak-orders": "polybot.lab.soak_orders",
    "synthetic-day": "polybot.lab.synthetic_day",
    "wire-recording": "polybot.lab.wire_recording",
}


UNSEEN = 1  # the exit code of what nobody read to its end


def run(name: str, words: Sequence[str]) -> int:
    """Run the command of that name, a key of `COMMANDS`."""
    return to_its_reader(import_module(COMMANDS[name]).main, words)


def to_its_reader(command: Command, words: Sequence[str]) -> int:
    """Run a command whose reader may leave (`| head`): it ends then, and without a traceback."""
    try:
        code = command(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain of the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNSEEN
    return code
