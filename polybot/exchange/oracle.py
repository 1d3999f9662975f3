"""What the outside world says a coin costs: a true path, and the feeds that publish it.

A `PriceSource` is the truth; the `Oracle` publishes it with the cadence and the delays of the real
feeds (feeds.md 5–7) and keeps what the streams and the settlement rules need: two minutes of
ticks, 60 s look-back averages (feeds.md 10.1) and candles. Prices are US dollars as floats: nothing
here is money. Times are Unix milliseconds.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from polybot.exchange.calendar import SPOT_UNTIL_MS

TWAP_WINDOW_S = 60
HISTORY_MS = 120_000
LOT = 0.01  # coins of a relayed trade: sizes are invented anyhow (exchange.md)
DELAY_MS, DELAY_SPREAD = 1631, 0.187  # of Chainlink: median, and deviation of the logarithm
FIXED_MS = 7_200_000  # as long as a heard average is remembered
NEVER_MS = 10**15
LEFT_OUT = 0.044  # of Chainlink's stamps
CANDLES_KEPT = {1: 180, 60: 180, 3600: 48}  # length in seconds → how many


class PriceSource(Protocol):
    """The underlying truth, at any time: before its history it holds the first value it knows."""

    def chainlink(self, asset: str, at_ms: int) -> float: ...

    def binance(self, asset: str, at_ms: int) -> float: ...

    def sigma(self, asset: str, at_ms: int, ahead_s: float = 0.0) -> float:
        """True volatility of the log price per √s, jumps included: that of now, or of the mean
        square to expect over the next `ahead_s` where the source knows more of that.
        """
        ...


@attrs.frozen
class PriceTick:
    """One published value; `feed` is "chainlink", "twap60" or "binance".

    `stamp_ms` is the time the value speaks of, `at_ms` when it is published. Binance prints also
    carry the size and the number of the trade.
    """

    feed: str
    asset: str
    value: float
    stamp_ms: int
    at_ms: int
    quantity: float = 0.0
    trade_id: int = 0


@attrs.frozen
class Kline:
    """One candle; `close_ms` is the last millisecond that belongs to it (…999)."""

    open_ms: int
    close_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    closed: bool
    first_trade_id: int


@attrs.define
class _Bar:
    """A candle being built."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    first_trade_id: int


