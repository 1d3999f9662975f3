"""PolyBolt dialogues over real loopback sockets."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from polymarket._internal.streams.realtime.protocol import parse_price_event
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from polybot.clock import Clock
from polybot.exchange.net import serve
from polybot.exchange.oracle import Oracle
from polybot.exchange.polybolt import FRAME_BYTES, PolyboltService
from polybot.exchange.polybolt_items import exact
from polybot.exchange.synthetic import SyntheticSource

START = 1_795_197_730_500
AUTH = {"op": "auth", "rid": "a1", "auth": {"apiKey": "k", "secret": "s", "passphrase": "p"}}
TWAP = {"channel": "price.crypto.twap", "filter": {"symbol": "btcusd", "window_seconds": 60}}
SPOT = {"channel": "price.crypto", "filter": {"symbol": "btcusd", "provider": "chainlink"}}


def make_oracle() -> Oracle:
    source = SyntheticSource(1, START, {"btc": 90_000.0, "eth": 3_000.0})
    return Oracle(source, ["btc", "eth"], START, random.Random(2))


class Client:
    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket

    async def ask(self, *frames: dict[str, Any] | str) -> None:
        for frame in frames:
            await self.socket.send_message(frame if isinstance(frame, str) else json.dumps(frame))

    async def next(self) -> Any:
        with trio.fail_after(5):
            return json.loads(await self.socket.get_message())

    async def subscribe(self, *items: dict[str, Any]) -> list[Any]:
        """Authenticate, subscribe, and return everything up to the last item's snapshot."""
        await self.ask(AUTH, {"op": "subscribe", "rid": "s1", "subscriptions": list(items)})
        return [await self.next() for _ in range(1 + 2 * len(items))]


@asynccontextmanager
async def connected(oracle: Oracle, *, clients: int = 1) -> AsyncIterator[list[Client]]:
    def check(key: str, secret: str, passphrase: str) -> bool:
        return (key, secret, passphrase) == ("k", "s", "p")

    service = PolyboltService(oracle, check, Clock.starting_at(START)).service
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, service, 0)
        url = f"ws://127.0.0.1:{port}/ws"
        async with open_websocket_url(url) as one, open_websocket_url(url) as other:
            yield [Client(one), Client(other)][:clients]
        nursery.cancel_scope.cancel()


@pytest.mark.conforms("feeds-12.4-acks", "feeds-12.4-snapshot")
async def test_authenticated_subscriptions_are_acknowledged_in_order_with_snapshots() -> None:
    """One ack per item in request order, each followed by two minutes of history, seq from 1."""
    async with connected(make_oracle()) as (client,):
        authed, first, history, second, spot = await client.subscribe(TWAP, SPOT)
    assert authed == {"op": "authed", "rid": "a1"}
    assert first == {"op": "subscribed", "channel": "price.crypto.twap", "rid": "s1"}
    assert second == {"op": "subscribed", "channel": "price.crypto", "rid": "s1"}
    for frame, channel in ((history, "price.crypto.twap"), (spot, "price.crypto")):
        assert (frame["v"], frame["channel"], frame["seq"]) == (1, channel, 1)
        assert frame["snapshot"] is True
        stamps = [point["timestamp"] for point in frame["payload"]["data"]]
        assert len(stamps) >= 118
        assert stamps == sorted(stamps)
    assert history["payload"]["window_seconds"] == 60
    assert spot["payload"]["source"] == "chainlink"


@pytest.mark.conforms("feeds-12.4-seq", "feeds-12.4-accuracy")
async def test_updates_carry_exact_values_and_consecutive_numbers() -> None:
    """Each second one update per channel; seq goes on from the snapshot, per channel."""
    oracle = make_oracle()
    async with connected(oracle) as (client,):
        await client.subscribe(TWAP, SPOT)
        oracle.advance(START + 5000)
        frames = [await client.next() for _ in range(10)]
    for channel in ("price.crypto", "price.crypto.twap"):
        mine = [frame for frame in frames if frame["channel"] == channel]
        assert [frame["seq"] for frame in mine] == [2, 3, 4, 5, 6]
        assert all(frame["payload"]["symbol"] == "btcusd" for frame in mine)
    twap = next(f["payload"] for f in frames if f["channel"] == "price.crypto.twap")
    assert float(twap["full_accuracy_value"]) == oracle.twap("btc", twap["timestamp"])
    assert twap["timestamp"] % 1000 == 0
    assert (twap["window_seconds"], twap["source"]) == (60, "chainlink")


