"""Binance spot market data: the streams and the two REST routes the hourly rule needs (feeds.md 7).

Streams: `trade`, `aggTrade`, `bookTicker`, `depth5`, `depth10`, `depth20`, `kline_1s`, `kline_1m`,
`kline_1h`. A candle is sent every two seconds (one for `1s`) and once more, with `x:true`, when the
first print after its end shows that it is complete. All of it is paced by the prints themselves.
A connection lives a day; its end is announced.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

import attrs
import orjson
import trio

from polybot.clock import Clock
from polybot.exchange.binance_messages import (
    DEPTHS,
    PRINTS,
    Message,
    depth,
    in_microseconds,
    kline_event,
    row,
)
from polybot.exchange.net import (
    Keepalive,
    Request,
    Response,
    Service,
    Socket,
    SocketClosed,
    json_response,
)
from polybot.exchange.oracle import Oracle, PriceTick
from polybot.exchange.terms import Terms

INTERVALS = {"1s": 1, "1m": 60, "1h": 3600}
STREAMS_MOST = 1024
ROWS_MOST = 1000
KEEPALIVE = Keepalive(every_s=20, misses=3, code=1008, reason="Pong timeout")
MESSAGES_PER_S = 5
CONNECTIONS_MS = 300_000  # the span in which an address's connections are counted
NOTICE_S = 10.0  # from `serverShutdown` to the end (INF: the documents only say "before")
DEPTH_MS = {"": 1000, "@1000ms": 1000, "@100ms": 100}


@attrs.define(eq=False)
class _Session:
    socket: Socket
    combined: bool  # wrapped as {"stream": …, "data": …}
    micro: bool  # times in microseconds
    streams: set[str] = attrs.field(factory=set)
    asked_ms: deque[int] = attrs.field(factory=deque)  # of the last second's messages


@attrs.define(eq=False)
class _Candle:
    """What was last sent of one candle stream that somebody reads."""

    sent_ms: int = 0
    open_ms: int = 0


class BinanceService:
    """`service` is socket and REST on one port, as on data-stream and data-api.binance.vision."""

    def __init__(self, oracle: Oracle, clock: Clock, terms: Terms = Terms()) -> None:
        self._oracle = oracle
        self._clock = clock
        self._assets = {f"{asset}usdt": asset for asset in oracle.assets}
        # By stream name, none empty. In the order of their coming: a set's order is that of
        # addresses in memory, by which one seed was not the same twice.
        self._readers: dict[str, dict[_Session, None]] = {}
        self._candles: dict[str, _Candle] = {}
        self._depths_ms: dict[str, int] = {}  # by stream name: when it was last sent
        self._terms = terms
        self._opened_ms: defaultdict[str, deque[int]] = defaultdict(deque)  # by address
        oracle.listeners.append(self._on_tick)
        self.service = Service(self._answer, self._serve, keepalive=KEEPALIVE, admit=self._admit)

    # --- streams ---------------------------------------------------------------------------

    async def _serve(self, socket: Socket) -> None:
        path = socket.request.path
        combined = path.rstrip("/") == "/stream"
        session = _Session(
            socket, combined, socket.request.query.get("timeUnit", "").upper() == "MICROSECOND"
        )
        names = socket.request.query.get("streams", "") if combined else path.removeprefix("/ws")
        try:
            wanted = list(filter(None, names.split("/")))
            if len(wanted) > STREAMS_MOST:
                await socket.close(1008, "too many streams")
                return
            for name in wanted:
                self._subscribe(session, name)
            await self._live(session)
        except SocketClosed:
            return
        finally:
            for name in list(session.streams):
                self._unsubscribe(session, name)

    def _admit(self, request: Request) -> Response | None:
        now_ms, opened = self._clock.now_ms(), self._opened_ms[request.peer]
        while opened and opened[0] <= now_ms - CONNECTIONS_MS:
            opened.popleft()
        if len(opened) >= self._terms.binance_connections_most:
            after_s = (opened[0] + CONNECTIONS_MS - now_ms) // 1000 + 1
            headers = (("retry-after", str(after_s)),)
            return json_response({"code": -1003, "msg": "Too many connections."}, 429, headers)
        opened.append(now_ms)
        return None

    async def _live(self, session: _Session) -> None:
        """A day of service, the notice, the end."""
        with trio.move_on_after(self._terms.binance_life_s - NOTICE_S):
            await self._converse(session)
        notice = {"e": "serverShutdown", "E": self._clock.now_ms()}
        session.socket.send(orjson.dumps(notice).decode())
        with trio.move_on_after(NOTICE_S):
            await self._converse(session)
        await session.socket.close(1001, "connection lifetime exceeded")

    async def _converse(self, session: _Session) -> None:
        while True:
            text = await session.socket.receive()
            now_ms, asked = self._clock.now_ms(), session.asked_ms
            asked.append(now_ms)
            while asked[0] <= now_ms - 1000:
                asked.popleft()
            if len(asked) > MESSAGES_PER_S:
                await session.socket.close(1008, "Too many requests")
                raise SocketClosed
            self._on_frame(session, text)

    def _on_frame(self, session: _Session, text: str) -> None:
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError:
            frame = None
        answer = self._command(session, frame if isinstance(frame, dict) else {})
        session.socket.send(orjson.dumps(answer).decode())

    def _command(self, session: _Session, frame: Message) -> Message:
        number, names = frame.get("id"), frame.get("params", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return {"code": 2, "msg": "Invalid request: params must be an array of strings"}
        match frame.get("method"):
            case "SUBSCRIBE":
                if len(session.streams.union(names)) > STREAMS_MOST:
                    return {"code": 2, "msg": "Invalid request: too many streams", "id": number}
                for name in names:
                    self._subscribe(session, name)
            case "UNSUBSCRIBE":
                for name in names:
                    self._unsubscribe(session, name)
            case "LIST_SUBSCRIPTIONS":
                return {"result": sorted(session.streams), "id": number}
            case _:
                return {"code": 2, "msg": "Invalid request: unknown method", "id": number}
        return {"result": None, "id": number}

    def _subscribe(self, session: _Session, name: str) -> None:
        """Unknown streams are accepted and stay silent, as on Binance."""
        session.streams.add(name)
        self._readers.setdefault(name, {})[session] = None

    def _unsubscribe(self, session: _Session, name: str) -> None:
        session.streams.discard(name)
        readers = self._readers.get(name, {})
        readers.pop(session, None)
        if not readers:
            self._readers.pop(name, None)
            self._candles.pop(name, None)
            self._depths_ms.pop(name, None)

    def _on_tick(self, tick: PriceTick) -> None:
        if tick.feed != "binance" or not self._readers:
            return
        symbol = f"{tick.asset}usdt"
        for kind, build in PRINTS.items():
            self._publish(f"{symbol}@{kind}", build, tick)
        for interval, length_s in INTERVALS.items():
            name = f"{symbol}@kline_{interval}"
            if name in self._readers:
                self._publish_candle(name, tick, interval, length_s)
        self._publish_depths(symbol, tick)

    def _publish_depths(self, symbol: str, tick: PriceTick) -> None:
        for levels in DEPTHS:
            for suffix, every_ms in DEPTH_MS.items():
                name = f"{symbol}@depth{levels}{suffix}"
                due_ms = self._depths_ms.get(name, 0) + every_ms
                if name in self._readers and tick.at_ms >= due_ms:
                    self._depths_ms[name] = tick.at_ms
                    self._send(name, depth(tick, levels))

    def _publish(self, name: str, build: Callable[[PriceTick], Message], tick: PriceTick) -> None:
        if name in self._readers:
            self._send(name, build(tick))

    def _publish_candle(self, name: str, tick: PriceTick, interval: str, length_s: int) -> None:
        """The finished candle first, when this print opened a new one."""
        state = self._candles.setdefault(name, _Candle())
        now = self._oracle.candle(tick.asset, length_s, tick.stamp_ms)
        if state.open_ms and state.open_ms != now.open_ms:
            done = self._oracle.candle(tick.asset, length_s, state.open_ms)
            self._send(name, kline_event(tick, interval, done))
        elif tick.at_ms - state.sent_ms < (1000 if length_s == 1 else 2000):
            return
        self._send(name, kline_event(tick, interval, now))
        state.sent_ms, state.open_ms = tick.at_ms, now.open_ms

    def _send(self, name: str, message: Message) -> None:
        """Encoded once, however many read it."""
        texts: dict[bool, str] = {}
        for session in self._readers[name]:
            if session.micro not in texts:
                shown = in_microseconds(message) if session.micro else message
                texts[session.micro] = orjson.dumps(shown).decode()
            plain = texts[session.micro]
            wrapped = f'{{"stream":"{name}","data":{plain}}}'
            session.socket.send(wrapped if session.combined else plain)

    # --- REST ------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> Response:
        match request.path:
            case "/api/v3/time":
                return json_response({"serverTime": self._clock.now_ms()})
            case "/api/v3/klines":
                return self._klines(request.query)
        return json_response({"code": -1, "msg": "unknown route"}, 404)

    def _klines(self, query: dict[str, str]) -> Response:
        asset = self._assets.get(query.get("symbol", "").lower())
        if asset is None or not query["symbol"].isupper():
            return json_response({"code": -1121, "msg": "Invalid symbol."}, 400)
        length_s = INTERVALS.get(query.get("interval", ""))
        if length_s is None:
            return json_response({"code": -1120, "msg": "Invalid interval."}, 400)
        try:
            start_ms, end_ms = int(query.get("startTime", -1)), int(query.get("endTime", 1 << 53))
            limit = min(int(query.get("limit", 500)), ROWS_MOST)
        except ValueError:
            return json_response({"code": -1100, "msg": "Illegal characters in parameter."}, 400)
        if limit < 1:
            return json_response({"code": -1100, "msg": "Illegal limit."}, 400)
        rows = self._oracle.candles(asset, length_s, max(start_ms, 0))
        rows = [candle for candle in rows if candle.open_ms <= end_ms]
        return json_response([*map(row, rows[:limit] if start_ms >= 0 else rows[-limit:])])
