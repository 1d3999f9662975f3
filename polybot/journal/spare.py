"""Halts that a journal could not take any more, in a small file beside it.

A journal fails for good, and what it could not take is lost. Of orders and money the venue tells
the next start; that trading was halted nobody tells: a drift is booked as found by then, somebody
else's order may be gone. So the last halts of a run whose journal has failed are left here, and the
next opening of the journal takes them in and removes the file. An empty one is a halt as well: a
disk that takes no byte may still take a name. Where it takes none, the log alone tells.

One line a halt: its Unix milliseconds, and the entry. What of a line was lost on the way to the
disk is a halt all the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from polybot.domain.halts import Halt
from polybot.journal.entries import Halted, decode, encode

UNREADABLE = Halted(Halt.REASON_LOST.value, "the journal's disk failed as it came")
KIND = Halted.__name__
SPARE = ".halted"  # what its name has more than the journal's


def spare_of(path: Path) -> Path:
    """The file beside the journal of that path."""
    return path.with_name(path.name + SPARE)


def keep(path: Path, halts: Sequence[tuple[int, Halted]]) -> None:
    """Add (at_ms, halt) pairs beside the journal; durable when it returns. Only for the owner: some
    tell what the wallet holds. Raises OSError.
    """
    how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    with os.fdopen(os.open(spare_of(path), how, 0o600), "ab") as file:
        file.writelines(f"{at_ms} {encode(halt)[1]}\n".encode() for at_ms, halt in halts)
        file.flush()
        os.fsync(file.fileno())


def kept(path: Path) -> list[tuple[int, Halted]]:
    """The halts beside a journal, oldest first. Raises OSError for a file that cannot be read."""
    try:
        lines = spare_of(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [_read(line) for line in lines] or [(0, UNREADABLE)]


def drop(path: Path) -> None:
    """There is nothing beside the journal any more."""
    spare_of(path).unlink(missing_ok=True)


def _read(line: str) -> tuple[int, Halted]:
    at_ms, _, body = line.partition(" ")
    try:
        entry = decode(KIND, body)
        if isinstance(entry, Halted):
            return int(at_ms), entry
    except ValueError:
        pass
    return 0, UNREADABLE
