"""PolyBolt, the live price socket: Chainlink spot, its 60 s average, tops of books (feeds.md 5).

Pyth and other averaging windows are accepted and stay silent, because this exchange has no such
feed. A reader that falls behind loses updates, which its next one tells as `dropped`; one that
reads nothing is closed with 4002.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable

import attrs
import orjson
import trio

from polybot.clock import Clock
from polybot.exchange.book_wire import BookText
from polybot.exchange.model import Event, LevelChanged, Market
from polybot.exchange.net import (
    Keepalive,
    Request,
    Response,
    Service,
    SlowConsumer,
    Socket,
    SocketClosed,
    json_response,
)
from polybot.exchange.oracle import HISTORY_MS, Oracle, PriceTick
from polybot.exchange.polybolt_items import (
    SPOT,
    TOP,
    TWAP,
    UNGATED,
    Item,
    read_item,
    snapshot,
    top_of_book,
    update,
)
from polybot.exchange.terms import Terms

CHANNEL_OF = {"chainlink": SPOT, "twap60": TWAP}
PAIRS_MOST = 64
SUBSCRIBES_PER_S = 20
AUTHS_MOST = 8
FRAME_BYTES = 65_536
BACKLOG_FRAMES = 256  # waiting for a reader: further updates are dropped and counted (INF)
KEEPALIVE = Keepalive(every_s=25, misses=2, code=4002, reason="missed pongs")
SLOW = SlowConsumer(code=4002, reason="slow consumer")

Check = Callable[[str, str, str], bool]
BookOf = Callable[[str], BookText | None]  # by token


@attrs.define(eq=False)
class _Session:
    socket: Socket
    authed: bool = False
    auths: int = 0
    items: set[Item] = attrs.field(factory=set)
    seq: dict[str, int] = attrs.field(factory=dict)
    dropped: dict[str, int] = attrs.field(factory=dict)
    subscribed_ms: deque[int] = attrs.field(factory=deque)
    authentication: trio.CancelScope = attrs.field(
        factory=trio.CancelScope
    )  # its deadline: its end

    def send(self, frame: dict[str, object]) -> None:
        self.socket.send(orjson.dumps(frame).decode())

    def send_data(self, channel: str, ts_ms: int, payload: str, *, snapshot: bool = False) -> None:
        """One data frame; the payload is already JSON, only the envelope is this session's own."""
        seq = self.seq[channel] = self.seq.get(channel, 0) + 1
        if self.socket.waiting > BACKLOG_FRAMES:
            self.dropped[channel] = self.dropped.get(channel, 0) + 1
            return
        mark = '"snapshot":true,' if snapshot else ""
        if dropped := self.dropped.pop(channel, 0):
            mark += f'"dropped":{dropped},'
        self.socket.send(
            f'{{"v":1,"channel":"{channel}","seq":{seq},"ts":{ts_ms},{mark}"payload":{payload}}}'
        )


