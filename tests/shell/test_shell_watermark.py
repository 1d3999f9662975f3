"""How far the venue's trades have been read: no later start, and no later look, reads past one."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from shell_kit import OWNER, Scene, clean, put_together
from test_shell_restart import METHODS, PATHS, holdings, started
from trio.testing import MockClock
from venue_bent import answer, silence

from polybot.clock import Clock
from polybot.domain.halts import Halt
from polybot.domain.orders import Failure, TradeSeen, TradeStatus
from polybot.journal.entries import Halted, Rearmed, TradesRead
from polybot.journal.store import Store
from polybot.patient_clock import PatientClock
from polybot.reconciler import (
    RECONCILE_EVERY_S,
    TRADES_OVERLAP_S,
    WATERMARK_EVERY_S,
    Reconciler,
)

LATER_S = TRADES_OVERLAP_S + 30
GONE = "t600"
REACHES_MOST_S = 600  # seconds in which no market has five thousand trades of ours


async def die_while_filled(it: Scene) -> int:
    """From one moment on the bot hears nothing and is not heard, then every bid of it is taken, and
    it is gone. Returns how many shares it has bought and does not know of.
    """
    orders = list(it.venue.live)
    for line in it.venue.lines.values():
        line.cut()
    bends = [it.venue.bend(method, *PATHS, act=silence) for method in METHODS]
    bends += [it.venue.bend("POST", "/submit", act=silence, service="relayer")]
    for order in orders:
        it.venue.hit(order)
    await trio.sleep(1)  # the taker delay
    bought = sum(order.matched for order in orders)
    assert bought > 0
    it.bot.ctx.account.journal.failed = "killed"  # nothing is written any more either
    it.bot.stop("killed")
    await it.until(it.ended.is_set, "the old bot is gone")
    it.bot.ctx.account.journal.store.close()
    for bend in bends:
        it.venue.bends.remove(bend)
    for line in it.venue.lines.values():
        line.flow()
    return bought


@asynccontextmanager
async def another(it: Scene) -> AsyncGenerator[Scene]:
    """The next bot before the same venue, with the same journal."""
    store = Store.open(it.journal, OWNER)
    bot = put_together(it.venue, it.urls, it.http, it.bot.ctx.config, None, store)
    again = attrs.evolve(it, bot=bot, code=None, summary=None, ended=trio.Event())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(again.run)
        yield again
    store.close()


async def fail_to_start(it: Scene) -> None:
    """A start that finds out what became of orders, writes that down, and can read no trade."""
    away = it.venue.bend("GET", "/data/trades", act=answer(503))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polybot.restart.ANSWER_S", 60.0)
        async with another(it) as again:
            await again.until(again.ended.is_set, "it gives up", 120)
    assert "trades of the time since the last run" in again.bot.exit_reason
    it.venue.bends.remove(away)


def halt_and_rearm(it: Scene) -> None:
    """What `stop --now` and `rearm` write."""
    store = Store.open(it.journal, OWNER)
    now_ms = it.venue.clock.now_ms()
    store.append([(now_ms, Halted(Halt.STOPPED.value, "stop --now")), (now_ms, Rearmed("me"))])
    store.close()


def forget_watermark(it: Scene) -> None:
    """The journal as an older version has written it."""
    with sqlite3.connect(it.journal) as database:
        database.execute("DELETE FROM entries WHERE kind = 'TradesRead'")
        database.execute("UPDATE meta SET value = '5' WHERE key = 'schema'")
    database.close()


@pytest.mark.parametrize("older", [False, True], ids=["this version's", "an older one's"])
@pytest.mark.parametrize("what", ["halted and re-armed", "a failed start"])
async def test_what_is_written_after_the_death_hides_no_fill(
    what: str, older: bool, fast_clock: PatientClock
) -> None:
    """More than two minutes after the fills something else came into the journal, whose stamp was
    taken for the watermark: they were never read, and shares that nobody could explain halted.
    """
    async with started() as it:
        bought = await die_while_filled(it)
        if older:
            forget_watermark(it)
        it.venue.crowd.hushed = True
        await trio.sleep(LATER_S)
        if what == "a failed start":
            await fail_to_start(it)
        else:
            halt_and_rearm(it)
        async with another(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree", 60)
            held = holdings(again)
            merged = again.bot.ctx.account.ledger.books[again.market.condition_id].merged
            assert held.up + held.down + 2 * merged >= bought
            assert again.bot.ctx.health.halted == {}
            clean(await again.end())


# --- looks of one run -------------------------------------------------------------------------


def settled(second: int) -> TradeSeen:
    return TradeSeen(f"t{second}", "0x", TradeStatus.CONFIRMED, (), second * 1000)


@attrs.define
class Trades:
    """A venue that lists each trade `late_s` after its match; `asked` is since when. Of one it
    knows nothing when it is asked by id.
    """

    clock: Clock
    matched_s: list[int]
    late_s: int = 0
    asked: list[int] = attrs.field(factory=list)
    asked_by_id: list[str] = attrs.field(factory=list)

    async def trades(
        self, *, after_s: int | None = None, trade_id: str = ""
    ) -> list[TradeSeen] | Failure:
        await trio.lowlevel.checkpoint()
        if after_s is None:
            self.asked_by_id.append(trade_id)
            return Failure("not found") if trade_id == GONE else [settled(int(trade_id[1:]))]
        self.asked.append(after_s)
        now_s = self.clock.now_ms() // 1000
        listed = (s for s in self.matched_s if after_s <= s <= now_s - self.late_s)
        return [settled(s) for s in listed]


@attrs.define
class Looks:
    """A reconciler's reading alone, and what it has learnt and noted."""

    venue: Trades
    reconciler: Reconciler
    known: set[str]
    noted: list[int]
    unsettled: dict[str, int]


