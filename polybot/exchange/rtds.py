"""RTDS, the legacy price socket, with its habits (feeds.md 6).

A spot Chainlink snapshot arrives labelled `crypto_prices`; `PING` is answered by an empty text
frame; a filter with a space after the colon gets the snapshot and then silence, an array nothing at
all; one unknown topic refuses the whole request. Chainlink values are integers ×10¹⁸. Sessions have
a life: Chainlink topics stop after a while though Binance goes on, and who sends no PING is cut or
left in silence. All of it is paced by the prices, which come several times a second.
"""

from __future__ import annotations

import base64
import math
import random
from decimal import Decimal

import attrs
import orjson

from polybot.clock import Clock
from polybot.exchange import rtds_activity as activity
from polybot.exchange.net import Service, Socket, SocketClosed
from polybot.exchange.oracle import Oracle, PriceTick
from polybot.exchange.polybolt_items import exact
from polybot.exchange.terms import Terms

TOPICS = {
    "crypto_prices": "binance",
    "crypto_prices_chainlink": "chainlink",
    "crypto_prices_twap_thirty": "twap30",
    "crypto_prices_twap_sixty": "twap60",
}
BAD_FILTER = "invalid filters: does not match the regular expression"
TOPIC_OF = {feed: topic for topic, feed in TOPICS.items()}
WINDOW_S = {"twap30": 30, "twap60": 60}
REPLAY_MS = {"binance": 120_000, "chainlink": 58_000, "twap30": 58_000, "twap60": 58_000}
# A stall comes after 14 to 63 minutes, 30 on average.
STALL_MS = (14 * 60_000, 63 * 60_000, 14 * 60_000)
# Without PING: some sessions lived four minutes, others fell silent after six.
CUT_MS, SILENT_MS = 240_000, 360_000


@attrs.define(eq=False)
class _Session:
    socket: Socket
    connection_id: str
    stalls_ms: float  # from when on Chainlink topics are silent
    cut: bool  # what becomes of it without PING: cut, or silent
    patience_ms: float  # and after how long
    pinged_ms: int
    subscribed: set[tuple[str, str]] = attrs.field(factory=set)  # (feed, asset)
    activity: set[tuple[str, str]] = attrs.field(factory=set)  # (type, event slug or "")

    def hears(self, feed: str, now_ms: int) -> bool:
        if self.deserted(now_ms):
            return False
        return feed in {"binance", activity.TOPIC} or now_ms < self.stalls_ms

    def deserted(self, now_ms: int) -> bool:
        return now_ms - self.pinged_ms >= self.patience_ms

    def tell(self, text: str) -> None:
        """One update: an object without its connection id, which is this session's own."""
        self.socket.send(f'{{"connection_id":"{self.connection_id}",{text[1:]}')


