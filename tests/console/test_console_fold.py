"""The screen at the widths of terminals: what does not fit ends with a whole word or number."""

from __future__ import annotations

import re

import attrs
import pytest
from hypothesis import given, strategies as st
from test_console_view import MARKET as QUOTED, NOON

from polybot.console import view
from polybot.console.fold import MORE, folded, shortened
from polybot.console.report import closing_report
from polybot.console.snapshot import Event, LostLine, Snapshot
from polybot.summary import ReasonShare, Summary

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
REASONS = (
    "the fair price is not known well enough this far from the end",
    "what rests may already cost as much as the limit of this market allows",
    "the book of the other outcome is crossed by more than a tick",
)
MARKET = attrs.evolve(
    QUOTED,
    down=0,
    fills=0,
    signals=(),
    rewards="",
    realised=123_450_000,
    reasons=REASONS,
    lost=tuple(LostLine("Up", why, 0.12, 0.3) for why in REASONS),
)
SNAPSHOT = Snapshot(
    mode="paper",
    world="recording market: 1 market(s) of books, trades and prices inferred from the book",
    now_ms=NOON + 55_000,
    speed=20.0,
    uptime_s=3725.0,
    state="running",
    markets=(MARKET,),
    events=(Event(1, NOON + 50_000, f"btc-updown-5m-1795176000: {'; '.join(REASONS)}"),),
)


def screen(snapshot: Snapshot, width: int, height: int) -> list[str]:
    return ANSI.sub("", view.render(snapshot, width, height)).split("\r\n")


def words_of(lines: list[str]) -> str:
    """All that is said, whatever the lines."""
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize("width", [80, 120])
def test_sentences_are_folded_where_there_is_room(width: int) -> None:
    """ "so far" ended in the middle of a word, and the reason that took most was not to be read."""
    shown = screen(SNAPSHOT, width, 50)
    said = words_of(shown)

    for why in REASONS:
        assert f"none 12%, less 30% – {why}" in said
        assert said.count(why) == 3, "now, so far, and in the last event"
    assert SNAPSHOT.world in said
    assert MORE not in said
    assert max(map(len, shown)) <= width


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 20)])
def test_sentences_end_with_a_word_where_there_is_none(width: int, height: int) -> None:
    """A line each, so that all markets are seen; what is left out is told by a sign."""
    snapshot = attrs.evolve(SNAPSHOT, markets=(MARKET, MARKET))
    whole = screen(snapshot, 2000, 100)
    shown = screen(snapshot, width, height)

    below = [line for line in shown if line.startswith("    Up/Down/pairs")]
    assert len(below) == (2 if width == 80 else 0), "what the table has no room for"
    shown = [line for line in shown if line not in below]
    assert len(shown) == len(whole) < height - len(below)
    cut = [(line, full) for line, full in zip(shown, whole, strict=True) if MORE in line]
    assert len(cut) >= 5
    for line, full in cut:
        begun = line.removesuffix(MORE)
        assert full.startswith(begun)
        assert full[len(begun)] == " "
        assert len(begun) > width // 2


def test_lines_that_are_not_shown_are_counted() -> None:
    """On a screen too low for all markets nobody takes those that are shown for all."""
    shown = screen(attrs.evolve(SNAPSHOT, markets=(MARKET,) * 6), 80, 24)

    assert len(shown) == 23
    assert shown[-1] == f"{MORE} 23 lines more"


@pytest.mark.parametrize(("width", "last"), [(80, "53/55"), (120, "-0.45"), (60, "91200.25")])
def test_no_number_of_the_table_is_cut(width: int, last: str) -> None:
    """Half of 123.45 is another number: a column is shown as a whole, or not."""
    row = next(line for line in screen(SNAPSHOT, width, 50) if line.startswith("btc 5m-"))

    assert row.split()[-1] == last
    assert row in screen(SNAPSHOT, 2000, 50)[6], "the same as on a wide screen, and no more"


@pytest.mark.parametrize("width", [80, 120])
def test_the_last_words_are_folded_on_a_terminal(width: int) -> None:
    """And nowhere else: a file keeps a line a side."""
    lost = {"Up": {why: ReasonShare(0.12, 0.3) for why in REASONS}}
    summary = Summary(
        mode="paper", world="w", seed=1, config_hash="0", exit_reason="SIGINT", reasons=lost
    )
    whole = closing_report(summary)
    _, _, *told = closing_report(summary, width).splitlines()

    assert words_of(closing_report(summary, width).splitlines()) == words_of(whole.splitlines())
    assert max(map(len, told)) <= width
    assert any(
        line.startswith("why not more Up:") and len(line) > 120 for line in whole.split("\n")
    )


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"])), st.integers(1, 200))
def test_nothing_is_lost_or_too_wide(text: str, width: int) -> None:
    """Folded, every letter is there; shortened, what is there is the beginning."""
    assert len(shortened(text, width)) <= width
    assert text.startswith(shortened(text, width).removesuffix(MORE))
    lines = folded(text, width)
    assert all(len(line) <= width for line in lines)
    if width >= 20:
        assert "".join("".join(lines).split()) == "".join(text.split())
