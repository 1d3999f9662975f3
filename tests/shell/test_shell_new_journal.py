"""A new journal on a wallet that has traded: what is on its way at the relayer is waited for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from loguru import logger
from shell_kit import HOUR_MS, scene, shell_config
from test_shell_restart import killed
from trio.testing import MockClock

from polybot import restart
from polybot.domain.orders import Failure
from polybot.execution.inventory import InventoryParams
from polybot.patient_clock import PatientClock
from polybot.restart import Restart

BLOCK_S = 50.0  # until a transaction is in a block
DOWN, REFUSED = Failure("503"), Failure("401", refused=True)
BEGAN_S = 1_800_000_000


async def test_it_begins_when_what_the_lost_run_has_asked_for_is_done(
    fast_clock: PatientClock,
) -> None:
    """A split is under way when the journal is lost: its pairs, and the dollars that they cost, are
    in the balances when the new one begins. It had begun before, halted for dollars that nobody had
    spent, and skipped the window (brief seed 1084).
    """
    seeded = attrs.evolve(
        shell_config(), inventory=InventoryParams(seed_shares=10, merge_shares=1_000)
    )
    at_ms = HOUR_MS + 5_000
    async with scene(config=seeded, at_ms=at_ms) as it, trio.open_nursery() as nursery:
        it.venue.chain.relayer.queue.policy.extra_ms = round(BLOCK_S * 1000)
        nursery.start_soon(it.run)
        flights = it.bot.inventory.under_way.flights
        await it.until(lambda: any(one.evidence for one in flights), "a split is under way")
        async with killed(it, it.journal.with_name("new.sqlite3")) as again:
            await again.until(lambda: again.bot.ready, "it has started", BLOCK_S + 60)
            await trio.sleep(BLOCK_S)
            assert again.bot.ctx.health.halted == {}
            cash = again.venue.engine.accounts.cash(again.venue.demo_wallets.deposit)
            assert again.bot.ctx.account.ledger.cash == cash
            await again.end()


class Listed:
    """A way onto the chain whose list says one thing after the other, and the last for ever."""

    def __init__(self, *said: int | Failure) -> None:
        self.said, self.asked = list(said), list[int]()

    async def unended(self, since_ms: int) -> int | Failure:
        await trio.lowlevel.checkpoint()
        self.asked.append(since_ms)
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]


def starting(way: Listed | None, since_s: int | None = None) -> Restart:
    async def trades(**_: object) -> list[object]:
        await trio.lowlevel.checkpoint()
        return []

    async def time() -> int:
        await trio.lowlevel.checkpoint()
        return BEGAN_S

    async def read() -> None:
        await trio.lowlevel.checkpoint()

    ctx: Any = SimpleNamespace(
        clock=SimpleNamespace(now_ms=lambda: BEGAN_S * 1000), account=SimpleNamespace(),
        client=SimpleNamespace(trades=trades, server_time=time),
        recovered=SimpleNamespace(since_s=since_s, paid_s=0, read_until_s=0),
        reconciler=SimpleNamespace(payments=SimpleNamespace(), read_trades=read),
    )  # fmt: skip
    return Restart(ctx, trio.sleep_forever, way=way)  # type: ignore[arg-type]  # asked for nothing


@pytest.mark.parametrize(
    ("said", "waited_s", "words"),
    [
        ((0,), 0, ""),
        ((2, 1, 1, 0), 6 + restart.AGREE_S, "begins when 2 transactions have ended"),
        ((DOWN, DOWN, 0), 4, ""),
        ((DOWN, 1, 0), 4 + restart.AGREE_S, "begins when 1 transactions have ended"),
        ((1, DOWN), restart.SETTLING_S + restart.AGREE_S, "may change its cash: 503"),
        ((1,), restart.SETTLING_S + restart.AGREE_S, "may change its cash: 1 have no end"),
        ((DOWN,), restart.SETTLING_S, "may change its cash: 503"),
        ((REFUSED,), 0, "may change its cash: 401"),
    ],
)
async def test_what_is_waited_for(
    said: tuple[int | Failure, ...], waited_s: float, words: str, autojump_clock: MockClock
) -> None:
    """Until the list shows none without an end, for twelve minutes at most: another program of the
    wallet may always have one, and a list may fail for ever. Then it is told, and the start goes
    on; at once where asking again makes no sense. Balances trail what was waited for.
    """
    told: list[str] = []
    sink = logger.add(told.append, format="{message}", level="INFO")
    way, began = Listed(*said), trio.current_time()
    await starting(way)._catch_up()
    logger.remove(sink)

    assert trio.current_time() - began == pytest.approx(waited_s, abs=2.1)
    assert any(words in line for line in told) if words else not told
    assert set(way.asked) == {BEGAN_S * 1000 - 660_000}, "no signature is older than that"


async def test_only_a_new_journal_waits(autojump_clock: MockClock) -> None:
    """Another follows what it has asked for itself; and without a way nobody could have asked."""
    began, way = trio.current_time(), Listed(1)
    await starting(way, since_s=900)._catch_up()
    await starting(None)._catch_up()

    assert trio.current_time() - began < 1
    assert way.asked == []
