"""The figures of calibration.json, taken from the engine's events: see `crowd_tally`."""

from __future__ import annotations

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
from polybot.lab.crowd_tally import CENT, EDGE, Span, Tally, Watch, middle


class Meter:
    """Follows one market from its start; `finish` after its last event."""

    def __init__(self, engine: Engine, market: Market, tally: Tally) -> None:
        self._market, self._tally = market, tally
        self._book: Book = engine.desk.resting.books[market.condition_id]
        self._totals: dict[tuple[str, int], int] = {}
        self._watch = Watch(tally, market.start_ms, market.start_ms, market.end_ms)
        self._watch.touch = self._book.best()
        for side, levels in zip((BUY, SELL), self._book.levels(UP), strict=True):
            self._totals |= {(side, price): total for price, total in levels}

    def finish(self) -> None:
        """Close the books of this market."""
        self._watch.finish()

    def on_levels(self, event: LevelChanged) -> None:
        watch = self._watch
        watch.elapse(event.at_ms)
        span = watch.span
        for _, side, price, total in event.changes:
            before = self._totals.get((side, price), 0)
            self._totals[side, price] = total
            self._change(span, side, price, before, total)
        span.messages += 1
        span.paired += len(event.changes) == 1
        watch.touch = self._book.best()

    def _change(self, span: Span, side: str, price: int, before: int, total: int) -> None:
        best = self._watch.touch[0 if side == BUY else 1]
        if best is not None:
            span.behind[(best - price if side == BUY else price - best) // CENT] += 1
        kind = "new level" if not before else "level removed" if not total else "resized"
        span.kinds[kind] += 1
        span.deltas.append(abs(total - before) / UNIT)

    def on_trade(self, event: Traded) -> None:
        if event.at_ms < self._market.start_ms:
            return
        if EDGE < middle(self._watch.touch) / 2 < ONE - EDGE:  # as the sample was
            self._tally.sizes.append(event.trade.shares / UNIT)
            self._tally.bought += event.trade.taker.side == BUY
        if self._watch.traded(event.at_ms):
            bids, asks = self._book.levels(UP)
            self._watch.look(dict(bids), dict(asks))


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
