"""Recorded markets as a world: the exchange's book shows what was recorded, our orders stand in it.

A replayer account re-lays the recorded levels at each snapshot: it cancels and places only what
changed, and never touches anybody else's orders. A snapshot says what rested, not what traded, so
our resting orders fill only when a recorded level crosses them; the volume that traded at our own
price is unknown, and our queue position in a level means nothing. Fills are therefore too few at
the touch, and all of them adverse: a lower bound. What the bot takes is back at the next snapshot.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from pathlib import Path

from polybot.exchange import recording_files as files
from polybot.exchange.calendar import SERIES
from polybot.exchange.crowd_hand import CENT, LEAST, Hand, alive
from polybot.exchange.engine import Engine
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.model import BUY, SELL, UP, Event, Market, MarketListed, Order, Phase, Series
from polybot.exchange.oracle import Oracle, PriceSource
from polybot.exchange.recording_prices import NOMINAL_PRICE, InferredPrices, RecordedPrices

SETTLE_MS = 200_000  # after the last window: resolution takes 162 s at most
EARLY_MS = 90_000  # a world begins this long before its first window, if the recording allows
HISTORY_MS = 60_000  # of prices wanted before the beginning: one settlement average
NOMINAL_MOVE = 1e-4  # where only the winner is known, the final price is this far from the strike
FINE_TICK = 10
SLUG = re.compile(r"btc-updown-5m-(\d+)")


class Replayer:
    """Keeps one market's recorded levels resting."""

    def __init__(self, hand: Hand, market: Market) -> None:
        self._hand, self._market = hand, market
        self._resting: dict[tuple[str, int], list[Order]] = {}  # (side, Up price)

    def show(self, snapshot: files.Snapshot, now_ms: int) -> None:
        """Make the replayer's orders equal the snapshot; smaller levels get the venue's minimum."""
        if self._market.phase is not Phase.OPEN:
            return
        wanted = {(BUY, price): size for price, size in snapshot.bids.items()}
        wanted.update(((SELL, price), size) for price, size in snapshot.asks.items())
        for key in [key for key in self._resting if key not in wanted]:
            self._keep(key, self._cancel(self._resting[key], now_ms))
        for key, size in wanted.items():
            self._lay(key, max(LEAST, size // CENT * CENT), now_ms)

    def leave(self, now_ms: int) -> None:
        """Cancel everything: the window is over."""
        self._hand.leave(self._market, now_ms)
        self._resting.clear()

    def _lay(self, key: tuple[str, int], size: int, now_ms: int) -> None:
        """One level: place the new total, then cancel the old, so that it never looks empty."""
        old = [order for order in self._resting.get(key, ()) if alive(order)]
        if sum(order.remaining for order in old) == size:
            return
        side, price = key
        if price % self._market.tick:
            self._hand.engine.change_tick(self._market, FINE_TICK, now_ms)
        new = self._hand.rest(self._market, side, price, size, now_ms, post_only=False)
        self._keep(key, self._cancel(old, now_ms) + ([new] if new is not None else []))

    def _cancel(self, orders: list[Order], now_ms: int) -> list[Order]:
        """Returns what the venue would not cancel: orders held by the taker delay."""
        return [
            order
            for order in orders
            if alive(order) and not self._hand.pull(order, now_ms) and alive(order)
        ]

    def _keep(self, key: tuple[str, int], orders: list[Order]) -> None:
        if orders:
            self._resting[key] = orders
        else:
            self._resting.pop(key, None)


class _Tape:
    """One recorded market: its snapshots, as far as they have been read."""

    def __init__(self, market: files.FullMarket | files.BookMarket) -> None:
        named = SLUG.fullmatch(market.slug)
        if named is None:
            raise ValueError(f"{market.slug} is no BTC 5m market: only those can be replayed")
        self.slug = market.slug
        self.start_ms = int(named[1]) * 1000
        self.end_ms = self.start_ms + 300_000
        self.replayer: Replayer | None = None
        self.strike, self.final = NOMINAL_PRICE, NOMINAL_PRICE
        if isinstance(market, files.FullMarket):
            self.strike, self.final = market.strike, market.final
            self._snapshots: Iterator[files.Snapshot] = iter(market.snapshots)
            self.first_ms = min(market.snapshots[0].at_ms, self.start_ms)
        else:
            self.final *= 1 + NOMINAL_MOVE if market.winner == UP else 1 - NOMINAL_MOVE
            self._snapshots = market.snapshots()
            self.first_ms = self.start_ms
        self._next: files.Snapshot | None = None

    def next_ms(self) -> int:
        """When the next snapshot is due, or the end."""
        if self._next is None:
            self._next = next(self._snapshots, None)
        return self.end_ms if self._next is None else min(self._next.at_ms, self.end_ms)

    def pop(self) -> files.Snapshot | None:
        """The snapshot that `next_ms` announced."""
        snapshot, self._next = self._next, None
        return snapshot


class RecordedWorld:
    """Replays the recorded BTC 5m markets of a path in their own time."""

    series: tuple[Series, ...] = (SERIES["btc-5m"],)

    def __init__(self, path: Path) -> None:
        """ValueError with the remedy when the path holds no usable recording."""
        found = files.find(path)
        self._inferred: InferredPrices | None = None
        self.source: PriceSource
        if files.is_full(found[0]):
            full = [files.read_full(file) for file in found]
            ticks = sorted((t for one in full for t in one.ticks), key=lambda tick: tick.at_ms)
            self.source = RecordedPrices(ticks)
            self._tapes = [_Tape(one) for one in full if one.snapshots]
            history_ms, told = ticks[0].at_ms + HISTORY_MS, "books, prices and outcome as recorded"
        else:
            self.source = self._inferred = InferredPrices()
            self._tapes = [_Tape(one) for one in files.read_index(found)]
            history_ms, told = 0, "prices inferred from the book"
        if not self._tapes:
            raise ValueError(f"{path} holds no book: choose another recording")
        self._tapes.sort(key=lambda tape: tape.start_ms)
        first_ms = self._tapes[0].start_ms
        self.start_ms = min(max(first_ms - EARLY_MS, history_ms), first_ms)
        self.end_ms: int | None = max(tape.end_ms for tape in self._tapes) + SETTLE_MS
        self.name = f"recording {path.name}: {len(self._tapes)} market(s), {told}"
        self._by_slug = {tape.slug: tape for tape in self._tapes}
        self._due = [(max(t.first_ms, self.start_ms), i) for i, t in enumerate(self._tapes)]
        self._hand: Hand | None = None

    def attach(self, engine: Engine, oracle: Oracle, lifecycle: Lifecycle) -> None:
        """Fund the replayer and find the markets by their slugs. Call once."""
        self._hand = Hand.make(engine, "replayer")
        asset = self.series[0].asset
        oracle.fixings |= {(asset, tape.end_ms): tape.final for tape in self._tapes}
        oracle.fixings |= {(asset, tape.start_ms): tape.strike for tape in self._tapes}
        for market in engine.markets.values():
            self._recognise(market)
        engine.listeners.append(self._hear)

    def advance(self, now_ms: int) -> None:
        """Show every snapshot due by now, in order."""
        while self._due and self._due[0][0] <= now_ms:
            at_ms, place = heapq.heappop(self._due)
            tape = self._tapes[place]
            if at_ms >= tape.end_ms:
                if tape.replayer is not None:
                    tape.replayer.leave(at_ms)
                continue
            if tape.next_ms() <= at_ms:
                self._show(tape, tape.pop(), at_ms)
            heapq.heappush(self._due, (max(at_ms, tape.next_ms()), place))

    def next_due_ms(self) -> int | None:
        return self._due[0][0] if self._due else None

    def settlement(self, market: Market) -> tuple[float, float] | None:
        """(strike, final) of a recorded market: they give its outcome, whatever the rule."""
        tape = self._by_slug.get(market.slug)
        return None if tape is None else (tape.strike, tape.final)

    def _show(self, tape: _Tape, snapshot: files.Snapshot | None, at_ms: int) -> None:
        if snapshot is None:
            return
        if self._inferred is not None:
            self._inferred.learn(snapshot, tape.end_ms)
        if tape.replayer is not None:
            tape.replayer.show(snapshot, at_ms)

    def _recognise(self, market: Market) -> None:
        tape = self._by_slug.get(market.slug)
        if tape is not None and self._hand is not None:
            tape.replayer = Replayer(self._hand, market)

    def _hear(self, event: Event) -> None:
        if isinstance(event, MarketListed):
            self._recognise(event.market)
