"""Reference prices: PolyBolt, the legacy RTDS and Binance, to `PriceUpdate`s (feeds.md 5, 6, 7).
Total.

Prices here are floats, observations for models. What must not get through is NaN, an infinity or
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import attrs
import orjson

from polybot.domain.prices import Feed, PriceUpdate
from polybot.venue import fields
from polybot.venue.fields import Json
from polybot.venue.secret import Credentials

_E18 = 10.0**18
_TWAP_S = 60
_OWN_STAMP = ("T", "E")  # a Binance trade's own time, else the event's


@attrs.frozen
class PriceBatch:
    """What one frame told. `lost`: updates are missing before it, or in it, of the channel that
    carries `feed`, whosever they were; `answer`: frames to send back.
    """

    updates: tuple[PriceUpdate, ...] = ()
    lost: int = 0
    feed: Feed | None = None
    bad: str | None = None
    notice: str | None = None  # an error or ack of the venue's, for the log
    answer: tuple[str, ...] = ()


_NOTHING = PriceBatch()


def positive(value: object) -> float:
    """A price as a float. Raises ValueError unless it is finite and above zero."""
    text = fields.number_text(value)
    price = float(text)
    if not (math.isfinite(price) and price > 0):
        raise ValueError(f"expected a price, was {text[:40]!r}")
    return price


def _object(frame: str) -> Json | None:
    """The frame's object; None for frames that are no JSON, such as the empty answer to a PING."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return None
    return fields.as_object(value)


# --- PolyBolt --------------------------------------------------------------------------------

_CHANNELS = {"price.crypto": Feed.CHAINLINK, "price.crypto.twap": Feed.TWAP60}
POLYBOLT_PING = orjson.dumps({"op": "ping", "rid": "ping"}).decode()


@attrs.define(eq=False)
class PolyBolt:
    """One PolyBolt connection's dialogue: authenticate, then subscribe, then count `seq` per
    channel.

    Give `greet` and `decode` to `run_socket`: every greeting starts afresh. `symbols` as rules name
    them.
    """

    credentials: Credentials
    symbols: Sequence[str]  # "btcusd"
    _seq: dict[str, int] = attrs.field(factory=dict, init=False)

    def greet(self) -> tuple[str, ...]:
        self._seq.clear()
        auth = {
            "apiKey": self.credentials.api_key,
            "secret": self.credentials.secret.reveal(),
            "passphrase": self.credentials.passphrase.reveal(),
        }
        return (orjson.dumps({"op": "auth", "rid": "auth", "auth": auth}).decode(),)

    def decode(self, frame: str) -> PriceBatch:
        """One frame. Never raises. The answer to `authed` is the subscription."""
        try:
            row = _object(frame)
            if row is None:
                return PriceBatch(bad="not JSON")
            return self._control(row) if "op" in row else self._data(row)
        except ValueError as error:
            return PriceBatch(bad=str(error))

    def _control(self, row: Json) -> PriceBatch:
        op = row.get("op")
        if op == "authed":
            return PriceBatch(notice="authed", answer=(self._subscription(),))
        if op == "error":
            code, channel = row.get("code"), row.get("channel")
            return PriceBatch(notice=f"error {fields.shown(code)} on {fields.shown(channel)}")
        return _NOTHING if op == "pong" else PriceBatch(notice=fields.shown(op))

    def _subscription(self) -> str:
        items: list[dict[str, object]] = []
        for symbol in self.symbols:
            twap = {"symbol": symbol, "window_seconds": _TWAP_S}
            items.append({"channel": "price.crypto.twap", "filter": twap})
            # The default provider is not documented reliably: always named (feeds.md 5.2).
            spot = {"symbol": symbol, "provider": "chainlink"}
            items.append({"channel": "price.crypto", "filter": spot})
        return orjson.dumps({"op": "subscribe", "rid": "prices", "subscriptions": items}).decode()

    def _data(self, row: Json) -> PriceBatch:
        channel = fields.text(row, "channel")
        lost = self._lost(channel, row)
        feed = _CHANNELS.get(channel)
        try:
            payload = fields.as_object(row.get("payload"))
            if feed is None or payload.get("source") != "chainlink":
                notice = f"unasked {channel[:40]} {fields.shown(payload.get('source'))}"
                return PriceBatch(lost=lost, feed=feed, notice=notice)
            if feed is Feed.TWAP60 and payload.get("window_seconds") != _TWAP_S:
                notice = f"unasked window {fields.shown(payload.get('window_seconds'))}"
                return PriceBatch(lost=lost, feed=feed, notice=notice)
            snapshot = row.get("snapshot") is True
            points = _points(payload) if snapshot else [payload]
            symbol = fields.text(payload, "symbol")
            updates = tuple(_point(feed, symbol, point, snapshot=snapshot) for point in points)
        except ValueError as error:
            return PriceBatch(lost=lost + 1, feed=feed, bad=str(error))
        return PriceBatch(updates, lost, feed)

    def _lost(self, channel: str, row: Json) -> int:
        """How many updates of a channel went missing before this one (feeds.md 5.1)."""
        dropped = row.get("dropped")
        lost = dropped if isinstance(dropped, int) and dropped > 0 else 0
        seq = row.get("seq")
        if isinstance(seq, int):
            before = self._seq.get(channel)
            self._seq[channel] = seq
            if before is not None and seq != before + 1:
                lost = max(lost, seq - before - 1, 1)
        return lost


