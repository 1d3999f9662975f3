"""A start that meets an outage: it waits, says what for, and goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from loguru import logger
from shell_kit import HOUR_MS, scene
from trio.testing import MockClock
from venue_bent import answer

from polybot import restart
from polybot.domain.ledger import Ledger
from polybot.domain.orders import Failure
from polybot.domain.settling import Settling
from polybot.operator.preflight import PASSES_WITHIN_S
from polybot.patient_clock import PatientClock
from polybot.restart import Restart

OUTAGE_S = 130.0
STARTS_AN_HOUR = 5  # that a service manager makes (docs/operations.md)


def test_an_outage_never_uses_up_the_starts_of_an_hour() -> None:
    """Each waits for longer than its share of it, whatever it is that does not answer: five of a
    minute each were over in ten, and so was the night.
    """
    waits = (restart.ANSWER_S, restart.SETTLING_S, restart.OPERATIONS_S, PASSES_WITHIN_S)

    assert min(waits) >= 3600 / STARTS_AN_HOUR


@pytest.mark.parametrize(
    ("path", "doing"),
    [
        ("/data/orders", "no open order of ours may be left"),
        ("/data/trades", "trades of before are read"),
        ("/balance-allowance", "balances are compared"),
    ],
)
async def test_an_outage_after_the_preflight_is_waited_for(
    path: str, doing: str, fast_clock: PatientClock
) -> None:
    """Of a part of the venue, for two minutes: the start goes on when it is over, and whoever looks
    has been told once what it waits for.
    """
    said: list[str] = []
    sink = logger.add(said.append, format="{message}", level="WARNING")
    async with scene(at_ms=HOUR_MS + 20_000) as it, trio.open_nursery() as nursery:
        away = it.venue.bend("GET", path, act=answer(503))
        nursery.start_soon(it.run)
        await trio.sleep(OUTAGE_S)
        assert not it.ended.is_set(), it.bot.exit_reason
        it.venue.bends.remove(away)
        await it.until(lambda: it.bot.ready, "it has started", 30)
        await it.end()
    logger.remove(sink)

    assert it.code == 0
    assert [line for line in said if "waits" in line] == [f"the start waits: {doing}\n"]


class Slept:
    """A venue that refuses what is signed with our time, until somebody sets the clock."""

    right = False

    async def agree(self) -> None:
        await trio.lowlevel.checkpoint()
        self.right = True

    async def answer(self, right: object) -> object:
        await trio.lowlevel.checkpoint()
        return right if self.right else Failure("401", refused=True)

    async def server_time(self) -> int:
        await trio.lowlevel.checkpoint()
        return 1_000


@pytest.mark.parametrize(
    ("since_s", "doing"),
    [(900, "_catch_up"), (None, "_catch_up"), (900, "_agree_on_cash"), (None, "_agree_on_cash")],
    ids=["trades", "a first start's trades", "balances", "a first start's balances"],
)
async def test_a_machine_that_sleeps_while_it_starts(
    since_s: int | None, doing: str, autojump_clock: MockClock
) -> None:
    """All that is signed is refused from then on: the clock is set, and the start goes on. It was
    asked again for twelve minutes, refused each time, and the start had failed.
    """
    it, ledger = Slept(), Ledger()
    ledger.deposit(5, "a test")

    async def nothing(*_: object) -> None:
        await trio.lowlevel.checkpoint()

    reconciler = SimpleNamespace(
        time=it, read_trades=lambda: it.answer(None), moved_again=nothing, read_until_s=0,
        payments=SimpleNamespace(
            since_s=0, read=nothing, found=lambda *_: None, begin=lambda *_: None
        ),
    )  # fmt: skip
    ctx: Any = SimpleNamespace(
        clock=SimpleNamespace(now_ms=lambda: 1_000_000), reconciler=reconciler,
        client=SimpleNamespace(
            server_time=it.server_time, trades=lambda **_: it.answer([]), refresh=nothing,
            balance=lambda _: it.answer(5),
        ),
        recovered=SimpleNamespace(since_s=since_s, read_until_s=0, paid_s=900, markets={}),
        account=SimpleNamespace(ledger=ledger, learn=nothing), tell=print,
    )  # fmt: skip
    began = trio.current_time()
    await getattr(Restart(ctx, nothing), doing)()  # type: ignore[arg-type]  # nothing to resolve

    assert it.right
    assert trio.current_time() - began < 5


@pytest.mark.parametrize(("settles_at", "known"), [(30.0, 2_000), (30.0, 1_953), (2_000.0, 1_953)])
async def test_what_came_or_went_beside_trades_under_way(
    settles_at: float, known: int, autojump_clock: MockClock
) -> None:
    """Some dollars were taken out while a trade was being retried: how many is known when it has
    settled, or has failed, and only then. One that does not for twelve minutes is taken for
    settled.
    """
    it = Slept()
    it.right = True

    async def nothing(*_: object) -> None:
        await trio.lowlevel.checkpoint()

    async def expected() -> Settling:
        await trio.lowlevel.checkpoint()
        settled = trio.current_time() - began >= settles_at
        return Settling(known, ()) if settled else Settling(2_000, (-47,))

    ctx: Any = SimpleNamespace(
        clock=SimpleNamespace(now_ms=lambda: 1_000_000),
        reconciler=SimpleNamespace(
            time=it, read_trades=nothing, moved_again=nothing, payments=SimpleNamespace(known={})
        ),
        client=SimpleNamespace(refresh=nothing, balance=lambda _: it.answer(1_950)),
        recovered=SimpleNamespace(since_s=900, markets={}),
        account=SimpleNamespace(ledger=Ledger()),
    )
    began = trio.current_time()
    there, found = await Restart(ctx, nothing)._balance(None, expected)  # type: ignore[arg-type]

    waited_s = trio.current_time() - began
    assert restart.beyond(there, found) == 1_950 - known
    assert waited_s == pytest.approx(min(settles_at, restart.SETTLING_S), abs=11)
