"""RTDS with its habits, over real loopback sockets."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import WebSocketConnection, open_websocket_url

from polybot.clock import Clock
from polybot.exchange.net import serve
from polybot.exchange.oracle import Oracle
from polybot.exchange.rtds import TOPICS, RtdsService
from polybot.exchange.synthetic import SyntheticSource

START = 1_795_197_730_500
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def make_oracle() -> Oracle:
    source = SyntheticSource(1, START, {"btc": 90_000.0, "eth": 3_000.0})
    return Oracle(source, ["btc", "eth"], START, random.Random(2))


@asynccontextmanager
async def connected(oracle: Oracle) -> AsyncIterator[WebSocketConnection]:
    service = RtdsService(oracle, Clock.starting_at(START), random.Random(3)).service
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, service, 0)
        async with open_websocket_url(f"ws://127.0.0.1:{port}/") as socket:
            yield socket
        nursery.cancel_scope.cancel()


def request(topic: str, filters: str | None = None, *, action: str = "subscribe") -> str:
    item = {"topic": topic, "type": "update"}
    if filters is not None:
        item["filters"] = filters
    return json.dumps({"action": action, "subscriptions": [item]})


async def read(socket: WebSocketConnection) -> str:
    with trio.fail_after(5):
        return str(await socket.get_message())


async def read_json(socket: WebSocketConnection, count: int) -> list[Any]:
    return [json.loads(await read(socket)) for _ in range(count)]


async def silent(socket: WebSocketConnection) -> bool:
    """Whether nothing was waiting: the answer to PING, an empty frame, comes first."""
    await socket.send_message("PING")
    return await read(socket) == ""


@pytest.mark.conforms("feeds-12.5-empty-pong")
async def test_ping_is_answered_by_an_empty_text_frame() -> None:
    """No PONG here (feeds.md 6)."""
    async with connected(make_oracle()) as socket:
        assert await silent(socket)


@pytest.mark.conforms(
    "feeds-12.5-mislabelled", "feeds-12.5-scaled", "feeds-12.5-filter-exact", "feeds-12.5-lag"
)
async def test_a_chainlink_snapshot_is_mislabelled_and_its_updates_are_scaled() -> None:
    """Snapshot under `crypto_prices` with about a minute; updates are integers ×10¹⁸."""
    oracle = make_oracle()
    async with connected(oracle) as socket:
        await socket.send_message(request("crypto_prices_chainlink", '{"symbol":"btc/usd"}'))
        (snapshot,) = await read_json(socket, 1)
        oracle.advance(START + 6000)
        await socket.send_message("PING")  # answered by an empty frame, after all that waits
        updates = []
        while frame := await read(socket):
            updates.append(json.loads(frame))
    assert len(updates) >= 4
    assert (snapshot["topic"], snapshot["type"]) == ("crypto_prices", "subscribe")
    assert snapshot["payload"]["symbol"] == "btc/usd"
    assert 48 <= len(snapshot["payload"]["data"]) <= 59
    for update in updates:
        assert (update["topic"], update["type"]) == ("crypto_prices_chainlink", "update")
        payload = update["payload"]
        assert int(payload["full_accuracy_value"]) / 1e18 == pytest.approx(payload["value"])
        assert payload["value"] == oracle.source.chainlink("btc", payload["timestamp"])
        assert 700 <= update["timestamp"] - payload["timestamp"] <= 2900


@pytest.mark.conforms("feeds-12.5-topics")
async def test_binance_prices_come_once_a_second_on_whole_seconds() -> None:
    """Plain decimals, whole-second stamps, the price in force at that second."""
    oracle = make_oracle()
    async with connected(oracle) as socket:
        await socket.send_message(request("crypto_prices", '{"symbol":"btcusdt"}'))
        (snapshot,) = await read_json(socket, 1)
        oracle.advance(START + 4000)
        updates = await read_json(socket, 4)
        assert await silent(socket)
    assert len(snapshot["payload"]["data"]) >= 119
    stamps = [update["payload"]["timestamp"] for update in updates]
    assert stamps == list(range(stamps[0], stamps[0] + 4000, 1000))
    assert stamps[0] % 1000 == 0
    payload = updates[0]["payload"]
    assert payload["full_accuracy_value"] == f"{payload['value']:.8f}"


@pytest.mark.conforms("feeds-12.5-topics")
async def test_averages_carry_their_window() -> None:
    """The 60 s average has `window_s` in snapshot and updates, and exact points."""
    oracle = make_oracle()
    async with connected(oracle) as socket:
        await socket.send_message(request("crypto_prices_twap_sixty", '{"symbol":"eth/usd"}'))
        (snapshot,) = await read_json(socket, 1)
        oracle.advance(START + 900)
        (update,) = await read_json(socket, 1)
    assert snapshot["payload"]["window_s"] == update["payload"]["window_s"] == 60
    assert snapshot["topic"] == update["topic"] == "crypto_prices_twap_sixty"
    assert "full_accuracy_value" in snapshot["payload"]["data"][0]


async def test_without_a_filter_every_symbol_comes() -> None:
    """The official SDK's form: all symbols, filtered by the client."""
    oracle = make_oracle()
    async with connected(oracle) as socket:
        await socket.send_message(request("crypto_prices_twap_sixty"))
        snapshots = await read_json(socket, 2)
        oracle.advance(START + 900)
        updates = await read_json(socket, 2)
    for frames in (snapshots, updates):
        assert {frame["payload"]["symbol"] for frame in frames} == {"btc/usd", "eth/usd"}