def _points(payload: Json) -> list[Json]:
    return [fields.as_object(point) for point in fields.as_list(payload.get("data"))]


def _point(feed: Feed, symbol: str, point: Json, *, snapshot: bool) -> PriceUpdate:
    exact = point.get("full_accuracy_value")
    value = positive(point.get("value") if exact is None else exact)
    # The last price over again, under a new stamp: no sign that the oracle lives (feeds.md 5.1).
    old = snapshot or point.get("is_carried_forward") is True
    return PriceUpdate(feed, symbol, value, fields.stamp_ms(point.get("timestamp")), old)


# --- RTDS (legacy) ---------------------------------------------------------------------------

_TOPICS = {
    "crypto_prices": Feed.BINANCE,
    "crypto_prices_chainlink": Feed.CHAINLINK,
    "crypto_prices_twap_sixty": Feed.TWAP60,
}


def rtds_greeting() -> str:
    """Subscribe to all symbols of our topics without filters, the only safe form (feeds.md 6)."""
    items = [{"topic": topic, "type": "update"} for topic in _TOPICS]
    return orjson.dumps({"action": "subscribe", "subscriptions": items}).decode()


def decode_rtds(frame: str) -> PriceBatch:
    """One RTDS frame. Never raises."""
    try:
        row = _object(frame)
        if row is None:
            return _NOTHING  # the empty answer to PING
        topic = row.get("topic")
        if not isinstance(topic, str):
            return PriceBatch(notice=fields.shown(row.get("body") or row, 200))
        if topic not in _TOPICS:
            return _NOTHING
        return PriceBatch(_rtds_updates(_TOPICS[topic], row))
    except ValueError as error:
        return PriceBatch(bad=str(error))


def _rtds_updates(feed: Feed, row: Json) -> tuple[PriceUpdate, ...]:
    payload = fields.as_object(row.get("payload"))
    wire_symbol = fields.text(payload, "symbol")
    if "/" in wire_symbol:
        # The oracle's snapshot arrives labelled crypto_prices; its symbol tells (feeds.md 6).
        feed = Feed.CHAINLINK if feed is Feed.BINANCE else feed
        symbol = wire_symbol.replace("/", "")
    else:
        symbol = wire_symbol.upper()
    snapshot = "data" in payload
    points = _points(payload) if snapshot else [payload]
    updates = []
    for point in points:
        exact = point.get("full_accuracy_value")
        scaled = exact is not None and feed is not Feed.BINANCE
        value = positive(point.get("value") if exact is None else exact) / (_E18 if scaled else 1)
        stamp = fields.stamp_ms(point.get("timestamp"))
        updates.append(PriceUpdate(feed, symbol, positive(value), stamp, snapshot))
    return tuple(updates)


# --- Binance ---------------------------------------------------------------------------------


def binance_url(base: str, symbols: Iterable[str], intervals: Iterable[str] = ("1h",)) -> str:
    """The combined stream of trades and candles for symbols such as "BTCUSDT"."""
    names = [symbol.lower() for symbol in symbols]
    streams = [f"{name}@trade" for name in names]
    streams += [f"{name}@kline_{interval}" for name in names for interval in intervals]
    return f"{base}/stream?streams={'/'.join(streams)}"


def decode_binance(frame: str, recv_ms: int) -> PriceBatch:
    """One frame of a raw or combined stream. Never raises.

    A candle tells its open; trades and tops tell the spot. `recv_ms` stamps a top of book, which
    carries no time of its own.
    """
    try:
        row = _object(frame)
        if row is None:
            return PriceBatch(bad="not JSON")
        data = fields.as_object(row["data"]) if "stream" in row and "data" in row else row
        return PriceBatch(_binance_updates(data, recv_ms))
    except ValueError as error:
        return PriceBatch(bad=str(error))


def _binance_updates(data: Json, recv_ms: int) -> tuple[PriceUpdate, ...]:
    event = data.get("e")
    if event in ("trade", "aggTrade"):
        stamp = fields.first_stamp_ms(data, *_OWN_STAMP)
        return (PriceUpdate(Feed.BINANCE, fields.text(data, "s"), positive(data.get("p")), stamp),)
    if event == "kline":
        candle = fields.as_object(data.get("k"))
        opened = positive(candle.get("o"))
        stamp = fields.stamp_ms(candle.get("t"))
        return (PriceUpdate(Feed.CANDLE_OPEN, fields.text(data, "s"), opened, stamp),)
    if event is None and "b" in data and "a" in data and "s" in data:
        middle = (positive(data.get("b")) + positive(data.get("a"))) / 2
        return (PriceUpdate(Feed.BINANCE, fields.text(data, "s"), middle, recv_ms),)
    return ()
