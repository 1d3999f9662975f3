"""The user channel: own order and trade events, selected by API key (feeds.md 4)."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import orjson

from polybot.exchange.auth import ApiKey, KeyStore
from polybot.exchange.identities import full_condition_id
from polybot.exchange.model import Event, Market, OrderEvent, Trade, Traded, TradeUpdated
from polybot.exchange.websocket import Socket, SocketClosed, frame
from polybot.exchange.wire_records import Record, order_event, trade_event


@attrs.define(eq=False)
class _Listener:
    """One authenticated session. An empty filter means all markets."""

    socket: Socket
    markets: set[str]


class UserStream:
    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        self._listeners: dict[str, list[_Listener]] = {}  # by API key

    def on_event(self, event: Event) -> None:
        """The engine's listener."""
        if isinstance(event, OrderEvent):
            order = event.order
            if order.owner in self._listeners:
                record = order_event(order, event.kind, event.status, event.matched, event.at_ms)
                self._tell(order.owner, order.market, record)
        elif isinstance(event, Traded | TradeUpdated):
            self._on_trade(event.trade, event.at_ms)

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
