"""What is held is sold, through the whole bot against the exchange: with little cash, when a reply
is lost, when the match fails, after a death, and beside merges.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from shell_kit import HOUR_MS, LATE_MS, Scene, clean, playing, scene, shell_config
from test_shell_restart import METHODS, PATHS, killed
from venue_bent import Handler, lose_reply, silence

from polybot.config import Config
from polybot.console.snapshot import QuoteLine
from polybot.domain.accounts import Kind
from polybot.domain.market import Outcome
from polybot.domain.market_books import MarketBooks
from polybot.domain.units import SHARE, USD
from polybot.exchange.model import SELL, Order
from polybot.exchange.net import Request, Response
from polybot.exchange.settlement import Step
from polybot.execution.desk import Desk
from polybot.execution.inventory import InventoryParams
from polybot.patient_clock import PatientClock
from polybot.quoting.reasons import Why
from polybot.risk.limits import RiskParams

LITTLE = 13 * USD  # both first bids of ten shares, and not much more
EARLY_MS = HOUR_MS - 5_000


def config(sell_held: str = "when short", *, seed: int = 0) -> Config:
    """Merges wait, so that shares are there to be sold; `seed` pairs to begin with. A wallet of a
    few dollars may risk them all.
    """
    made = shell_config(levels=1, gamma_per_share=0.02, size_floor=1.0)
    return attrs.evolve(
        made,
        quote=attrs.evolve(made.quote, sell_held=sell_held),
        risk=RiskParams(
            max_market_loss_percent=100,
            max_cluster_loss_percent=100,
            max_total_loss_percent=100,
            max_daily_loss_percent=100,
            max_drawdown_percent=100,
        ),
        inventory=InventoryParams(
            merge_shares=100_000, merge_equity_percent=0, cash_percent=0, seed_shares=seed
        ),
    )


@asynccontextmanager
async def poor() -> AsyncGenerator[Scene]:
    """A bot whose wallet has little cash, quoting."""
    async with scene(config=config()) as it, trio.open_nursery() as nursery:
        accounts = it.venue.engine.accounts
        accounts.withdraw(it.venue.account, accounts.cash(it.venue.account) - LITTLE)
        nursery.start_soon(it.run)
        await it.quoting()
        yield it
        if not it.ended.is_set():
            await it.end()


def books_of(it: Scene) -> MarketBooks:
    return it.bot.ctx.account.ledger.books[it.market.condition_id]


def desk_of(it: Scene) -> Desk:
    return it.bot.supervisor.scopes[it.market.slug].orders.desk


def asks(it: Scene) -> list[Order]:
    return [order for order in it.venue.live if order.side == SELL]


def offered(it: Scene, outcome: Outcome) -> int:
    """Shares that our asks at the venue may still sell."""
    token = books_of(it).market.token(outcome)
    return sum(order.remaining for order in asks(it) if order.token == token)


async def asking(it: Scene) -> Order:
    """Somebody fills one of our bids; wait until what it bought is offered."""
    it.venue.crowd.hushed = True
    await it.filled()
    await it.until(lambda: asks(it), "an ask of ours rests", 90)
    return asks(it)[0]


async def taken(it: Scene) -> None:
    """Somebody takes what we offer, until our books have a sale: who takes is held up for a moment
    (clob.md 3.9), and the ask may be gone by then.
    """
    books, again_ms = books_of(it), 0

    def done() -> bool:
        nonlocal again_ms
        now_ms = it.venue.clock.now_ms()
        if now_ms >= again_ms and not books.of(Kind.SOLD):
            again_ms = now_ms + 1_000
            for order in asks(it)[:1]:
                it.venue.hit(order)
        return books.of(Kind.SOLD) != 0

    await it.until(done, "a sale is booked", 120)


async def sold(it: Scene) -> None:
    """As `taken`, until it is confirmed."""
    await taken(it)
    await it.until(lambda: not books_of(it).unsettled(), "the sale is confirmed", 120)


def covered(it: Scene) -> bool:
    """Whether all that our asks may sell is there, at the venue and in the books."""
    accounts, books = it.venue.engine.accounts, books_of(it)
    return all(
        offered(it, outcome) <= accounts.shares(it.venue.account, books.market.token(outcome))
        and offered(it, outcome) <= books.shares(outcome, final=True)
        for outcome in Outcome
    )


def shown(it: Scene, ask: Order) -> bool:
    """Whether the screen has this ask, at its own price, among the orders of its own token."""
    market = it.bot.supervisor.scopes[it.market.slug].quote.snapshot("")
    up = ask.token == books_of(it).market.up_token
    lines = market.up_quotes if up else market.down_quotes
    return QuoteLine(ask.price, ask.remaining, asks=True) in lines


async def test_a_wallet_short_of_cash_sells_what_it_holds(fast_clock: PatientClock) -> None:
    """With too little cash for a bid on the twin the shares that are held are offered in its place,
    the position shrinks by what is sold, and both books end the same (strategy.md 15). The screen
    and the summary tell an ask as what it is.
    """
    async with poor() as it:
        ask = await asking(it)
        before = books_of(it).holdings()
        assert covered(it)
        assert before.up_confirmed + before.down_confirmed >= ask.size
        quote = it.bot.supervisor.scopes[it.market.slug].quote
        told = [one for one in quote.quoter.decision.reasons if one.why is Why.SELLS]
        assert dict(told[0].figures)["because"] == "not enough free cash"
        await it.until(lambda: shown(it, ask), "the screen lists it as an ask")
        await sold(it)
        assert books_of(it).fees == 0, "it rested: a maker pays nothing"
        report = await it.end()

    assert report.totals.sales > 0, "the summary counts it"
    assert report.totals.sold > 0
    assert report.faults == {}
    clean(report)


async def test_with_cash_at_hand_nothing_is_sold(fast_clock: PatientClock) -> None:
    """The twin is bid for as ever: selling is for want of money, unless the operator says so."""
    async with playing(at_ms=EARLY_MS, config=config()) as it:
        it.venue.crowd.hushed = True
        await it.filled(2)
        await it.until(lambda: not books_of(it).unsettled(), "they have settled")
        await it.requoting()
        await it.quoting()
        assert [e for e in it.venue.placed() if e.order.side == SELL] == []
        report = await it.end()

    clean(report)


async def lose_asks(request: Request, handle: Handler) -> Response:
    """Carry out what sells and never say so."""
    return await (lose_reply(request, handle) if b'"SELL"' in request.body else handle(request))


async def test_an_ask_without_an_answer_is_not_repeated(fast_clock: PatientClock) -> None:
    """The venue has it, and neither reply nor order message tells: its shares stay bound while it
    is in doubt, it is found and withdrawn, and never are more offered than there are (S3, S8).
    """
    async with poor() as it:
        rule = it.venue.bend("POST", "/order", "/orders", act=lose_asks)
        # Trades are told: a stream that owes us word of one is left.
        it.venue.lines["user_ws"].passes = lambda data: b'"SELL"' not in data or b'"trade"' in data
        await asking(it)
        table = desk_of(it).table

        def resolved() -> bool:
            assert covered(it)
            assert all(table.pledged(o) >= offered(it, o) for o in Outcome)
            return len(table.doubts_ms) > 0

        await it.until(resolved, "the doubt has ended", 60)
        it.venue.lines["user_ws"].flow()
        it.venue.bends.remove(rule)
        await it.until(lambda: asks(it), "it asks again", 60)
        await sold(it)
        report = await it.end()

    clean(report)


async def test_a_sale_that_fails_gives_the_shares_back(
    monkeypatch: pytest.MonkeyPatch, fast_clock: PatientClock
) -> None:
    """MATCHED, half a minute RETRYING, FAILED: meanwhile neither the venue's figures nor ours are
    called drift, and in the end shares, cost and cash are what they were before it (F31, F32).
    """
    async with poor() as it:
        await asking(it)
        before, cash = books_of(it).holdings(), it.bot.ctx.account.ledger.cash
        steps: tuple[Step, ...] = (("RETRYING", 500), ("FAILED", 30_000))
        monkeypatch.setattr("polybot.exchange.settlement.schedule", lambda *_: steps)
        books = books_of(it)
        await taken(it)
        held = it.bot.ctx.account.standing(it.market.condition_id).held
        assert held.back_up + held.back_down, "what may come back is at risk until it is certain"
        await it.until(lambda: not books.of(Kind.SOLD), "it has failed")
        assert it.bot.ctx.health.halted == {}
        assert books.holdings() == before
        assert it.bot.ctx.account.ledger.cash == cash
        monkeypatch.undo()
        report = await it.end()

    clean(report)


async def test_killed_with_an_ask_resting(fast_clock: PatientClock) -> None:
    """The next start cancels it, knows its shares for ours, and sells them if it must (F63)."""
    async with poor() as it:
        ask = await asking(it)
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            assert ask.status.value != "LIVE"
            assert again.bot.ctx.health.halted == {}
            await again.until(lambda: asks(again), "it sells again", 90)
            assert covered(again)
            await sold(again)
            report = await again.end()

    clean(report)


async def test_an_ask_that_fills_while_nobody_is_at_home(fast_clock: PatientClock) -> None:
    """The sale is read from the venue at the next start, before anything is quoted (F29)."""
    async with poor() as it:
        ask = await asking(it)
        bends = [it.venue.bend(method, *PATHS, act=silence) for method in METHODS]
        for line in it.venue.lines.values():
            line.cut()
        it.venue.hit(ask)
        await it.until(lambda: ask.matched, "somebody takes it", 10)
        for bend in bends:
            it.venue.bends.remove(bend)
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            assert again.bot.ctx.health.halted == {}
            assert books_of(again).of(Kind.SOLD)
            report = await again.end()

    clean(report)


async def test_what_cannot_be_merged_is_sold(fast_clock: PatientClock) -> None:
    """With cash enough and no way onto the chain a pair would stay one until the end: what is held
    is offered, and the reason is the inventory's.
    """
    async with playing(at_ms=EARLY_MS, config=config()) as it:
        it.venue.crowd.hushed = True
        await it.filled()
        it.bot.inventory.way, it.bot.inventory.why = None, "no relayer key"
        await it.until(lambda: asks(it), "an ask of ours rests", 90)
        quote = it.bot.supervisor.scopes[it.market.slug].quote
        (told,) = [one for one in quote.quoter.decision.reasons if one.why is Why.SELLS]
        assert dict(told.figures)["because"] == "no relayer key"
        await sold(it)
        report = await it.end()

    clean(report)


async def test_nothing_is_redeemed_while_an_ask_may_match(fast_clock: PatientClock) -> None:
    """A sale that nobody has told yet takes shares that a redemption would pay for: while any
    order's fate is open, one of an earlier run or a late one, it waits (onchain.md 6.4).
    """
    async with playing(at_ms=LATE_MS, config=config("never")) as it:
        await it.filled()
        await it.idle()
        market, account = books_of(it).market, it.bot.ctx.account
        books, key = books_of(it), market.condition_id
        tokens = (market.up_token, market.down_token)
        account.pledges["of an earlier run"] = dict.fromkeys(tokens, 5 * SHARE)
        await it.until(lambda: books.up_payout is not None, "the result is known", 400)
        await it.until(lambda: "on its way" in it.bot.inventory.waits.get(key, ""), "it waits")
        assert key in it.bot.inventory.watched
        del account.pledges["of an earlier run"]
        await it.until(lambda: key not in it.bot.inventory.watched, "it is redeemed", 120)
        report = await it.end()

    clean(report)


async def test_a_merge_goes_before_asks(fast_clock: PatientClock) -> None:
    """Pairs are offered on both sides. Once they are to be merged their asks let go of them, and no
    operation fails for want of shares (onchain.md 6.4).
    """
    async with playing(at_ms=HOUR_MS - 20_000, config=config("always", seed=20)) as it:
        it.venue.crowd.hushed = True
        books = books_of(it)
        await it.until(lambda: len(asks(it)) == 2, "both are offered", 90)
        inventory = it.bot.inventory
        inventory.params = attrs.evolve(inventory.params, merge_shares=15, seed_shares=0)

        def merged() -> bool:
            assert covered(it)
            return books.merged > 0

        await it.until(merged, "pairs are merged", 90)
        assert books.merged == 20 * SHARE
        assert [e.text for e in it.bot.ctx.events if "failed" in e.text] == []
        assert desk_of(it).counts.cancels["shares"] == 2
        report = await it.end()

    clean(report)
