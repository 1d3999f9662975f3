"""Which windows a series has, and what Polymarket calls them (feeds.md 8.2). Pure.

A series is `<asset>-<length>`: 5m and 15m run on the UTC grid, 1h on UTC hours named in New York
time, 4h from New York midnight, daily from New York noon to noon. A slug is a guess until Gamma's
`eventStartTime` agrees.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import attrs

NEW_YORK = ZoneInfo("America/New_York")

_ON_GRID_S = {"5m": 300, "15m": 900, "1h": 3600}
_LONG_NAMES = {
    "btc": "bitcoin",
    "eth": "ethereum",
    "sol": "solana",
    "xrp": "xrp",
    "doge": "dogecoin",
    "bnb": "bnb",
    "hype": "hype",
}
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip


@attrs.frozen
class Window:
    """From `start_ms` to `end_ms`, Unix milliseconds."""

    start_ms: int
    end_ms: int


def split_series(series: str) -> tuple[str, str]:
    """("btc", "5m") of "btc-5m". Raises ValueError for what is no series."""
    asset, _, length = series.partition("-")
    if length not in (*_ON_GRID_S, "4h", "daily") or not asset.isalnum():
        raise ValueError(f"expected a series such as btc-5m, was {series!r}")
    if length in ("1h", "daily") and asset not in _LONG_NAMES:
        raise ValueError(f"no long name for {asset!r}, which {length} slugs need")
    return asset, length


def window_at(series: str, now_ms: int) -> Window:
    """The window of a series that contains `now_ms`."""
    _, length = split_series(series)
    step_s = _ON_GRID_S.get(length)
    if step_s is not None:
        start = now_ms - now_ms % (step_s * 1000)
        return Window(start, start + step_s * 1000)
    return _window_in_new_york(length, now_ms)


def windows_from(series: str, now_ms: int, count: int) -> list[Window]:
    """The window that contains `now_ms` and those after it, `count` in all."""
    windows: list[Window] = []
    at = now_ms
    for _ in range(count):
        window = window_at(series, at)
        windows.append(window)
        at = window.end_ms
    return windows


def slug(series: str, start_ms: int) -> str | None:
    """The slug of the window that starts at `start_ms`; None where none exists.

    None: `start_ms` starts no window, or it is an hour that New York's clocks show twice (in 2025
    neither of the two had a market).
    """
    asset, length = split_series(series)
    window = window_at(series, start_ms)
    if window.start_ms != start_ms:
        return None
    if length in ("5m", "15m", "4h"):
        return f"{asset}-updown-{length}-{start_ms // 1000}"
    name = _LONG_NAMES[asset]
    if length == "daily":
        end = _local(window.end_ms)
        return f"{name}-up-or-down-on-{_date(end)}"
    local = _local(start_ms)
    if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        return None
    hour = f"{local.hour % 12 or 12}{'am' if local.hour < 12 else 'pm'}"
    return f"{name}-up-or-down-{_date(local)}-{hour}-et"


def _date(day: dt.datetime) -> str:
    return f"{_MONTHS[day.month - 1]}-{day.day}-{day.year}"


def _local(unix_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(unix_ms / 1000, NEW_YORK)


def _unix_ms(local: dt.datetime) -> int:
    return int(local.timestamp()) * 1000


def _window_in_new_york(length: str, now_ms: int) -> Window:
    """Boundaries on New York's wall clock: a window is an hour
    short or long when the clocks change.
    """
    local = _local(now_ms)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    hours = (12,) if length == "daily" else range(0, 24, 4)
    boundaries = [
        _unix_ms((midnight + dt.timedelta(days=day)).replace(hour=hour))
        for day in (-1, 0, 1)
        for hour in hours
    ]
    start = max(boundary for boundary in boundaries if boundary <= now_ms)
    return Window(start, min(boundary for boundary in boundaries if boundary > now_ms))