async def test_the_official_sdk_reads_every_data_frame() -> None:
    """Snapshots and updates of both channels parse with the SDK's own decoder."""
    oracle = make_oracle()
    async with connected(oracle) as (client,):
        frames = (await client.subscribe(TWAP, SPOT))[2::2]
        oracle.advance(START + 1500)
        frames += [await client.next() for _ in range(2)]
    kinds = [(event.topic, event.type) for event in map(parse_price_event, frames) if event]
    assert sorted(kinds) == [
        ("prices.crypto", "subscribe"),
        ("prices.crypto", "update"),
        ("prices.crypto.twap", "subscribe"),
        ("prices.crypto.twap", "update"),
    ]


@pytest.mark.conforms("feeds-12.4-ping")
async def test_nothing_is_given_without_authentication() -> None:
    """A subscription before `auth` is refused, and so are wrong credentials; both stay open."""
    oracle = make_oracle()
    async with connected(oracle) as (client,):
        await client.ask({"op": "subscribe", "rid": "s1", "subscriptions": [TWAP]})
        assert await client.next() == {
            "op": "error", "rid": "s1", "channel": "price.crypto.twap", "code": "auth_required",
        }  # fmt: skip
        wrong = {"op": "auth", "rid": "a2", "auth": {"apiKey": "k", "secret": "x"}}
        await client.ask(wrong)
        assert await client.next() == {"op": "error", "rid": "a2", "code": "auth_invalid"}
        oracle.advance(START + 3000)
        await client.ask({"op": "ping", "rid": "p1"})
        assert await client.next() == {"op": "pong", "rid": "p1"}


@pytest.mark.conforms("feeds-12.4-auth-attempts")
async def test_too_many_attempts_to_authenticate_are_told_so() -> None:
    """After eight `auth` frames even the right credentials are refused (feeds.md 5.3)."""
    async with connected(make_oracle()) as (client,):
        await client.ask(*[{"op": "auth", "auth": {}}] * 8, AUTH)
        answers = [await client.next() for _ in range(9)]
    assert [a["code"] for a in answers] == ["auth_invalid"] * 8 + ["auth_attempts"]


@pytest.mark.conforms("feeds-12.4-repeated", "feeds-12.4-single-form")
async def test_a_repeated_subscription_is_acknowledged_without_a_snapshot() -> None:
    """The second ack comes alone, and updates are not doubled."""
    oracle = make_oracle()
    async with connected(oracle) as (client,):
        await client.subscribe(TWAP)
        await client.ask({"op": "subscribe", "rid": "s2", **TWAP})
        assert (await client.next())["op"] == "subscribed"
        oracle.advance(START + 1900)
        assert [(await client.next())["seq"] for _ in range(2)] == [2, 3]
        await client.ask({"op": "ping"})
        assert await client.next() == {"op": "pong"}


@pytest.mark.conforms("feeds-12.4-unsubscribe")
async def test_unsubscribing_stops_one_stream_only() -> None:
    """After `unsubscribed` only the other channel goes on."""
    oracle = make_oracle()
    async with connected(oracle) as (client,):
        await client.subscribe(TWAP, SPOT)
        await client.ask({"op": "unsubscribe", "rid": "u1", **SPOT})
        assert await client.next() == {
            "op": "unsubscribed", "channel": "price.crypto", "rid": "u1",
        }  # fmt: skip
        oracle.advance(START + 3900)
        assert {(await client.next())["channel"] for _ in range(4)} == {"price.crypto.twap"}


