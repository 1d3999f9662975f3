"""Dying and starting again: the venue and the journal together know everything that counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import orjson
import pytest
import trio
from shell_kit import HOUR_MS, OWNER, Scene, clean, put_together, scene, shell_config
from venue_bent import Act, Handler, answer, silence

from polybot.config import Config
from polybot.domain.halts import Halt
from polybot.domain.market_books import Holdings
from polybot.domain.market_states import Happened, MarketState
from polybot.domain.units import SHARE
from polybot.exchange.model import UP
from polybot.exchange.request import Request, Response
from polybot.execution.inventory import InventoryParams
from polybot.journal.entries import Entered, Halted, Moved, Rearmed
from polybot.journal.recovery import recover
from polybot.journal.store import Store
from polybot.patient_clock import PatientClock

GRACE_S = 150.0  # in which something may be mined, in place of eleven minutes
NO_TRADES = b'{"data": [], "next_cursor": "LTE=", "limit": 500, "count": 0}'
METHODS = ("GET", "POST", "DELETE")
PATHS = ("/order", "/orders", "/data", "/cancel-all", "/cancel-market-orders", "/v1/heartbeats")


@asynccontextmanager
async def killed(it: Scene, journal: Path | None = None) -> AsyncGenerator[Scene]:
    """End the scene's bot as `kill -9` does, from the venue's point of view: from one moment on
    nothing more is heard of it. Then put another before the same venue, with the same journal or
    the one that is given.
    """
    bends = [it.venue.bend(method, *PATHS, act=silence) for method in METHODS]
    bends += [it.venue.bend("POST", "/submit", act=silence, service="relayer")]
    for line in it.venue.lines.values():
        line.cut()
    old = it.bot.ctx.account.journal
    old.failed = "killed"  # nothing is written any more either
    it.bot.stop("killed")
    await it.until(it.ended.is_set, "the old bot is gone")
    old.store.close()
    for bend in bends:
        it.venue.bends.remove(bend)
    for line in it.venue.lines.values():
        line.flow()
    store = Store.open(journal or it.journal, OWNER)
    bot = put_together(it.venue, it.urls, it.http, it.bot.ctx.config, None, store)
    again = attrs.evolve(it, bot=bot, code=None, summary=None, ended=trio.Event())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(again.run)
        yield again
        if not again.ended.is_set():
            await again.end()
    store.close()


@asynccontextmanager
async def started(
    config: Config | None = None, at_ms: int = HOUR_MS - 5_000
) -> AsyncGenerator[Scene]:
    async with scene(config=config, at_ms=at_ms) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.run)
        await it.quoting()
        yield it


def trade(wallet: str, status: str) -> dict[str, object]:
    """A row of /data/trades in which that wallet was the maker."""
    maker = {
        "order_id": "0x1", "owner": "x", "maker_address": wallet, "asset_id": "1", "side": "BUY",
        "price": "0.5", "matched_amount": "5", "outcome": "Up",
    }  # fmt: skip
    return {
        "id": "t", "market": "0x2", "asset_id": "1", "side": "SELL", "size": "5", "price": "0.5",
        "status": status, "match_time": "1795201000", "trader_side": "MAKER",
        "taker_order_id": "0x3", "maker_orders": [maker],
    }  # fmt: skip


def holdings(it: Scene) -> Holdings:
    return it.bot.ctx.account.ledger.books[it.market.condition_id].holdings()


async def test_a_killed_bot_is_taken_over(fast_clock: PatientClock) -> None:
    """Orders left behind are cancelled before the first quote, shares and what they cost are back,
    the window goes on, and at its end both books agree to the micro-dollar (F63, G11).
    """
    async with started() as it:
        await it.filled(3)
        await it.until(lambda: holdings(it).up + holdings(it).down, "we know of the fills")
        before, cash = holdings(it), it.bot.ctx.account.ledger.cash
        left = list(it.venue.live)
        dead = len(it.venue.seen)
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            assert again.bot.ctx.recovered.orderly is False
            recovered = again.bot.ctx.account.ledger
            assert recovered.realised == it.bot.ctx.account.ledger.realised
            assert holdings(again).cost >= before.cost - 1 or recovered.cash >= cash
            await again.requoting()
            first = again.venue.placed(after=dead)[0]
            assert all(order.status.value != "LIVE" for order in left), "none of them rests"
            gone = [
                n for n, e in again.venue.events if e.kind == "CANCELLATION" and e.order in left
            ]
            placed = [n for n, e in again.venue.events if e is first]
            assert all(n <= placed[0] for n in gone)
            assert not [e.text for e in again.bot.ctx.events if "skipped" in e.text]
            report = await again.end()

    clean(report)


@pytest.mark.parametrize("off_s", [-29, 0, 3_600], ids=["we are ahead", "right", "the venue lies"])
async def test_the_first_trades_are_never_thought_to_be_in_the_first_balance(
    off_s: int, fast_clock: PatientClock
) -> None:
    """Brief seed 312: a clock 29 s ahead hid what traded in the first 29 s from every reading, and
    whatever the user stream had not told stayed unknown. The earlier one of both clocks counts.
    """
    async with scene() as it:
        now_s = it.venue.clock.now_ms() // 1000
        word = answer(200, str(now_s + off_s).encode())
        it.venue.bend("GET", "/time", act=word, times=2)  # before the balance, and after it
        it.venue.bend("GET", "/time", act=answer(503), times=2)  # these come first
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.run)
            await it.until(lambda: it.bot.ready, "it has started")
            since_s = it.bot.ctx.account.since_s
            report = await it.end()

    assert now_s + min(off_s, 0) <= since_s <= now_s + min(off_s, 0) + 5
    clean(report)


async def test_a_market_goes_on_in_the_state_it_had(fast_clock: PatientClock) -> None:
    """Each transition is on record once, in order and with its cause; the next run begins where
    the dead one was, and its own transitions follow on (strategy.md 13).
    """
    async with started() as it:
        key = it.market.condition_id
        await it.until(lambda: bool(lives(it)), "the transitions are on the disk")
        async with killed(it) as again:
            assert again.bot.ctx.recovered.states[key] is MarketState.QUOTING
            await again.requoting()
            record = again.bot.ctx.records.by_market[key]
            assert record.machine is not None
            assert record.machine.moves == []
            record.machine.at(it.market.end_ms)
            await again.bot.ctx.account.journal.flush()
            life = lives(again)
            report = await again.end()

    assert [(one.before, one.state) for one in life] == [
        (MarketState.DISCOVERED, MarketState.PREOPEN),
        (MarketState.PREOPEN, MarketState.AWAIT_STRIKE),
        (MarketState.AWAIT_STRIKE, MarketState.QUOTING),
        (MarketState.QUOTING, MarketState.ENDED),
    ]
    assert life[-1].cause is Happened.END
    clean(report)


def lives(it: Scene) -> list[Entered]:
    """The transitions of the scene's market that are on the disk, oldest first."""
    entries = [one.entry for one in it.bot.ctx.account.journal.store.live()]
    return [
        entry
        for entry in entries
        if isinstance(entry, Entered) and entry.condition_id == it.market.condition_id
    ]


