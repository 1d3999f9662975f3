"""`python -m polybot rearm`: an operator has looked at why trading is halted, and lets it go on."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from polybot.clock import system_ms
from polybot.config_read import ConfigError
from polybot.domain.halts import what_to_do
from polybot.journal.entries import Rearmed
from polybot.journal.recovery import recover
from polybot.journal.spare import spare_of
from polybot.journal.store import JournalFailed, Store
from polybot.operator.access import Access, parser

EXIT_CLEAN, EXIT_CONFIG, EXIT_STORAGE = 0, 2, 4
NONE = (
    "no journal at {}: either no run has begun one, or the engine was started with another "
    "configuration; name that with --config\n"
)


def main(words: Sequence[str]) -> int:
    """Show the halts and end them; with `--show` only show them."""
    made = parser("rearm", "End the halts of a wallet: say that you have looked at their causes.")
    made.add_argument("--show", action="store_true", help="show the halts and change nothing")
    said = made.parse_args(words)
    try:
        access = Access.of(said)
        if not _begun(access.journal):
            sys.stderr.write(NONE.format(access.journal))
            return EXIT_STORAGE
        store = Store.open(access.journal, access.owner)
    except (ConfigError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    except JournalFailed as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_STORAGE
    try:
        return _rearm(store, show_only=said.show)
    except JournalFailed as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_STORAGE
    finally:
        store.close()


def _begun(journal: Path) -> bool:
    """Whether there is anything to look at; of another user's folder only opening it can tell."""
    try:
        return journal.exists() or spare_of(journal).exists()
    except OSError:
        return True


def _rearm(store: Store, *, show_only: bool) -> int:
    halts = recover(store.live()).halts
    for name, why in halts.items():
        sys.stdout.write(f"halted: {name}: {why}\n  {what_to_do(name)}\n")
    if not halts:
        sys.stdout.write("nothing is halted\n")
    elif not show_only:
        store.append([(system_ms(), Rearmed(_who()))])
        sys.stdout.write("re-armed: the next start may trade\n")
    return EXIT_CLEAN


def _who() -> str:
    """The name of whoever asks; the number where the system has no name for it (a container)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
