"""Reconciliation on the wire: what differs is found, named, acted upon and counted (issue C, 5)."""

from __future__ import annotations

import orjson
import trio
from shell_kit import Scene, clean, playing
from venue_bent import Handler, changed

from polybot.domain.units import SHARE
from polybot.exchange.faults import plan
from polybot.exchange.model import Order
from polybot.exchange.request import Request, Response
from polybot.execution.reconcile import STALE_MS
from polybot.patient_clock import PatientClock

DRIFT = "ledger drift"


def halted(it: Scene) -> bool:
    return DRIFT in it.bot.ctx.health.halted


async def test_money_that_leaves_from_outside_halts(fast_clock: PatientClock) -> None:
    """Cash that our books do not explain stops trading within one reconciliation and five seconds,
    for good, with both figures told (F35, G14).
    """
    async with playing() as it:
        accounts, wallet = it.venue.engine.accounts, it.venue.demo_wallets.deposit
        accounts.withdraw(wallet, 500 * SHARE)
        await it.until(lambda: halted(it), "trading halts", 30)
        assert it.bot.ctx.health.halted[DRIFT].startswith("cash: ")
        assert ", the venue shows 1" in it.bot.ctx.health.halted[DRIFT]
        await it.withdrawn(20)
        quiet = len(it.venue.seen)
        accounts.deposit(wallet, 500 * SHARE)
        it.venue.crowd.hushed = True
        await trio.sleep(30)
        assert it.venue.placed(after=quiet) == []
        report = await it.end()

    assert report.differences["cash"] >= 1
    clean(report)


async def test_a_drift_is_told_once_and_not_drummed_on(fast_clock: PatientClock) -> None:
    """A halt that nobody looks at until the morning fills no log and asks the venue no oftener than
    a healthy bot does.
    """
    async with playing() as it:
        it.venue.engine.accounts.withdraw(it.venue.demo_wallets.deposit, 500 * SHARE)
        await it.until(lambda: halted(it), "trading halts", 30)
        await it.withdrawn(20)
        it.venue.crowd.hushed = True
        asked = len(it.venue.asked("GET", "/balance-allowance"))
        looks = len(it.venue.asked("GET", "/data/orders"))
        await trio.sleep(100)
        assert len(it.venue.asked("GET", "/data/orders")) - looks <= 6
        assert len(it.venue.asked("GET", "/balance-allowance")) > asked, "it is compared on"
        report = await it.end()

    assert report.differences["cash"] == 1


async def test_shares_nobody_told_us_of_halt(fast_clock: PatientClock) -> None:
    """A fill that neither the stream nor the trades show is seen in the balance of its token."""
    async with playing() as it:
        await it.filled()
        hide = changed(lambda page: page.update(data=[], count=0))
        it.venue.bend("GET", "/data/trades", act=hide)
        it.venue.lines["user_ws"].stall()
        await it.filled()
        await it.until(lambda: halted(it), "trading halts", 75)
        it.venue.bends.clear()
        await it.end()

    assert it.summary is not None
    assert it.summary.differences.get("cash") or it.summary.differences.get("shares")


async def test_a_stale_cache_of_balances_halts_nothing(fast_clock: PatientClock) -> None:
    """For half a minute after a fill the venue shows the balances of before (F34): that is old, not
    wrong.
    """
    async with playing() as it:
        await it.filled()
        await it.until(lambda: it.bot.ctx.account.ledger.books[it.market.condition_id].trades, "it")
        await trio.sleep(21)  # the reconciler has compared what is now about to be old
        entry = {"fault": "stale_reply", "match": "GET /balance-allowance"}
        spoilt = plan.read({"fault": [{**entry, "for_s": STALE_MS / 1000 - 3}]})
        it.venue.faults.start(spoilt, it.venue.clock.now_ms())
        await it.filled()
        await trio.sleep(STALE_MS / 1000)
        assert not halted(it)
        await trio.sleep(20)
        assert not halted(it)
        report = await it.end()

    clean(report)


async def test_fills_and_merges_are_no_drift(fast_clock: PatientClock) -> None:
    """Balances in motion are read all the time; nothing is halted while the books are right."""
    async with playing() as it:
        reconciler = it.bot.ctx.reconciler
        for _ in range(12):
            await it.filled()
            await reconciler.reconcile()
        assert not it.bot.ctx.health.halted
        report = await it.end()

    assert "cash" not in report.differences
    clean(report)


async def pretend(request: Request, _handle: Handler) -> Response:
    """Acknowledge a cancel and do nothing."""
    asked = orjson.loads(request.body)
    ids = [asked["orderID"]] if isinstance(asked, dict) else asked
    return Response(200, orjson.dumps({"canceled": ids, "not_canceled": {}}), ())


async def test_a_cancel_that_was_not_carried_out_is_found(fast_clock: PatientClock) -> None:
    """The venue says `canceled`, no stream confirms it, and a list still shows the order: it counts
    again and is cancelled once more, long before the next reconciliation (F21).
    """
    async with playing() as it:
        bend = it.venue.bend("DELETE", "/order", "/orders", act=pretend, times=1)
        await it.until(lambda: bend.met, "a cancel is ignored", 120)
        asked = bend.bodies[0].decode()
        ghosts: list[Order] = [order for order in it.venue.live if order.id in asked]
        assert ghosts
        await it.until(lambda: not set(ghosts) & set(it.venue.live), "no ghost rests", 8)
        clean(await it.end())


async def test_an_order_that_vanished_is_looked_up(fast_clock: PatientClock) -> None:
    """Gone without a word: whoever notices first, the list that lacks it or the cancel that is
    refused, it is looked up, ended, and replaced.
    """
    async with playing() as it:
        it.venue.lines["user_ws"].stall()
        await trio.sleep(8)
        for order in it.venue.live:
            it.venue.engine.cancel(order.id, order.owner, it.venue.clock.now_ms())
        gone = len(it.venue.seen)
        await it.until(lambda: it.venue.placed(after=gone), "quotes come back", 60)
        report = await it.end()

    assert report.unknown_resolved >= 1
    clean(report)
