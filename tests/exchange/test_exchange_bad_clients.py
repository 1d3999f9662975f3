"""Clients that dawdle, flood, vanish or talk nonsense: they harm themselves and nobody else."""

from __future__ import annotations

import json
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.lowlevel
from clob_kit import DOWN_TOKEN, UP_TOKEN, ClobKit
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed
from websocket_client import open_client

from polybot.exchange.model import BUY
from polybot.exchange.net import serve
from polybot.exchange.websocket import SlowConsumer

CROWD = 2_000
FRAMES = SlowConsumer().frames
UPGRADE = (
    b"GET /ws/market HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SUBSCRIBE = json.dumps({"type": "market", "assets_ids": [UP_TOKEN, DOWN_TOKEN]})


def masked(text: str) -> bytes:
    """A client's text frame of up to 64 KiB, masked with zeros."""
    data = text.encode()
    head = b"\x81\xfe" + len(data).to_bytes(2, "big")
    return head + bytes(4) + data


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[ClobKit, int, int]]:
    """A CLOB on real sockets: the kit, its REST port and its market channel's."""
    kit = ClobKit()
    async with trio.open_nursery() as nursery:
        rest = await nursery.start(serve, kit.server.service_rest, 0)
        market = await nursery.start(serve, kit.server.service_market_ws, 0)
        yield kit, rest, market
        nursery.cancel_scope.cancel()
    assert kit.errors == []


async def raw_subscriber(port: int) -> trio.SocketStream:
    """A subscribed session that nobody will read."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(UPGRADE + masked(SUBSCRIBE))
    return stream


@pytest.mark.conforms("feeds-12.2-slow-alone", "feeds-12.2-slow-consumer")
async def test_a_reader_that_stops_reading_delays_nobody() -> None:
    """Beside it every frame arrives, in order; it alone is closed with 1013 (feeds.md 2.2)."""
    async with serving() as (kit, _, port):
        stuck = await raw_subscriber(port)
        async with open_client(port, "/ws/market") as good:
            await good.send_message(SUBSCRIBE)
            await good.get_message()
            for number in range(2 * FRAMES):
                kit.crowd(BUY, UP_TOKEN, 100 * (1 + number % 50), 10)
                message = json.loads(await good.get_message())
                assert message["event_type"] == "price_change"
                assert message["price_changes"][0]["price"] == f"{(1 + number % 50) / 100:g}"
        for _ in range(8 * FRAMES):  # in one go: what no socket buffer takes
            kit.crowd(BUY, UP_TOKEN, 100, 10)
        heard = b"".join([part async for part in stuck])
        assert heard.endswith(b"\x03\xf5slow consumer: send buffer full")  # 0x03f5 is 1013
        await stuck.aclose()
        assert not kit.server._market_stream._watchers


async def test_a_client_that_vanished_is_let_go(mock_clock: MockClock) -> None:
    """Its machine is off and no FIN ever comes: two unanswered pings end the session."""
    async with serving() as (kit, _, port):
        gone = await raw_subscriber(port)
        await wait_all_tasks_blocked(0.05)
        assert len(kit.server._market_stream._watchers) == 1
        for _ in range(3):
            mock_clock.jump(30)
            await wait_all_tasks_blocked(0.05)
        mock_clock.jump(6)
        await wait_all_tasks_blocked(0.05)
        assert not kit.server._market_stream._watchers
        heard = b"".join([part async for part in gone])
        assert heard.endswith(b"keepalive ping timeout")
        await gone.aclose()


def room_for(sockets: int) -> bool:
    """Whether this process may have so many files; the limit is the machine's and stays."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] > sockets + 200


@pytest.mark.skipif(not room_for(2 * CROWD), reason="too few file descriptors allowed")
async def test_two_thousand_subscribers_all_hear_and_the_next_is_served() -> None:
    """Every one gets the delta; orders and reads beside them are answered all the while."""
    async with serving() as (kit, rest, port):
        streams = [await raw_subscriber(port) for _ in range(CROWD)]
        watched = kit.server._market_stream._watched
        with trio.fail_after(60):
            while sum(len(market.watchers) for market in watched.values()) < CROWD:
                await trio.lowlevel.checkpoint()
        kit.crowd(BUY, UP_TOKEN, 5000, 10)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{rest}") as web:
            assert (await web.get("/ok")).json() == "OK"
        for stream in streams:
            heard = b""
            with trio.fail_after(30):
                while b'"price_change"' not in heard:
                    heard += await stream.receive_some()
            await stream.aclose()
        with trio.fail_after(60):
            while kit.server._market_stream._watchers:
                await trio.lowlevel.checkpoint()


@pytest.mark.skipif(not room_for(2 * CROWD), reason="too few file descriptors allowed")
async def test_a_flood_of_silent_connections_keeps_nobody_out(mock_clock: MockClock) -> None:
    """Connections that say nothing cost their place until the idle time is over."""
    async with serving() as (_, rest, _):
        silent = [await trio.open_tcp_stream("127.0.0.1", rest) for _ in range(CROWD)]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{rest}") as web:
            assert (await web.get("/ok")).json() == "OK"
        mock_clock.jump(80)
        ended = 0
        for stream in silent:
            ended += await stream.receive_some() == b""
            await stream.aclose()
        assert ended == CROWD


NONSENSE = [
    b"\x00\xff" * 40,
    b"GET /ok HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /order HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n",
    b"POST /order HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999\r\n\r\n",
    b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /order HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /ok HTTP/9.9\r\nHost: h\r\n\r\n",
    b"GET /ws/market HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
]


@pytest.mark.conforms("clob-7.3-exhausted-body")
async def test_nonsense_ends_its_own_connection_and_the_orders_beside_it_go_on() -> None:
    """Between every two bad connections a good order rests and shows up in the stream."""
    async with serving() as (kit, rest, port):
        url = f"http://127.0.0.1:{rest}"
        async with open_client(port, "/ws/market") as good, httpx.AsyncClient(base_url=url) as web:
            await good.send_message(SUBSCRIBE)
            await good.get_message()
            for number, noise in enumerate(NONSENSE):
                bad = await trio.open_tcp_stream("127.0.0.1", rest)
                await bad.send_all(noise)
                order = kit.ann.limit(BUY, UP_TOKEN, 10 + number, 10)
                text = json.dumps(order, separators=(",", ":"))
                headers = kit.ann.headers("POST", "/order", text)
                reply = await web.post("/order", content=text, headers=headers)
                assert reply.json()["status"] == "live"
                told = json.loads(await good.get_message())
                assert told["price_changes"][0]["price"] == f"0.{10 + number}".rstrip("0")
                await bad.send_eof()
                with trio.fail_after(5):
                    async for _ in bad:
                        pass
                await bad.aclose()


async def test_binary_frames_close_their_own_session_only() -> None:
    """The channel speaks text: a binary frame is 1003, the neighbour stays."""
    async with serving() as (_, _, port), open_client(port, "/ws/market") as good:
        async with open_client(port, "/ws/market") as bad:
            await bad.send_message(b"\x00")
            with pytest.raises(ConnectionClosed):
                await bad.get_message()
        await good.send_message("PING")
        assert await good.get_message() == "PONG"
