"""What the venue pays half an hour after midnight is read, booked and told (clob.md 6.2, 6.3)."""

from __future__ import annotations

import attrs
import orjson
import pytest
import trio
from shell_kit import HOUR_MS, Scene, clean, playing, scene
from test_shell_inventory import FEW
from test_shell_restart import killed, started
from venue_bent import Handler, answer

from polybot.domain.accounts import Kind
from polybot.domain.halts import Halt
from polybot.domain.units import SHARE
from polybot.exchange.model import Event, Traded
from polybot.exchange.net import Request, Response
from polybot.exchange.payday import DAY_MS, LEAST, SETTLED_MS
from polybot.execution.reconcile import PAYMENT_MS
from polybot.patient_clock import PatientClock

MIDNIGHT_MS = HOUR_MS // DAY_MS * DAY_MS + DAY_MS
PAYDAY_MS = MIDNIGHT_MS + SETTLED_MS
YESTERDAY = MIDNIGHT_MS // DAY_MS - 1
SOON_MS = 20_000
WAIT_MS = 150_000  # in place of PAYMENT_MS, which would take a minute of ours
EMPTY = orjson.dumps({"data": [], "pagination": {"has_more": False, "next_cursor": None}})


def paid(it: Scene, kind: Kind) -> int:
    return -it.bot.ctx.account.ledger.accounts.total(kind)


def pay(it: Scene, dollars: int) -> None:
    """The venue pays us a reward now, as its programs do (Rewards._pay)."""
    venue = it.venue
    amount = dollars * SHARE
    venue.engine.pay_reward(venue.demo_wallets.deposit, amount, venue.clock.now_ms())


def date_back(it: Scene) -> None:
    """Have the program take every fill from now on for one of yesterday: waiting for a real
    midnight and half an hour more would cost two minutes of ours.
    """
    rebates = it.venue.clob.rebates

    def retold(event: Event) -> None:
        if isinstance(event, Traded):
            trade = attrs.evolve(event.trade, matched_ms=MIDNIGHT_MS - 1)
            rebates.on_event(Traded(trade, trade.matched_ms))

    it.venue.engine.listeners.append(retold)


