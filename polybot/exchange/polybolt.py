"""PolyBolt, the live price socket: Chainlink spot and its 60 s average (feeds.md 5).

Where the reference is unsure: without a provider a spot subscription gets Chainlink; Pyth and other
averaging windows are accepted and stay silent, because this exchange has no such feed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal

import attrs
import orjson

from polybot.clock import Clock
from polybot.exchange.net import Keepalive, Service, Socket, SocketClosed
from polybot.exchange.oracle import HISTORY_MS, Oracle, PriceTick

SPOT, TWAP = "price.crypto", "price.crypto.twap"
CHANNEL_OF = {"chainlink": SPOT, "twap60": TWAP}
FEED_OF = {channel: feed for feed, channel in CHANNEL_OF.items()}
PAIRS_MOST = 64
SUBSCRIBES_PER_S = 20
AUTHS_MOST = 8
FRAME_CHARS = 65_536
KEEPALIVE = Keepalive(every_s=25, misses=2, code=4002, reason="missed pongs")

Check = Callable[[str, str, str], bool]


@attrs.frozen
class _Item:
    """One subscription: channel and symbol; `feed` is None where no data will ever come."""

    channel: str
    symbol: str
    feed: str | None
    detail: str  # provider or window: what makes two items different


@attrs.define(eq=False)
class _Session:
    socket: Socket
    authed: bool = False
    auths: int = 0
    items: set[_Item] = attrs.field(factory=set)
    seq: dict[str, int] = attrs.field(factory=dict)
    subscribed_ms: deque[int] = attrs.field(factory=deque)

    def send(self, frame: dict[str, object]) -> None:
        self.socket.send(orjson.dumps(frame).decode())

    def send_data(self, channel: str, ts_ms: int, payload: str, *, snapshot: bool = False) -> None:
        """One data frame; the payload is already JSON, only the envelope is this session's own."""
        seq = self.seq[channel] = self.seq.get(channel, 0) + 1
        mark = '"snapshot":true,' if snapshot else ""
        self.socket.send(
            f'{{"v":1,"channel":"{channel}","seq":{seq},"ts":{ts_ms},{mark}"payload":{payload}}}'
        )


