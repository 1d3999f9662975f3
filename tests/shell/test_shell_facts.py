"""How facts come in: kept, booked, told to whom they concern, and those of others left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from desk_kit import MARKET

from polybot import account as module
from polybot.account import IDENTITY, Account, Route
from polybot.channels import Bell
from polybot.core_tape import AnsweredFor, Emptied, Learnt, Released
from polybot.domain.market import Side
from polybot.domain.orders import (
    FillLeg,
    OrderSeen,
    PrivateEvent,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import SHARE, USD
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.journal.entries import Entry, Known, Moved, Paid, Resolved, Told
from polybot.journal.store import JournalFailed
from polybot.risk.exposure import OpenBids
from polybot.risk.limits import RiskParams
from polybot.risk.undone import UNDONE, Undone
from polybot.wallet_standing import SPLITS

KEY, BEGAN_S = MARKET.condition_id, MARKET.start_ms // 1000
CONFIRMED, FAILED, MATCHED = TradeStatus.CONFIRMED, TradeStatus.FAILED, TradeStatus.MATCHED


def leg(order_id: str) -> FillLeg:
    return FillLeg(order_id, MARKET.up_token, Side.BUY, 5000, SHARE, maker=True)


def trade(
    trade_id: str, *order_ids: str, status: TradeStatus = CONFIRMED, **known: Any
) -> TradeSeen:
    """A bid of each is filled, by default in our market and just now."""
    where: dict[str, Any] = {"condition_id": KEY, "at_ms": BEGAN_S * 1000, **known}
    return TradeSeen(trade_id, status=status, legs=tuple(map(leg, order_ids)), **where)


def seen(order_id: str, kind: OrderSeen.Kind = OrderSeen.Kind.LIVE) -> OrderSeen:
    return OrderSeen(order_id, kind, 0, kind.value, 1)


@attrs.define(eq=False)
class Scene:
    """An account of one market, what it has written down, taped and owes the stream."""

    undone: Undone = attrs.field(factory=lambda: Undone(RiskParams()))
    kept: list[Entry] = attrs.field(factory=list)
    taped: list[Any] = attrs.field(factory=list)
    owed: list[str] = attrs.field(factory=list)
    told: list[PrivateEvent] = attrs.field(factory=list)
    fails: bool = False
    health: Health = attrs.field(factory=lambda: Health(Admission()))
    away_s: int = 0  # from the journal's last entry to this run
    account: Account = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        me: Any = self
        clock: Any = SimpleNamespace(now_ms=lambda: BEGAN_S * 1000, now_ns=lambda: BEGAN_S * 10**9)
        core: Any = SimpleNamespace(fed=lambda fact, *_: self.taped.append(fact))
        self.account = Account(
            me, clock, self.health, me, core, undone=self.undone,
            began_ms=BEGAN_S * 1000, left_ms=BEGAN_S * 1000 - self.away_s * 1000,
        )  # fmt: skip
        self.account.take([Known(MARKET), Paid("deposit", 100 * USD, "a test")], 0)
        stream: Any = SimpleNamespace(
            read=lambda one, _: self.owed.append(one.trade_id), told=self.told.append
        )
        self.account.stream = stream

    async def append(self, *facts: Entry) -> None:
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise JournalFailed("the disk is full")
        self.kept += facts

    @property
    def trades(self) -> list[tuple[str, str]]:
        """What is booked, by trade and order."""
        return [*self.account.ledger.books[KEY].trades]


# --- whose they are --------------------------------------------------------------------------


def test_a_market_that_is_settled_is_forgotten_alone() -> None:
    """Whose orders those of the others are, and what they bind, stays known."""
    it = Scene()
    for key, order_id in ((KEY, "0x1"), ("0xd", "0x2")):
        it.account.own(order_id, key)
        it.account.reserved[key], it.account.bids[key] = USD, OpenBids(up=USD, orders=1)
        it.account.changed[key] = Bell()
    assert it.account.placed_in(KEY)
    it.account.release(KEY)

    assert not it.account.placed_in(KEY)
    assert it.account.placed_in("0xd")
    assert (it.account.owner("0x1"), it.account.owner("0x2")) == (None, "0xd")
    assert not it.account.is_foreign("0x1", KEY), "which of them were ours is not known any more"
    assert it.account.is_foreign("0x1", "0xd")
    assert not it.account.is_foreign("0x2", "0xd")
    for kept in (it.account.reserved, it.account.bids, it.account.changed):
        assert [*kept] == ["0xd"]
    assert it.taped[-1] == Released(KEY)


def test_a_split_of_the_run_before_frees_no_more_than_is_held_back() -> None:
    """What it was to take was never promised here: less than nothing would be dollars to spend."""
    it = Scene()
    it.account.take([Moved(KEY, "split", "done", "s.0", SHARE, -SHARE)], 0)

    assert it.account.reserved == {SPLITS: 0}


def test_a_market_that_is_empty_binds_nothing() -> None:
    """Its dollars are free, and its shares."""
    it = Scene()
    it.account.reserved[KEY], it.account.bids[KEY] = USD, OpenBids(up=USD, orders=1)
    it.account.pledges[KEY] = {MARKET.up_token: SHARE}
    it.account.emptied(KEY)

    assert (it.account.reserved, it.account.bids, it.account.pledges) == ({KEY: 0}, {}, {})
    assert it.taped[-1] == Emptied(KEY)


def test_what_orders_without_a_desk_bind_is_taped_when_it_changes() -> None:
    """A replay has no venue to ask, and no room for what is said each second."""
    it = Scene()
    for dollars in (USD, USD, 0):
        it.account.answer_for("late", dollars, {}, {"222": dollars})

    assert it.taped == [AnsweredFor("late", one, {}, {"222": one}) for one in (USD, 0)]


# --- how they come in ------------------------------------------------------------------------


async def test_what_is_heard_is_learnt_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much at a time as there is: one write for a burst. What finds no room ends every scope."""
    monkeypatch.setattr(module, "INBOX", 3)
    it = Scene()
    it.account.own("0x1", KEY)
    events: list[PrivateEvent] = [
        seen("0x1"),
        trade("t1", "0x1"),
        trade("t2", "0x1"),
        trade("t3", "0x1"),
    ]
    it.account.heard(events[:3])
    assert (it.account.waiting, it.health.troubles) == (3, {})
    it.account.heard(events[3:])
    assert it.health.troubles == {"private events": "overflow"}
    assert it.account.doubt._rung

    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.account.listen)
        with trio.fail_after(5):
            while it.account.waiting or len(it.kept) < 3:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert it.kept == [Told(KEY, event) for event in events[:3]]
    assert it.told == events, "the stream has told of it all the same"
    assert [one for one in it.taped if isinstance(one, Learnt)] == [Learnt(tuple(it.kept))]


