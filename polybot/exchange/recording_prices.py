"""What the underlying cost during a recording: as recorded, or inferred from the book.

Both hold their first value before they begin and their last one after they end. US dollars, floats.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

from polybot.exchange.money import ONE
from polybot.exchange.recording_files import RecordedTick, Snapshot

ASSET = "btc"
SIGMA_STEP = 5  # ticks: over a single second Chainlink's own smoothing hides half the movement
NOMINAL_PRICE = 75_000.0
NOMINAL_SIGMA = 5.8e-4 / math.sqrt(60)  # per √s: 5.8 bp a minute (calibration, btc_vol)
KEPT = 20_000  # inferred prices: several windows


class RecordedPrices:
    """Chainlink and Binance as the recorder saw them, once a second."""

    def __init__(self, ticks: Sequence[RecordedTick]) -> None:
        """ValueError when there are none."""
        if not ticks:
            raise ValueError("no price was recorded: choose another recording")
        self._ticks = sorted(ticks, key=lambda tick: tick.at_ms)
        self._times = [tick.at_ms for tick in self._ticks]
        self._sigma = _realised(self._ticks)

    def chainlink(self, asset: str, at_ms: int) -> float:
        return self._at(asset, at_ms).chainlink

    def binance(self, asset: str, at_ms: int) -> float:
        return self._at(asset, at_ms).binance

    def sigma(self, asset: str, at_ms: int) -> float:
        """The recording's realised volatility, one number for all of it."""
        return self._sigma

    def _at(self, asset: str, at_ms: int) -> RecordedTick:
        _only_btc(asset)
        return self._ticks[max(0, bisect.bisect_right(self._times, at_ms) - 1)]


class InferredPrices:
    """Prices inferred from the book, for recordings without an underlying.

    Not a measurement: it is the spot at which, with a nominal strike and volatility, the recorded
    mid would be the fair probability (strategy.md 2.2). A strategy replayed on it sees the market's
    own opinion twice, so such a replay can judge order handling and fills, never the pricing.
    Every window has the same nominal strike, and prices return to it as a window ends.
    """

    def __init__(self) -> None:
        self._times: list[int] = []
        self._prices: list[float] = []

    def learn(self, snapshot: Snapshot, end_ms: int) -> None:
        """Take one recorded book of the window that ends at `end_ms`; times must not run back."""
        mid = _mid(snapshot)
        if mid is None:
            return
        spread = NOMINAL_SIGMA * math.sqrt(_variance_s((end_ms - snapshot.at_ms) / 1000))
        self._times.append(snapshot.at_ms)
        self._prices.append(NOMINAL_PRICE * math.exp(spread * NormalDist().inv_cdf(mid)))
        if len(self._times) > KEPT:
            del self._times[: KEPT // 2], self._prices[: KEPT // 2]

    def chainlink(self, asset: str, at_ms: int) -> float:
        _only_btc(asset)
        if not self._times:
            return NOMINAL_PRICE
        return self._prices[max(0, bisect.bisect_right(self._times, at_ms) - 1)]

    def binance(self, asset: str, at_ms: int) -> float:
        """The same number: no lead and no basis can be inferred."""
        return self.chainlink(asset, at_ms)

    def sigma(self, asset: str, at_ms: int) -> float:
        return NOMINAL_SIGMA


def _only_btc(asset: str) -> None:
    if asset != ASSET:
        raise LookupError(f"the recordings hold {ASSET} only, not {asset}")


def _realised(ticks: Sequence[RecordedTick]) -> float:
    """Volatility per √s of the Chainlink values."""
    points = ticks[::SIGMA_STEP]
    if len(points) < 2:
        return NOMINAL_SIGMA
    total = sum(math.log(b.chainlink / a.chainlink) ** 2 for a, b in pairwise(points))
    return max(1e-6, math.sqrt(total * 1000 / (points[-1].at_ms - points[0].at_ms)))


def _mid(snapshot: Snapshot) -> float | None:
    """The mid as a probability; a missing side counts as the edge. None for an empty book."""
    if not snapshot.bids and not snapshot.asks:
        return None
    bid, ask = max(snapshot.bids, default=0), min(snapshot.asks, default=ONE)
    return min(0.995, max(0.005, (bid + ask) / 2 / ONE))


def _variance_s(to_end: float) -> float:
    """Variance of the final average still to come, in seconds of σ² (60 s average)."""
    left = max(to_end, 0.0)
    return left - 40 if left >= 60 else left**3 / 10_800
