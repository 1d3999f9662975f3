"""Binance streams and REST over real loopback sockets."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import httpx
import pytest
import trio
from trio_websocket import WebSocketConnection, open_websocket_url

from polybot.clock import Clock
from polybot.exchange.binance import BinanceService
from polybot.exchange.net import serve
from polybot.exchange.oracle import Oracle, PriceTick
from polybot.exchange.synthetic import SyntheticSource

HOUR = 1_795_197_600_000
START = HOUR - 5_000  # five seconds before an hour ends


@asynccontextmanager
async def exchange(start_ms: int = START) -> AsyncIterator[tuple[Oracle, str]]:
    source = SyntheticSource(1, start_ms, {"btc": 90_000.0, "xrp": 2.2})
    oracle = Oracle(source, ["btc", "xrp"], start_ms, random.Random(2))
    service = BinanceService(oracle, Clock.starting_at(start_ms)).service
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, service, 0)
        yield oracle, f"127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


async def read(socket: WebSocketConnection, count: int) -> list[Any]:
    with trio.fail_after(5):
        return [json.loads(await socket.get_message()) for _ in range(count)]


async def command(socket: WebSocketConnection, method: str, *names: str) -> Any:
    """Send one command and return its answer; what was sent before it must have been read."""
    await socket.send_message(json.dumps({"method": method, "params": list(names), "id": 7}))
    return (await read(socket, 1))[0]


def prints(oracle: Oracle, seconds: float) -> list[PriceTick]:
    ticks: list[PriceTick] = []
    oracle.listeners.append(ticks.append)
    oracle.advance(START + int(seconds * 1000))
    oracle.listeners.remove(ticks.append)
    return [t for t in ticks if t.feed == "binance" and t.asset == "btc"]


@pytest.mark.conforms("feeds-12.7-trade")
async def test_a_raw_stream_carries_every_trade() -> None:
    """`/ws/btcusdt@trade`: one message per print, strings for numbers, its own millisecond."""
    async with (
        exchange() as (oracle, host),
        open_websocket_url(f"ws://{host}/ws/btcusdt@trade") as socket,
    ):
        assert (await command(socket, "LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@trade"]
        ticks = prints(oracle, 2)
        messages = await read(socket, len(ticks))
    for message, tick in zip(messages, ticks, strict=True):
        assert list(message) == ["e", "E", "s", "t", "p", "q", "T", "m", "M"]
        assert (message["e"], message["s"], message["T"]) == ("trade", "BTCUSDT", tick.stamp_ms)
        assert message["p"] == f"{tick.value:.8f}"
        assert float(message["q"]) > 0


@pytest.mark.conforms("feeds-12.7-raw-combined", "feeds-12.7-book-ticker", "feeds-12.7-agg-trade")
async def test_the_combined_stream_wraps_and_mixes() -> None:
    """`/stream?streams=a/b` says which stream each message belongs to."""
    names = ["btcusdt@bookTicker", "btcusdt@aggTrade"]
    async with (
        exchange() as (oracle, host),
        open_websocket_url(f"ws://{host}/stream?streams={'/'.join(names)}") as socket,
    ):
        await command(socket, "LIST_SUBSCRIPTIONS")
        ticks = prints(oracle, 1)
        messages = await read(socket, 2 * len(ticks))
    assert {message["stream"] for message in messages} == set(names)
    quotes = [m["data"] for m in messages if m["stream"] == "btcusdt@bookTicker"]
    assert all(set(quote) == {"u", "s", "b", "B", "a", "A"} for quote in quotes)
    assert all(float(quote["b"]) < float(quote["a"]) for quote in quotes)
    trades = [m["data"] for m in messages if m["stream"] == "btcusdt@aggTrade"]
    assert all(trade["f"] == trade["l"] == trade["a"] for trade in trades)


@pytest.mark.conforms("feeds-12.7-kline-1h")
async def test_the_hour_ends_with_one_final_candle() -> None:
    """Every two seconds the running hour, then once `x:true`, right after the hour."""
    async with exchange() as (oracle, host), open_websocket_url(f"ws://{host}/ws") as socket:
        answer = await command(socket, "SUBSCRIBE", "btcusdt@kline_1h")
        assert answer == {"result": None, "id": 7}
        ticks = prints(oracle, 10)
        await socket.send_message(json.dumps({"method": "UNSUBSCRIBE", "params": [], "id": 8}))
        messages = []
        while "result" not in (message := (await read(socket, 1))[0]):
            messages.append(message)
    assert all(message["e"] == "kline" for message in messages)
    done = [message for message in messages if message["k"]["x"]]
    assert len(done) == 1
    final = done[0]
    assert (final["k"]["t"], final["k"]["T"]) == (HOUR - 3_600_000, HOUR - 1)
    assert 0 < final["E"] - HOUR <= 400
    last = [t for t in ticks if t.stamp_ms < HOUR][-1]
    first = next(t for t in ticks if t.stamp_ms >= HOUR)
    assert final["k"]["c"] == f"{last.value:.8f}"
    following = messages[messages.index(final) + 1]
    assert following["k"]["o"] == f"{first.value:.8f}"
    assert following["k"]["t"] == HOUR
    running = [m["E"] for m in messages if not m["k"]["x"]]
    assert all(2000 <= b - a <= 2800 or a < HOUR <= b for a, b in pairwise(running))


@pytest.mark.conforms("feeds-12.7-subscribe")
async def test_unsubscribing_stops_a_stream_and_bad_commands_are_answered() -> None:
    """Unknown methods and bad parameters get a code; unknown streams stay silent."""
    async with (
        exchange() as (oracle, host),
        open_websocket_url(f"ws://{host}/ws/btcusdt@trade/dogeusdt@trade") as socket,
    ):
        assert (await command(socket, "DANCE"))["code"] == 2
        await socket.send_message("no json")
        assert (await read(socket, 1))[0]["code"] == 2
        await socket.send_message('{"method":"SUBSCRIBE","params":[1],"id":1}')
        assert (await read(socket, 1))[0]["code"] == 2
        await command(socket, "UNSUBSCRIBE", "btcusdt@trade")
        oracle.advance(START + 3000)
        assert (await command(socket, "LIST_SUBSCRIPTIONS"))["result"] == ["dogeusdt@trade"]


@pytest.mark.conforms("feeds-12.7-rest-klines")
async def test_rest_candles_are_the_oracles() -> None:
    """Twelve columns; `startTime` and `limit` select; the open of the hour is its first print."""
    async with exchange() as (oracle, host), httpx.AsyncClient(base_url=f"http://{host}") as web:
        oracle.advance(HOUR + 1000)
        query = f"symbol=BTCUSDT&interval=1h&startTime={HOUR - 3_600_000}&limit=2"
        rows = (await web.get(f"/api/v3/klines?{query}")).json()
        newest = (await web.get("/api/v3/klines?symbol=XRPUSDT&interval=1m&limit=1")).json()
    assert [len(row) for row in rows] == [12, 12]
    closed = oracle.candle("btc", 3600, HOUR - 1)
    assert rows[0][:5] == [
        HOUR - 3_600_000, f"{closed.open:.8f}", f"{closed.high:.8f}", f"{closed.low:.8f}",
        f"{closed.close:.8f}",
    ]  # fmt: skip
    assert (rows[0][6], rows[0][8], rows[1][0]) == (HOUR - 1, closed.trades, HOUR)
    assert newest[0][0] == HOUR


async def test_rest_time_is_the_clocks() -> None:
    """Server time in milliseconds on the injected clock."""
    async with exchange() as (_, host), httpx.AsyncClient(base_url=f"http://{host}") as web:
        shown = (await web.get("/api/v3/time")).json()["serverTime"]
        assert START <= shown < START + 60_000
        assert (await web.get("/api/v3/nothing")).status_code == 404


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=DOGEUSDT&interval=1h", -1121),
        ("symbol=btcusdt&interval=1h", -1121),
        ("interval=1h", -1121),
        ("symbol=BTCUSDT&interval=2h", -1120),
        ("symbol=BTCUSDT&interval=1h&limit=x", -1100),
        ("symbol=BTCUSDT&interval=1h&limit=0", -1100),
    ],
)
async def test_bad_rest_queries_are_refused(query: str, code: int) -> None:
    """400 with Binance's code."""
    async with exchange() as (_, host), httpx.AsyncClient(base_url=f"http://{host}") as web:
        response = await web.get(f"/api/v3/klines?{query}")
    assert (response.status_code, response.json()["code"]) == (400, code)