async def test_what_says_nothing_new_is_not_kept() -> None:
    """The list of trades is read every twenty seconds: each row would be in the journal as often.
    Of those that are new the stream owes us word, if they are ours.
    """
    it = Scene()
    it.account.own("0x1", KEY)
    first, second = trade("t1", "0x1", status=MATCHED), trade("t2", "0x1", "0x9")
    await it.account.read([first])
    await it.account.read([first, second, trade("t3", "0x9"), trade("t4")])

    assert it.kept == [Told(KEY, one) for one in (first, second, trade("t3", "0x9"))]
    assert it.owed == ["t1", "t2"]
    await it.account.read([trade("t1", "0x1")])
    assert it.kept[-1] == Told(KEY, trade("t1", "0x1")), "its end is news"
    assert it.owed == ["t1", "t2"]


async def test_a_journal_that_fails_keeps_no_fill_from_the_books() -> None:
    """Risk must see it; nothing more is placed."""
    it = Scene(fails=True)
    it.account.own("0x1", KEY)
    await it.account.learn_of([trade("t1", "0x1")])

    assert it.trades == [("t1", "0x1")]
    assert it.health.troubles == {"journal": "the disk is full"}


async def test_what_the_books_do_not_call_for_is_not_written() -> None:
    """Nor booked, which would tell everybody of a change."""
    it, heeded = Scene(), []
    it.account.after_booking.append(lambda: heeded.append(1))

    assert await it.account.learn_as(lambda: ()) == ()
    assert heeded == []


