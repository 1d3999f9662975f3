"""Finished pieces of long work on the disk: what was interrupted goes on where it was.

One line of JSON a piece. A line that a crash cut short is no piece, which is said, and the next one
takes its place.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

import cattrs
import orjson

T = TypeVar("T")


def read(path: Path | None, kind: type[T]) -> list[T]:
    """What earlier runs have finished, in their order. ValueError for a line that is no `kind`."""
    if path is None or not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            sys.stderr.write(f"{path}: its last line was cut short, and that piece is not known\n")
            break
        try:
            found.append(cattrs.structure(orjson.loads(line), kind))
        except (cattrs.BaseValidationError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not a file of finished work of this kind") from error
    return found


def note(path: Path | None, piece: object) -> None:
    """Add a piece, in place of a line that was cut short; nothing without a file."""
    if path is None:
        return
    line = orjson.dumps(cattrs.unstructure(piece)) + b"\n"
    path.touch()
    with path.open("r+b") as file:
        file.seek(file.read().rfind(b"\n") + 1)
        file.write(line)
        file.truncate()
