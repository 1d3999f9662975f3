"""Binance spot, raw combined streams of five minutes: a price world.

Data set: examples/spot of github.com/nkaz001/hftbacktest; MIT. Lines of `<local ns> <JSON>` with
`bookTicker`, `trade` and `depth@100ms` of BTCUSDT (feeds.md 7).

Caveats: another year (2024-08-09) and busy minutes; the local clock is 1.27 s behind the exchange,
so event time is the trade's own. One window at most, its outcome by the rule from these prices;
Chainlink is not in it, the same values stand for it. No Polymarket books: an invented crowd.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from polybot.exchange.calendar import SERIES
from polybot.exchange.recording_files import Warnings, dollars, lines, readable, stamp_ms
from polybot.exchange.recording_model import Recording
from polybot.exchange.recording_prices import Point, RecordedPrices

PREFIX = "btcusdt_"


def recognise(files: list[Path]) -> bool:
    return any(file.name.startswith(PREFIX) and ".txt" in file.name for file in files)


def load(files: list[Path], warnings: Warnings) -> Recording:
    """All trades of the given files as Binance's price."""
    points: list[Point] = []
    for path in files:
        if path.name.startswith(PREFIX):
            source = lines(path, warnings)
            points += [point for point in readable(path, warnings, source, _trade) if point]
    if not points:
        raise ValueError(f"{files[0].parent} holds no trade: fetch it again")
    points.sort()
    return Recording(
        "Binance prices as recorded, an invented crowd",
        (SERIES["btc-5m"],),
        points[0][0],
        points[-1][0],
        prices=RecordedPrices({"btc": ([], points)}),
        crowded=True,
        warnings=warnings,
    )


def _trade(line: bytes) -> Point | None:
    message = orjson.loads(line.partition(b" ")[2])
    if not message["stream"].endswith("@trade"):
        return None
    return stamp_ms(message["data"]["T"]), dollars(message["data"]["p"])