class PolyboltService:
    """`service` is the socket. `check(api_key, secret, passphrase)` decides who may subscribe."""

    def __init__(self, oracle: Oracle, check: Check, clock: Clock) -> None:
        self._oracle = oracle
        self._check = check
        self._clock = clock
        self._symbols = {f"{asset}usd": asset for asset in oracle.assets}
        self._readers: dict[tuple[str, str], set[_Session]] = {}  # (feed, asset) → sessions
        oracle.listeners.append(self._on_tick)
        self.service = Service(None, self._serve, keepalive=KEEPALIVE)

    async def _serve(self, socket: Socket) -> None:
        session = _Session(socket)
        try:
            while True:
                text = await socket.receive()
                if len(text) > FRAME_CHARS:
                    await socket.close(4008, "policy violation")
                    return
                self._on_frame(session, text)
        except SocketClosed:
            return
        finally:
            for readers in self._readers.values():
                readers.discard(session)

    def _on_tick(self, tick: PriceTick) -> None:
        readers = self._readers.get((tick.feed, tick.asset))
        if not readers:
            return
        payload = orjson.dumps(_update(tick)).decode()
        for session in readers:
            session.send_data(CHANNEL_OF[tick.feed], tick.at_ms, payload)

    def _on_frame(self, session: _Session, text: str) -> None:
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError:
            frame = None
        if not isinstance(frame, dict):
            session.send({"op": "error", "code": "bad_op"})
            return
        echo = {"rid": frame["rid"]} if isinstance(frame.get("rid"), str) else {}
        match frame.get("op"):
            case "auth":
                self._authenticate(session, frame.get("auth"), echo)
            case "subscribe" | "unsubscribe" as op:
                self._change(session, op, frame, echo)
            case "ping":
                session.send({"op": "pong", **echo})
            case _:
                session.send({"op": "error", **echo, "code": "bad_op"})

    def _authenticate(self, session: _Session, given: object, echo: dict[str, str]) -> None:
        session.auths += 1
        keys = given if isinstance(given, dict) else {}
        parts = [keys.get(name) for name in ("apiKey", "secret", "passphrase")]
        if session.auths > AUTHS_MOST:
            session.send({"op": "error", **echo, "code": "auth_attempts"})
        elif self._check(*(part if isinstance(part, str) else "" for part in parts)):
            session.authed = True
            session.send({"op": "authed", **echo})
        else:
            session.send({"op": "error", **echo, "code": "auth_invalid"})

    def _change(
        self, session: _Session, op: str, frame: dict[str, object], echo: dict[str, str]
    ) -> None:
        """Subscribe or unsubscribe item by item, one answer each, in the order of the request."""
        if op == "subscribe" and self._too_many(session):
            session.send({"op": "error", **echo, "code": "rate_limited"})
            return
        wanted = frame.get("subscriptions")
        for one in wanted if isinstance(wanted, list) else [frame]:
            item = self._item(one)
            code = item if isinstance(item, str) else None
            if code is None and not session.authed:
                code = "auth_required"
            channel = one.get("channel") if isinstance(one, dict) else None
            if code is not None or isinstance(item, str):
                session.send({"op": "error", **echo, "channel": channel, "code": code})
            elif op == "unsubscribe":
                self._drop(session, item)
                session.send({"op": "unsubscribed", "channel": channel, **echo})
            elif item not in session.items and len(session.items) >= PAIRS_MOST:
                session.send({"op": "error", **echo, "channel": channel, "code": "sub_limit"})
            else:
                session.send({"op": "subscribed", "channel": channel, **echo})
                self._add(session, item)

    def _too_many(self, session: _Session) -> bool:
        now_ms, recent = self._clock.now_ms(), session.subscribed_ms
        recent.append(now_ms)
        while recent[0] <= now_ms - 1000:
            recent.popleft()
        return len(recent) > SUBSCRIBES_PER_S

    def _item(self, one: object) -> _Item | str:
        """A subscription item, or the error code for it."""
        channel = one.get("channel") if isinstance(one, dict) else None
        if not isinstance(one, dict) or not isinstance(channel, str) or channel not in FEED_OF:
            return "bad_channel"
        wanted = one.get("filter")
        symbol = wanted.get("symbol") if isinstance(wanted, dict) else None
        if not isinstance(wanted, dict) or not isinstance(symbol, str):
            return "bad_filter"
        if channel == TWAP:
            window = wanted.get("window_seconds", 60)
            known, served = type(window) is int and window > 0, window == 60
            detail = str(window)
        else:
            provider = wanted.get("provider", "chainlink")
            known, served = provider in ("chainlink", "pyth"), provider == "chainlink"
            detail = str(provider)
        if not known or symbol not in self._symbols:
            return "bad_filter"
        return _Item(channel, symbol, FEED_OF[channel] if served else None, detail)

    def _add(self, session: _Session, item: _Item) -> None:
        """A repeated subscription is acknowledged only; a new one gets its two minutes."""
        if item in session.items:
            return
        session.items.add(item)
        now_ms, asset = self._clock.now_ms(), self._symbols[item.symbol]
        ticks = []
        if item.feed is not None:
            self._readers.setdefault((item.feed, asset), set()).add(session)
            ticks = self._oracle.history(item.feed, asset, now_ms - HISTORY_MS)
        payload = orjson.dumps(_snapshot(item, ticks)).decode()
        session.send_data(item.channel, now_ms, payload, snapshot=True)

    def _drop(self, session: _Session, item: _Item) -> None:
        session.items.discard(item)
        if item.feed is not None:
            readers = self._readers.get((item.feed, self._symbols[item.symbol]), set())
            readers.discard(session)


def exact(value: float) -> str:
    """The shortest plain decimal that reads back as the same float."""
    return f"{Decimal(repr(value)):f}"


def _update(tick: PriceTick) -> dict[str, object]:
    payload: dict[str, object] = {
        "symbol": f"{tick.asset}usd",
        "value": tick.value,
        "full_accuracy_value": exact(tick.value),
        "timestamp": tick.stamp_ms,
    }
    if tick.feed == "twap60":
        payload["window_seconds"] = 60
    else:
        payload["received_at"] = tick.at_ms
    payload["source"] = "chainlink"
    return payload


def _snapshot(item: _Item, ticks: list[PriceTick]) -> dict[str, object]:
    source = item.detail if item.channel == SPOT else "chainlink"
    payload: dict[str, object] = {"symbol": item.symbol, "source": source}
    if item.channel == TWAP:
        payload["window_seconds"] = int(item.detail)
    payload["data"] = [
        {"timestamp": t.stamp_ms, "value": t.value, "full_accuracy_value": exact(t.value)}
        for t in ticks
    ]
    return payload