def looks(matched_s: list[int], late_s: int = 0) -> Looks:
    """Begun at second 1,000 of a venue with trades of those seconds."""
    clock = Clock.starting_at(1_000_000)
    venue, known, noted = Trades(clock, matched_s, late_s), set[str](), list[int]()
    unsettled: dict[str, int] = {}
    nothing: Any = None

    async def learn_of(trades: list[TradeSeen]) -> None:
        await trio.lowlevel.checkpoint()
        known.update(trade.trade_id for trade in trades)

    def note(entry: TradesRead) -> None:
        noted.append(entry.until_s)

    account: Any = SimpleNamespace(
        doubt=nothing, learn_of=learn_of, read=learn_of, journal=SimpleNamespace(note=note),
        ledger=SimpleNamespace(unsettled=lambda: unsettled), before_booking=[],
        after_booking=[], since_s=500,
    )  # fmt: skip
    client: Any = venue
    made = Reconciler(client, clock, nothing, account, nothing, nothing, nothing, grace_ms=2_000)
    return Looks(venue, made, known, noted, unsettled)


async def test_a_trade_that_is_listed_late_is_read_all_the_same(
    autojump_clock: MockClock,
) -> None:
    """Looks in between have read past its second: each one goes back by the overlap (F29)."""
    it = looks([1_030, 1_100], late_s=90)
    for _ in range(12):
        assert await it.reconciler.read_trades() is None
        await trio.sleep(RECONCILE_EVERY_S)

    assert it.known == {"t1030", "t1100"}


async def test_the_watermark_is_written_down_now_and_then(autojump_clock: MockClock) -> None:
    """Behind what was read, never before it; not at every look, and at once where the clock was set
    back.
    """
    it = looks([])
    for _ in range(12):
        assert await it.reconciler.read_trades() is None
        assert 0 <= it.reconciler.read_until_s - it.noted[-1] < WATERMARK_EVERY_S
        await trio.sleep(RECONCILE_EVERY_S)
    assert it.noted == [1_000, 1_040, 1_080, 1_120, 1_160, 1_200]
    it.venue.clock.set_right(-100_000)
    assert await it.reconciler.read_trades() is None

    assert it.noted[-1] == 1_140


async def test_a_trade_that_never_settles_does_not_make_the_list_grow(
    autojump_clock: MockClock,
) -> None:
    """Every look began at it, and read all that had traded since: with more than fifty pages it
    failed, and nothing was placed any more. It is asked for by its id, each of several in its turn.
    """
    it = looks([])
    it.reconciler.read_until_s = 1_000
    it.unsettled |= {"t1000": 1_000_000, "t1001": 1_001_000, GONE: 600_000}
    for _ in range(200):
        assert await it.reconciler.read_trades() is None
        assert it.venue.clock.now_ms() // 1000 - it.venue.asked[-1] < REACHES_MOST_S
        await trio.sleep(RECONCILE_EVERY_S)

    times = Counter(it.venue.asked_by_id)
    assert times.total() <= 200, "one a look"
    assert min(times[one] for one in it.unsettled) > 50
    assert it.known == {"t1000", "t1001"}, "no answer is no news"


async def test_a_trade_that_settles_is_in_the_list(autojump_clock: MockClock) -> None:
    """While it is young no look begins after it: its end is read with all the others."""
    it = looks([1_000])
    it.reconciler.read_until_s = 1_000
    it.unsettled["t1000"] = 1_000_000
    for _ in range(14):
        assert await it.reconciler.read_trades() is None
        assert it.venue.asked[-1] == 1_000 - TRADES_OVERLAP_S
        await trio.sleep(RECONCILE_EVERY_S)

    assert it.venue.asked_by_id == []
