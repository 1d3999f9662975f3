"""Every fault of the streams strikes on the wire, and nothing changes where it is off."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import orjson
import pytest
import trio
from fault_kit import jumping, planned
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection
from websocket_client import open_client

from polybot.clock import Clock
from polybot.exchange.faults import stream_lies
from polybot.exchange.faults.frames import BEFORE, GARBAGE, framed, is_data, text_of
from polybot.exchange.faults.kinds import STREAMS, When
from polybot.exchange.faults.kinds_stream import KINDS
from polybot.exchange.faults.state import Faults
from polybot.exchange.faults.stream_link import StreamLink
from polybot.exchange.net import Service, serve
from polybot.exchange.websocket import Socket, frame

T0 = 1_795_132_800_000


@pytest.fixture
def patient_jumps() -> MockClock:
    return jumping()


UP, DOWN = "11112", "22223"


def entry(token: str, price: str, side: str) -> dict[str, str]:
    return {"asset_id": token, "price": price, "size": "10", "side": side, "hash": "h"}


DELTA = {
    "market": "0xab",
    "price_changes": [entry(UP, "0.4", "BUY"), entry(DOWN, "0.6", "SELL")],
    "timestamp": "1795132800123",
    "event_type": "price_change",
}
BOOKS = [
    {"asset_id": token, "bids": [{"price": "0.4", "size": "5"}],
     "asks": [{"price": "0.6", "size": "5"}], "event_type": "book"}
    for token in (UP, DOWN)
]  # fmt: skip
TRADE = {
    "event_type": "trade", "id": "t", "size": "10", "status": "MATCHED", "price": "0.4",
    "timestamp": "1795132800123", "maker_orders": [{"order_id": "0x1", "matched_amount": "10"}],
}  # fmt: skip
CANCELLATION = {
    "event_type": "order", "type": "CANCELLATION", "status": "CANCELED", "size_matched": "4",
    "original_size": "10", "timestamp": "1795132800123",
}  # fmt: skip
TWAP = {
    "v": 1, "channel": "price.crypto.twap", "seq": 7, "ts": 1795132800123,
    "payload": {"symbol": "btcusd", "value": 90000.5, "full_accuracy_value": "90000.5"},
}  # fmt: skip
RTDS = {
    "payload": {"symbol": "btc/usd", "value": 90000.5,
                "full_accuracy_value": "90000500000000000000000"},
    "topic": "crypto_prices_chainlink", "type": "update",
}  # fmt: skip
PRINT = {"stream": "btcusdt@trade", "data": {"e": "trade", "s": "BTCUSDT", "p": "90000.50", "t": 1}}


@attrs.define(eq=False)
class Stage:
    """A stream whose service says what the test says, and a client of it."""

    faults: Faults
    clock: Clock
    client: WebSocketConnection
    port: int
    sockets: list[Socket]

    def say(self, *messages: object) -> None:
        for message in messages:
            text = message if isinstance(message, str) else json.dumps(message)
            self.sockets[-1].send(text)

    async def hears(self, *messages: object) -> list[Any]:
        """What the client gets for these, up to a mark that no fault touches."""
        self.say(*messages)
        return await self.until_mark()

    async def until_mark(self) -> list[Any]:
        self.sockets[-1].put(frame("MARK"))
        heard: list[Any] = []
        with trio.fail_after(60):
            while (got := await self.client.get_message()) != "MARK":
                heard.append(_decoded(got))
        return heard

    async def later(self, seconds: float) -> None:
        await trio.sleep(seconds)
        self.faults.advance(self.clock.now_ms())


def _decoded(got: str | bytes) -> Any:
    """As the bot's reader, which goes no deeper than 1,024; Python's own does since 3.12."""
    try:
        return orjson.loads(got)
    except orjson.JSONDecodeError:
        return got


@asynccontextmanager
async def stage_of(name: str, *rows: dict[str, Any]) -> AsyncIterator[Stage]:
    clock = Clock.starting_at(T0)
    faults = Faults(1, T0, planned(*({"at": name} | row for row in rows)))
    sockets: list[Socket] = []
    there = trio.Event()

    async def session(socket: Socket) -> None:
        sockets.append(socket)
        there.set()
        while True:
            if await socket.receive() == "PING":
                socket.send("PONG")

    errors: list[Exception] = []
    link = StreamLink(name, faults, clock)
    service = link.faulty(Service(None, session, errors.append))
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(serve, service, 0)
        async with open_client(port) as client:
            await client.send_message("hello")
            await there.wait()
            yield Stage(faults, clock, client, port, sockets)
        nursery.cancel_scope.cancel()
    assert errors == []


# --- one message in, other messages out ---------------------------------------------------------


def one(check: Callable[[Any], bool]) -> Callable[[list[Any]], bool]:
    """Exactly one message comes, and it is so."""
    return lambda heard: len(heard) == 1 and check(heard[0])


def before(check: Callable[[Any], bool]) -> Callable[[list[Any]], bool]:
    """Something like this comes before the message itself, which is whole."""
    return lambda heard: len(heard) == 2 and check(heard[0]) and isinstance(heard[1], dict)


def numbers(message: dict[str, Any]) -> list[str]:
    return [e[key] for e in message["price_changes"] for key in ("price", "size")]


STRUCK: list[tuple[str, str, dict[str, Any], Any, Callable[[list[Any]], bool]]] = [
    ("stall", "market_ws", {}, DELTA, lambda heard: heard == []),
    ("frame_lost", "user_ws", {}, TRADE, lambda heard: heard == []),
    ("snapshots_gone", "market_ws", {}, BOOKS, lambda heard: heard == []),
    ("gap_at_open", "prices_ws", {"before_s": 300}, TWAP, lambda heard: heard == []),
    ("frame_twice", "user_ws", {"copies": 2}, TRADE, lambda heard: heard == [TRADE] * 3),
    ("frame_truncated", "market_ws", {}, DELTA, one(lambda m: m[:1] == "{" and m[-1:] != "}")),
    ("frame_garbage", "binance_ws", {}, PRINT, before(lambda m: m in [*map(_decoded, GARBAGE)])),
    ("frame_unknown", "market_ws", {}, DELTA, before(lambda m: m["event_type"] == "moon")),
    ("frame_binary", "market_ws", {}, DELTA, before(lambda m: isinstance(m, bytes))),
    ("frame_huge", "market_ws", {"kib": 900}, DELTA, before(lambda m: len(m["pad"]) == 900 << 10)),
    ("frame_deep", "market_ws", {"depth": 5000}, DELTA,
     before(lambda m: "[[[[" in m or '{"a":{"a":' in m)),
    ("keys_twice", "market_ws", {}, DELTA, one(lambda m: "nonsense" in m.values())),
    ("numbers_wild", "market_ws", {}, DELTA,
     one(lambda m: any(n in stream_lies.WILD for n in numbers(m)))),
    ("snapshot_missing", "market_ws", {}, BOOKS, one(lambda m: m in ([BOOKS[0]], [BOOKS[1]]))),
    ("nothing_new", "market_ws", {}, DELTA, before(lambda m: m == "NO NEW ASSETS")),
    ("levels_crossed", "market_ws", {}, DELTA,
     one(lambda m: {"0.99", "0.01"} & {e["price"] for e in m["price_changes"]} != set())),
    ("levels_crossed", "market_ws", {}, BOOKS, one(lambda m: m[0]["bids"][-1]["price"] == "0.99")),
    ("levels_wrong", "market_ws", {}, DELTA,
     one(lambda m: {"-5", "0.123456", "1.01"} & set(numbers(m)) != set())),
    ("token_wrong", "market_ws", {}, DELTA,
     one(lambda m: [e["asset_id"] for e in m["price_changes"]] == ["11113", "22224"])),
    ("tokens_exchanged", "market_ws", {}, DELTA,
     one(lambda m: [e["asset_id"] for e in m["price_changes"]] == [DOWN, UP])),
    ("token_silent", "market_ws", {}, DELTA,
     one(lambda m: [e["asset_id"] for e in m["price_changes"]] in ([UP], [DOWN]))),
    ("token_silent", "market_ws", {}, BOOKS, one(lambda m: m in ([BOOKS[0]], [BOOKS[1]]))),
    ("numbers_empty", "user_ws", {}, TRADE,
     one(lambda m: "" in (m["size"], m["price"], m["maker_orders"][0]["matched_amount"]))),
    ("stamps_in_seconds", "user_ws", {}, TRADE, one(lambda m: m["timestamp"] == "1795132800")),
    ("status_free_text", "user_ws", {}, TRADE,
     one(lambda m: m["status"] in stream_lies.FREE_TEXT)),
    ("fill_off", "user_ws", {"micro": -10_000}, TRADE,
     one(lambda m: m["size"] == m["maker_orders"][0]["matched_amount"] == "9.99")),
    ("cancelled_tells_matched", "user_ws", {}, CANCELLATION,
     one(lambda m: m["status"] == "MATCHED")),
    ("value_off", "prices_ws", {"shift_bp": 10}, TWAP,
     one(lambda m: m["payload"]["value"] == pytest.approx(90090.5005)
         and m["payload"]["full_accuracy_value"] == "90090.5")),
    ("value_off", "rtds_ws", {"shift_bp": 10}, RTDS,
     one(lambda m: m["payload"]["full_accuracy_value"] == "90090500500000000000000")),
    ("value_off", "binance_ws", {"shift_bp": -10}, PRINT,
     one(lambda m: m["data"] == PRINT["data"] | {"p": "89910.50"})),  # type: ignore[operator]
    ("dropped_told", "prices_ws", {"count": 3}, TWAP, one(lambda m: m["dropped"] == 3)),
]  # fmt: skip
OTHERS = {  # tried below, in tests of their own
    "half_open", "close", "drop", "refuse", "burst", "frame_overtaken", "frames_late",
    "frame_bad_utf8", "snapshot_old", "value_frozen",
    "events_again",  # test_exchange_events_again.py
}  # fmt: skip


@pytest.mark.conforms(
    "feeds-12.2-stall-with-pong",
    "feeds-12.2-missing-snapshot",
    "feeds-12.2-dropped-delta",
    "feeds-12.2-duplicate-frame",
    "feeds-12.2-non-json",
    "feeds-12.2-unknown-event",
    "feeds-12.3-empty-numbers",
    "feeds-12.3-mixed-times",
)
@pytest.mark.parametrize(
    ("fault", "name", "params", "said", "right"),
    STRUCK,
    ids=[f"{r[0]}-{n}" for n, r in enumerate(STRUCK)],
)
async def test_a_frame_meets_a_fault(
    fault: str, name: str, params: Any, said: Any, right: Any, patient_jumps: MockClock
) -> None:
    """The frame is struck, once; answers to pings are not; off, it is what it was (F01–F62)."""
    async with stage_of(name, {"fault": fault} | params) as stage:
        heard = await stage.hears(said)
        assert right(heard), heard
        assert stage.faults.struck == {fault: 1}
        assert await stage.hears("PONG", "") == ["PONG", ""]

        stage.faults.clear()
        assert await stage.hears(said) == [said]
        assert stage.faults.struck == {fault: 1}


def test_every_fault_of_the_streams_is_tried() -> None:
    """A kind that is added is tried here, or has a test of its own."""
    assert {row[0] for row in STRUCK} | OTHERS == {kind.name for kind in KINDS}
    assert set(BEFORE) | set(stream_lies.LIES) <= {row[0] for row in STRUCK} | OTHERS


@pytest.mark.parametrize("name", STREAMS)
async def test_without_entries_there_is_no_tap(name: str, patient_jumps: MockClock) -> None:
    """A stream that no entry names costs nothing: its sockets have nobody in between."""
    other = next(stream for stream in STREAMS if stream != name)
    async with stage_of(name, {"fault": "stall", "at": other}) as stage:
        assert stage.sockets[0].tap is None
        stage.faults.start(planned({"fault": "stall", "at": name}), T0)
        assert stage.sockets[0].tap is not None
        stage.faults.clear()
        assert stage.sockets[0].tap is None


async def test_only_frames_that_match_are_struck(patient_jumps: MockClock) -> None:
    """An entry may name what it is after."""
    async with stage_of("market_ws", {"fault": "frame_lost", "match": "price_change"}) as stage:
        assert await stage.hears(DELTA, BOOKS, DELTA) == [BOOKS]


async def test_a_token_falls_silent(patient_jumps: MockClock) -> None:
    """The same one for as long as it lasts, in whatever is told, and nothing else; frames that are
    of it alone do not come.
    """
    row = {"fault": "token_silent", "for_s": 50}
    async with stage_of("market_ws", row) as stage:
        (delta,) = await stage.hears(DELTA)
        told = delta["price_changes"][0]["asset_id"]
        mute = DOWN if told == UP else UP
        best = {"event_type": "best_bid_ask", "market": DELTA["market"]}
        alone = [best | {"asset_id": token} for token in (mute, told)]
        books = [book | {"market": DELTA["market"]} for book in BOOKS]
        other = {"event_type": "new_market", "market": "0xcd"}

        assert await stage.hears(*alone, other) == [alone[1], other]
        assert await stage.hears(books) == [[book for book in books if book["asset_id"] == told]]
        await stage.later(51)
        assert await stage.hears(DELTA, *alone) == [DELTA, *alone]


# --- order and time -----------------------------------------------------------------------------


async def test_a_frame_is_overtaken(patient_jumps: MockClock) -> None:
    """It comes after so many later ones (F06, F14)."""
    rows = {"fault": "frame_overtaken", "by": 2, "times": 1}
    async with stage_of("user_ws", rows) as stage:
        wanted = [{"n": n} for n in (1, 2, 0, 3)]

        assert await stage.hears(*({"n": n} for n in range(4))) == wanted


async def test_what_is_held_is_let_go_at_the_end(patient_jumps: MockClock) -> None:
    """Off means off: nothing stays behind in the link."""
    async with stage_of("user_ws", {"fault": "frame_overtaken", "by": 50}) as stage:
        assert await stage.hears({"n": 1}) == []
        stage.faults.clear()
        assert await stage.until_mark() == [{"n": 1}]


@pytest.mark.conforms("feeds-12.2-delayed-frames")
async def test_frames_come_late_and_in_order(patient_jumps: MockClock) -> None:
    """A late frame holds up those after it (F15, F20)."""
    rows = {"fault": "frames_late", "delay_ms": 3_000, "times": 1}
    async with stage_of("user_ws", rows) as stage:
        assert await stage.hears({"n": 0}, {"n": 1}) == []
        await stage.later(4)
        assert await stage.until_mark() == [{"n": 0}, {"n": 1}]
        assert await stage.hears({"n": 2}) == [{"n": 2}]


@pytest.mark.conforms("feeds-12.2-late-snapshot")
async def test_an_old_snapshot_comes_again(patient_jumps: MockClock) -> None:
    """What the books were comes before what has changed since (F06)."""
    async with stage_of("market_ws", {"fault": "snapshot_old"}) as stage:
        assert await stage.hears(BOOKS, DELTA) == [BOOKS, DELTA]
        await stage.later(2)
        assert await stage.hears(DELTA) == [BOOKS, DELTA]


@pytest.mark.parametrize(
    ("name", "message", "at"),
    [
        ("prices_ws", TWAP, ("payload", "value")),
        ("rtds_ws", RTDS, ("payload", "value")),
        ("binance_ws", PRINT, ("data", "p")),
    ],
)
async def test_a_value_is_frozen(
    name: str, message: Any, at: tuple[str, str], patient_jumps: MockClock
) -> None:
    """The same price with whatever stamp, per symbol; another window freezes another (F59)."""
    outer, key = at

    def priced(price: float) -> Any:
        value: Any = str(price) if isinstance(message[outer][key], str) else price
        return message | {outer: message[outer] | {key: value}}

    row = {"fault": "value_frozen", "for_s": 50, "every_s": 100}
    async with stage_of(name, row) as stage:
        first, second = await stage.hears(priced(1.5), priced(2.5))
        assert first[outer][key] == second[outer][key]
        await stage.later(100)
        (third,) = await stage.hears(priced(3.5))
        assert third == priced(3.5)


# --- ends of connections ------------------------------------------------------------------------


async def closed_with(client: WebSocketConnection) -> int | None:
    with trio.fail_after(60), pytest.raises(ConnectionClosed):
        await forever(client)
    return client.closed.code if client.closed else None


async def forever(client: WebSocketConnection) -> None:
    while True:
        await client.get_message()


@pytest.mark.parametrize("code", [1000, 1001, 1012, 1013, 4001, 4002, 4003, 4008])
async def test_a_session_is_closed(code: int, patient_jumps: MockClock) -> None:
    """With the code that was asked for (F04, F62)."""
    async with stage_of("prices_ws", {"fault": "close", "from_s": 1, "code": code}) as stage:
        await stage.later(2)

        assert await closed_with(stage.client) == code


@pytest.mark.conforms("feeds-12.2-closed-1006")
async def test_a_session_is_dropped(patient_jumps: MockClock) -> None:
    """TCP ends, and the client sees 1006 (F29)."""
    async with stage_of("user_ws", {"fault": "drop", "from_s": 1}) as stage:
        await stage.later(2)

        assert await closed_with(stage.client) == 1006


async def test_a_frame_that_is_no_utf8(patient_jumps: MockClock) -> None:
    """A client has to fail the connection with 1007 (RFC 6455, 8.1; F10)."""
    async with stage_of("market_ws", {"fault": "frame_bad_utf8"}) as stage:
        stage.say(DELTA)

        assert await closed_with(stage.client) == 1007


async def test_new_sessions_are_refused(patient_jumps: MockClock) -> None:
    """A session ends as soon as it is there; those from before go on (F04)."""
    async with stage_of("user_ws", {"fault": "refuse", "from_s": 1, "for_s": 1000}) as stage:
        await stage.later(2)
        with trio.fail_after(60), pytest.raises((ConnectionClosed, HandshakeError)):
            async with open_client(stage.port) as other:
                await other.get_message()

        assert stage.faults.struck == {"refuse": 1}
        assert await stage.hears({"n": 1}) == [{"n": 1}]


async def test_a_half_open_session_is_deaf_and_mute(patient_jumps: MockClock) -> None:
    """Not even pings are answered, and TCP stays (F02)."""
    async with stage_of("market_ws", {"fault": "half_open", "from_s": 1}) as stage:
        await stage.later(2)
        stage.say(DELTA)
        await stage.client.send_message("PING")
        with trio.move_on_after(200) as waiting:
            await stage.client.ping()

        assert waiting.cancelled_caught
        assert stage.client.closed is None
        assert stage.faults.struck == {"half_open": 1}
        with trio.move_on_after(1):
            await stage.client._stream.aclose()


@pytest.mark.parametrize("frames", [3, 900])
async def test_a_burst(frames: int, patient_jumps: MockClock) -> None:
    """So many frames at once, none lost (F09)."""
    async with stage_of("binance_ws", {"fault": "burst", "from_s": 1, "frames": frames}) as stage:
        await stage.later(2)
        await stage.later(2)

        assert len(await stage.until_mark()) == frames


# --- frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_is_read_as_it_was_written(size: int) -> None:
    """All three length encodings, as the server's own framing has them (RFC 6455, 5.2)."""
    text = "x" * size

    assert framed(text.encode()) == frame(text)
    assert text_of(frame(text)) == text
    assert text_of(framed(b"\xff")) is None


@pytest.mark.parametrize("text", ["", "PONG", '{"op":"pong","rid":"1"}', None])
def test_a_sign_of_life_is_no_data(text: str | None) -> None:
    """Each stream's own answer to a ping passes a stall (F01)."""
    assert not is_data(text)


def test_kinds_of_streams_are_dealt_with_where_they_should() -> None:
    """Acts are registered, the others are looked up by the link."""
    acts = {kind.name for kind in KINDS if kind.when is When.ONCE}

    assert acts == {"half_open", "close", "drop", "burst"}
