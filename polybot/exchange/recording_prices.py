"""What the underlying cost during a recording: as recorded, or inferred from the book.

Both hold their first value before they begin and their last one after they end; only what was
recorded is known, and published. US dollars, floats.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from polybot.exchange.mirror_messages import Snapshot
from polybot.exchange.money import ONE

ASSET = "btc"
Point = tuple[int, float]  # (Unix ms, US dollars)
# In the recordings of every print two lie 2 s apart at most: after more the feed was not heard.
SILENT_MS = 5_000
SIGMA_STEP_MS = 5_000  # over a single second Chainlink's own smoothing hides half the movement
GAP_MS = 400_000  # what is further apart says nothing about the movement in between
LEAST_MOVE = 1e-8
NOMINAL_PRICE = 75_000.0
NOMINAL_SIGMA = 5.8e-4 / math.sqrt(60)  # per √s: 5.8 bp a minute (calibration, btc_vol)
KEPT = 20_000  # inferred prices: several windows


class RecordedPrices:
    """Chainlink and Binance as recorded, each at its own times; one stands in for a missing other.

    `straight`: values in between lie on a straight line; else the last one holds.
    """

    def __init__(
        self, feeds: Mapping[str, tuple[list[Point], list[Point]]], *, straight: bool = False
    ) -> None:
        """`feeds`: per asset (Chainlink, Binance), by time. ValueError when one has neither."""
        self._straight = straight
        self._feeds: dict[str, tuple[_Feed, _Feed]] = {}
        for asset, (chainlink, binance) in feeds.items():
            if not chainlink and not binance:
                raise ValueError("no price was recorded: choose another recording")
            pair = _Feed(chainlink or binance), _Feed(binance or chainlink)
            self._feeds[asset] = pair
        self._sigmas = {asset: _realised(pair[0].points) for asset, pair in self._feeds.items()}

    def chainlink(self, asset: str, at_ms: int) -> float:
        return self._of(asset)[0].at(at_ms, straight=self._straight)

    def binance(self, asset: str, at_ms: int) -> float:
        return self._of(asset)[1].at(at_ms, straight=self._straight)

    def sigma(self, asset: str, at_ms: int, ahead_s: float = 0.0) -> float:
        """The recording's realised volatility, one number for all of it."""
        self._of(asset)
        return self._sigmas[asset]

    def knows(self, feed: str, asset: str, at_ms: int) -> bool:
        """Whether something was recorded of that moment; an average is known where its prices are.
        On a straight line all between two values is.
        """
        known = self._of(asset)[feed == "binance"]
        return known.spans(at_ms) if self._straight else known.age_ms(at_ms) <= SILENT_MS

    def _of(self, asset: str) -> tuple[_Feed, _Feed]:
        if asset not in self._feeds:
            raise LookupError(f"the recording holds {', '.join(self._feeds)} only, not {asset}")
        return self._feeds[asset]


class _Feed:
    def __init__(self, points: Sequence[Point]) -> None:
        self.points = points
        self._times = [at_ms for at_ms, _ in points]

    def spans(self, at_ms: int) -> bool:
        return self._times[0] <= at_ms <= self._times[-1]

    def age_ms(self, at_ms: int) -> float:
        """How old the last value was then; infinite where there was none."""
        place = bisect.bisect_right(self._times, at_ms)
        return at_ms - self._times[place - 1] if place else math.inf

    def at(self, at_ms: int, *, straight: bool) -> float:
        place = max(0, bisect.bisect_right(self._times, at_ms) - 1)
        from_ms, value = self.points[place]
        if not straight or at_ms <= from_ms or place + 1 == len(self.points):
            return value
        to_ms, following = self.points[place + 1]
        return value + (following - value) * (at_ms - from_ms) / (to_ms - from_ms)


def agreeing(strike: float, final: float, *, up: bool) -> float:
    """The final price, moved to the winner's side of the strike when it denies the outcome."""
    if (final >= strike) == up:
        return final
    return strike if up else strike * (1 - LEAST_MOVE)


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

    def sigma(self, asset: str, at_ms: int, ahead_s: float = 0.0) -> float:
        return NOMINAL_SIGMA


def _only_btc(asset: str) -> None:
    if asset != ASSET:
        raise LookupError(f"the recordings hold {ASSET} only, not {asset}")


def _realised(points: Sequence[Point]) -> float:
    """Volatility per √s of the Chainlink values, gaps left out."""
    sampled = [points[0]] if points else []
    total = seconds = 0.0
    for at_ms, value in points:
        passed_ms = at_ms - sampled[-1][0]
        if passed_ms < SIGMA_STEP_MS:
            continue
        if passed_ms <= GAP_MS:
            total += math.log(value / sampled[-1][1]) ** 2
            seconds += passed_ms / 1000
        sampled.append((at_ms, value))
    return max(1e-6, math.sqrt(total / seconds)) if seconds else NOMINAL_SIGMA


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
