"""`python -m polybot lab NAME …`: the laboratory's commands by name.

Each takes the words after its name and returns an exit code. They are imported when called:
a bot that trades has no use for what the laboratory needs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from polybot.lab.places import NO_ROOM
from polybot.lab.shares import WorkerDied

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
UNWRITTEN = 4  # of what found no room for its files, as of a bot whose journal does not
DIED = 1  # of work that one of its processes has left
STOPPED = 130  # of what Ctrl-C has ended, as every shell has it


def run(name: str, words: Sequence[str]) -> int:
    """Run the command of that name, a key of `COMMANDS`."""
    return to_its_reader(import_module(COMMANDS[name]).main, words)


def to_its_reader(command: Command, words: Sequence[str]) -> int:
    """Run a command whose reader may leave, by `| head` or by Ctrl-C: it closes what it has open
    and ends then, without a traceback.
    """
    try:
        with interruptible():
            return _read_to_its_end(command, words)
    except* KeyboardInterrupt:  # Trio's nurseries wrap it
        sys.stderr.write("stopped by Ctrl-C before its end\n")
    return STOPPED


@contextmanager
def interruptible() -> Iterator[None]:
    """While the body runs, Ctrl-C raises KeyboardInterrupt: the program's own answer, to be gone at
    once, is for a bot that has not begun.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _read_to_its_end(command: Command, words: Sequence[str]) -> int:
    try:
        code = command(words)
        sys.stdout.flush()
    except WorkerDied as error:
        sys.stderr.write(f"{error}; what it was at is lost, and nothing is told of a part\n")
        return DIED
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain of the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNSEEN
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        sys.stderr.write(
            f"a file could not be written: {error.strerror}; what was whole before stays, and what "
            "was told above holds. Make room, or name another place, and say the same again\n"
        )
        return UNWRITTEN
    return code
