"""What each hour of the week usually is like: `python -m polybot lab season`.

Fits the season of volatility to candles as the exchange's public archive gives them (data.binance.
vision: CSV without a heading, or with one; column 0 the open time in ms or µs, column 4 the close)
and writes the file that `[pricing] vol_seasons` names. Minutes are best; four weeks are the least.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from polybot import season_file
from polybot.lab.places import file_place, put, reason
from polybot.options import ASSETS
from polybot.pricing.season import HOURS, Season, fit

MICROSECONDS = 10**14  # a time of this size is no count of milliseconds (feeds.md 7)
SYMBOLS = tuple(f"{asset}usd" for asset in ASSETS)  # the bot asks for no other
LONGEST_S = 3600.0  # a step over a longer hole says nothing about one hour


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="polybot lab season", description=__doc__)
    parser.add_argument("--candles", type=Path, nargs="+", required=True, metavar="FILE.csv")
    parser.add_argument("--symbol", required=True, choices=SYMBOLS, help="as the oracle names it")
    parser.add_argument("--out", type=file_place, required=True, metavar="FILE.json")
    said = parser.parse_args(argv)
    try:
        prices = closes(said.candles)
        season = fit(moves(prices))
        others = season_file.read(said.out) if said.out.exists() else {}
        put(said.out, season_file.text(others | {said.symbol: season}))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{reason(error)}\n")
        return 2
    sys.stdout.write(told(said.symbol, season) + left_out(prices))
    return 0


def closes(files: Sequence[Path]) -> list[tuple[int, float]]:
    """(Unix ms, price) of every candle, by time, each once. ValueError names a bad line."""
    found: dict[int, float] = {}
    for path in files:
        columns = 0
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if number == 1 and row and not row[0].isdigit():
                    continue  # a heading
                columns = columns or len(row)
                try:
                    # A row cut short may hold half of a price.
                    at, price = int(row[0]), float(row[4] if len(row) >= columns else "")
                except (ValueError, IndexError):
                    raise ValueError(f"{path}, line {number}: not a candle") from None
                if not (math.isfinite(price) and price > 0):
                    raise ValueError(f"{path}, line {number}: not a price")
                found[at // 1000 if at >= MICROSECONDS else at] = price
    return sorted(found.items())


def moves(prices: Sequence[tuple[int, float]]) -> Iterator[tuple[int, float, float]]:
    """(Unix ms, log return, seconds) of each step, holes left out."""
    for (from_ms, before), (at_ms, after) in itertools.pairwise(prices):
        seconds = (at_ms - from_ms) / 1000
        if seconds <= LONGEST_S:
            yield at_ms, math.log(after / before), seconds


def left_out(prices: Sequence[tuple[int, float]]) -> str:
    """A line about the holes that no step was taken over: a month that was not downloaded."""
    steps = ((after - before) / 1000 for (before, _), (after, _) in itertools.pairwise(prices))
    holes = [seconds for seconds in steps if seconds > LONGEST_S]
    if not holes:
        return ""
    return (
        f"not in it: {len(holes)} holes of {sum(holes) / 3600:.0f} h in all between the candles\n"
    )


def told(symbol: str, season: Season) -> str:
    """The liveliest and the calmest hours, for a look."""
    ranked = sorted(range(HOURS), key=lambda hour: season.factors[hour])
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    lines = [f"{symbol}: variance against the mean, by hour of the week (UTC)"]
    for title, hours in (("calmest", ranked[:3]), ("liveliest", ranked[:-4:-1])):
        texts = [
            f"{names[hour // 24]} {hour % 24:02d}h ×{season.factors[hour]:.2f} "
            f"(floor {season.floors[hour]:.0%})"
            for hour in hours
        ]
        lines.append(f"{title}: {', '.join(texts)}")
    return "\n".join(lines) + "\n"
