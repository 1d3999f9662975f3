"""`python -m polybot lab naive-maker`: what a maker earns who does not think, and one who does.

Both trade in the same windows under today's rules, rebates counted in their favour. Ends with 1
unless the naive one's mean profit is below zero with 95 % confidence.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from typing import TextIO

import attrs

from polybot.exchange.crowd_hand import Hand
from polybot.exchange.crowd_odds import MarketOdds
from polybot.lab.crowd_rivals import LATENCY_MS, Careful, Naive, Rival
from polybot.lab.crowd_venue import TODAY, CrowdVenue

CONFIDENCE = 1.96  # standard errors


@attrs.frozen
class Earnings:
    """Dollars per window of one maker, with the bounds of its 95 % interval."""

    name: str
    windows: int
    mean: float
    low: float
    high: float
    shares: float  # filled, per window
    rebate: float  # dollars, per window; in the mean already

    @classmethod
    def of(cls, name: str, rival: Rival) -> Earnings:
        profits = rival.profits
        mean, count = statistics.fmean(profits), len(profits)
        error = CONFIDENCE * statistics.stdev(profits) / math.sqrt(count)
        shares, rebate = rival.filled / count, rival.rebates / count
        return cls(name, count, mean, mean - error, mean + error, shares, rebate)


def main(argv: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="polybot lab naive-maker", allow_abbrev=False,
        description="What a naive and a careful maker earn against the crowd.",
    )  # fmt: skip
    parser.add_argument("--markets", type=int, default=200, help="windows to trade (200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--intensity", type=float, default=0.1, help="of the crowd (0.1)")
    said = parser.parse_args(argv)
    if said.markets < 2:
        parser.error("an interval needs two markets at least")
    rows = compete(said.seed, said.markets, said.intensity, sys.stderr)
    sys.stdout.write("\n".join(map(line, rows)) + "\n")
    return 0 if rows[0].high < 0 else 1


def compete(seed: int, windows: int, intensity: float, progress: TextIO) -> tuple[Earnings, ...]:
    """The naive maker's earnings, then the careful one's."""
    venue = CrowdVenue(seed, intensity, TODAY)
    naive, careful = (Rival(Hand.make(venue.engine, name)) for name in ("naive", "careful"))
    for number, market in enumerate(venue.windows(windows), 1):
        minds = ((naive, Naive(venue.engine, market)),
                 (careful, Careful(MarketOdds(market, venue.source))))  # fmt: skip
        for at_ms in range(market.start_ms, market.end_ms, LATENCY_MS):
            venue.until(at_ms)
            for rival, mind in minds:
                rival.act(mind, market, at_ms)
        for rival, _ in minds:
            rival.leave(market, market.end_ms)
        progress.write(f"window {number} of {windows}\n")
        progress.flush()
    return Earnings.of("naive", naive), Earnings.of("careful", careful)


def line(row: Earnings) -> str:
    return (
        f"{row.name:8} {row.windows} windows: {row.mean:+.2f} $ a window, "
        f"95 % [{row.low:+.2f}, {row.high:+.2f}], {row.shares:.0f} shares filled, "
        f"{row.rebate:.2f} $ of rebates"
    )