@pytest.mark.conforms("feeds-12.4-windows", "feeds-12.4-snapshot")
async def test_feeds_this_exchange_does_not_have_stay_silent() -> None:
    """Pyth and other windows are accepted, their snapshot is empty, and nothing follows."""
    oracle = make_oracle()
    pyth = {"channel": "price.crypto", "filter": {"symbol": "btcusd", "provider": "pyth"}}
    thirty = {"channel": "price.crypto.twap", "filter": {"symbol": "ethusd", "window_seconds": 30}}
    async with connected(oracle) as (client,):
        frames = await client.subscribe(pyth, thirty)
        assert [frame["payload"]["data"] for frame in frames[2::2]] == [[], []]
        oracle.advance(START + 3000)
        await client.ask({"op": "ping"})
        assert await client.next() == {"op": "pong"}


async def test_each_reader_has_its_own_numbers() -> None:
    """Two sessions get the same payload under their own seq; a third symbol reaches nobody."""
    oracle = make_oracle()
    async with connected(oracle, clients=2) as (one, other):
        await one.subscribe(TWAP)
        oracle.advance(START + 900)
        await one.next()
        await other.subscribe(TWAP)
        oracle.advance(START + 1900)
        mine, theirs = await one.next(), await other.next()
    assert mine["payload"] == theirs["payload"]
    assert (mine["seq"], theirs["seq"]) == (3, 2)


@pytest.mark.conforms("feeds-12.4-errors", "feeds-12.4-symbols")
async def test_bad_requests_are_named_and_survived() -> None:
    """Each kind of bad frame gets its error code and the session goes on."""
    bad_symbol = {"channel": "price.crypto", "filter": {"symbol": "BTCUSD"}}
    bad_window = {
        "channel": "price.crypto.twap",
        "filter": {"symbol": "btcusd", "window_seconds": "x"},
    }
    cases: list[tuple[dict[str, Any] | str, str]] = [
        ("not json", "bad_op"),
        ("[1]", "bad_op"),
        ({"op": "dance"}, "bad_op"),
        ({"op": "subscribe", "channel": "price.gold"}, "bad_channel"),
        ({"op": "subscribe", "subscriptions": [7]}, "bad_channel"),
        ({"op": "subscribe", "subscriptions": [bad_symbol]}, "bad_filter"),
        ({"op": "subscribe", "subscriptions": [bad_window]}, "bad_filter"),
        ({"op": "subscribe", "channel": "price.crypto", "filter": []}, "bad_filter"),
        ({"op": "subscribe", "channel": "price.crypto", "filter": {"symbol": []}}, "bad_filter"),
        ({"op": "subscribe", "channel": [], "filter": {}}, "bad_channel"),
    ]
    async with connected(make_oracle()) as (client,):
        await client.ask(AUTH)
        await client.next()
        for frame, code in cases:
            await client.ask(frame)
            answer = await client.next()
            assert (answer["op"], answer["code"]) == ("error", code), frame


@pytest.mark.conforms("feeds-12.4-frame-rate")
async def test_more_than_twenty_subscribe_frames_a_second_are_limited() -> None:
    """The twenty-first frame within a second is refused (feeds.md 5.3)."""
    async with connected(make_oracle()) as (client,):
        await client.ask(*[{"op": "subscribe", **TWAP}] * 21)
        codes = [(await client.next())["code"] for _ in range(21)]
    assert codes == ["auth_required"] * 20 + ["rate_limited"]


@pytest.mark.conforms("feeds-12.4-frame-size")
async def test_a_giant_frame_ends_the_session() -> None:
    """A frame above 64 KB is a policy violation: close 4008."""
    async with connected(make_oracle()) as (client,):
        await client.ask("x" * (FRAME_BYTES + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 4008
        # trio-websocket leaves its stream open when the peer closes first and we leave at once.
        await client.socket._stream.aclose()


@pytest.mark.conforms("feeds-12.4-accuracy")
def test_exact_values_are_plain_decimals() -> None:
    """Never an exponent, and the float comes back the same."""
    assert exact(78803.9) == "78803.9"
    assert exact(1e-7) == "0.0000001"
