"""Transactions that never end by themselves, and redemptions that nobody of us has asked for."""

from __future__ import annotations

import attrs
import pytest
import trio
from shell_kit import LATE_MS, OWNER, Scene, clean, playing, put_together, scene
from test_shell_inventory import FEW, UNMERGED, merging, steps
from test_shell_restart import started
from venue_bent import Act, answer, changed

from polybot.domain.halts import Halt
from polybot.domain.units import SHARE
from polybot.exchange.model import Market
from polybot.journal.store import Store
from polybot.patient_clock import PatientClock

GRACE_S, SILENT_MS = 60.0, 30_000  # the real ones would take minutes of ours


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for in minutes comes sooner."""
    monkeypatch.setattr("polybot.in_flight.GRACE_S", GRACE_S)
    monkeypatch.setattr("polybot.venue.chain.SILENT_MS", SILENT_MS)


def _stuck(state: str) -> Act:
    def change(row: dict[str, object]) -> None:
        row["state"] = state

    return changed(change)


@pytest.mark.parametrize("state", ["STATE_MINED", "STATE_EXECUTED"])
async def test_a_row_that_never_ends(state: str, fast_clock: PatientClock) -> None:
    """The chain has merged and the relayer's row stands still: when nothing of ours can be mined
    any more the shares decide, the money is ours again, and a start has nothing to wait for.
    """
    async with started(FEW) as it:
        bend = it.venue.bend(
            "GET", "/v1/account/transactions", act=_stuck(state), service="relayer"
        )
        await merging(it, 5)
        await it.until(lambda: ("merge", "sent") in steps(it), "it is sent", 100)
        await it.idle()
        inventory = it.bot.inventory
        flight = inventory.under_way.flights[0]
        await it.until(lambda: flight not in inventory.under_way.flights, "its end", GRACE_S + 100)
        assert it.bot.ctx.health.halted == {}
        it.venue.bends.remove(bend)
        await it.until(lambda: not it.bot.ctx.account.moving, "all others end", GRACE_S + 100)
        assert it.bot.ctx.account.overdue == {}
        report = await it.end()

    clean(report)


async def test_what_has_no_end_hides_no_theft(fast_clock: PatientClock) -> None:
    """Nor can the chain be read, so that nobody knows whether it has merged: beyond what that may
    have brought, cash is watched again (G14).
    """
    async with started(FEW) as it:
        it.venue.bend(
            "GET", "/v1/account/transactions", act=_stuck("STATE_EXECUTED"), service="relayer"
        )
        await merging(it, 5)
        await it.until(lambda: ("merge", "sent") in steps(it), "it is sent", 100)
        await it.idle()
        it.venue.bend("POST", "", "/", act=answer(503), service="rpc")
        await trio.sleep(GRACE_S + 40)
        ctx = it.bot.ctx
        brought = sum(ctx.account.overdue.values())
        assert brought >= 5 * SHARE, "nobody knows what became of it"
        cash = it.venue.engine.accounts.cash(it.venue.account)
        assert cash == ctx.account.ledger.cash + brought, "it has merged"
        assert not ctx.reconciler.balances.surplus, "and what it may have brought is expected"
        assert ctx.health.halted == {}
        it.venue.engine.accounts.withdraw(it.venue.account, brought + SHARE)
        await it.until(lambda: ctx.health.halted, "the theft is seen", 60)
        assert [*ctx.health.halted] == [Halt.LEDGER_DRIFT.value]
        await it.end()


async def test_a_node_that_is_silent_is_told_of(fast_clock: PatientClock) -> None:
    """Without the chain nothing is merged or redeemed: after minutes it is said once, quotes know
    that pairs stay pairs, and all ends when the node answers.
    """
    async with playing(at_ms=LATE_MS, config=FEW) as it:
        bend = it.venue.bend("POST", "", "/", act=answer(401, b"tenant disabled"), service="rpc")
        condition = await merging(it, 5)
        await it.idle()
        ctx = it.bot.ctx

        def told(words: str) -> int:
            return sum(words in event.text for event in ctx.events)

        await it.until(lambda: told("nothing is merged or redeemed"), "it is told", 500)
        assert "tenant disabled" in str(ctx.account.unmergeable.get(condition))
        await trio.sleep(SILENT_MS / 1000)
        assert told("nothing is merged or redeemed") == ctx.records.faults["chain unread"] == 1
        it.venue.bends.remove(bend)
        await it.until(lambda: told("answers again"), "the end is told")
        watched = it.bot.inventory.watched
        await it.until(lambda: condition not in watched, "it is redeemed and closed", 900)
        report = await it.end()

    clean(report)


async def _held_to_the_end(it: Scene) -> Market:
    """Fill bids on both outcomes, and let them settle; the window they are of."""
    market, accounts = it.market, it.venue.engine.accounts

    def both() -> bool:
        it.hit()
        return all(accounts.shares(it.venue.account, token) for token in market.tokens)

    await it.until(both, "shares of both")
    await it.idle()
    books = it.bot.ctx.account.ledger.books[market.condition_id]
    await it.until(lambda: books.trades and not books.unsettled(), "they settle")
    return market


async def _redeemed_by_the_venue(it: Scene, market: Market, whole: str) -> None:
    """Its operator redeems for us as soon as there is a result (onchain.md 10): all that is there,
    or what pays alone.
    """
    await it.until(lambda: market.payouts is not None, "a result", 500)
    wallet, accounts = it.venue.account, it.venue.engine.accounts
    up, down = (accounts.shares(wallet, token) for token in market.tokens)
    assert up
    assert down
    assert market.payouts is not None
    pays = None if whole == "all" else (up * market.payouts[0], down * market.payouts[1])
    it.venue.engine.redeem(wallet, market, it.venue.clock.now_ms(), pays)


@pytest.mark.parametrize("whole", ["all", "what pays"])
@pytest.mark.parametrize("way", [True, False], ids=["with a way", "without"])
async def test_the_venue_redeems_for_us(way: bool, whole: str, fast_clock: PatientClock) -> None:
    """Shares that are dollars without a transaction of ours are booked as redeemed: it is told,
    nothing halts, and no redemption is asked for. Those that lost may stay: they are worth nothing,
    and were taken for a wallet that nobody can explain.
    """
    async with playing(at_ms=LATE_MS, config=UNMERGED) as it:
        if not way:
            it.bot.inventory.way = None
        market = await _held_to_the_end(it)
        await _redeemed_by_the_venue(it, market, whole)
        watched = it.bot.inventory.watched
        await it.until(lambda: market.condition_id not in watched, "its books are closed", 700)
        assert it.bot.ctx.health.halted == {}
        assert any("redeemed without us" in event.text for event in it.bot.ctx.events)
        assert ("redeem", "asked") not in steps(it)
        report = await it.end()

    clean(report)


@pytest.mark.parametrize(
    ("whole", "silent_s"), [("all", 0), ("what pays", 0), ("all", 4)],
    ids=["all", "what pays", "a node that is silent at first"],
)  # fmt: skip
async def test_the_venue_redeems_for_us_while_we_are_away(
    whole: str, silent_s: float, fast_clock: PatientClock
) -> None:
    """A start books it before it judges cash: the dollars are no deposit, and count once. A node
    that did not answer at that moment was not asked again: they were one.
    """
    async with scene(at_ms=LATE_MS, config=UNMERGED) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.run)
        await it.quoting()
        market = await _held_to_the_end(it)
        capital = it.bot.ctx.account.ledger.capital
        await it.end()
        await _redeemed_by_the_venue(it, market, whole)
        it.bot.ctx.account.journal.store.close()
        store = Store.open(it.journal, OWNER)
        bot = put_together(it.venue, it.urls, it.http, it.bot.ctx.config, None, store)
        again = attrs.evolve(it, bot=bot, code=None, summary=None, ended=trio.Event())
        async with trio.open_nursery() as next_run:
            bend = it.venue.bend("POST", "", "/", act=answer(503), service="rpc")
            next_run.start_soon(again.run)
            await trio.sleep(silent_s)
            it.venue.bends.remove(bend)
            await again.until(lambda: again.bot.ready, "venue and journal agree", 120)
            await again.idle()
            ctx = again.bot.ctx
            assert ctx.account.ledger.capital == capital
            watched = again.bot.inventory.watched
            await again.until(lambda: market.condition_id not in watched, "closed", 100)
            assert ctx.health.halted == {}
            report = await again.end()
        store.close()

    clean(report)
