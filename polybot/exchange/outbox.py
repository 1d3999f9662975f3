"""What an act changed, gathered and then told to the listeners in the order it happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from polybot.exchange.book import Book, up_price, up_side
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
    """Delivers events to every listener, whole acts in order.

    A listener may act on the engine: the events of that act then wait until those that it reacted
    to have reached everybody.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._waiting: deque[Event] = deque()
        self._busy = False

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
                for listener in self.listeners:
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
        self._touched[up_side(order), up_price(order)] = None

    def traded(self, trade: Trade) -> None:
        self._trades.append(Traded(trade, self.now_ms))

    def order(self, kind: str, order: Order, status: str, matched: int) -> None:
        self._orders.append(OrderEvent(kind, order, status, matched, self.now_ms))

    def events(self) -> list[Event]:
        """All levels in one event with their totals as of now, then trades, then orders."""
        levels: list[Event] = []
        if self._touched:
            up = self.market.tokens[UP]
            changes = tuple((up, s, p, self.book.total(s, p)) for s, p in self._touched)
            levels.append(LevelChanged(self.market, changes, self.now_ms))
        return [*levels, *self._trades, *self._orders]