async def test_before_money_is_booked_all_who_remember_are_told() -> None:
    """Also where words of orders come in one with it; and the ledger is closed after it."""
    it, before = Scene(), list[int]()
    it.account.before_booking.append(before.append)
    it.account.own("0x1", KEY)
    it.account.take([Told(KEY, seen("0x1")), Told(KEY, trade("t1", "0x1"))], 7)
    it.account.take([Told(KEY, seen("0x1"))], 8)

    assert before == [7]
    with pytest.raises(AssertionError):
        it.account.ledger.deposit(USD, "by anybody")


@pytest.mark.parametrize(
    ("fact", "rings"),
    [
        (Told(KEY, trade("t1", "0x1")), True),
        (Told(KEY, trade("t0", "0x1")), False),
        (Told(KEY, seen("0x1")), False),
        (Resolved(KEY, SHARE, "chain"), True),
        (Moved(KEY, "merge", "sent", "m.0", SHARE), False),
        (Paid("deposit", USD, "a test"), False),
    ],
)
async def test_who_quotes_is_told_what_changes_its_holdings(fact: Entry, *, rings: bool) -> None:
    """And woken for nothing else."""
    it = Scene()
    it.account.own("0x1", KEY)
    it.account.take([Told(KEY, trade("t0", "0x1"))], 0)
    bell = it.account.changed[KEY] = Bell()
    it.account.take([fact], 0)

    assert bell._rung is rings


async def test_a_market_that_is_run_hears_of_its_orders_and_trades() -> None:
    """Its desk judges both; none of another market."""
    it, heard = Scene(), list[PrivateEvent]()
    nothing: Any = None
    it.account.routes[KEY] = Route(lambda event, _: heard.append(event), nothing, nothing, list)
    for key, order_id in ((KEY, "0x1"), ("0xd", "0x2")):
        it.account.own(order_id, key)
        it.account.take([Told(key, seen(order_id))], 0)
    it.account.take([Told(KEY, trade("t1", "0x1"))], 0)

    assert heard == [seen("0x1"), trade("t1", "0x1")]
    assert [*it.account.strays] == ["0x2"]


# --- what comes of them ----------------------------------------------------------------------


def test_too_many_trades_that_fail_stop_trading() -> None:
    """Each end counts once it is one (F31)."""
    it = Scene(Undone(RiskParams(undone_most=1, undone_pause_s=60)))
    it.account.own("0x1", KEY)
    for n in range(2):
        it.account.take([Told(KEY, trade(f"t{n}", "0x1", status=MATCHED))], BEGAN_S * 1000)
        assert it.health.troubles == {}
        it.account.take([Told(KEY, trade(f"t{n}", "0x1", status=FAILED))], BEGAN_S * 1000)
    assert [*it.health.troubles] == [UNDONE]


def test_a_refusal_of_who_we_are_is_looked_into_at_once() -> None:
    """Each one counts: one that comes while another is judged is not judged with it."""
    it = Scene()
    for times in (1, 2):
        it.account.refused("HTTP 401")
        assert (it.account.refusal, it.account.refusals) == ("HTTP 401", times)
    assert it.health.troubles == {IDENTITY: "HTTP 401"}
    assert it.account.doubt._rung


# --- somebody else's -------------------------------------------------------------------------


