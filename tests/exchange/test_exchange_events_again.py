"""The overlap of a reconnect: the last events of an API key, once more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from clob_kit import UP_TOKEN, ClobKit, Wallet
from fault_kit import jumping, planned
from trio.testing import MockClock
from trio_websocket import WebSocketConnection
from websocket_client import open_client

from polybot.exchange.faults.stream_link import StreamLink
from polybot.exchange.model import BUY, SELL
from polybot.exchange.net import serve

AGAIN = {"fault": "events_again", "events": 3}


@pytest.fixture
def patient_jumps() -> MockClock:
    return jumping()


class Channel:
    """The user channel of a CLOB behind a link, on a real socket."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.kit = ClobKit()
        self.port = 0
        self.kit.faults.start(planned(*rows), self.kit.clock.now_ms())

    async def place(self, wallet: Wallet, *order: object) -> str:
        payload = wallet.limit(*order)  # type: ignore[arg-type]
        status, reply = await self.kit.call(wallet, "POST", "/order", payload)
        assert status == 200, reply
        return str(reply["orderID"])

    @asynccontextmanager
    async def login(self, wallet: Wallet) -> AsyncIterator[WebSocketConnection]:
        creds = wallet.creds
        auth = {"apiKey": creds.api_key, "secret": creds.api_secret,
                "passphrase": creds.api_passphrase}  # fmt: skip
        async with open_client(self.port) as client:
            await client.send_message(json.dumps({"type": "user", "auth": auth}))
            yield client


@asynccontextmanager
async def channel(*rows: dict[str, Any]) -> AsyncIterator[Channel]:
    it = Channel(*rows)
    link = StreamLink("user_ws", it.kit.faults, it.kit.clock)
    async with trio.open_nursery() as nursery:
        it.port = await nursery.start(serve, link.faulty(it.kit.server.service_user_ws), 0)
        yield it
        nursery.cancel_scope.cancel()
    assert it.kit.errors == []


async def heard(client: WebSocketConnection) -> list[Any]:
    """Everything up to the answer to a ping."""
    await client.send_message("PING")
    messages = []
    with trio.fail_after(60):
        while (text := await client.get_message()) != "PONG":
            messages.append(json.loads(text))
    return messages


async def traded(it: Channel) -> None:
    """Ann makes, bob takes half: four events for her, with none behind the other's back."""
    await it.place(it.kit.ann, SELL, UP_TOKEN, 52, 20)
    await it.place(it.kit.bob, BUY, UP_TOKEN, 52, 10)
    await it.place(it.kit.ann, BUY, UP_TOKEN, 30, 10)


@pytest.mark.conforms("feeds-12.3-reconnect-duplicates")
async def test_who_comes_back_hears_the_last_events_again(patient_jumps: MockClock) -> None:
    """Byte for byte and in their order, before anything new; what happened while nobody was there
    is not replayed (feeds.md 4.5, 12.3).
    """
    async with channel(AGAIN) as it:
        async with it.login(it.kit.ann) as client:
            assert await heard(client) == []
            await traded(it)
            first = await heard(client)
            assert len(first) == 4
        await trio.sleep(1)
        missed = await it.place(it.kit.ann, BUY, UP_TOKEN, 31, 10)
        async with it.login(it.kit.ann) as client:
            again = await heard(client)
            assert again == first[-3:]
            later = await it.place(it.kit.ann, BUY, UP_TOKEN, 32, 10)
            (new,) = await heard(client)

        assert new["id"] == later
        assert missed not in json.dumps(first + again)
        assert it.kit.faults.struck == {"events_again": 1}


async def test_what_was_sent_again_is_not_remembered_twice(patient_jumps: MockClock) -> None:
    """A key with two sessions, and one that comes back twice: the same events each time."""
    async with channel(AGAIN | {"events": 100}) as it:
        async with it.login(it.kit.ann) as client, it.login(it.kit.ann) as other:
            assert await heard(client) == await heard(other) == []
            await traded(it)
            first = await heard(client)
            assert await heard(other) == first
        for _ in range(2):
            async with it.login(it.kit.ann) as client:
                assert await heard(client) == first


async def test_events_are_repeated_to_their_own_key_only(patient_jumps: MockClock) -> None:
    """Another key hears its own last events, a key without any hears nothing."""
    async with channel(AGAIN) as it:
        async with it.login(it.kit.ann) as client:
            await heard(client)
            await traded(it)
        async with it.login(it.kit.bob) as client:
            assert await heard(client) == []

        assert it.kit.faults.struck == {}


async def test_without_the_fault_nothing_is_kept(patient_jumps: MockClock) -> None:
    """The venue's own stream has no snapshot and no replay, and switching the fault on later
    repeats nothing of before (feeds.md 4.1).
    """
    async with channel() as it:
        async with it.login(it.kit.ann) as client:
            await heard(client)
            await traded(it)
        async with it.login(it.kit.ann) as client:
            assert await heard(client) == []
        it.kit.faults.start(planned(AGAIN), it.kit.clock.now_ms())
        async with it.login(it.kit.ann) as client:
            assert await heard(client) == []
