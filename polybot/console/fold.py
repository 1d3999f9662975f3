"""Texts that are wider than the terminal: folded, or shortened, between two words."""

from __future__ import annotations

import textwrap

HANGING = "  "  # of what follows the first line, beside its own indent
LEAST_WIDTH = 20  # below, a word a line is no text any more
MORE = "…"


def folded(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` columns, those after the first indented."""
    if len(text) <= width or width < LEAST_WIDTH:
        return [shortened(text, width)]
    indent = text[: len(text) - len(text.lstrip())][: width // 2] + HANGING
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_on_hyphens=False, tabsize=1
    ) or [""]


def shortened(text: str, width: int) -> str:
    """The text, or as many of its words as fit, and a sign that there are more."""
    if len(text) <= width:
        return text
    room = max(0, width - len(MORE))
    whole = text[:room]
    if text[room] != " ":
        words = whole.rpartition(" ")[0]
        whole = words if words.strip() else whole  # one long word: as much of it as fits
    return whole.rstrip() + MORE if whole.strip() else text[:room] + MORE
