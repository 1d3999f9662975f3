"""Where the files lie that a configuration names: beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polybot import options
from polybot.config_read import ConfigError, Fault
from polybot.exchange.faults.plan import presets

_BESIDE = (("pricing", "vol_seasons"), ("journal", "calibration"), ("journal", "folder"))
# Words of [paper] before a colon and a file.
_WITH_FILE = {*options.PATH_WORLDS, "fitted", "measured"}


def place_files(tables: dict[str, Any], folder: Path, journals: str) -> None:
    """A file named in the configuration lies beside it, one named on the command line where the
    operator stands. So does the folder of the journals, named or not: `stop --now`, called from
    wherever somebody is at night, must find the one that the engine has; `journals` is its default.
    """
    journal = tables.setdefault("journal", {})
    if isinstance(journal, dict):
        journal.setdefault("folder", journals)
    for section, key in _BESIDE:
        table = tables.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
            table[key] = str(beside(folder, table[key], f"{section}.{key}"))
    paper = tables.get("paper")
    for key in ("terms", "faults"):
        named = paper.get(key) if isinstance(paper, dict) else None
        if isinstance(paper, dict) and isinstance(named, str) and named not in presets():
            paper[key] = str(beside(folder, named, f"paper.{key}"))
    for key in ("world", "queue", "latency"):
        named = paper.get(key) if isinstance(paper, dict) else None
        if isinstance(paper, dict) and isinstance(named, str):
            ways = named.split(",") if key == "latency" else [named]  # each may have its own
            paper[key] = ",".join(_placed(way, folder, f"paper.{key}") for way in ways)


def beside(folder: Path, named: str, key: str) -> Path:
    """Where the file lies that the configuration names under `key`. Raises ConfigError."""
    try:
        placed = folder / Path(named).expanduser()
        str(placed).encode()
    except UnicodeEncodeError:
        problem = f"{placed} is no UTF-8: give the folder a name that is, or name another"
    except RuntimeError:
        problem = f"{named}: nobody here has that home; write its folder out"
    else:
        return placed
    raise ConfigError([Fault(key, problem)])


def is_there(path: Path) -> bool:
    """Whether there is such a file for us: another user's folder may be closed."""
    try:
        return path.exists()
    except OSError:
        return False


def _placed(named: str, folder: Path, key: str) -> str:
    """`kind:FILE`, of a way or of all, with the file where it lies."""
    head, _, file = named.partition(":")
    if not file or head.rpartition("=")[2].strip() not in _WITH_FILE:
        return named
    return f"{head}:{beside(folder, file.strip(), key)}"
