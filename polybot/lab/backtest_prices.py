"""The prices that the bot of a backtest hears: each tick once it has come its way, from when the
bot has joined the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs

from polybot.domain.prices import Feed
from polybot.exchange.oracle import Oracle, PriceTick
from polybot.lab.backtest_time import Stream, Timeline
from polybot.pricing.board import PriceBoard

HOUR_MS = 3_600_000
CANDLE_MS = 2_000  # how often the stream tells the candle under way
HISTORY_MS = 120_000  # of prices, which the streams repeat to whoever subscribes (feeds.md 5)
SYMBOLS = {
    "binance": (Feed.BINANCE, "{}USDT", str.upper),
    "chainlink": (Feed.CHAINLINK, "{}usd", str.lower),
    "twap60": (Feed.TWAP60, "{}usd", str.lower),
}


@attrs.define(eq=False)
class HeardPrices:
    """`ring` tells everybody who decides that there is a new price; `candles`: whether a market is
    settled by them.
    """

    board: PriceBoard
    oracle: Oracle
    timeline: Timeline
    way: Stream
    ring: Callable[[int], None]
    candles: bool
    _feeds: set[str] = attrs.field(factory=set)
    _opens: dict[str, int] = attrs.field(factory=dict)  # when one was told last, by asset

    def join(self, oracle_ms: int, binance_ms: int) -> None:
        """Subscribe at these times."""
        self.timeline.at(oracle_ms, self._join_oracle)
        self.timeline.at(binance_ms, lambda _: self._feeds.add("binance"))
        self.oracle.listeners.append(self._on_price)

    def _join_oracle(self, now_ms: int) -> None:
        """Hear its streams from now on, and first their last two minutes. Binance's has none."""
        self._feeds |= {"chainlink", "twap60"}
        heard_ms = self.way.arrival(now_ms)
        for asset in self.oracle.assets:
            for feed in ("chainlink", "twap60"):
                for tick in self.oracle.history(feed, asset, now_ms - HISTORY_MS):
                    self.timeline.at(heard_ms, partial(self._take, tick, snapshot=True))

    def _on_price(self, tick: PriceTick) -> None:
        if tick.feed in self._feeds:
            self.timeline.at(self.way.arrival(tick.at_ms), partial(self._priced, tick))
            if self.candles and tick.feed == "binance":
                self._tell_open(tick)

    def _tell_open(self, tick: PriceTick) -> None:
        """The stream of candles tells the one under way every two seconds, a new one with its first
        trade: an open is believed when it has been told for some seconds.
        """
        hour_ms, told_ms = tick.stamp_ms // HOUR_MS * HOUR_MS, self._opens.get(tick.asset, 0)
        if tick.stamp_ms < told_ms + CANDLE_MS and told_ms >= hour_ms:
            return
        self._opens[tick.asset] = tick.stamp_ms
        opened = self.oracle.candle(tick.asset, HOUR_MS // 1000, tick.stamp_ms).open
        symbol = f"{tick.asset.upper()}USDT"

        def told(now_ms: int) -> None:
            self.board.on_tick(Feed.CANDLE_OPEN, symbol, opened, hour_ms, now_ms)
            self.ring(now_ms)

        self.timeline.at(self.way.arrival(tick.at_ms), told)

    def _priced(self, tick: PriceTick, now_ms: int) -> None:
        self._take(tick, now_ms, snapshot=False)
        self.ring(now_ms)

    def _take(self, tick: PriceTick, now_ms: int, *, snapshot: bool) -> None:
        feed, pattern, spell = SYMBOLS[tick.feed]
        symbol = pattern.format(spell(tick.asset))
        self.board.on_tick(feed, symbol, tick.value, tick.stamp_ms, now_ms, snapshot=snapshot)
