"""The summary: names that scripts rely on, money exact as text, files whole or not at all."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import given, strategies as st

from polybot.summary import (
    Activity,
    Interval,
    ReasonShare,
    Summary,
    money_json,
    text,
    total,
    write,
)

MINIMAL = Summary(mode="paper", world="synthetic", seed=1, config_hash="ab", exit_reason="signal")

NAMES = {
    "mode",
    "world",
    "seed",
    "config_hash",
    "venue_seconds",
    "wall_seconds",
    "intervals",
    "totals",
    "rejects",
    "signals",
    "cancels",
    "halts",
    "quoted_share",
    "reasons",
    "differences",
    "unknown_resolved",
    "unknown_p99_ms",
    "unknown_most_ms",
    "live_orders_at_exit",
    "equity_bot",
    "equity_exchange",
    "shutdown_ms",
    "rebates_paid",
    "rewards_paid",
    "unrealised_fair",
    "unrealised_worst",
    "heartbeat_lag_most_ms",
    "loop_late",
    "loop_late_most_ms",
    "exit_reason",
    "invalid_orders",
    "withheld",
    "faults",
    "bad_input",
    "two_sided_share",
    "latency_factor",
    "notes",
}
INTERVAL_NAMES = {
    "slug",
    "rule",
    "strike",
    "outcome",
    "quotes",
    "orders",
    "fills",
    "sales",
    "volume",
    "sold",
    "fees",
    "rebate_estimate",
    "merged",
    "redeemed",
    "realised_pnl",
    "unpaid_pnl",
}


def test_the_names_are_kept() -> None:
    """Later parts and other people's scripts read these names."""
    summary = attrs.evolve(MINIMAL, intervals=(Interval(slug="s", rule="candle"),))

    read = json.loads(text(summary))

    assert set(read) == NAMES
    assert set(read["intervals"][0]) == INTERVAL_NAMES
    assert set(read["totals"]) == INTERVAL_NAMES - {"slug", "rule", "strike", "outcome"}


def test_it_is_one_line() -> None:
    """Whoever reads the last line of the output has the whole object."""
    assert "\n" not in text(attrs.evolve(MINIMAL, exit_reason="two\nlines"))


def test_money_has_six_decimals() -> None:
    """Equal money is equal text; no float is between the ledger and the file."""
    summary = attrs.evolve(
        MINIMAL,
        equity_bot=1_999_999_999_999_999_999,
        equity_exchange=-1,
        totals=Activity(volume=21_370_000, fills=3),
    )

    line = text(summary)

    assert '"equity_bot":1999999999999.999999,' in line
    assert '"equity_exchange":-0.000001,' in line
    assert '"volume":21.370000,' in line
    assert '"fills":3,' in line


@given(st.integers(-(10**30), 10**30))
def test_money_text_is_exact(micro: int) -> None:
    """Taking the point out of the text gives the integer back."""
    written = money_json(micro)

    assert int(written.replace(".", "")) == micro
    assert len(written.partition(".")[2]) == 6


def test_what_is_not_known_is_null() -> None:
    """An unread order count is not zero, and an equity nobody knows is not nothing."""
    read = json.loads(text(MINIMAL))

    for name in ("live_orders_at_exit", "equity_bot", "equity_exchange", "quoted_share"):
        assert read[name] is None


@given(st.lists(st.builds(Activity, fills=st.integers(0, 99), volume=st.integers(0, 10**12))))
def test_totals_are_sums(parts: list[Activity]) -> None:
    """The total of each figure is the sum over the intervals, to the micro-unit."""
    whole = total(parts)

    assert whole.fills == sum(part.fills for part in parts)
    assert whole.volume == sum(part.volume for part in parts)


def test_totals_of_intervals_have_no_slug() -> None:
    """Intervals add up as activities; what names them falls away."""
    intervals = [Interval(slug="a", rule="r", fills=1), Interval(slug="b", rule="r", fills=2)]

    assert total(intervals) == Activity(fills=3)


def test_counters_are_sorted_by_name() -> None:
    """Two runs with equal counts write equal texts."""
    one = attrs.evolve(MINIMAL, rejects={"b": 1, "a": 2})
    two = attrs.evolve(MINIMAL, rejects={"a": 2, "b": 1})

    assert text(one) == text(two)


def test_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """`--summary -` prints the line and nothing else."""
    write(MINIMAL, "-")

    assert capsys.readouterr().out == text(MINIMAL) + "\n"


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """The new summary takes the old one's place; nothing else is left in the folder."""
    path = tmp_path / "summary.json"
    path.write_text("old")

    write(MINIMAL, str(path))

    assert path.read_text() == text(MINIMAL) + "\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs the new summary, not the old one, and leaves no scraps."""
    path = tmp_path / "summary.json"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space"):
        write(MINIMAL, str(path))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_oserror(tmp_path: Path) -> None:
    """The caller learns that storage failed and can say so with exit code 4."""
    with pytest.raises(OSError, match="No such file"):
        write(MINIMAL, str(tmp_path / "none" / "summary.json"))


def test_reasons_are_told_by_side() -> None:
    """Which part of the time each reason withheld or reduced quotes (issue D 10)."""
    lost = {"Up": {"book crossed": ReasonShare(0.25, 0.5)}, "Down": {}}

    told = json.loads(text(attrs.evolve(MINIMAL, reasons=lost)))["reasons"]
    assert told == {"Up": {"book crossed": {"withheld": 0.25, "reduced": 0.5}}, "Down": {}}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_standard_output_gets_json_whatever_the_terminal_spells(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON is UTF-8: reasons have dashes that not every locale can write, and the exit code of the
    run was lost to the error.
    """
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    summary = attrs.evolve(MINIMAL, exit_reason="error – ×")

    write(summary, "-")

    assert written.getvalue() == f"{text(summary)}\n".encode()
