"""The user channel: own order and trade events, selected by API key (feeds.md 4).

The venue's order events and trades come from two places and race (feeds.md 4.5). Here the stream
hears of a match `Terms.fill_lag_ms` after it happened: a cancellation can then come first, with
the size the stream knows of, and is repeated once the fill is known. Without a lag all is told in
the order it happened.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable

import attrs
import orjson
import trio

from polybot.clock import Clock
from polybot.exchange.auth import ApiKey, KeyStore
from polybot.exchange.identities import full_condition_id
from polybot.exchange.model import Event, Market, OrderEvent, Trade, Traded, TradeUpdated
from polybot.exchange.terms import Terms
from polybot.exchange.websocket import Socket, SocketClosed, frame
from polybot.exchange.wire_records import Record, order_event, trade_event


@attrs.define(eq=False)
class _Listener:
    """One authenticated session. An empty filter means all markets."""

    socket: Socket
    markets: set[str]


class UserStream:
    def __init__(
        self, keys: KeyStore, clock: Clock, rng: random.Random, terms: Terms = Terms()
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._rng = rng
        self._lag_ms = terms.fill_lag_ms
        self._listeners: dict[str, list[_Listener]] = {}  # by API key
        self._late: deque[tuple[int, OrderEvent | Traded]] = deque()  # with due times, in order
        self._queued = trio.Event()
        # By order id, while it is partly filled: the size told, the fills not told, and the
        # cancellation that was told before them.
        self._told: dict[str, int] = {}
        self._untold: dict[str, int] = {}
        self._cancelled: dict[str, OrderEvent] = {}

    def on_event(self, event: Event) -> None:
        """The engine's listener."""
        late = self._lag_ms > 0
        if isinstance(event, OrderEvent):
            if event.order.owner not in self._listeners:
                return
            if late and event.kind == "UPDATE":
                self._untold[event.order.id] = self._untold.get(event.order.id, 0) + 1
                self._put_off(event)
            elif late and event.kind == "CANCELLATION":
                self._cancel_as_known(event)
            else:
                self._tell_order(event)
        elif late and isinstance(event, Traded):
            self._put_off(event)
        elif isinstance(event, Traded | TradeUpdated):
            self._on_trade(event.trade, event.at_ms)

    # --- what is told late -------------------------------------------------------------------

    def _put_off(self, event: OrderEvent | Traded) -> None:
        due_ms = event.at_ms + self._rng.randint(self._lag_ms // 2, self._lag_ms)
        if self._late:
            due_ms = max(due_ms, self._late[-1][0])
        self._late.append((due_ms, event))
        self._queued.set()

    def _cancel_as_known(self, event: OrderEvent) -> None:
        """With the size told so far; whoever is told of a fill later is told of the end again."""
        order_id = event.order.id
        known = self._told.pop(order_id, 0)
        if order_id in self._untold:
            self._cancelled[order_id] = event
            event = attrs.evolve(event, matched=known)
        self._tell_order(event)

    async def run(self) -> None:
        """Tell what was put off when it is due; never returns."""
        while True:
            if not self._late:
                self._queued = trio.Event()
                await self._queued.wait()
            await self._clock.sleep_until(self._late[0][0])
            while self._late and self._late[0][0] <= self._clock.now_ms():
                event = self._late.popleft()[1]
                if isinstance(event, OrderEvent):
                    self._tell_fill(event)
                else:
                    self._on_trade(event.trade, event.at_ms)

    def _tell_fill(self, event: OrderEvent) -> None:
        order_id = event.order.id
        untold = self._untold[order_id] = self._untold[order_id] - 1
        cancelled = self._cancelled.get(order_id)
        if cancelled is not None:
            event = attrs.evolve(cancelled, matched=event.matched)
        elif event.status == "LIVE":
            self._told[order_id] = event.matched
        else:
            self._told.pop(order_id, None)
        if not untold:
            del self._untold[order_id]
            self._cancelled.pop(order_id, None)
        self._tell_order(event)

    # --- telling -----------------------------------------------------------------------------

    def _tell_order(self, event: OrderEvent) -> None:
        order = event.order
        if order.owner in self._listeners:
            record = order_event(event)
            self._tell(order.owner, order.market, record)

    def _on_trade(self, trade: Trade, at_ms: int) -> None:
        """One message per API key involved; a key on both sides hears of both roles."""
        if trade.taker.owner in self._listeners:
            self._tell(trade.taker.owner, trade.market, trade_event(trade, "TAKER", at_ms))
        for owner in dict.fromkeys(fill.order.owner for fill in trade.makers):
            if owner in self._listeners:
                self._tell(owner, trade.market, trade_event(trade, "MAKER", at_ms))

    def _tell(self, owner: str, market: Market, record: Record) -> None:
        data = frame(orjson.dumps(record).decode())
        for listener in self._listeners[owner]:
            if not listener.markets or market.condition_id in listener.markets:
                listener.socket.send_frame(data)

    async def session(self, socket: Socket) -> None:
        """Serve one client until it goes. Bad credentials: TCP is cut, with no close frame."""
        try:
            first = await _next_message(socket)
            key = self._authenticated(first)
            if key is None:
                socket.drop()
                return
            await self._listen(_Listener(socket, set(_markets(first))), key)
        except SocketClosed:
            pass

    async def _listen(self, listener: _Listener, key: ApiKey) -> None:
        mine = self._listeners.setdefault(key.key, [])
        mine.append(listener)
        listener.socket.known_as(key.key)
        try:
            while True:
                message = await _next_message(listener.socket)
                if message.get("operation") == "subscribe":
                    listener.markets.update(_markets(message))
                elif message.get("operation") == "unsubscribe":
                    listener.markets.difference_update(_markets(message))
        finally:
            mine.remove(listener)
            if not mine:
                del self._listeners[key.key]

    def _authenticated(self, message: Record) -> ApiKey | None:
        auth = message.get("auth")
        if message.get("type") != "user" or not isinstance(auth, dict):
            return None
        given = [auth.get(name) for name in ("apiKey", "secret", "passphrase")]
        key, secret, passphrase = (text if isinstance(text, str) else "" for text in given)
        return self._keys.valid(key, secret, passphrase)


async def _next_message(socket: Socket) -> Record:
    """The next message that is not a ping; one that cannot be read is empty."""
    while (text := await socket.receive()) == "PING":
        socket.send("PONG")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return message if isinstance(message, dict) else {}


def _markets(message: Record) -> Iterable[str]:
    markets = message.get("markets")
    if not isinstance(markets, list):
        return []
    return [full_condition_id(market) for market in markets if isinstance(market, str)]
