"""When the served exchange moves its world: as things become due, and not in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from polybot.clock import Clock
from polybot.exchange.net import Request, Response, Service, json_response
from polybot.exchange.server import PUMP_MOST_S, PUMP_S, Exchange
from polybot.exchange.world import make_world

START_MS = 1_795_201_230_000


@attrs.define(eq=False)
class Part:
    """A part of the exchange with things to do; `done` has (due, when it was done)."""

    clock: Clock
    due: list[int] = attrs.field(factory=list)
    done: list[tuple[int, int]] = attrs.field(factory=list)

    def next_due_ms(self) -> int | None:
        return min(self.due, default=None)

    def advance(self, now_ms: int) -> None:
        for due_ms in sorted(due_ms for due_ms in self.due if due_ms <= now_ms):
            self.due.remove(due_ms)
            self.done.append((due_ms, self.clock.now_ms()))


@asynccontextmanager
async def served(*due_ms: int) -> AsyncIterator[tuple[Exchange, Part]]:
    """An exchange in which nothing happens but what a test wants, from the beginning on so many
    milliseconds after it.
    """
    world = make_world(
        "synthetic", seed=1, start_ms=START_MS, series=("btc-5m",), intensity=0.000001
    )
    exchange = Exchange(world, Clock.starting_at(START_MS), 1)
    part = Part(exchange.clock)
    exchange._moving = (part,)
    part.due = [START_MS + ms for ms in (*due_ms, 60_000)]
    async with trio.open_nursery() as nursery:
        await nursery.start(exchange.run)
        yield exchange, part
        nursery.cancel_scope.cancel()


async def test_what_is_known_to_be_due_is_done_in_time(autojump_clock: MockClock) -> None:
    """Later by what two moves lie apart at most, and mostly by nothing."""
    async with served(50, 55, 90, 1000, 10_000) as (_, part):
        await trio.sleep(11)
    late = [at - due for due, at in part.done]
    assert late[:3] == [0, 15, 0]
    assert max(late) <= PUMP_S * 1000
    assert len(late) == 5


async def test_what_a_request_makes_due_is_done_in_time(autojump_clock: MockClock) -> None:
    """Also where the pump would have slept for longer."""
    async with served() as (exchange, part):
        await trio.sleep(1)

        async def handle(_: Request) -> Response:
            part.due.append(exchange.clock.now_ms() + 7)
            return json_response("fine")

        service = exchange._after_the_world(Service(handle, None))
        assert service.http is not None
        await trio.sleep(PUMP_MOST_S / 2)
        await service.http(Request("GET", "/", {}, {}, b""))
        await trio.sleep(1)
    due_ms, at_ms = part.done[-1]
    assert at_ms - due_ms <= 1


async def test_what_nobody_told_of_is_found(autojump_clock: MockClock) -> None:
    """Whoever acts on the engine itself makes things due that no request has."""
    async with served() as (exchange, part):
        await trio.sleep(1)
        part.due.append(exchange.clock.now_ms() + 5)
        await trio.sleep(1)
    due_ms, at_ms = part.done[-1]
    assert at_ms - due_ms <= PUMP_MOST_S * 1000


async def test_nothing_due_is_no_work(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quiet second is a few looks, not fifty."""
    looks = 0
    advance = Exchange.advance

    def counted(self: Exchange, now_ms: int) -> int:
        nonlocal looks
        looks += 1
        return advance(self, now_ms)

    monkeypatch.setattr(Exchange, "advance", counted)
    async with served():
        await trio.sleep(PUMP_MOST_S)
        looks = 0
        await trio.sleep(10)
    assert looks <= 10 / PUMP_MOST_S + 1
