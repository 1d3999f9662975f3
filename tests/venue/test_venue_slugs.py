"""Windows and their names, above all where New York's clocks change."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import given, strategies as st

from polybot.venue.slugs import Window, slug, split_series, window_at, windows_from

SERIES = ["btc-5m", "btc-15m", "btc-1h", "btc-4h", "btc-daily"]


def ms(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("series", "start", "name"),
    [
        ("btc-5m", "2026-10-03T02:30:00Z", "btc-updown-5m-1790994600"),
        ("eth-15m", "2026-10-03T02:30:00Z", "eth-updown-15m-1790994600"),
        ("btc-1h", "2026-10-02T05:00:00Z", "bitcoin-up-or-down-october-2-2026-1am-et"),
        ("btc-1h", "2026-11-20T18:00:00Z", "bitcoin-up-or-down-november-20-2026-1pm-et"),
        ("sol-1h", "2026-11-20T05:00:00Z", "solana-up-or-down-november-20-2026-12am-et"),
        ("doge-1h", "2026-11-20T17:00:00Z", "dogecoin-up-or-down-november-20-2026-12pm-et"),
        ("btc-4h", "2026-11-20T05:00:00Z", "btc-updown-4h-1795150800"),
        ("btc-4h", "2026-10-02T04:00:00Z", "btc-updown-4h-1790913600"),
        ("btc-daily", "2026-10-01T16:00:00Z", "bitcoin-up-or-down-on-october-2-2026"),
    ],
)
def test_slugs_of_the_reference(series: str, start: str, name: str) -> None:
    """Unix seconds for short windows, New York's wall clock for hours and days."""
    assert slug(series, ms(start)) == name


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ("2026-11-01T04:00:00Z", "bitcoin-up-or-down-november-1-2026-12am-et"),
        ("2026-11-01T05:00:00Z", None),
        ("2026-11-01T06:00:00Z", None),
        ("2026-11-01T07:00:00Z", "bitcoin-up-or-down-november-1-2026-2am-et"),
        ("2027-03-14T06:00:00Z", "bitcoin-up-or-down-march-14-2027-1am-et"),
        ("2027-03-14T07:00:00Z", "bitcoin-up-or-down-march-14-2027-3am-et"),
    ],
)
def test_the_hours_when_the_clocks_change(start: str, name: str | None) -> None:
    """The doubled hour of autumn has no market; spring goes from 1am to 3am."""
    assert slug("btc-1h", ms(start)) == name


def test_what_starts_no_window_has_no_slug() -> None:
    """A start off the grid is no window's."""
    for series in SERIES:
        assert slug(series, ms("2026-11-20T18:01:00Z")) is None


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-11-01", 25), ("2027-03-14", 23), ("2026-11-20", 24)]
)
def test_a_days_length_follows_the_clocks(day: str, hours: int) -> None:
    """Noon to noon is 23 or 25 hours when the clocks change in between."""
    window = window_at("btc-daily", ms(f"{day}T12:00:00Z"))

    assert window.end_ms - window.start_ms == hours * 3_600_000


@given(st.sampled_from(SERIES), st.integers(1_767_225_600_000, 1_830_297_600_000))
def test_windows_tile_time(series: str, now_ms: int) -> None:
    """Every moment is in exactly one window, and windows follow one another without a gap."""
    windows = windows_from(series, now_ms, 4)

    assert windows[0].start_ms <= now_ms < windows[0].end_ms
    for before, after in itertools.pairwise(windows):
        assert before.end_ms == after.start_ms
    for window in windows:
        assert window_at(series, window.start_ms) == window
        assert window_at(series, window.end_ms - 1) == window


@given(st.integers(1_767_225_600_000, 1_830_297_600_000))
def test_names_are_unique(now_ms: int) -> None:
    """No two hours of a year share a slug."""
    names = [slug("btc-1h", window.start_ms) for window in windows_from("btc-1h", now_ms, 48)]
    known = [name for name in names if name is not None]

    assert len(known) == len(set(known)) >= 46


def test_short_windows_are_the_utc_grid() -> None:
    """5m windows start on multiples of 300 s."""
    assert window_at("xrp-5m", 1_790_994_899_999) == Window(1_790_994_600_000, 1_790_994_900_000)


@pytest.mark.parametrize("series", ["btc", "btc-7m", "-5m", "btc-5m-x", "zec-1h", "b!c-5m"])
def test_what_is_no_series(series: str) -> None:
    """Unknown lengths and assets without a long name are refused."""
    with pytest.raises(ValueError):
        split_series(series)