def test_an_order_that_we_did_not_place_is_looked_into() -> None:
    """Once: it is on no desk, and nothing of it is withdrawn."""
    it = Scene()
    it.account.take([Told("", seen("0x9"))], 0)
    assert (it.account.unplaced, it.account.strays) == ({"0x9"}, {})
    assert it.account.doubt._rung
    it.account.doubt = Bell()
    it.account.take([Told("", seen("0x9"))], 0)
    assert not it.account.doubt._rung


@pytest.mark.parametrize(
    ("told", "suspect"),
    [
        ({"matched_s": BEGAN_S}, True),
        ({"matched_s": BEGAN_S - 1}, False),
        ({"at_ms": BEGAN_S * 1000}, True),
        ({"at_ms": BEGAN_S * 1000 - 1}, False),
        ({"matched_s": BEGAN_S - 1, "at_ms": BEGAN_S * 1000}, False),
    ],
)
async def test_trades_of_a_market_without_books(told: dict[str, Any], *, suspect: bool) -> None:
    """One of before this run was perhaps an earlier run's, and is settled; one of after it is
    somebody's who has our key. It is looked into once, and booked in no case.
    """
    it = Scene()
    strange = trade("t1", "0x9", condition_id="0xd", **told)
    await it.account.learn_of([attrs.evolve(strange, elsewhere=("0x8",))])

    assert it.account.unplaced == ({"0x8", "0x9"} if suspect else set())
    assert it.kept == []
    it.account.unplaced.clear()
    await it.account.learn_of([strange])
    assert not it.account.unplaced


@pytest.mark.parametrize(("before_s", "suspect"), [(1, True), (59, True), (60, True), (61, False)])
async def test_what_was_traded_since_the_journal_was_left(before_s: int, *, suspect: bool) -> None:
    """An old copy of a journal knows nothing of it: neither what it is of, nor that it is ours."""
    it = Scene(away_s=60)
    await it.account.learn_of(
        [trade("t1", "0x9", condition_id="0xd", matched_s=BEGAN_S - before_s)]
    )

    assert it.account.unplaced == ({"0x9"} if suspect else set())


async def test_trades_of_a_market_that_is_forgotten_are_nobodys_crime() -> None:
    """A row that comes late: which orders of it were ours is not known any more."""
    it = Scene()
    it.account.own("0x1", "0xd")
    it.account.release("0xd")
    await it.account.learn_of([trade("t1", "0x1", condition_id="0xd")])

    assert not it.account.unplaced


async def test_what_another_wallet_of_our_key_trades_is_left_out() -> None:
    """But what we placed is ours whatever its row says; the others are looked into."""
    it = Scene()
    it.account.own("0x1", KEY)
    it.account.own("0x2", KEY)
    told = trade("t1", "0x1", "0x2", "0x9")
    await it.account.learn_of([attrs.evolve(told, elsewhere=("0x2", "0x9"))])

    assert it.trades == [("t1", "0x1"), ("t1", "0x2")]
    assert it.account.unplaced == {"0x9"}


async def test_trades_of_before_our_books_are_in_the_balance_they_begin_with() -> None:
    """Those of a run whose journal is lost: but for orders of ours, which were placed since."""
    it = Scene()
    it.account.begun_s = BEGAN_S
    it.account.own("0x1", KEY)
    of_before: dict[str, Any] = {"matched_s": BEGAN_S - 1}
    await it.account.learn_of([trade("t1", "0x9", **of_before), trade("t2", "0x1", **of_before)])

    assert it.trades == [("t2", "0x1")]
    assert not it.account.unplaced
    await it.account.learn_of([trade("t4", "0x1", "0x8", matched_s=0)])
    assert it.account.unplaced == {"0x8"}, "of which nobody knows when it was"
    await it.account.learn_of([trade("t3", "0x9", matched_s=BEGAN_S)])
    assert it.account.unplaced == {"0x8", "0x9"}