async def test_fills_while_we_were_dead_are_learnt(fast_clock: PatientClock) -> None:
    """What traded between the death and the next start is read from the venue before the first
    quote, at its own price (F29, F63).
    """
    async with started() as it, killed_with_fills(it) as (again, bought):
        await again.until(lambda: again.bot.ready, "venue and journal agree")
        held = holdings(again)
        assert (
            held.up
            + held.down
            + 2 * again.bot.ctx.account.ledger.books[again.market.condition_id].merged
            >= bought
        )
        report = await again.end()

    clean(report)


@pytest.mark.parametrize("late_s", [3.0, 40.0])
async def test_fills_that_are_listed_late_are_waited_for(
    late_s: float, fast_clock: PatientClock
) -> None:
    """Trades may be listed after the balances show them, by up to a minute. Only the balances were
    read again, and after ten seconds no more: the dollars were booked as gone, once more with their
    trades, and for the shares trading halted.
    """
    since: list[float] = []

    async def listed_late(request: Request, handle: Handler) -> Response:
        since.append(trio.current_time())
        if since[-1] < since[0] + late_s:
            return Response(200, NO_TRADES)
        return await handle(request)

    async with started() as it, killed_with_fills(it, listed_late) as (again, bought):
        await again.until(lambda: again.bot.ready, "venue and journal agree", 60)
        merged = again.bot.ctx.account.ledger.books[again.market.condition_id].merged
        assert holdings(again).up + holdings(again).down + 2 * merged >= bought
        told = [event.text for event in again.bot.ctx.events]
        assert not again.bot.ctx.health.halted
        report = await again.end()

    assert not any("cash differs" in text for text in told)
    clean(report)