class Oracle:
    """Publishes a source's prices when they are due, to `listeners`, in the order of publication.

    Cadence (feeds.md 5–7): Chainlink whole-second stamps, one in 24 left out, received about 1.6 s
    after its stamp (calibration.json, rtds_chainlink_btc_2026_07: as received, for on loopback
    nothing is added); the 60 s average one per second, out one second after its stamp; Binance a
    print every 100–400 ms.
    """

    def __init__(
        self, source: PriceSource, assets: Sequence[str], start_ms: int, rng: random.Random,
        relayed: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """`relayed` feeds have no cadence of their own: `publish` tells each of their ticks."""
        self.source = source
        self.assets = tuple(assets)
        self.listeners: list[Callable[[PriceTick], None]] = []
        # What the average reads at (asset, stamp) where a recording knows it: its markets settled
        # by the rule of their day, and the strike on the stream must be the strike of the market.
        self.fixings: dict[tuple[str, int], float] = {}
        # Whether a recording knows what (feed, asset, stamp) was. What its source holds meanwhile
        # would be a price that stood still, and a distance between two feeds of which only one
        # does, which takes a bot minutes to forget. So it is not published.
        self.knows: Callable[[str, str, int], bool] = lambda *_: True
        self._rng = rng
        self._now_ms = start_ms
        self._due: list[tuple[int, int, str, str, int]] = []  # at, order, feed, asset, stamp
        self._order = 0
        self._ticks: dict[tuple[str, str], deque[PriceTick]] = {}
        self._bars: dict[tuple[str, int], deque[_Bar]] = {}
        self._trade_ids = dict.fromkeys(self.assets, 0)
        self._relayed = frozenset(relayed)
        firsts = {"chainlink": start_ms // 1000 * 1000 - 1000, "twap60": start_ms // 1000 * 1000}
        for asset in self.assets:
            self._remember_the_past(asset, start_ms)
            for feed, stamp_ms in (firsts | {"binance": start_ms}).items():
                if feed not in self._relayed:
                    self._schedule(feed, asset, stamp_ms)

    def advance(self, now_ms: int) -> None:
        """Publish everything due up to and including `now_ms`."""
        while self._due and self._due[0][0] <= now_ms:
            at_ms, _, feed, asset, stamp_ms = heapq.heappop(self._due)
            self._now_ms = max(self._now_ms, at_ms)
            tick = self._tick(feed, asset, stamp_ms, at_ms)
            self._keep(tick)
            self._schedule(feed, asset, stamp_ms if feed == "binance" else stamp_ms + 1000)
            if self._is_known(tick):
                for listener in self.listeners:
                    listener(tick)
        self._now_ms = max(self._now_ms, now_ms)

    def next_due_ms(self) -> int:
        return self._due[0][0] if self._due else NEVER_MS

    def publish(self, feed: str, asset: str, value: float, stamp_ms: int, at_ms: int) -> None:
        """A tick as somebody else has published it; what is not newer is known already."""
        kept = self._ticks[feed, asset]
        newest_ms = kept[-1].stamp_ms if kept else 0
        if stamp_ms < newest_ms or (stamp_ms == newest_ms and feed != "binance"):
            return  # but trades may share a stamp
        self._now_ms = max(self._now_ms, at_ms, stamp_ms)  # their clock may be before ours
        tick = PriceTick(feed, asset, value, stamp_ms, at_ms)
        if feed == "binance":
            self._trade_ids[asset] += 1
            tick = attrs.evolve(tick, quantity=LOT, trade_id=self._trade_ids[asset])
        self._keep(tick)
        if feed == "twap60":
            self.fixings[asset, stamp_ms] = value
            self.fixings.pop((asset, stamp_ms - FIXED_MS), None)
        for listener in self.listeners:
            listener(tick)

    def spot(self, asset: str, stamp_ms: int) -> float:
        """Chainlink's value of that moment, if not fixed: until August 2026 windows were decided by
        it, and what is fixed then is fixed of the spot.
        """
        fixed = self.fixings.get((asset, stamp_ms)) if stamp_ms < SPOT_UNTIL_MS else None
        return self.source.chainlink(asset, stamp_ms) if fixed is None else fixed

    def twap(self, asset: str, stamp_ms: int, lag_s: int = 0) -> float:
        """Mean of the 60 whole-second Chainlink values ending at
        `stamp_ms` less `lag_s`, if not fixed.
        """
        fixed = self.fixings.get((asset, stamp_ms))
        if fixed is not None and stamp_ms >= SPOT_UNTIL_MS:
            return fixed
        last = stamp_ms // 1000 * 1000 - lag_s * 1000
        value = self.source.chainlink
        return (
            math.fsum(value(asset, last - 1000 * k) for k in range(TWAP_WINDOW_S)) / TWAP_WINDOW_S
        )

    def history(self, feed: str, asset: str, since_ms: int) -> list[PriceTick]:
        """What was published with a stamp at or after `since_ms`; two minutes are kept."""
        return [
            tick
            for tick in self._ticks[feed, asset]
            if tick.stamp_ms >= since_ms and self._is_known(tick)
        ]

    def _is_known(self, tick: PriceTick) -> bool:
        if tick.feed != "binance" and (tick.asset, tick.stamp_ms) in self.fixings:
            return True
        return self.knows(tick.feed, tick.asset, tick.stamp_ms)

    def candle(self, asset: str, length_s: int, at_ms: int) -> Kline:
        """The candle `at_ms` falls into. LookupError when no print made it, or it is forgotten."""
        open_ms = at_ms // (length_s * 1000) * length_s * 1000
        for bar in reversed(self._bars[asset, length_s]):
            if bar.open_ms == open_ms:
                return self._kline(bar, length_s)
        raise LookupError(f"no {length_s} s candle of {asset} at {open_ms}")

    def candles(self, asset: str, length_s: int, since_ms: int) -> list[Kline]:
        """All kept candles that open at or after `since_ms`, oldest first."""
        bars = self._bars[asset, length_s]
        return [self._kline(bar, length_s) for bar in bars if bar.open_ms >= since_ms]

    def _schedule(self, feed: str, asset: str, stamp_ms: int) -> None:
        if feed == "chainlink":
            if self._rng.random() < LEFT_OUT:
                stamp_ms += 1000
            delay_ms = round(DELAY_MS * math.exp(self._rng.gauss(0.0, DELAY_SPREAD)))
            at_ms = max(stamp_ms + delay_ms, self._now_ms + 1)  # in the order of its stamps
        elif feed == "twap60":
            at_ms = stamp_ms + 1000
        else:
            at_ms = stamp_ms = stamp_ms + self._rng.randint(100, 400)
        self._order += 1
        heapq.heappush(self._due, (at_ms, self._order, feed, asset, stamp_ms))

    def _tick(self, feed: str, asset: str, stamp_ms: int, at_ms: int) -> PriceTick:
        if feed == "chainlink":
            return PriceTick(feed, asset, self.spot(asset, stamp_ms), stamp_ms, at_ms)
        if feed == "twap60":
            return PriceTick(feed, asset, self.twap(asset, stamp_ms), stamp_ms, at_ms)
        self._trade_ids[asset] += 1
        value = self.source.binance(asset, stamp_ms)
        quantity = round(self._rng.expovariate(1.0) * 1000 / value, 5) or 0.00001
        return PriceTick(feed, asset, value, stamp_ms, at_ms, quantity, self._trade_ids[asset])

    def _keep(self, tick: PriceTick) -> None:
        ticks = self._ticks[tick.feed, tick.asset]
        ticks.append(tick)
        while ticks[0].stamp_ms < tick.stamp_ms - HISTORY_MS:
            ticks.popleft()
        if tick.feed == "binance":
            for length_s in CANDLES_KEPT:
                self._print(tick, length_s)

    def _print(self, tick: PriceTick, length_s: int) -> None:
        bars, price = self._bars[tick.asset, length_s], tick.value
        open_ms = tick.stamp_ms // (length_s * 1000) * length_s * 1000
        if bars and bars[-1].open_ms == open_ms:
            bar = bars[-1]
        else:
            bar = _Bar(open_ms, price, price, price, price, 0.0, 0, tick.trade_id)
            bars.append(bar)
        if price > bar.high:
            bar.high = price
        elif price < bar.low:
            bar.low = price
        bar.close = price
        bar.volume += tick.quantity
        bar.trades += 1

    def _kline(self, bar: _Bar, length_s: int) -> Kline:
        close_ms = bar.open_ms + length_s * 1000 - 1
        return Kline(
            bar.open_ms, close_ms, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades,
            self._now_ms > close_ms, bar.first_trade_id,
        )  # fmt: skip

    def _remember_the_past(self, asset: str, start_ms: int) -> None:
        """Fill two minutes of ticks and the candles under way, as if we had always run."""
        for feed in ("chainlink", "twap60", "binance"):
            self._ticks[feed, asset] = deque()
        for length_s, kept in CANDLES_KEPT.items():
            self._bars[asset, length_s] = deque(maxlen=kept)
        hour_ms = start_ms // 3_600_000 * 3_600_000
        begin_ms = min(hour_ms, start_ms // 1000 * 1000 - HISTORY_MS)
        prints = [
            self._tick("binance", asset, stamp_ms, stamp_ms)
            for stamp_ms in range(begin_ms, start_ms, 1000)
        ]
        self._ticks["binance", asset].extend(prints[-1 - HISTORY_MS // 1000 :])
        for length_s, kept in CANDLES_KEPT.items():
            bars = self._bars[asset, length_s]
            for tick in prints[-kept * length_s :]:
                self._print(tick, length_s)
            while bars and bars[0].open_ms < begin_ms:  # its open was never seen
                bars.popleft()
        last = start_ms // 1000 * 1000
        for stamp_ms in range(last - HISTORY_MS, last, 1000):
            # The past of what is relayed comes with the first of it; Chainlink's youngest is still
            # under way.
            if stamp_ms < last - 1000 and "chainlink" not in self._relayed:
                self._keep(self._tick("chainlink", asset, stamp_ms, stamp_ms + DELAY_MS))
            if "twap60" not in self._relayed:
                self._keep(self._tick("twap60", asset, stamp_ms, stamp_ms + 1000))
