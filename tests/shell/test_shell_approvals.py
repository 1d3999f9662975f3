"""An approval that is gone is for an operator; a balance that is behind is not (F34, F35)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from desk_kit import MARKET
from shell_kit import Scene, clean, playing
from trio.testing import MockClock
from venue_bent import PLACING, answer

from polybot.approval_watch import ApprovalWatch
from polybot.domain.halts import Halt
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import Failure, NewOrder
from polybot.domain.units import SHARE, USD
from polybot.exchange import contracts
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.patient_clock import PatientClock
from polybot.venue import permissions

GONE = Halt.NOT_APPROVED.value
UPDATE = "/balance-allowance/update"


def approve(it: Scene, amount: int) -> None:
    """What the exchange of plain markets may take of our pUSD, on the chain."""
    wallet, engine = it.venue.demo_wallets.deposit, it.venue.engine
    engine.accounts.approvals.approve(wallet, contracts.COLLATERAL, contracts.EXCHANGE, amount)
    engine.shed([wallet], it.venue.clock.now_ms())


@pytest.mark.parametrize("left", [0, USD // 2])
async def test_an_approval_that_is_gone_halts(left: int, fast_clock: PatientClock) -> None:
    """Revoked, or used up: every order was refused, a few seconds apart, for a whole night, and
    nobody was told (F35).
    """
    async with playing() as it:
        approve(it, left)
        await it.until(lambda: GONE in it.bot.ctx.health.halted, "trading halts", 60)
        why = it.bot.ctx.health.halted[GONE]
        assert why.startswith(f"{contracts.EXCHANGE} may take {'0.5' if left else '0'} pUSD"), why
        await it.withdrawn(20)
        quiet = len(it.venue.seen)
        await it.until(lambda: len(it.venue.asked("GET", "/data/orders")) > 3, "it looks on", 60)
        assert it.venue.placed(after=quiet) == []
        report = await it.end()
    assert report.live_orders_at_exit == 0


async def test_a_balance_that_is_behind_halts_nothing(fast_clock: PatientClock) -> None:
    """The same words, and the approval holds: the venue is told to look at the chain, and trading
    goes on (F34).
    """
    async with playing() as it:
        before = len(it.venue.asked("GET", UPDATE))
        no = answer(400, b'{"error": "not enough balance / allowance"}')
        refusing = it.venue.bend("POST", *PLACING, act=no, times=3)
        await it.until(lambda: refusing.met == 3, "three are refused", 90)
        await it.until(lambda: len(it.venue.asked("GET", UPDATE)) > before, "it is told", 60)
        placed = len(it.venue.seen)
        await it.until(lambda: it.venue.placed(after=placed), "it trades on", 60)
        assert not it.bot.ctx.health.halted
        report = await it.end()
    clean(report)


async def test_one_that_cannot_be_read_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares of which the venue tells nothing were asked for at every look, and pUSD never."""
    health = Health(Admission())
    watch = ApprovalWatch(health)
    for side in (Side.SELL, Side.BUY):
        watch.refused(NewOrder(MARKET, Outcome.UP, side, 5_000, 10 * SHARE))

    async def allowances(_: object, token: str | None) -> dict[str, int] | Failure:
        await trio.lowlevel.checkpoint()
        return {contracts.EXCHANGE.lower(): 0} if token is None else Failure("no answer")

    async def refresh(_: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(permissions, "allowances", allowances)
    client: Any = SimpleNamespace(refresh=refresh)
    await watch.judge(client)

    assert list(health.halted) == [GONE]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(("short", "halts"), [(1, True), (0, False)])
async def test_it_is_an_approval_only_where_that_is_less_than_was_needed(
    side: Side, short: int, halts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the millionth, of the least of what was refused; one that suffices has refused nothing."""
    health, least = Health(Admission()), 10 * SHARE
    watch = ApprovalWatch(health)
    for size in (least, 2 * least):
        watch.refused(NewOrder(MARKET, Outcome.UP, side, 5_000, size))
    needed = least if side is Side.SELL else least // 2

    async def allowances(*_: object) -> dict[str, int]:
        await trio.lowlevel.checkpoint()
        return {contracts.EXCHANGE.lower(): needed - short}

    async def refresh(_: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(permissions, "allowances", allowances)
    client: Any = SimpleNamespace(refresh=refresh)
    await watch.judge(client)

    assert list(health.halted) == [GONE] * halts


async def test_slow_answers_hold_a_look_up_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Three tokens were asked about one after the other, ten seconds for each where the venue is
    slow, and no order that strays was withdrawn meanwhile.
    """
    health = Health(Admission())
    watch = ApprovalWatch(health)
    for outcome in Outcome:
        watch.refused(NewOrder(MARKET, outcome, Side.SELL, 5_000, 10 * SHARE))
    watch.refused(NewOrder(MARKET, Outcome.UP, Side.BUY, 5_000, 10 * SHARE))

    async def allowances(_: object, token: str | None) -> dict[str, int]:
        await trio.sleep(4.5)
        return {contracts.EXCHANGE.lower(): 0 if token is None else 10 * SHARE}

    async def refresh(_: object) -> None:
        await trio.sleep(4.5)

    monkeypatch.setattr(permissions, "allowances", allowances)
    client: Any = SimpleNamespace(refresh=refresh)
    await watch.judge(client)

    assert list(health.halted) == [GONE]
    assert trio.current_time() < 10