async def test_a_run_across_payday_books_its_rebate(fast_clock: PatientClock) -> None:
    """What yesterday's fills have earned is paid at 00:30: the bot quotes on, books it as a rebate
    with the venue's row as evidence, and both books agree (clob.md 6.2, feeds.md 11).
    """
    async with playing(at_ms=PAYDAY_MS - 120_000) as it:
        rebates, wallet = it.venue.clob.rebates, it.venue.demo_wallets.deposit
        date_back(it)

        def earned() -> bool:
            it.hit()
            return rebates.of_day(YESTERDAY, wallet).get(it.market.condition_id, 0) >= LEAST

        await it.until(earned, "a dollar of rebates", 60)
        await it.idle()
        assert it.venue.clock.now_ms() < PAYDAY_MS - SOON_MS
        await it.until(lambda: it.venue.clock.now_ms() > PAYDAY_MS - SOON_MS, "nearly payday", 120)
        it.wake()
        await it.until(lambda: rebates.paid[wallet], "payday", 240)
        await it.until(lambda: paid(it, Kind.REBATES), "it is booked", 60)
        assert paid(it, Kind.REBATES) == rebates.paid[wallet] >= LEAST
        assert paid(it, Kind.REWARDS) == 0
        told = [one.evidence for one in it.bot.ctx.account.ledger.transactions]
        assert [one for one in told if one.startswith("MAKER_REBATE 0x")]
        await it.requoting()
        assert it.bot.ctx.health.halted == {}
        report = await it.end()

    assert report.rebates_paid == rebates.paid[wallet]
    clean(report)


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "merging"])
async def test_a_payment_nobody_tells_of_halts_at_last(
    fast_clock: PatientClock, busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dollars without evidence wait a while for it – ten minutes, here two and a half – and not for
    ever, however many transactions of our own come and go meanwhile (G14).
    """
    monkeypatch.setattr("polybot.execution.reconcile.PAYMENT_MS", WAIT_MS)
    async with playing(config=FEW) as it:
        it.venue.bend("GET", "/v2/activity", act=answer(503), service="data")
        pay(it, 7)
        await it.until(lambda: it.bot.ctx.reconciler.balances.surplus, "the cash is seen", 60)
        seen_ms, again_ms = it.venue.clock.now_ms(), 0
        if busy:
            it.venue.crowd.hushed = True
        else:
            await it.idle()

        def halted() -> bool:
            nonlocal again_ms
            now_ms = it.venue.clock.now_ms()
            if busy and now_ms >= again_ms:
                again_ms = now_ms + 30_000
                for order in it.venue.live[:2]:
                    it.venue.hit(order)
            return Halt.LEDGER_DRIFT.value in it.bot.ctx.health.halted

        await it.until(halted, "it halts", WAIT_MS / 1000 + 200)
        assert it.venue.clock.now_ms() - seen_ms >= WAIT_MS - 60_000
        merged = any(": merge " in event.text for event in it.bot.ctx.events)
        assert merged is busy
        await it.end()


async def test_a_payment_told_in_time_is_booked(fast_clock: PatientClock) -> None:
    """While the index cannot be read the cash waits for its evidence, ten minutes; told within
    them, it is booked, and nothing has halted (G14).
    """
    async with playing() as it:
        bend = it.venue.bend("GET", "/v2/activity", act=answer(503), service="data")
        pay(it, 7)
        await it.until(lambda: it.bot.ctx.reconciler.balances.surplus, "the cash is seen", 60)
        met = bend.met
        await it.idle()
        await it.until(lambda: bend.met > met, "the index is asked", 60)
        it.venue.bends.remove(bend)
        await it.until(lambda: paid(it, Kind.REWARDS), "it is booked", PAYMENT_MS / 1000)
        assert it.bot.ctx.health.halted == {}
        report = await it.end()

    assert report.rewards_paid == 7 * SHARE
    clean(report)


async def test_a_payment_that_is_told_after_two_starts(fast_clock: PatientClock) -> None:
    """The index may be later than the next start as well: the dollars that the first one found end
    in their own account all the same, once (feeds.md 11).
    """
    async with started() as it:
        capital = it.bot.ctx.account.ledger.capital
        pay(it, 7)
        bend = it.venue.bend("GET", "/v2/activity", act=answer(200, EMPTY), service="data")
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            assert again.bot.ctx.account.ledger.capital - capital == 7 * SHARE
            async with killed(again) as third:
                await third.until(lambda: third.bot.ready, "they agree again")
                it.venue.bends.remove(bend)
                await third.bot.ctx.reconciler.payments.read()
                assert paid(third, Kind.REWARDS) == 7 * SHARE
                assert third.bot.ctx.account.ledger.capital == capital
                report = await third.end()

    clean(report)


@pytest.mark.parametrize("late", [False, True], ids=["told", "told late"])
async def test_a_payment_while_we_were_dead(fast_clock: PatientClock, late: bool) -> None:
    """Paid between a death and the next start, and told then or only afterwards: it ends in its
    own account, once, also after another start (F63; the index lags, feeds.md 11).
    """
    async with started() as it:
        capital = it.bot.ctx.account.ledger.capital
        pay(it, 7)
        bend = it.venue.bend("GET", "/v2/activity", act=answer(200, EMPTY), service="data")
        if not late:
            it.venue.bends.remove(bend)
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            found = again.bot.ctx.account.ledger.capital - capital
            assert found == (7 * SHARE if late else 0)
            if late:
                it.venue.bends.remove(bend)
                await again.bot.ctx.reconciler.payments.read()
            assert paid(again, Kind.REWARDS) == 7 * SHARE
            assert again.bot.ctx.account.ledger.capital == capital
            async with killed(again) as third:
                await third.until(lambda: third.bot.ready, "they agree again")
                await third.bot.ctx.reconciler.payments.read()
                assert paid(third, Kind.REWARDS) == 7 * SHARE
                assert third.bot.ctx.account.ledger.capital == capital
                report = await third.end()

    clean(report)


async def test_a_payment_while_a_start_compares_cash(fast_clock: PatientClock) -> None:
    """Paid and told between the start's look at the balance and its next look at the payments: it
    is booked as what it is, and the books are the venue's (a withdrawal that never was left them
    seven dollars short, and halted).
    """
    async with started() as it:
        capital, asked = it.bot.ctx.account.ledger.capital, 0

        async def told_at_once(request: Request, handle: Handler) -> Response:
            nonlocal asked
            asked += 1
            if asked == 2:
                pay(it, 7)
            return await handle(request)

        it.venue.data._history.lag_ms = 0
        it.venue.bend("GET", "/v2/activity", act=told_at_once, service="data")
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            await again.bot.ctx.reconciler.payments.read()
            await again.until(lambda: paid(again, Kind.REWARDS), "it is booked")
            assert asked >= 2
            assert paid(again, Kind.REWARDS) == 7 * SHARE
            assert again.bot.ctx.account.ledger.capital == capital
            report = await again.end()

    clean(report)


async def test_a_start_that_is_stopped_at_once_books_nothing(fast_clock: PatientClock) -> None:
    """What was paid before the journal's first balance is in it. A start that was stopped before it
    had said from when on anything counts took the payments of two days for new ones with its last
    look, and all trades there had ever been.
    """
    async with scene() as it, trio.open_nursery() as nursery:
        it.venue.data._history.lag_ms = 0
        pay(it, 7)
        await trio.sleep(1)
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.asked("DELETE", "/cancel-all"), "the first request")
        await it.end("SIGINT")
        assert (it.code, it.bot.ready) == (0, False)
        assert paid(it, Kind.REWARDS) == it.bot.ctx.account.ledger.cash == 0
        assert not it.venue.asked("GET", "/data/trades")
