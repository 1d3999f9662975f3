"""Prices heard from elsewhere as a price source: what was last published, never a guess."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from polybot.exchange.recording_prices import NOMINAL_SIGMA

KEEP_MS = 7_200_000  # as long as the oracle's candles of an hour and their past need
TRIM_EVERY = 1_000


class HeardPrices:
    """Per asset Binance and Chainlink by their own stamps; Binance stands in for the latter
    until Chainlink has been heard. LookupError before anything was heard of an asset.
    """

    def __init__(self, assets: Sequence[str]) -> None:
        self._times: dict[tuple[str, str], list[int]] = {}
        self._values: dict[tuple[str, str], list[float]] = {}
        for asset in assets:
            for feed in ("binance", "chainlink"):
                self._times[feed, asset], self._values[feed, asset] = [], []

    def hear(self, feed: str, asset: str, stamp_ms: int, value: float) -> None:
        """Feeds repeat themselves and come late; what is not newer is known already."""
        times, values = self._times[feed, asset], self._values[feed, asset]
        if times and stamp_ms <= times[-1]:
            return
        times.append(stamp_ms)
        values.append(value)
        if len(times) % TRIM_EVERY == 0:
            old = bisect.bisect_left(times, stamp_ms - KEEP_MS)
            del times[:old], values[:old]

    def knows(self, asset: str) -> bool:
        return bool(self._times["binance", asset])

    def binance(self, asset: str, at_ms: int) -> float:
        return self._at("binance", asset, at_ms)

    def chainlink(self, asset: str, at_ms: int) -> float:
        times = self._times["chainlink", asset]
        feed = "chainlink" if times and times[0] <= at_ms else "binance"
        return self._at(feed, asset, at_ms)

    def sigma(self, asset: str, at_ms: int, ahead_s: float = 0.0) -> float:
        """Nominal: nobody invents a crowd on these prices."""
        return NOMINAL_SIGMA

    def _at(self, feed: str, asset: str, at_ms: int) -> float:
        times = self._times.get((feed, asset), [])
        if not times:
            raise LookupError(f"no {feed} price of {asset} has been heard")
        return self._values[feed, asset][max(0, bisect.bisect_right(times, at_ms) - 1)]
