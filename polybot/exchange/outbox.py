"""What an act changed, gathered and then told to the listeners in the order it happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from polybot.exchange.book import Book
from polybot.exchange.model import (
    UP,
    Event,
    LevelChanged,
    Market,
    Order,
    OrderEvent,
    Trade,
    Traded,
)

Listener = Callable[[Event], None]


class Outbox:
    """Delivers events to the listeners, whole acts in order.

    A listener may act on the engine: the events of that act then wait until those that it reacted
    to have reached everybody. `listeners` hear everything but what `listen` has named kinds for:
    a venue has a dozen of them, and most of what happens concerns two or three.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._kinds: dict[Listener, tuple[type, ...]] = {}
        self._routes: dict[type, tuple[Listener, ...]] = {}
        self._routed: list[Listener] = []  # of whom the routes are made
        self._waiting: deque[Event] = deque()
        self._busy = False

    def listen(self, listener: Callable[[Any], None], *kinds: type) -> None:
        """Let a listener hear events of these kinds, after those that are there already."""
        self.listeners.append(listener)
        self._kinds[listener] = kinds

    def _route(self, kind: type) -> tuple[Listener, ...]:
        """Who hears of this kind, in the order of their coming."""
        if self._routed != self.listeners:
            self._routed, self._routes = [*self.listeners], {}
        route = self._routes.get(kind)
        if route is None:
            wants = (one for one in self.listeners if kind in self._kinds.get(one, (kind,)))
            route = self._routes[kind] = tuple(wants)
        return route

    def tell(self, *events: Event) -> None:
        """Queue the events and deliver them, unless that is under way or put off by `together`."""
        self._waiting.extend(events)
        if not self._busy:
            self._deliver()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Put delivery off until the end of the block: no listener sees a change half made."""
        outermost, self._busy = not self._busy, True
        try:
            yield
        finally:
            if outermost:
                self._busy = False
        if outermost:
            self._deliver()

    def _deliver(self) -> None:
        self._busy = True
        try:
            while self._waiting:
                event = self._waiting.popleft()
                for listener in self._route(type(event)):
                    listener(event)
        finally:
            self._busy = False


class Act:
    """One act on one market: levels touched, trades made, orders changed."""

    def __init__(self, market: Market, book: Book, now_ms: int) -> None:
        self.market, self.book, self.now_ms = market, book, now_ms
        self._touched: dict[tuple[str, int], None] = {}
        self._trades: list[Traded] = []
        self._orders: list[OrderEvent] = []

    def touch(self, order: Order) -> None:
        """The level where this order rests, or rested, has a new total."""
        self._touched[order.up_side, order.up_price] = None

    def traded(self, trade: Trade) -> None:
        self._trades.append(Traded(trade, self.now_ms))

    def order(self, kind: str, order: Order, status: str, matched: int) -> None:
        self._orders.append(
            OrderEvent(kind, order, status, matched, self.now_ms, tuple(order.trades))
        )

    def events(self) -> list[Event]:
        """All levels in one event with their totals as of now, then trades, then orders."""
        events: list[Event] = []
        if self._touched:
            up, total = self.market.tokens[UP], self.book.total
            changes = tuple([(up, s, p, total(s, p)) for s, p in self._touched])
            events.append(LevelChanged(self.market, changes, self.now_ms))
        events += self._trades
        events += self._orders
        return events
