"""Our probabilities against the crowd's book: windows of an invented market, no bot and no socket.

The prices reach the board with the cadence and the delays of the real feeds, the crowd trades as it
always does, and each window resolves by today's rule. What it cannot tell: the crowd knows the rule
and the true volatility as well as we do, and better, so its book is a hard rival and no proof.
"""

from __future__ import annotations

import random

import attrs

from polybot.domain.market import Candle, FeeSchedule, Market, TwapPair
from polybot.domain.prices import Feed
from polybot.exchange import model
from polybot.exchange.model import UP
from polybot.lab.crowd_venue import CrowdVenue
from polybot.pricing.blend import BlendParams, MarketView, blend, micro_price
from polybot.pricing.board import PriceBoard
from polybot.pricing.calibration import Row, Sampler
from polybot.pricing.fair import Fair
from polybot.pricing.params import PricingParams

STEP_MS = 250  # between two trades of the exchange
ORACLE_LATE_MS, AVERAGE_LATE_MS = 1_600, 1_000  # feeds.md 6; calibration.json
LEFT_OUT = 1 / 24  # of the oracle's seconds
WARM_UP_MS = 60_000
DEPTH = BlendParams().depth_shares


@attrs.define(eq=False)
class Watcher:
    """A board beside a crowd: tells it prices as they come, and samples what it thinks."""

    venue: CrowdVenue
    board: PriceBoard
    rng: random.Random
    rows: list[Row] = attrs.field(factory=list)

    def watch(self, windows: int) -> list[Row]:
        for traded in self.venue.windows(windows):
            market, sampler = market_seen(traded), Sampler()
            begin = traded.start_ms - (0 if self.rows else WARM_UP_MS - STEP_MS)
            for now_ms in range(begin, traded.end_ms, STEP_MS):
                self._tell(now_ms)
                if now_ms >= traded.start_ms:
                    self.venue.until(now_ms)
                    self._sample(market, traded.tokens[UP], sampler, now_ms)
            up = self.venue.value(traded.end_ms) >= self.venue.value(traded.start_ms)
            self.rows += [Row(traded.slug, sample, int(up)) for sample in sampler.samples]
        return self.rows

    def _tell(self, now_ms: int) -> None:
        source, board = self.venue.source, self.board
        board.on_tick(Feed.BINANCE, "BTCUSDT", source.binance("btc", now_ms), now_ms, now_ms)
        if now_ms % 1000:
            return
        stamp_ms = now_ms - AVERAGE_LATE_MS
        board.on_tick(Feed.TWAP60, "btcusd", self.venue.value(stamp_ms), stamp_ms, now_ms)
        stamp_ms = (now_ms - ORACLE_LATE_MS) // 1000 * 1000
        if self.rng.random() >= LEFT_OUT:
            value = source.chainlink("btc", stamp_ms)
            board.on_tick(Feed.CHAINLINK, "btcusd", value, stamp_ms, now_ms)

    def _sample(self, market: Market, token: str, sampler: Sampler, now_ms: int) -> None:
        left_s = (market.end_ms - now_ms) / 1000
        if not sampler.due(left_s):
            return
        fair = self.board.fair(market, now_ms)
        if not isinstance(fair, Fair):
            return
        view = self._view(token)
        mixed = None if view is None else blend(fair, view, BlendParams()).q
        sampler.take(left_s, fair, None if view is None else view.q, mixed)

    def _view(self, token: str) -> MarketView | None:
        bids, asks = self.venue.engine.levels(token)
        if not bids or not asks:
            return None
        (bid, bid_size), (ask, ask_size) = bids[-1], asks[-1]
        prices, sizes = (bid / 1e4, ask / 1e4), (bid_size / 1e6, ask_size / 1e6)
        q = micro_price(prices[0], sizes[0], prices[1], sizes[1], DEPTH)
        return MarketView(q, (prices[1] - prices[0]) / 2, min(sizes))


def watch(windows: int, seed: int, intensity: float, params: PricingParams) -> list[Row]:
    """The rows of so many windows in a row; the same seed gives the same rows."""
    venue = CrowdVenue(seed, intensity)
    return Watcher(venue, PriceBoard(params), random.Random(f"{seed} feeds")).watch(windows)


def market_seen(traded: model.Market) -> Market:
    """A market as the bot knows it."""
    series, slug = traded.series, traded.slug
    candle = series.rule == "candle"
    return Market(
        series=series.key,
        slug=slug,
        condition_id=slug,
        up_token=f"{slug} up",
        down_token=f"{slug} down",
        start_ms=traded.start_ms,
        end_ms=traded.end_ms,
        rule=Candle("BTCUSDT", series.name) if candle else TwapPair("btcusd", 60),
        tick=100,
        min_size=5_000_000,
        fees=FeeSchedule(70_000, 1, 200_000),
    )
