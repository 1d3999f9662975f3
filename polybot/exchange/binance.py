"""Binance spot market data: the streams and the two REST routes the hourly rule needs (feeds.md 7).

Streams: `trade`, `aggTrade`, `bookTicker`, `kline_1s`, `kline_1m`, `kline_1h`. A candle is sent
every two seconds (one for `1s`) and once more, with `x:true`, when the first print after its end
shows that it is complete. All of it is paced by the prints themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import orjson

from polybot.clock import Clock
from polybot.exchange.net import (
    Keepalive,
    Request,
    Response,
    Service,
    Socket,
    SocketClosed,
    json_response,
)
from polybot.exchange.oracle import Kline, Oracle, PriceTick

INTERVALS = {"1s": 1, "1m": 60, "1h": 3600}
STREAMS_MOST = 1024
ROWS_MOST = 1000
KEEPALIVE = Keepalive(every_s=20, misses=3, code=1008, reason="Pong timeout")

Message = dict[str, object]


@attrs.define(eq=False)
class _Session:
    socket: Socket
    combined: bool  # wrapped as {"stream": …, "data": …}
    streams: set[str] = attrs.field(factory=set)


@attrs.define(eq=False)
class _Candle:
    """What was last sent of one candle stream that somebody reads."""

    sent_ms: int = 0
    open_ms: int = 0


class BinanceService:
    """`service` is socket and REST on one port, as on data-stream and data-api.binance.vision."""

    def __init__(self, oracle: Oracle, clock: Clock) -> None:
        self._oracle = oracle
        self._clock = clock
        self._assets = {f"{asset}usdt": asset for asset in oracle.assets}
        self._readers: dict[str, set[_Session]] = {}  # by stream name; no empty sets
        self._candles: dict[str, _Candle] = {}
        oracle.listeners.append(self._on_tick)
        self.service = Service(self._answer, self._serve, keepalive=KEEPALIVE)

    # --- streams ---------------------------------------------------------------------------

    async def _serve(self, socket: Socket) -> None:
        path = socket.request.path
        combined = path.rstrip("/") == "/stream"
        session = _Session(socket, combined)
        names = socket.request.query.get("streams", "") if combined else path.removeprefix("/ws")
        try:
            for name in filter(None, names.split("/")):
                self._subscribe(session, name)
            while True:
                self._on_frame(session, await socket.receive())
        except SocketClosed:
            return
        finally:
            for name in list(session.streams):
                self._unsubscribe(session, name)

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
        self._readers.setdefault(name, set()).add(session)

    def _unsubscribe(self, session: _Session, name: str) -> None:
        session.streams.discard(name)
        readers = self._readers.get(name, set())
        readers.discard(session)
        if not readers:
            self._readers.pop(name, None)
            self._candles.pop(name, None)

    def _on_tick(self, tick: PriceTick) -> None:
        if tick.feed != "binance" or not self._readers:
            return
        symbol = f"{tick.asset}usdt"
        for kind, build in _PRINTS.items():
            self._publish(f"{symbol}@{kind}", build, tick)
        for interval, length_s in INTERVALS.items():
            name = f"{symbol}@kline_{interval}"
            if name in self._readers:
                self._publish_candle(name, tick, interval, length_s)

    def _publish(self, name: str, build: Callable[[PriceTick], Message], tick: PriceTick) -> None:
        if name in self._readers:
            self._send(name, build(tick))

    def _publish_candle(self, name: str, tick: PriceTick, interval: str, length_s: int) -> None:
        """The finished candle first, when this print opened a new one."""
        state = self._candles.setdefault(name, _Candle())
        now = self._oracle.candle(tick.asset, length_s, tick.stamp_ms)
        if state.open_ms and state.open_ms != now.open_ms:
            done = self._oracle.candle(tick.asset, length_s, state.open_ms)
            self._send(name, _kline_event(tick, interval, done))
        elif tick.at_ms - state.sent_ms < (1000 if length_s == 1 else 2000):
            return
        self._send(name, _kline_event(tick, interval, now))
        state.sent_ms, state.open_ms = tick.at_ms, now.open_ms

    def _send(self, name: str, message: Message) -> None:
        """Encoded once, however many read it."""
        plain = orjson.dumps(message).decode()
        wrapped = f'{{"stream":"{name}","data":{plain}}}'
        for session in self._readers[name]:
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
        rows = [row for row in rows if row.open_ms <= end_ms]
        return json_response([*map(_row, rows[:limit] if start_ms >= 0 else rows[-limit:])])


def _text(value: float) -> str:
    return f"{value:.8f}"


def _seller_aggressed(tick: PriceTick) -> bool:
    """Which side crossed the spread: invented, but the same in every stream."""
    return tick.trade_id * 2_654_435_761 % 2**32 < 2**31


def _trade(tick: PriceTick) -> Message:
    return {
        "e": "trade", "E": tick.at_ms, "s": f"{tick.asset.upper()}USDT", "t": tick.trade_id,
        "p": _text(tick.value), "q": _text(tick.quantity), "T": tick.stamp_ms,
        "m": _seller_aggressed(tick), "M": True,
    }  # fmt: skip


def _agg_trade(tick: PriceTick) -> Message:
    return {
        "e": "aggTrade", "E": tick.at_ms, "s": f"{tick.asset.upper()}USDT", "a": tick.trade_id,
        "p": _text(tick.value), "q": _text(tick.quantity), "f": tick.trade_id, "l": tick.trade_id,
        "T": tick.stamp_ms, "m": _seller_aggressed(tick), "M": True,
    }  # fmt: skip


def _book_ticker(tick: PriceTick) -> Message:
    """The print happened on one side; the other is a tick away."""
    step = 0.01 if tick.value >= 10 else 0.0001
    bid = tick.value if _seller_aggressed(tick) else tick.value - step
    return {
        "u": tick.trade_id, "s": f"{tick.asset.upper()}USDT", "b": _text(bid),
        "B": _text(tick.quantity * 3), "a": _text(bid + step), "A": _text(tick.quantity * 2),
    }  # fmt: skip


_PRINTS: dict[str, Callable[[PriceTick], Message]] = {
    "trade": _trade,
    "aggTrade": _agg_trade,
    "bookTicker": _book_ticker,
}


def _kline_event(tick: PriceTick, interval: str, candle: Kline) -> Message:
    symbol, quote = f"{tick.asset.upper()}USDT", candle.volume * candle.close
    return {
        "e": "kline", "E": tick.at_ms, "s": symbol,
        "k": {
            "t": candle.open_ms, "T": candle.close_ms, "s": symbol, "i": interval,
            "f": candle.first_trade_id, "L": candle.first_trade_id + candle.trades - 1,
            "o": _text(candle.open), "c": _text(candle.close), "h": _text(candle.high),
            "l": _text(candle.low), "v": _text(candle.volume), "n": candle.trades,
            "x": candle.closed, "q": _text(quote), "V": _text(candle.volume / 2),
            "Q": _text(quote / 2), "B": "0",
        },
    }  # fmt: skip


def _row(candle: Kline) -> list[object]:
    """Quote and taker volumes are invented in proportion: nothing here depends on them."""
    quote = candle.volume * candle.close
    return [
        candle.open_ms, _text(candle.open), _text(candle.high), _text(candle.low),
        _text(candle.close), _text(candle.volume), candle.close_ms, _text(quote), candle.trades,
        _text(candle.volume / 2), _text(quote / 2), "0",
    ]  # fmt: skip
