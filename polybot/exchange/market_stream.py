"""The market channel: who watches what, and what each engine event sends them (feeds.md 2).

Each message is encoded and framed once and the bytes go to every watcher. A market that nobody
watches costs one dictionary store per change: its level texts are built when the first watcher
subscribes and dropped with the last.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
import orjson
import trio

from polybot.clock import Clock
from polybot.exchange import market_messages
from polybot.exchange.book_wire import BookText, Change
from polybot.exchange.engine import Engine
from polybot.exchange.foreign_markets import ForeignMarkets
from polybot.exchange.model import (
    DOWN,
    UP,
    Event,
    LevelChanged,
    Market,
    MarketListed,
    MarketResolved,
    Phase,
    TickChanged,
    Traded,
)
from polybot.exchange.terms import Terms
from polybot.exchange.websocket import Socket, SocketClosed, frame

PRINT_DELAY_MS = (70, 90)  # a trade's print reaches subscribers this much after its books


@attrs.define(eq=False)
class _Watcher:
    """One session: the tokens it asked for, and whether it wants the custom-feature events.

    `lifecycle`: it subscribed to no token at all, which means every market's results.
    """

    socket: Socket
    tokens: set[str] = attrs.field(factory=set)
    custom: bool = False
    lifecycle: bool = False


@attrs.define(eq=False)
class _Watched:
    """A market with at least one watcher."""

    book: BookText
    watchers: dict[_Watcher, None] = attrs.field(factory=dict)


class MarketStream:
    def __init__(
        self, engine: Engine, clock: Clock, rng: random.Random, terms: Terms = Terms()
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._rng = rng
        self._terms = terms
        self._watchers: dict[_Watcher, None] = {}
        self._watched: dict[str, _Watched] = {}  # by condition id
        self._changed_ms: dict[str, int] = {}  # by condition id, of the book's last change
        self._prints: list[tuple[int, int, str, Traded]] = []  # heap by due time
        self._print_numbers = itertools.count()
        self._print_queued = trio.Event()
        self._on: dict[type, Callable[[Any], None]] = {
            LevelChanged: self._on_levels,
            Traded: self._on_trade,
            TickChanged: self._on_tick,
            MarketListed: self._on_listed,
            MarketResolved: self._on_resolved,
        }

    @property
    def hears(self) -> Iterable[type]:
        """The kinds of events that `on_event` is for."""
        return self._on

    def on_event(self, event: Event) -> None:
        """The engine's listener."""
        handler = self._on.get(type(event))
        if handler is not None:
            handler(event)

    def book(self, market: Market) -> BookText:
        """A market's books as of now; freshly laid out when nobody watches them."""
        watched = self._watched.get(market.condition_id)
        if watched is not None:
            return watched.book
        bids, asks = self._engine.levels(market.tokens[UP])
        changed_ms = self._changed_ms.get(market.condition_id, market.listed_ms)
        return BookText(market, bids, asks, changed_ms)

    # --- what the engine says ----------------------------------------------------------------

    def _on_levels(self, event: LevelChanged) -> None:
        self._changed_ms[event.market.condition_id] = event.at_ms
        watched = self._watched.get(event.market.condition_id)
        if watched is None:
            return
        book = watched.book
        before = book.best(UP)
        book.apply(event.changes, event.at_ms)
        if self._terms.both_outcomes:
            _broadcast(watched.watchers, book.price_change(event.changes))
        else:
            _broadcast_own_entries(watched, event.changes)
        if book.best(UP) != before:
            for outcome in (UP, DOWN):
                hearing = self._hearing(watched, outcome)
                custom = [watcher for watcher in hearing if watcher.custom]
                if custom:
                    _broadcast(custom, book.best_bid_ask(outcome))

    def _hearing(self, watched: _Watched, outcome: int) -> Iterable[_Watcher]:
        """Who is told of one outcome."""
        if self._terms.both_outcomes:
            return watched.watchers
        token = watched.book.market.tokens[outcome]
        return [watcher for watcher in watched.watchers if token in watcher.tokens]

    def _on_trade(self, event: Traded) -> None:
        market = event.trade.market
        watched = self._watched.get(market.condition_id)
        if watched is None:
            return
        for outcome in (UP, DOWN):
            _broadcast(self._hearing(watched, outcome), watched.book.after_trade(outcome))
        due_ms = event.at_ms + self._rng.randint(*PRINT_DELAY_MS)
        number = next(self._print_numbers)
        heapq.heappush(self._prints, (due_ms, number, market.condition_id, event))
        self._print_queued.set()

    def _on_tick(self, event: TickChanged) -> None:
        # The tick is hashed with the book, so this changes the book.
        self._changed_ms[event.market.condition_id] = event.at_ms
        watched = self._watched.get(event.market.condition_id)
        if watched is None:
            return
        watched.book.tick, watched.book.changed_ms = event.new, event.at_ms
        for outcome, token in enumerate(event.market.tokens):
            text = market_messages.tick_size_change(
                event.market, token, event.old, event.new, event.at_ms
            )
            for _ in range(2):  # the venue repeats itself here (feeds.md 2.3)
                _broadcast(self._hearing(watched, outcome), text)

    def _on_listed(self, event: MarketListed) -> None:
        if told := self._custom():  # at a start hundreds are listed, and nobody listens
            _broadcast(told, market_messages.new_market(event.market, event.at_ms))

    def _custom(self) -> list[_Watcher]:
        return [watcher for watcher in self._watchers if watcher.custom]

    def _on_resolved(self, event: MarketResolved) -> None:
        market = event.market
        self._hasten_prints(market.condition_id)
        watched = self._watched.pop(market.condition_id, None)
        self._changed_ms.pop(market.condition_id, None)
        watching = watched.watchers if watched else {}
        told = [w for w in self._watchers if w.custom and (w in watching or w.lifecycle)]
        if told:
            text = market_messages.market_resolved(market, market.winner, event.at_ms)
            _broadcast(told, text)
        for watcher in watching:
            watcher.tokens.difference_update(market.tokens)

    # --- what comes by itself ----------------------------------------------------------------

    async def run(self) -> None:
        """Send each trade's print 70–90 ms after its books, and the listings of markets that are
        not ours; never returns.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_prints)
            if self._terms.foreign_markets_per_hour:
                nursery.start_soon(self._list_foreign_markets)

    async def _list_foreign_markets(self) -> None:
        rate, rng = self._terms.foreign_markets_per_hour, random.Random(self._rng.getrandbits(64))
        foreign = ForeignMarkets(rate, rng, self._clock.now_ms())
        while True:
            await self._clock.sleep_until(foreign.due_ms)
            for text in foreign.next_event():
                _broadcast(self._custom(), text)

    async def _send_prints(self) -> None:
        while True:
            if not self._prints:
                self._print_queued = trio.Event()
                await self._print_queued.wait()
            due_ms = self._prints[0][0]
            await self._clock.sleep_until(due_ms)
            self._send_due_prints(due_ms)

    def _send_due_prints(self, now_ms: int) -> None:
        while self._prints and self._prints[0][0] <= now_ms:
            *_, event = heapq.heappop(self._prints)
            self._print(event)

    def _print(self, event: Traded) -> None:
        market, taker = event.trade.market, event.trade.taker
        watched = self._watched.get(market.condition_id)
        if watched is not None:
            text = market_messages.last_trade_price(event.trade, event.at_ms)
            _broadcast(self._hearing(watched, market.outcome_of(taker.token)), text)

    def _hasten_prints(self, condition_id: str) -> None:
        """Send what waits of a market that is over: after its result nobody watches it."""
        waiting = sorted(one for one in self._prints if one[2] == condition_id)
        self._prints = [one for one in self._prints if one[2] != condition_id]
        heapq.heapify(self._prints)
        for *_, event in waiting:
            self._print(event)

    # --- sessions ----------------------------------------------------------------------------

    async def session(self, socket: Socket) -> None:
        """Serve one client until it goes."""
        watcher = _Watcher(socket)
        self._watchers[watcher] = None
        try:
            while True:
                self._take(watcher, await socket.receive())
        except SocketClosed:
            pass
        finally:
            del self._watchers[watcher]
            self._unsubscribe(watcher, list(watcher.tokens))

    def _take(self, watcher: _Watcher, text: str) -> None:
        """One client message. What is not understood is ignored: nothing is ever acknowledged."""
        if text == "PING":
            watcher.socket.send("PONG")
            return
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            return
        if not isinstance(message, dict):
            return
        tokens = message.get("assets_ids", [])
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            return
        operation = message.get("operation")
        if operation == "unsubscribe":
            self._unsubscribe(watcher, tokens)
        elif operation == "subscribe" or message.get("type") == "market":
            self._subscribe(watcher, tokens, message)

    def _subscribe(self, watcher: _Watcher, tokens: list[str], message: dict[str, object]) -> None:
        """The flag first, then the new tokens: naming a known one is the way to toggle the flag."""
        custom = message.get("custom_feature_enabled")
        if isinstance(custom, bool):
            watcher.custom = custom
        fresh = [token for token in dict.fromkeys(tokens) if token not in watcher.tokens]
        if not tokens:
            watcher.lifecycle = True
            return
        if not fresh:
            watcher.socket.send("NO NEW ASSETS")
            return
        dumps = [self._watch(watcher, token) for token in fresh]
        few = len(watcher.tokens) <= self._terms.snapshot_tokens_most
        if few and message.get("initial_dump") is not False:
            watcher.socket.send(f"[{','.join(dump for dump in dumps if dump)}]")

    def _watch(self, watcher: _Watcher, token: str) -> str:
        """Register for one token and return its snapshot; "" for an unknown or closed one."""
        market = self._engine.by_token.get(token)
        if market is None or market.phase is Phase.RESOLVED:
            return ""
        watched = self._watched.get(market.condition_id)
        if watched is None:
            watched = self._watched[market.condition_id] = _Watched(self.book(market))
        watched.watchers[watcher] = None
        watcher.tokens.add(token)
        is_open = market.phase is Phase.OPEN
        return watched.book.dump(market.outcome_of(token)) if is_open else ""

    def _unsubscribe(self, watcher: _Watcher, tokens: Iterable[str]) -> None:
        for token in watcher.tokens.intersection(tokens):
            watcher.tokens.discard(token)
            market = self._engine.by_token[token]
            if watcher.tokens.isdisjoint(market.tokens):
                watched = self._watched[market.condition_id]
                del watched.watchers[watcher]
                if not watched.watchers:
                    del self._watched[market.condition_id]


def _broadcast_own_entries(watched: _Watched, changes: Sequence[Change]) -> None:
    """Each watcher gets the entries of the outcomes it asked for, and no message without any."""
    groups: dict[tuple[int, ...], list[_Watcher]] = {}
    tokens = watched.book.market.tokens
    for watcher in watched.watchers:
        outcomes = tuple(outcome for outcome in (UP, DOWN) if tokens[outcome] in watcher.tokens)
        groups.setdefault(outcomes, []).append(watcher)
    for outcomes, watchers in groups.items():
        _broadcast(watchers, watched.book.price_change(changes, outcomes))


def _broadcast(watchers: Iterable[_Watcher], text: str) -> None:
    data = frame(text)
    for watcher in watchers:
        watcher.socket.send_frame(data)
