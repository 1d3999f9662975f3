"""Outcomes of BTC 5m markets with Binance's open and close of each window: a price world.

Data set: polymarket_btc_5m_enriched.csv of github.com/felixdoteth/polymarket-btc-5m-dataset-; MIT.
Columns used: `timestamp` (window start, s), `outcome` (up, down), `btc_open`, `btc_close`.

Caveats: two prices a window – between them the price is a straight line, which no market ever was:
good for lives, settlements and long runs, not for judging a strategy. Outcomes are the venue's and
prices Binance's, so that small moves disagree (37 % below 0.005 %): the final price is moved to the
winner's side. Windows are missing, 4,622 in a row in January 2026. No books: an invented crowd.
"""

from __future__ import annotations

from pathlib import Path

from polybot.exchange.calendar import SERIES
from polybot.exchange.recording_files import Warnings, dollars, readable, stamp_ms, table
from polybot.exchange.recording_model import Recording
from polybot.exchange.recording_prices import Point, RecordedPrices, agreeing

MARK = "outcomes"
WINDOW_MS = 300_000


def recognise(files: list[Path]) -> bool:
    return any(MARK in file.name and ".csv" in file.name for file in files)


def load(files: list[Path], warnings: Warnings) -> Recording:
    """Every window of the given files."""
    points: list[Point] = []
    outcomes: dict[str, tuple[float, float]] = {}
    for path in files:
        if MARK not in path.name:
            continue
        for start_ms, up, opened, closed in readable(
            path, warnings, table(path, warnings), _window
        ):
            slug = f"btc-updown-5m-{start_ms // 1000}"
            told = (opened, agreeing(opened, closed, up=up))
            if outcomes.setdefault(slug, told) != told:
                warnings.tell(f"{path.name} tells {slug} twice, and not the same: the first stands")
                continue
            points += [(start_ms, opened), (start_ms + WINDOW_MS - 1, closed)]
    points.sort()
    return Recording(
        f"{len(outcomes)} outcomes as recorded, prices drawn between opens and closes, "
        "an invented crowd",
        (SERIES["btc-5m"],),
        points[0][0],
        points[-1][0],
        prices=RecordedPrices({"btc": (points, [])}, straight=True),
        outcomes=outcomes,
        crowded=True,
        warnings=warnings,
    )


def _window(row: dict[str, str]) -> tuple[int, bool, float, float]:
    up = {"up": True, "down": False}[row["outcome"]]
    start_ms = stamp_ms(int(row["timestamp"]) * 1000)
    if start_ms % WINDOW_MS:
        raise ValueError(f"{start_ms} is no start of a window")
    return start_ms, up, dollars(row["btc_open"]), dollars(row["btc_close"])