class RtdsService:
    """`service` is the socket. Chainlink values go out as the oracle has them: already late."""

    def __init__(
        self, oracle: Oracle, clock: Clock, rng: random.Random, terms: Terms = Terms()
    ) -> None:
        self._oracle = oracle
        self._clock = clock
        self._rng = rng
        self._terms = terms
        self._activity = activity.Activity()
        self.on_event = self._activity.on_event
        self._sessions: dict[_Session, None] = {}
        self._before: dict[tuple[str, str], PriceTick] = {}  # the tick before the last one
        oracle.listeners.append(self._on_tick)
        self.service = Service(None, self._serve)

    async def _serve(self, socket: Socket) -> None:
        session = self._open(socket)
        self._sessions[session] = None
        try:
            while True:
                text = await socket.receive()
                if text == "PING":
                    session.pinged_ms = self._clock.now_ms()
                    socket.send("")
                else:
                    self._on_frame(session, text)
        except SocketClosed:
            return
        finally:
            del self._sessions[session]

    def _open(self, socket: Socket) -> _Session:
        now_ms = self._clock.now_ms()
        connection_id = base64.b64encode(self._rng.randbytes(13)).decode()
        stalls_ms = now_ms + self._rng.triangular(*STALL_MS)
        cut = self._rng.random() < 0.5
        patience_ms: float = CUT_MS if cut else SILENT_MS
        if not self._terms.rtds_stalls:
            stalls_ms = math.inf
        if not self._terms.rtds_needs_ping:
            patience_ms = math.inf
        return _Session(socket, connection_id, stalls_ms, cut, patience_ms, now_ms)

    # --- what is published -----------------------------------------------------------------

    def _on_tick(self, tick: PriceTick) -> None:
        self._publish_trades(tick.at_ms)
        if not self._sessions:
            return
        self._cut_the_silent(tick.at_ms)
        key = tick.feed, tick.asset
        before, self._before[key] = self._before.get(key), tick
        if tick.feed != "binance":
            self._publish(tick, tick.stamp_ms, tick.at_ms)
            if tick.feed == "twap60":
                self._publish(self._thirty(tick), tick.stamp_ms, tick.at_ms)
        elif before is not None and before.stamp_ms // 1000 != tick.stamp_ms // 1000:
            self._publish(before, tick.stamp_ms // 1000 * 1000, tick.at_ms)

    def _thirty(self, tick: PriceTick) -> PriceTick:
        """The 30 s average beside a 60 s one: no market settles on it any more."""
        value, last_ms = self._oracle.source.chainlink, tick.stamp_ms
        mean = math.fsum(value(tick.asset, last_ms - 1000 * k) for k in range(30)) / 30
        return attrs.evolve(tick, feed="twap30", value=mean)

    def _cut_the_silent(self, now_ms: int) -> None:
        for session in self._sessions:
            if session.cut and session.deserted(now_ms):
                session.socket.drop()

    def _publish_trades(self, now_ms: int) -> None:
        for trade in self._activity.due(now_ms):
            payload = activity.row(trade)
            for kind in activity.TYPES:
                wanted = {(kind, ""), (kind, trade.market.slug)}
                readers = [s for s in self._sessions if not wanted.isdisjoint(s.activity)]
                frame = {"payload": payload, "timestamp": now_ms, "topic": activity.TOPIC}
                text = orjson.dumps({**frame, "type": kind}).decode()
                for session in readers:
                    if session.hears(activity.TOPIC, now_ms):
                        session.tell(text)

    def _publish(self, tick: PriceTick, stamp_ms: int, at_ms: int) -> None:
        readers = [
            session
            for session in self._sessions
            if (tick.feed, tick.asset) in session.subscribed and session.hears(tick.feed, at_ms)
        ]
        if not readers:
            return
        payload: dict[str, object] = {
            "full_accuracy_value": _full_accuracy(tick),
            "symbol": _symbol(tick.feed, tick.asset),
            "timestamp": stamp_ms,
            "value": tick.value,
        }
        if tick.feed in WINDOW_S:
            payload["window_s"] = WINDOW_S[tick.feed]
        text = orjson.dumps(
            {
                "payload": payload,
                "timestamp": at_ms,
                "topic": TOPIC_OF[tick.feed],
                "type": "update",
            }
        ).decode()
        for session in readers:
            session.tell(text)

    def _replay(self, session: _Session, feed: str, asset: str) -> None:
        """The last minute or two of one symbol, whole seconds only."""
        now_ms = self._clock.now_ms()
        kept = "twap60" if feed == "twap30" else feed
        ticks = self._oracle.history(kept, asset, now_ms - REPLAY_MS[feed])
        if feed == "twap30":
            ticks = [self._thirty(tick) for tick in ticks]
        by_second = {tick.stamp_ms // 1000 * 1000: tick for tick in ticks}
        payload: dict[str, object] = {
            "data": [_point(feed, stamp_ms, tick) for stamp_ms, tick in by_second.items()],
            "symbol": _symbol(feed, asset),
        }
        if feed in WINDOW_S:
            payload["window_s"] = WINDOW_S[feed]
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
        filters = item.get("filters", "")
        if topic == activity.TOPIC and kind in (*activity.TYPES, "*"):
            known = isinstance(filters, str) and activity.wanted_slug(filters) is not None
            return None if known else BAD_FILTER
        if topic not in TOPICS or kind not in ("update", "*"):
            name = f"topic: {topic} and type: {kind}"
            return (
                f"leger GetTopics error: rpc error: code = NotFound desc = {name} not found, "
                f"status: rpc error: code = NotFound desc = {name} not found, "
                f"message: {name} not found"
            )
        if not isinstance(filters, str) or _filter_symbol(filters) is None:
            return BAD_FILTER
        return None

    def _subscribe(self, session: _Session, item: dict[str, object]) -> None:
        filters = str(item.get("filters", ""))
        if item["topic"] == activity.TOPIC:
            session.activity |= _activities(item, filters)
            return
        feed = TOPICS[str(item["topic"])]
        for asset in self._wanted(feed, filters):
            self._replay(session, feed, asset)
            if not filters or " " not in filters:
                session.subscribed.add((feed, asset))

    def _unsubscribe(self, session: _Session, item: dict[str, object]) -> None:
        filters = str(item.get("filters", ""))
        if item["topic"] == activity.TOPIC:
            session.activity -= _activities(item, filters)
            return
        feed = TOPICS[str(item["topic"])]
        session.subscribed -= {(feed, asset) for asset in self._wanted(feed, filters)}

    def _wanted(self, feed: str, filters: str) -> list[str]:
        symbol = _filter_symbol(filters)
        assets = self._oracle.assets
        return [asset for asset in assets if not filters or _symbol(feed, asset) == symbol]


def _activities(item: dict[str, object], filters: str) -> set[tuple[str, str]]:
    kinds = activity.TYPES if item["type"] == "*" else (str(item["type"]),)
    return {(kind, activity.wanted_slug(filters) or "") for kind in kinds}


def _filter_symbol(filters: str) -> str | None:
    """The symbol of `{"symbol":"btc/usd"}`; "" without a filter or for an array, which gives
    nothing; None for what is refused, as a comma list.
    """
    if not filters:
        return ""
    try:
        value = orjson.loads(filters)
    except orjson.JSONDecodeError:
        return None
    symbol = value.get("symbol") if isinstance(value, dict) else value
    if isinstance(symbol, list):
        return ""
    return symbol if isinstance(symbol, str) and "," not in symbol else None


def _symbol(feed: str, asset: str) -> str:
    return f"{asset}usdt" if feed == "binance" else f"{asset}/usd"


def _full_accuracy(tick: PriceTick) -> str:
    if tick.feed == "binance":
        return f"{tick.value:.8f}"
    return str(int(Decimal(exact(tick.value)) * 10**18))


def _point(feed: str, stamp_ms: int, tick: PriceTick) -> dict[str, object]:
    point: dict[str, object] = {"timestamp": stamp_ms, "value": tick.value}
    if feed in WINDOW_S:
        point = {"full_accuracy_value": _full_accuracy(tick), **point}
    return point


def _refusal(message: str) -> str:
    return orjson.dumps({"body": {"message": message}, "statusCode": 401}).decode()