@pytest.mark.conforms("feeds-12.5-filter-space")
async def test_a_space_in_the_filter_gives_the_snapshot_and_then_silence() -> None:
    """The trap that makes a subscription look alive (feeds.md 6)."""
    oracle = make_oracle()
    async with connected(oracle) as socket:
        await socket.send_message(request("crypto_prices_chainlink", '{"symbol": "btc/usd"}'))
        await read_json(socket, 1)
        oracle.advance(START + 5000)
        assert await silent(socket)


@pytest.mark.parametrize(
    "frame",
    [
        request("definitely_not_a_topic"),
        request("crypto_prices", '{"symbol":"btcusdt,ethusdt"}'),
        request("crypto_prices", "btcusdt"),
        '{"action":"subscribe","subscriptions":[5]}',
        "[]",
        "no json",
    ],
)
async def test_a_bad_request_is_refused_whole(frame: str) -> None:
    """The refusal is a body with status 401, nothing is subscribed, the socket stays open."""
    oracle = make_oracle()
    async with connected(oracle) as socket:
        await socket.send_message(frame)
        (refusal,) = await read_json(socket, 1)
        assert refusal["statusCode"] == 401
        assert refusal["body"]["message"]
        oracle.advance(START + 3000)
        assert await silent(socket)


@pytest.mark.conforms("feeds-12.5-bad-topic")
async def test_one_unknown_topic_refuses_the_good_ones_with_it() -> None:
    """No snapshot of the valid topic is sent either."""
    good = {"topic": "crypto_prices", "type": "update"}
    bad = {"topic": "gold", "type": "update"}
    async with connected(make_oracle()) as socket:
        await socket.send_message(json.dumps({"action": "subscribe", "subscriptions": [good, bad]}))
        (refusal,) = await read_json(socket, 1)
        assert "topic: gold" in refusal["body"]["message"]
        assert await silent(socket)


async def test_unsubscribing_ends_the_updates() -> None:
    """After unsubscribing nothing comes any more."""
    oracle = make_oracle()
    async with connected(oracle) as socket:
        await socket.send_message(request("crypto_prices_twap_sixty", '{"symbol":"btc/usd"}'))
        await read_json(socket, 1)
        await socket.send_message(request("crypto_prices_twap_sixty", action="unsubscribe"))
        assert await silent(socket)
        oracle.advance(START + 3000)
        assert await silent(socket)


async def test_frames_have_the_keys_of_real_ones() -> None:
    """Updates and snapshots of each topic carry exactly the keys of the recorded frames."""
    file = DATA / "recordings" / "rtds_frames_polyoxide" / "frames-2026-09-05.jsonl"
    if not file.exists():
        pytest.skip("the recorded frames of ../shared/data are not here")
    recorded = [json.loads(line) for line in file.read_text().splitlines()]
    shapes = {(f["topic"], f["type"]): f for f in recorded if "topic" in f}
    oracle = make_oracle()
    ours = []
    async with connected(oracle) as socket:
        for topic in TOPICS:
            symbol = "btcusdt" if topic == "crypto_prices" else "btc/usd"
            await socket.send_message(request(topic, f'{{"symbol":"{symbol}"}}'))
            ours += await read_json(socket, 1)
        oracle.advance(START + 2900)
        ours += await read_json(socket, 12)
    checked = 0
    for frame in ours:
        shape = shapes.get((frame["topic"], frame["type"]))
        if shape is not None:
            assert set(frame) == set(shape)
            assert set(frame["payload"]) == set(shape["payload"])
            checked += 1
    assert checked >= 12
