"""The figures of calibration.json, taken by the same definitions from the engine's events.

One `Meter` follows one market and writes into a `Tally` that many markets share. Sizes are shares,
prices and spreads 10⁻⁴ dollars, times milliseconds; `left` is time to the window's end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import attrs

from polybot.exchange.book import Book
from polybot.exchange.engine import Engine
from polybot.exchange.model import (
    BUY,
    SELL,
    UP,
    Event,
    LevelChanged,
    Market,
    MarketResolved,
    Traded,
)
from polybot.exchange.money import ONE, UNIT

CENT = 100  # of price
# The sample's buckets by milliseconds to the close, each from its lower bound on.
BUCKETS = (
    (240_000, "300-240s"), (180_000, "240-180s"), (120_000, "180-120s"), (60_000, "120-60s"),
    (30_000, "60-30s"), (10_000, "30-10s"), (0, "10-0s"),
)  # fmt: skip
EDGE = 500  # a mid this near to 0 or 1 is "beyond 0.05/0.95"
DEPTH_EVERY, DEPTH_LEVELS = 5, 10
# The full-rate sample is ten quiet seconds, 85 to 75 before the close: so are these, and the ones
# compared with it are those whose touch stood as still as the sample's.
SPAN_MS, SPANS_FROM_MS, SPANS_TO_MS = 10_000, 120_000, 60_000
STILL = 0.7

Touch = tuple[int | None, int | None]


def bucket_of(left_ms: int) -> str:
    return next(name for least, name in BUCKETS if left_ms > least or least == 0)


@attrs.define
class Span:
    """Ten seconds of one market in full: every message, every level change, every trade."""

    messages: int = 0
    paired: int = 0  # messages of two entries: one level, seen from both tokens
    trades: int = 0
    behind: Counter[int] = attrs.field(factory=Counter)  # ticks behind the touch
    kinds: Counter[str] = attrs.field(factory=Counter)
    deltas: list[float] = attrs.field(factory=list)
    touches: Counter[Touch] = attrs.field(factory=Counter)  # ms

    @property
    def still(self) -> bool:
        """Whether one touch of one tick, away from the edges, stood nearly all the time."""
        (bid, ask), ms = self.touches.most_common(1)[0] if self.touches else ((None, None), 0)
        near = bid is not None and ask == bid + CENT and EDGE < bid < ONE - EDGE
        return near and ms >= STILL * SPAN_MS


@attrs.define
class Tally:
    """What many markets came to."""

    spread_ms: dict[str, Counter[int | None]] = attrs.field(factory=lambda: defaultdict(Counter))
    edge_ms: Counter[str] = attrs.field(factory=Counter)
    per_second: dict[str, list[int]] = attrs.field(factory=lambda: defaultdict(list))
    gaps_ms: list[int] = attrs.field(factory=list)  # between trades
    bursts: list[int] = attrs.field(factory=list)  # most trades in 100 ms, by market
    traded: list[int] = attrs.field(factory=list)  # trades, by market
    after_ms: list[int] = attrs.field(factory=list)  # last trade after the close, by market
    sizes: list[float] = attrs.field(factory=list)
    bought: int = 0
    depth: dict[tuple[str, int], list[float]] = attrs.field(factory=lambda: defaultdict(list))
    whole_book: list[float] = attrs.field(factory=list)
    levels: list[float] = attrs.field(factory=list)
    moves: dict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))  # dollars
    spans: list[Span] = attrs.field(factory=list)
    changed_levels: int = 0
    changed_messages: int = 0
    touch_moves: int = 0


class Meter:
    """Follows one market from its start; `finish` after its last event."""

    def __init__(self, engine: Engine, market: Market, tally: Tally) -> None:
        self._engine, self._market, self._tally = engine, market, tally
        self._book: Book = engine.desk.resting.books[market.condition_id]
        self._totals: dict[tuple[str, int], int] = {}
        self._touch: Touch = self._book.best()
        self._since_ms = self._second_ms = market.start_ms
        self._mids: list[int] = []
        self._trades: list[int] = []
        self._span = Span()
        for side, levels in zip((BUY, SELL), self._book.levels(UP), strict=True):
            self._totals |= {(side, price): total for price, total in levels}

    def finish(self) -> None:
        """Close the books of this market."""
        market, tally = self._market, self._tally
        self._elapse(market.end_ms)
        for number, (before, after) in enumerate(pairwise(self._mids)):
            left_ms = market.end_ms - market.start_ms - number * 1000
            tally.moves[bucket_of(left_ms)].append((after - before) / 2 / ONE)
        seconds = Counter((at - market.start_ms) // 1000 for at in self._trades)
        for second in range((market.end_ms - market.start_ms) // 1000):
            left_ms = market.end_ms - market.start_ms - second * 1000
            tally.per_second[bucket_of(left_ms)].append(seconds[second])
        tally.traded.append(len(self._trades))
        tally.gaps_ms += [after - before for before, after in pairwise(self._trades)]
        tally.bursts.append(max(Counter(at // 100 for at in self._trades).values(), default=0))
        if self._trades:
            tally.after_ms.append(self._trades[-1] - market.end_ms)

    # --- levels -----------------------------------------------------------------------------------

    def on_levels(self, event: LevelChanged) -> None:
        self._elapse(event.at_ms)
        tally, span = self._tally, self._span
        for _, side, price, total in event.changes:
            before = self._totals.get((side, price), 0)
            self._totals[side, price] = total
            self._change(span, side, price, before, total)
        tally.changed_messages += 1
        tally.changed_levels += len(event.changes)
        span.messages += 1
        span.paired += len(event.changes) == 1
        touch = self._book.best()
        tally.touch_moves += touch != self._touch
        self._touch = touch

    def _change(self, span: Span, side: str, price: int, before: int, total: int) -> None:
        best = self._touch[0 if side == BUY else 1]
        if best is not None:
            span.behind[(best - price if side == BUY else price - best) // CENT] += 1
        kind = "new level" if not before else "level removed" if not total else "resized"
        span.kinds[kind] += 1
        span.deltas.append(abs(total - before) / UNIT)

    def _elapse(self, now_ms: int) -> None:
        """Time passes with the touch as it is: up to the end of the window at most."""
        end_ms = self._market.end_ms
        now_ms = min(now_ms, end_ms)
        while self._second_ms <= now_ms:  # the end is a whole second, too, and the last
            self._spend(self._second_ms)
            self._mids.append(_mid(self._touch))
            self._second_ms += 1000
            self._turn(end_ms - self._second_ms + 1000)
        self._spend(now_ms)

    def _spend(self, now_ms: int) -> None:
        """The touch has stood since the last time; never across a whole second."""
        spent, left_ms = now_ms - self._since_ms, self._market.end_ms - self._since_ms
        if spent <= 0:
            return
        self._since_ms = now_ms
        (bid, ask), bucket = self._touch, bucket_of(left_ms)
        spread = None if bid is None or ask is None else ask - bid
        self._tally.spread_ms[bucket][spread] += spent
        if not 2 * EDGE <= _mid(self._touch) <= 2 * (ONE - EDGE):
            self._tally.edge_ms[bucket] += spent
        self._span.touches[self._touch] += spent

    def _turn(self, left_ms: int) -> None:
        """A new span every ten seconds; only those of the sample's minute are kept."""
        if left_ms % SPAN_MS:
            return
        if SPANS_TO_MS <= left_ms < SPANS_FROM_MS:
            self._tally.spans.append(self._span)
        self._span = Span()

    # --- trades -----------------------------------------------------------------------------------

    def on_trade(self, event: Traded) -> None:
        trade, tally, market = event.trade, self._tally, self._market
        if event.at_ms < market.start_ms:
            return
        self._elapse(event.at_ms)
        self._trades.append(event.at_ms)
        self._span.trades += 1
        tally.sizes.append(trade.shares / UNIT)
        tally.bought += trade.taker.side == BUY
        if len(self._trades) % DEPTH_EVERY == 0 and event.at_ms < market.end_ms:
            self._look(bucket_of(market.end_ms - event.at_ms))

    def _look(self, bucket: str) -> None:
        """The depth behind the touch, as the sample has it: events with both sides present."""
        bid, ask = self._touch
        if bid is None or ask is None:
            return
        total = self._book.total
        for level in range(DEPTH_LEVELS):
            behind = level * CENT
            sizes = (total(BUY, bid - behind), total(SELL, ask + behind))
            self._tally.depth[bucket, level] += [size / UNIT for size in sizes]
        if len(self._trades) % (10 * DEPTH_EVERY) == 0:
            both = [size for levels in self._book.levels(UP) for _, size in levels]
            self._tally.whole_book.append(sum(both) / UNIT)
            self._tally.levels.append(len(both))


def _mid(touch: Touch) -> int:
    """Twice the mid; an empty side is the end of the scale."""
    bid, ask = touch
    return (bid or 0) + (ONE if ask is None else ask)


class Meters:
    """A meter for every market that is started, until it resolves. An engine's listener."""

    def __init__(self, engine: Engine, tally: Tally) -> None:
        self._engine, self._tally = engine, tally
        self._by_market: dict[str, Meter] = {}

    def start(self, market: Market) -> None:
        """Call at the window's start."""
        self._by_market[market.condition_id] = Meter(self._engine, market, self._tally)

    def on_event(self, event: Event) -> None:
        if isinstance(event, LevelChanged):
            meter = self._by_market.get(event.market.condition_id)
            if meter is not None:
                meter.on_levels(event)
        elif isinstance(event, Traded):
            meter = self._by_market.get(event.trade.market.condition_id)
            if meter is not None:
                meter.on_trade(event)
        elif isinstance(event, MarketResolved):
            meter = self._by_market.pop(event.market.condition_id, None)
            if meter is not None:
                meter.finish()
