"""Chainlink BTC/USD at 1 Hz with the outcomes of its 5m markets: a price world.

Data set: github.com/Ligengxin96/polymarket-data-samples (a vendor's free sample), no licence
stated: use it where you have it, pass nothing on. `BTCUSD-*.csv.zst`: `feed_ts_ms, value, …`;
`BTC-5m-markets-*.jsonl.zst`: `slug, strike_value` (10⁻¹⁸ dollars) `, outcome_prices` [Up, Down].

Caveats: no books – an invented crowd trades on the recorded prices. 10.7 % of the seconds are
missing, up to 387 s in a row: the last value holds. Some strikes are missing: the tick at the start
stands for them. It is from before 2026-08-07, when the spot
value settled and not the average: strike and result are the file's own, whatever today's rule. The
final price is the next market's strike where that is known, else the tick at the end, moved to the
winner's side when the second itself is missing. Binance is not in it: the same values stand for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polybot.exchange.calendar import SERIES
from polybot.exchange.model import DOWN, UP
from polybot.exchange.recording_files import (
    Warnings,
    dollars,
    readable,
    rows,
    stamp_ms,
    table,
)
from polybot.exchange.recording_model import Recording, window_of
from polybot.exchange.recording_prices import RecordedPrices, agreeing

PRICES, MARKETS = "BTCUSD-", "BTC-5m-markets-"
HISTORY_MS = 60_000


def recognise(files: list[Path]) -> bool:
    return any(file.name.startswith(PRICES) and ".csv" in file.name for file in files)


def load(files: list[Path], warnings: Warnings) -> Recording:
    """All prices and outcomes of the given files."""
    points = sorted(
        point
        for path in files
        if path.name.startswith(PRICES)
        for point in readable(path, warnings, table(path, warnings), _point)
    )
    prices = RecordedPrices({"btc": (points, [])})
    markets = {
        start_ms: (strike, winner)
        for path in files
        if path.name.startswith(MARKETS)
        for start_ms, strike, winner in readable(path, warnings, rows(path, warnings), _market)
    }
    outcomes = {}
    for start_ms, (told, winner) in markets.items():
        end_ms = start_ms + 300_000
        strike = told or prices.chainlink("btc", start_ms)
        final = (markets.get(end_ms) or (None, UP))[0] or prices.chainlink("btc", end_ms)
        slug = f"btc-updown-5m-{start_ms // 1000}"
        outcomes[slug] = (strike, agreeing(strike, final, up=winner == UP))
    return Recording(
        f"prices and {len(outcomes)} outcomes as recorded, an invented crowd",
        (SERIES["btc-5m"],),
        points[0][0] + HISTORY_MS,
        points[-1][0],
        prices=prices,
        outcomes=outcomes,
        crowded=True,
        warnings=warnings,
    )


def _point(row: dict[str, str]) -> tuple[int, float]:
    return stamp_ms(row["feed_ts_ms"]), dollars(row["value"])


def _market(row: dict[str, Any]) -> tuple[int, float | None, int]:
    winner = {"1": UP, "0": DOWN}[row["outcome_prices"][0]]
    told = row["strike_value"]
    series, start_ms = window_of(row["slug"])
    if series != SERIES["btc-5m"]:
        raise ValueError(f"{row['slug']} is no BTC 5m market")
    return start_ms, None if told is None else dollars(int(told) / 1e18), winner
