"""How well volatility is told of the way ahead, on the oracle's recorded prices.

Every half minute of a recording its price asset says what volatility to expect over some ways, and
what it is now; what the price then moved in steps of ten seconds judges both (the oracle smooths
less than that away). QLIKE is least for the true variance in the mean, however noisy the judge is
(strategy.md 3.1). An hour of the recording counts as one witness: ways of an hour reach into the
next, so that those intervals are a little too narrow.
"""

from __future__ import annotations

import bisect
import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import attrs

from polybot.domain.prices import Feed
from polybot.exchange.recording_files import Warnings, readable, table
from polybot.lab.maker_match import Interval
from polybot.lab.replayed_prices import TICKS, read_tick
from polybot.pricing.asset import Asset
from polybot.pricing.fair import NoFair
from polybot.pricing.params import PricingParams

WAYS_S = (300, 600, 900, 1800, 3600)
LOOK_MS, STEP_MS = 30_000, 10_000
HOLE = 1 / 3  # of a way: what a longer one moved is a single return, and a poor judge
WARM_UP_MS = 3_600_000  # two lives of the slow estimate
HOUR_MS = 3_600_000
HEAD = "minutes ahead  looks  off by  as now  QLIKE better than that of now [95 %, by hours]"

Price = tuple[int, float]  # Unix ms of its stamp, dollars


@attrs.frozen
class Look:
    """Variances per second at one moment: `told` for the way, `present`, and what `came`."""

    at_ms: int
    told: float
    present: float
    came: float

    @property
    def gain(self) -> float:
        return qlike(self.present, self.came) - qlike(self.told, self.came)


def qlike(variance: float, came: float) -> float:
    """Loss of a forecast of variance against what came."""
    return came / variance + math.log(variance)


def recorded(folder: Path, warnings: Warnings) -> list[Price]:
    """The oracle's ticks of all recordings in `folder`, by stamp. ValueError when there is none."""
    paths = sorted(path for path in folder.rglob(f"{TICKS}*") if path.is_file())
    found = {
        tick.stamp_ms: tick.value
        for path in paths
        for tick in readable(path, warnings, table(path, warnings), read_tick)
    }
    if not found:
        raise ValueError(f"{folder} holds none of the oracle's ticks")
    return sorted(found.items())


def looks(prices: Sequence[Price], params: PricingParams) -> dict[int, list[Look]]:
    """By way, in seconds: what was told every half minute, and what came."""
    asset, moved = Asset(params), Moved(prices)
    found: dict[int, list[Look]] = {way_s: [] for way_s in WAYS_S}
    due_ms = prices[0][0] + WARM_UP_MS
    for at_ms, price in prices:
        asset.take(Feed.CHAINLINK, price, at_ms, at_ms, snapshot=False)
        if at_ms < due_ms:
            continue
        due_ms = at_ms + LOOK_MS
        for way_s in WAYS_S:
            sigma, came = asset.sigma(at_ms, way_s), moved.variance(at_ms, at_ms + way_s * 1000)
            if came and not isinstance(sigma, NoFair):
                ahead, pace = sigma
                found[way_s].append(Look(at_ms, ahead**2, (ahead * pace) ** 2, came))
    return found


class Moved:
    """What the price moved between two times, in steps of ten seconds at the least."""

    def __init__(self, prices: Sequence[Price]) -> None:
        self._times, self._squares = [prices[0][0]], [0.0]
        before = prices[0]
        for at_ms, price in prices:
            if at_ms - before[0] >= STEP_MS:
                self._times.append(at_ms)
                self._squares.append(self._squares[-1] + math.log(price / before[1]) ** 2)
                before = at_ms, price

    def variance(self, from_ms: int, until_ms: int) -> float:
        """Per second; 0 where the recording has too long a hole, or ends."""
        first, last = (bisect.bisect_left(self._times, each) for each in (from_ms, until_ms))
        times = self._times[first : last + 1]
        longest_ms = max((after - before for before, after in itertools.pairwise(times)), default=0)
        if last >= len(self._times) or longest_ms > (until_ms - from_ms) * HOLE:
            return 0.0
        seconds = (self._times[last] - self._times[first]) / 1000
        return (self._squares[last] - self._squares[first]) / seconds


def tell(out: TextIO, found: dict[int, list[Look]]) -> None:
    """A line for each way. "Off by" is the root mean square of ln σ told over σ come."""
    if not any(found.values()):
        out.write(
            "\nthe recording is too short to judge volatility: it takes an hour to begin with\n"
        )
        return
    out.write(f"\nvolatility of the way ahead\n{HEAD}\n{'-' * len(HEAD)}\n")
    for way_s, those in found.items():
        hours = [
            [statistics.fmean(one.gain for one in hour)]
            for _, hour in itertools.groupby(those, key=lambda one: one.at_ms // HOUR_MS)
        ]
        if not hours:
            continue
        told = off((one.told, one.came) for one in those)
        present = off((one.present, one.came) for one in those)
        gain = Interval.of_groups(hours)
        bounds = f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        out.write(f"{way_s / 60:13.0f}{len(those):7}{told:8.3f}{present:8.3f}  {bounds}\n")


def off(pairs: Iterable[tuple[float, float]]) -> float:
    """Of pairs of variances, told and come."""
    return math.sqrt(statistics.fmean((math.log(told / came) / 2) ** 2 for told, came in pairs))
