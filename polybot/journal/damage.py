"""Whether a journal's file is damaged, which file that is, and where it is put."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def judge(path: Path) -> None:
    """Raises sqlite3.DatabaseError where the file is damaged. Its log stays beside it for whoever
    looks: a connection that may write deletes it when it is closed, or takes it into the file.
    """
    if not path.exists():
        return
    reading = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(reading, uri=True, timeout=2)) as database:
        (verdict,) = database.execute("PRAGMA quick_check").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"damaged: {verdict}")


def aside_of(path: Path, at_ms: int) -> Path:
    """Where a journal that is damaged is put."""
    return path.with_name(f"{path.name}.damaged-{at_ms}")


def inode(path: Path) -> int:
    """Which file it is; 0 where that cannot be told, or there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0
