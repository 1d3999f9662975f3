"""Figures against targets, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

import attrs

WIDTHS = (42, 13, 22)


@attrs.frozen
class Row:
    """One figure. `met` is None where there is no target."""

    figure: str
    target: str
    ours: str
    note: str = ""
    met: bool | None = None


def line(row: Row) -> str:
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    cells = (row.figure, row.target, row.ours)
    text = "".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True))
    return f"{text}{verdict:8}{row.note}".rstrip()


def table(out: TextIO, title: str, rows: Sequence[Row]) -> bool:
    """Write the rows under their title; whether none of them missed its target."""
    heading = line(Row(title, "target", "ours"))
    out.write("\n".join([heading, "-" * sum(WIDTHS), *map(line, rows), "", ""]))
    out.flush()
    return all(row.met is not False for row in rows)