class PolyboltService:
    """`service` is the socket. `check(api_key, secret, passphrase)` decides who may subscribe;
    `book_of` finds the book behind a token.
    """

    def __init__(
        self,
        oracle: Oracle,
        check: Check,
        clock: Clock,
        book_of: BookOf = lambda _: None,
        terms: Terms = Terms(),
    ) -> None:
        self._oracle = oracle
        self._check = check
        self._clock = clock
        self._symbols = {f"{asset}usd": asset for asset in oracle.assets}
        self._book_of = book_of
        self._terms = terms
        # (feed, symbol) → sessions, in the order of their coming.
        self._readers: dict[tuple[str, str], dict[_Session, None]] = {}
        self._tops: dict[str, tuple[int | None, int | None]] = {}  # by token, as last told
        self._sessions: dict[_Session, None] = {}
        self._peers: Counter[str] = Counter()
        self._drained_until = -math.inf  # on Trio's clock
        oracle.listeners.append(self._on_tick)
        self.service = Service(None, self._serve, keepalive=KEEPALIVE, slow=SLOW, admit=self._admit)

    def drain(self, seconds: float) -> None:
        """Close every session with 4003 and take none for so long, as before a restart."""
        self._drained_until = trio.current_time() + seconds
        for session in self._sessions:
            session.socket.end(4003, "server draining")

    def _admit(self, request: Request) -> Response | None:
        left_s = self._drained_until - trio.current_time()
        if left_s > 0:
            return _come_again(503, math.ceil(left_s))
        if self._peers[request.peer] >= self._terms.prices_connections_most:
            return _come_again(429, 1)
        return None

    async def _serve(self, socket: Socket) -> None:
        session, peer = _Session(socket), socket.request.peer
        self._sessions[session] = None
        self._peers[peer] += 1
        try:
            with session.authentication:
                await self._converse(session)
            if session.authentication.cancelled_caught:
                session.send({"op": "error", "code": "auth_expired"})
                await socket.close(4001, "authentication expired")
        except SocketClosed:
            return
        finally:
            self._peers[peer] -= 1
            del self._sessions[session]
            for item in session.items:
                self._stop_reading(session, item)

    async def _converse(self, session: _Session) -> None:
        while True:
            text = await session.socket.receive()
            if len(text.encode()) > FRAME_BYTES:
                await session.socket.close(4008, "policy violation")
                return
            self._on_frame(session, text)

    def _on_tick(self, tick: PriceTick) -> None:
        readers = self._readers.get((tick.feed, f"{tick.asset}usd"))
        if not readers:
            return
        payload = orjson.dumps(update(tick)).decode()
        for session in readers:
            session.send_data(CHANNEL_OF[tick.feed], tick.at_ms, payload)

    def on_event(self, event: Event) -> None:
        """The engine's listener, after the book behind `book_of` has heard."""
        if isinstance(event, LevelChanged):
            for token in event.market.tokens:
                if token in self._tops:
                    self._on_top(event.market, token, event.at_ms)

    def _on_top(self, market: Market, token: str, at_ms: int) -> None:
        book = self._book_of(token)
        assert book is not None, "whose levels change has a book"
        best = book.best(market.outcome_of(token))
        if best != self._tops[token]:
            self._tops[token] = best
            payload = orjson.dumps(top_of_book(book, token)).decode()
            for session in self._readers["top", token]:
                session.send_data(TOP, at_ms, payload)

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
            if self._terms.prices_auth_s:
                session.authentication.deadline = trio.current_time() + self._terms.prices_auth_s
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
            item = read_item(one, self._symbols, self._terms.prices_provider)
            code = item if isinstance(item, str) else None
            channel = one.get("channel") if isinstance(one, dict) else None
            if code is None and not session.authed and channel not in UNGATED:
                code = "auth_required"
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

    def _add(self, session: _Session, item: Item) -> None:
        """A repeated subscription is acknowledged only; a new one gets its two minutes."""
        if item in session.items:
            return
        session.items.add(item)
        now_ms = self._clock.now_ms()
        if item.feed is not None:
            self._readers.setdefault((item.feed, item.symbol), {})[session] = None
        payload = orjson.dumps(self._first(item, now_ms)).decode()
        session.send_data(item.channel, now_ms, payload, snapshot=True)

    def _first(self, item: Item, now_ms: int) -> dict[str, object]:
        if item.channel == TOP:
            book = self._book_of(item.symbol)
            if book is None:
                return {"asset_id": item.symbol, "data": []}
            self._tops[item.symbol] = book.best(book.market.outcome_of(item.symbol))
            return {"asset_id": item.symbol, "data": [top_of_book(book, item.symbol)]}
        ticks = []
        if item.feed is not None:
            asset = self._symbols[item.symbol]
            ticks = self._oracle.history(item.feed, asset, now_ms - HISTORY_MS)
        return snapshot(item, ticks)

    def _drop(self, session: _Session, item: Item) -> None:
        if item in session.items:
            session.items.discard(item)
            self._stop_reading(session, item)

    def _stop_reading(self, session: _Session, item: Item) -> None:
        if item.feed is None:
            return
        readers = self._readers[item.feed, item.symbol]
        readers.pop(session, None)
        if not readers:
            del self._readers[item.feed, item.symbol]
            self._tops.pop(item.symbol, None)


def _come_again(status: int, after_s: int) -> Response:
    return json_response({"error": "try again later"}, status, (("retry-after", str(after_s)),))
