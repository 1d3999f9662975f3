"""Whose money a journal is of: the address that holds it, kept in the journal itself.

A key signs for its own wallet and for a proxy, a Safe, a deposit wallet of its own, and the journal
bears the key's name. Another `funder` under the same key is another wallet: its dollars and shares
are not those that the books know, and would be booked as found beside them.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path


class AnotherFunder(Exception):
    """The journal is of other money; the text says whose, and what to do."""


def keep(database: sqlite3.Connection, path: Path, funder: str) -> None:
    """Note it at the first start, and refuse another from then on. Raises AnotherFunder, or
    sqlite3.Error.
    """
    name = funder.lower()
    find = "SELECT value FROM meta WHERE key = 'funder'"
    if (row := database.execute(find).fetchone()) is None:
        database.execute("INSERT INTO meta VALUES ('funder', ?)", (name,))
    elif row != (name,):
        raise AnotherFunder(
            f"{path} is of the money at {row[0]}, not at {name}: set PM_FUNDER and [live] funder "
            "back, or name another [journal] folder for this wallet"
        )