async def test_fills_that_still_settle_do_not_cost_the_window(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What filled while nobody was at home is on its way in the balances when the window is looked
    at: that is no stranger's share, and the window is quoted on (F63).
    """
    slowly = (("MINED", 90_000), ("CONFIRMED", 3_000))
    monkeypatch.setattr("polybot.exchange.settlement.schedule", lambda *_: slowly)
    async with started() as it, killed_with_fills(it) as (again, _):
        before = len(it.venue.seen)
        await again.until(lambda: again.venue.placed(after=before), "it quotes again", 30)
        told = [event.text for event in again.bot.ctx.events]
        report = await again.end()

    assert not any("skipped" in text for text in told)
    clean(report)


@pytest.mark.parametrize("end", [("MINED", "CONFIRMED"), ("FAILED",)], ids=["mined", "failed"])
async def test_a_new_journal_begins_when_trades_of_before_have_settled(
    end: tuple[str, ...], fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is lost, or was moved away, and a trade of the run before is on its way: cash
    that it gives back, or that the venue takes for it later, is no drift (six-minute seeds 101 and
    102 with a new journal). Ten seconds after a minute it has started: for so long others may not
    be listed.
    """
    steps = (("RETRYING", 500), (end[0], 60_000), *((step, 3_000) for step in end[1:]))
    monkeypatch.setattr("polybot.exchange.settlement.schedule", lambda *_: steps)
    async with started() as it:
        await it.filled(2)
        new = it.journal.with_name("new.sqlite3")
        async with killed(it, new) as again:
            await again.until(lambda: again.bot.ready, "it has started", 75)
            await trio.sleep(90)
            assert again.bot.ctx.health.halted == {}
            cash = again.venue.engine.accounts.cash(again.venue.demo_wallets.deposit)
            assert again.bot.ctx.account.ledger.cash == cash
            await again.end()


@pytest.mark.parametrize(
    ("status", "said"), [("", "could not be read"), ("MINED", "have not settled")]
)
async def test_a_first_start_says_what_it_waited_for(
    status: str, said: str, fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trades that stay on their way, and a list of them that cannot be read, end it in time: each
    in its own words, and with nothing placed.
    """
    monkeypatch.setattr("polybot.restart.SETTLING_S", 120.0)
    async with scene() as it:
        mined = {"data": [trade(it.venue.account, status)], "next_cursor": "LTE="}
        reply = answer(200, orjson.dumps(mined)) if status else answer(503)
        it.venue.bend("GET", "/data/trades", act=reply)
        await it.run()

    assert said in it.bot.exit_reason
    assert it.venue.placed() == []


async def test_a_window_with_shares_of_somebody_else_is_skipped(fast_clock: PatientClock) -> None:
    """What shares cost that our books do not explain is not known here: such a window is left
    alone, and the operator told. The balance is asked for less and less often until then: twice a
    second for each of five windows was more than half of what the venue takes (S13, seed 1130).
    """
    async with scene(at_ms=HOUR_MS + 20_000) as it:
        tokens = it.market.tokens
        it.venue.engine.accounts.add_shares(it.venue.demo_wallets.deposit, tokens[:1], SHARE)
        it.venue.engine.accounts.add_shares("0xsomebody", tokens[:1], -SHARE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.run)
            skipped = f"{it.market.slug}: skipped, the wallet already holds shares of it"
            await it.until(
                lambda: skipped in [event.text for event in it.bot.ctx.events], "it is told", 60
            )
            await it.end()

    assert it.venue.placed(after=0) == []
    asked = Counter(one.path for one in it.venue.asked("GET", "/balance-allowance"))
    assert asked["/balance-allowance"] < 15
    assert asked["/balance-allowance/update"] < 10, "one a look, while a new journal is young"


@asynccontextmanager
async def killed_with_fills(
    it: Scene, listed: Act | None = None
) -> AsyncGenerator[tuple[Scene, int]]:
    """As `killed`, but somebody takes every bid of ours while nobody is at home; how the trades are
    `listed` then.
    """
    orders = list(it.venue.live)
    matched = sum(order.matched for order in orders)
    for line in it.venue.lines.values():
        line.cut()
    bends = [it.venue.bend(method, *PATHS, act=silence) for method in METHODS]
    for order in orders:
        it.venue.hit(order)
    await trio.sleep(1)  # the taker delay
    bought = sum(order.matched for order in orders) - matched
    assert bought > 0
    for bend in bends:
        it.venue.bends.remove(bend)
    if listed is not None:
        it.venue.bend("GET", "/data/trades", act=listed)
    async with killed(it) as again:
        yield again, bought


async def test_a_halt_stands_after_a_restart(fast_clock: PatientClock) -> None:
    """A halted bot that is started again places nothing until an operator has re-armed it (S12)."""
    async with started() as it:
        it.bot.ctx.health.halt(Halt.LEDGER_DRIFT, "1 share too many")
        await it.withdrawn()
        await it.end()
        it.bot.ctx.account.journal.store.close()
        store = Store.open(it.journal, OWNER)
        assert Halt.LEDGER_DRIFT.value in recover(store.live()).halts
        for rearmed in (False, True):
            if rearmed:
                store.append([(it.venue.clock.now_ms(), Rearmed("operator"))])
            after = len(it.venue.seen)
            bot = put_together(it.venue, it.urls, it.http, it.bot.ctx.config, None, store)
            again = attrs.evolve(it, bot=bot, code=None, summary=None, ended=trio.Event())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(again.run)
                await again.until(partial(getattr, bot, "ready"), "it is up")
                if rearmed:
                    await again.requoting()
                else:
                    await trio.sleep(20)
                    assert again.venue.placed(after=after) == []
                    assert (again.gate or "").startswith(Halt.LEDGER_DRIFT.value)
                await again.end()
        halted = [e.entry for e in store.live() if isinstance(e.entry, Halted)]
        store.close()

    assert len(halted) == 1, "the same halt is not written again at every start"


async def test_shares_that_the_journal_cannot_explain_halt(fast_clock: PatientClock) -> None:
    """Somebody moved shares while we were away: trading stops until somebody has looked (G14)."""
    config = attrs.evolve(shell_config(), inventory=InventoryParams(merge_shares=1_000))
    async with started(config) as it:
        await it.filled(2)
        await it.until(lambda: holdings(it).up + holdings(it).down, "we know of the fills")
        market = it.market
        books = it.bot.ctx.account.ledger.books[market.condition_id]
        await it.until(lambda: not books.unsettled(), "they have settled")
        await it.end()
        it.bot.ctx.account.journal.store.close()
        accounts = it.venue.engine.accounts
        accounts.add_shares(it.venue.demo_wallets.deposit, (market.tokens[UP],), SHARE)
        accounts.add_shares("0xsomebody", (market.tokens[UP],), -SHARE)
        await trio.sleep(5)  # the venue's cache of balances has seen it
        store = Store.open(it.journal, OWNER)
        bot = put_together(it.venue, it.urls, it.http, it.bot.ctx.config, None, store)
        again = attrs.evolve(it, bot=bot, code=None, summary=None, ended=trio.Event())
        after = len(it.venue.seen)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(again.run)
            await again.until(lambda: again.gate and "shares differ" in again.gate, "it halts")
            await trio.sleep(10)
            assert again.venue.placed(after=after) == []
            await again.end()
        store.close()


async def test_an_operation_on_its_way_at_the_death_is_booked_as_what_it_was(
    fast_clock: PatientClock,
) -> None:
    """Killed between asking for an operation and reading its answer: the balances say that it has
    happened, so it is no cash of unknown origin, and no reason to halt (F33, F63).
    """
    async with started() as it:
        asked = Moved(it.market.condition_id, "split", "asked", "split-1", 30 * SHARE)
        await it.bot.ctx.account.journal.append(asked)
        wallet = it.venue.demo_wallets.deposit
        it.venue.engine.split(wallet, it.market, 30 * SHARE, it.venue.clock.now_ms())
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree")
            ctx = again.bot.ctx
            assert ctx.health.halted == {}
            assert not [e.text for e in ctx.events if "differs from the journal" in e.text]
            assert ctx.account.ledger.capital == it.bot.ctx.account.ledger.capital
            await again.requoting()
            report = await again.end()

    clean(report)


async def test_an_operation_nobody_can_explain_ends_in_a_halt(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody moved shares while an operation had no answer: the chain shows neither what was nor
    what should be. The start waits until nothing can be mined any more, then halts (F33, G14).
    """
    monkeypatch.setattr("polybot.in_flight.GRACE_S", GRACE_S)
    async with started() as it:
        market, wallet = it.market, it.venue.demo_wallets.deposit
        asked = Moved(market.condition_id, "merge", "asked", "polybot-1.0", 30 * SHARE)
        await it.bot.ctx.account.journal.append(asked)
        it.venue.engine.accounts.add_shares(wallet, (market.tokens[UP],), SHARE)
        it.venue.engine.accounts.add_shares("0xsomebody", (market.tokens[UP],), -SHARE)
        it.venue.crowd.hushed = True  # nobody quotes for minutes
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "it has started", 60 + GRACE_S)
            assert list(again.bot.ctx.health.halted) == [Halt.SHARES_DIFFER.value]
            ended = [one.entry for one in again.bot.ctx.account.journal.store.live()]
            assert attrs.evolve(asked, step="failed", evidence="") in [
                attrs.evolve(one, evidence="") for one in ended if isinstance(one, Moved)
            ]
            await again.end()
