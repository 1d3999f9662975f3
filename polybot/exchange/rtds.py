"""RTDS, the legacy price socket, with its habits (feeds.md 6).

A spot Chainlink snapshot arrives labelled `crypto_prices`; `PING` is answered by an empty text
frame; a filter with a space after the colon gets the snapshot and then silence; one unknown topic
refuses the whole request. Chainlink values are integers ×10¹⁸.
"""

from __future__ import annotations

import base64
import random
from decimal import Decimal

import attrs
import orjson

from polybot.clock import Clock
from polybot.exchange.net import Service, Socket, SocketClosed
from polybot.exchange.oracle import Oracle, PriceTick
from polybot.exchange.polybolt import exact

TOPICS = {
    "crypto_prices": "binance",
    "crypto_prices_chainlink": "chainlink",
    "crypto_prices_twap_sixty": "twap60",
}
TOPIC_OF = {feed: topic for topic, feed in TOPICS.items()}
REPLAY_MS = {"binance": 120_000, "chainlink": 58_000, "twap60": 58_000}


@attrs.define(eq=False)
class _Session:
    socket: Socket
    connection_id: str
    subscribed: set[tuple[str, str]] = attrs.field(factory=set)  # (feed, asset)


class RtdsService:
    """`service` is the socket. Chainlink values go out as the oracle has them: already late."""

    def __init__(self, oracle: Oracle, clock: Clock, rng: random.Random) -> None:
        self._oracle = oracle
        self._clock = clock
        self._rng = rng
        self._sessions: set[_Session] = set()
        self._before: dict[tuple[str, str], PriceTick] = {}  # the tick before the last one
        oracle.listeners.append(self._on_tick)
        self.service = Service(None, self._serve)

    async def _serve(self, socket: Socket) -> None:
        connection_id = base64.b64encode(self._rng.randbytes(13)).decode()
        session = _Session(socket, connection_id)
        self._sessions.add(session)
        try:
            while True:
                text = await socket.receive()
                if text == "PING":
                    socket.send("")
                else:
                    self._on_frame(session, text)
        except SocketClosed:
            return
        finally:
            self._sessions.discard(session)

    # --- what is published -----------------------------------------------------------------

    def _on_tick(self, tick: PriceTick) -> None:
        if not self._sessions:
            return
        key = tick.feed, tick.asset
        before, self._before[key] = self._before.get(key), tick
        if tick.feed != "binance":
            self._publish(tick, tick.stamp_ms, tick.at_ms)
        elif before is not None and before.stamp_ms // 1000 != tick.stamp_ms // 1000:
            self._publish(before, tick.stamp_ms // 1000 * 1000, tick.at_ms)

    def _publish(self, tick: PriceTick, stamp_ms: int, at_ms: int) -> None:
        readers = [s for s in self._sessions if (tick.feed, tick.asset) in s.subscribed]
        if not readers:
            return
        payload: dict[str, object] = {
            "full_accuracy_value": _full_accuracy(tick),
            "symbol": _symbol(tick.feed, tick.asset),
            "timestamp": stamp_ms,
            "value": tick.value,
        }
        if tick.feed == "twap60":
            payload["window_s"] = 60
        text = orjson.dumps(
            {
                "payload": payload,
                "timestamp": at_ms,
                "topic": TOPIC_OF[tick.feed],
                "type": "update",
            }
        ).decode()
        for session in readers:
            session.socket.send(f'{{"connection_id":"{session.connection_id}",{text[1:]}')

    def _replay(self, session: _Session, feed: str, asset: str) -> None:
        """The last minute or two of one symbol, whole seconds only."""
        now_ms = self._clock.now_ms()
        ticks = self._oracle.history(feed, asset, now_ms - REPLAY_MS[feed])
        by_second = {tick.stamp_ms // 1000 * 1000: tick for tick in ticks}
        payload: dict[str, object] = {
            "data": [_point(feed, stamp_ms, tick) for stamp_ms, tick in by_second.items()],
            "symbol": _symbol(feed, asset),
        }
        if feed == "twap60":
            payload["window_s"] = 60
        topic = "crypto_prices" if feed == "chainlink" else TOPIC_OF[feed]
        session.socket.send(
            orjson.dumps(
                {"payload": payload, "timestamp": now_ms, "topic": topic, "type": "subscribe"}
            ).decode()
        )

    # --- what is asked ---------------------------------------------------------------------

    def _on_frame(self, session: _Session, text: str) -> None:
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError:
            frame = None
        items = frame.get("subscriptions") if isinstance(frame, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            session.socket.send(_refusal("invalid request"))
            return
        for item in items:
            problem = self._problem(item)
            if problem is not None:
                session.socket.send(_refusal(problem))
                return
        for item in items:
            if frame.get("action") == "subscribe":
                self._subscribe(session, item)
            elif frame.get("action") == "unsubscribe":
                self._unsubscribe(session, item)

    def _problem(self, item: dict[str, object]) -> str | None:
        topic, kind = str(item.get("topic")), item.get("type")
        if topic not in TOPICS or kind not in ("update", "*"):
            name = f"topic: {topic} and type: {kind}"
            return (
                f"leger GetTopics error: rpc error: code = NotFound desc = {name} not found, "
                f"status: rpc error: code = NotFound desc = {name} not found, "
                f"message: {name} not found"
            )
        filters = item.get("filters", "")
        if not isinstance(filters, str) or (filters and _filter_symbol(filters) is None):
            return "invalid filters: does not match the regular expression"
        return None

    def _subscribe(self, session: _Session, item: dict[str, object]) -> None:
        feed, filters = TOPICS[str(item["topic"])], str(item.get("filters", ""))
        for asset in self._wanted(feed, filters):
            self._replay(session, feed, asset)
            if not filters or " " not in filters:
                session.subscribed.add((feed, asset))

    def _unsubscribe(self, session: _Session, item: dict[str, object]) -> None:
        feed, filters = TOPICS[str(item["topic"])], str(item.get("filters", ""))
        session.subscribed -= {(feed, asset) for asset in self._wanted(feed, filters)}

    def _wanted(self, feed: str, filters: str) -> list[str]:
        symbol = _filter_symbol(filters)
        assets = self._oracle.assets
        return [asset for asset in assets if not filters or _symbol(feed, asset) == symbol]


def _filter_symbol(filters: str) -> str | None:
    """The symbol of `{"symbol":"btc/usd"}`; lists and anything else are not understood."""
    try:
        value = orjson.loads(filters or "{}")
    except orjson.JSONDecodeError:
        return None
    symbol = value.get("symbol") if isinstance(value, dict) else None
    return symbol if isinstance(symbol, str) and "," not in symbol else None


def _symbol(feed: str, asset: str) -> str:
    return f"{asset}usdt" if feed == "binance" else f"{asset}/usd"


def _full_accuracy(tick: PriceTick) -> str:
    if tick.feed == "binance":
        return f"{tick.value:.8f}"
    return str(int(Decimal(exact(tick.value)) * 10**18))


def _point(feed: str, stamp_ms: int, tick: PriceTick) -> dict[str, object]:
    point: dict[str, object] = {"timestamp": stamp_ms, "value": tick.value}
    if feed == "twap60":
        point = {"full_accuracy_value": _full_accuracy(tick), **point}
    return point


def _refusal(message: str) -> str:
    return orjson.dumps({"body": {"message": message}, "statusCode": 401}).decode()
