"""Where the wallet stands, as the account tells it to each market's desk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from desk_kit import MARKET, START, desk
from trio.testing import MockClock

from polybot.account import Account
from polybot.adrift import DOUBTFUL, Adrift
from polybot.balances import CASH
from polybot.core_tape import CoreTape
from polybot.domain.ledger import Ledger
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import (
    EDGE_S,
    FillLeg,
    NewOrder,
    OrderRow,
    OrderSeen,
    SignedOrder,
    TimeInForce,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import SHARE, USD
from polybot.execution.lifecycle import State
from polybot.execution.tracked import Tracked
from polybot.execution.wish import Desired
from polybot.journal.entries import Intent, Moved, Paid, Told
from polybot.move_proof import MoveProof
from polybot.reconciler import Reconciler
from polybot.risk.checks import Limit
from polybot.risk.exposure import OpenBids
from polybot.risk.limits import RiskParams
from polybot.venue.tap import NOBODY
from polybot.wallet_standing import SPLITS, WalletStanding

OTHER = attrs.evolve(MARKET, condition_id="0xd", slug="other", up_token="333", down_token="444")
ETH = attrs.evolve(OTHER, condition_id="0xe", series="eth-5m", up_token="555", down_token="666")


class Still:
    """A clock that stands still."""

    def now_ms(self) -> int:
        return START

    def now_ns(self) -> int:
        return START * 1_000_000


class Blank:
    """A venue that knows no order, and a journal that keeps nothing."""

    async def order(self, _: str) -> None:
        await trio.lowlevel.checkpoint()

    async def append(self, *_: object) -> None:
        await trio.lowlevel.checkpoint()


def account() -> Account:
    """A wallet of a thousand dollars that holds 100 Up at 0.48 in MARKET, and 50 Down at 0.30 in
    each of the others.
    """
    ledger = Ledger()
    ledger.deposit(1_000 * USD, "a test")
    for market, token, price, shares in (
        (MARKET, MARKET.up_token, 4800, 100),
        (OTHER, OTHER.down_token, 3000, 50),
        (ETH, ETH.down_token, 3000, 50),
    ):
        ledger.open(market)
        leg = FillLeg(f"o{token}", token, Side.BUY, price, shares * SHARE, maker=True)
        ledger.book(
            TradeSeen(f"t{token}", market.condition_id, TradeStatus.CONFIRMED, (leg,), START)
        )
    made = Account(
        client=None,  # type: ignore[arg-type]  # nothing is asked
        clock=Still(),  # type: ignore[arg-type]
        health=None,  # type: ignore[arg-type]
        journal=None,  # type: ignore[arg-type]
        core=CoreTape(NOBODY, Still()),  # type: ignore[arg-type]
        ledger=ledger,
    )
    ledger.accounts.sealed = False  # its books are written here, by hand
    return made


def test_what_a_split_takes_is_spent_already() -> None:
    """Brief seed 620: a wallet of 120 dollars split forty of them while its bids were for all of
    them; the venue cancelled what rested and refused what came. It can be lost in no market,
    and is at risk as the pairs will be.
    """
    made = account()
    before = made.standing(MARKET.condition_id)
    made.answer_for(SPLITS, 500 * USD, {}, {})
    under_way = made.standing(MARKET.condition_id)

    assert before.free_cash - under_way.free_cash == 500 * USD
    assert under_way.others == attrs.evolve(
        before.others, at_risk=before.others.at_risk + 500 * USD
    )
    done = Moved(OTHER.condition_id, "split", "done", "split.0", 400 * SHARE, -400 * USD)
    made.take([done], START)
    after = made.standing(MARKET.condition_id)
    assert after.free_cash == under_way.free_cash, "in one step it is pairs"
    assert after.others == under_way.others
    assert made.reserved[SPLITS] == 100 * USD, "of a second one"
    made.take([done.done_again("shares on the chain")], START)
    assert made.reserved[SPLITS] == 100 * USD, "what was done again has been asked for by nobody"


@pytest.mark.parametrize(
    ("per_token", "per_market", "room"),
    [(100, 1_000, 40), (100, 110, 30), (80, 1_000, 0), (60, 1_000, -40), (100, 60, -20)],
)
def test_what_a_split_may_cost(per_token: int, per_market: int, room: int) -> None:
    """Half of it counts for each outcome: here 48 dollars of Up are held and 32 more are bid for,
    none of Down. Where a limit is passed already nothing is left, and less.
    """
    made = account()
    made.bids[MARKET.condition_id] = OpenBids(up=32 * USD)
    limits = RiskParams(
        max_order_usd=50, max_position_usd_per_token=per_token,
        max_position_usd_per_market=per_market,
    )  # fmt: skip

    assert made.room_to_split(MARKET.condition_id, limits) == room * USD


def test_what_a_merge_under_way_takes_stays_claimed() -> None:
    """An earlier merge of its market that is found done again ended the claim of the one under way:
    asks could offer the pairs that this was about to burn (S8).
    """
    made, key = account(), MARKET.condition_id
    leg = FillLeg("o2", MARKET.down_token, Side.BUY, 3000, 100 * SHARE, maker=True)
    made.take([Told(key, TradeSeen("t2", key, TradeStatus.CONFIRMED, (leg,), START))], START)
    made.claims[key] = 30 * SHARE
    made.take([Moved(key, "merge", "sent", "polybot-2.0", 30 * SHARE, 30 * SHARE)], START)
    earlier = Moved(key, "merge", "done", "polybot-1.0", 20 * SHARE, 20 * SHARE)
    made.take([earlier.done_again("shares on the chain")], START)
    assert made.standing(key).sellable_up == (100 - 20 - 30) * SHARE

    made.take([Moved(key, "merge", "done", "polybot-2.0", 30 * SHARE, 30 * SHARE)], START)
    assert made.standing(key).sellable_up == (100 - 20 - 30) * SHARE
    assert not made.claims


def test_holdings_here_and_losses_elsewhere() -> None:
    """This market by outcome; of the others what they may lose, in the cluster and in all."""
    stands = account().standing(MARKET.condition_id)

    assert stands.free_cash == 922 * USD
    assert stands.equity == 922 * USD, "unpaired shares are surely worth nothing"
    assert (stands.held.cost_up, stands.held.up, stands.held.down) == (48 * USD, 100 * SHARE, 0)
    assert stands.held.bids == OpenBids(), "the desk knows its own orders best"
    assert stands.others.cluster_loss == 15 * USD
    assert stands.others.total_loss == stands.others.at_risk == 30 * USD


def test_open_bids_elsewhere_count_by_outcome() -> None:
    """A bid that would pair another market's holdings is no further loss there; cash it is."""
    made = account()
    made.reserved["0xd"] = 40 * USD
    made.bids["0xd"] = OpenBids(up=30 * USD, down=10 * USD, orders=4)
    made.reserved[MARKET.condition_id] = 5 * USD  # its desk counts them

    stands = made.standing(MARKET.condition_id)

    # If Up wins: 15 spent, Down bids of 10 fill, 50 Down are worth nothing.
    assert stands.others.cluster_loss == 25 * USD
    assert stands.others.at_risk == 70 * USD
    assert stands.others.orders == 4
    assert stands.free_cash == 882 * USD


def test_what_nobody_explains_may_be_lost_whole() -> None:
    """Orders in doubt of which no market is known count in every cluster (reconciler)."""
    made = account()
    made.reserved["late"] = 7 * USD

    stands = made.standing(MARKET.condition_id)

    assert stands.others.cluster_loss == 22 * USD
    assert stands.others.total_loss == 37 * USD
    assert stands.free_cash == 915 * USD
    made.bids["0xe"] = OpenBids(up=20 * USD, orders=1)  # told before its dollars are
    assert made.standing(MARKET.condition_id).others.at_risk == 50 * USD, "it explains no others"


def test_a_settled_market_risks_nothing() -> None:
    """Once the payout is known there is nothing left to lose."""
    made = account()
    made.ledger.books["0xd"].up_payout = SHARE

    assert made.standing(MARKET.condition_id).others.cluster_loss == 0


def test_the_days_loss_is_the_loss_watchs() -> None:
    """What today has cost is told by whoever measures it (risk/losses.py)."""
    made = account()
    made.day_loss = 9 * USD

    assert made.standing(MARKET.condition_id).day_loss == 9 * USD


# --- what may be sold -----------------------------------------------------------------------------


def sale(status: TradeStatus) -> TradeSeen:
    """Forty of the hundred Up, at 0.60."""
    leg = FillLeg("o1", MARKET.up_token, Side.SELL, 6000, 40 * SHARE, maker=True)
    return TradeSeen("t1", MARKET.condition_id, status, (leg,), START)


def sellable(made: Account) -> tuple[int, int]:
    stands = made.standing(MARKET.condition_id)
    return stands.sellable_up // SHARE, stands.sellable_down // SHARE


def test_what_is_confirmed_and_unclaimed_may_be_sold() -> None:
    """Less what a merge claims and what orders nobody knows may sell; its desk's own asks are
    within it, and no share may be sold twice or provisionally (S8).
    """
    made = account()
    assert sellable(made) == (100, 0)

    made.claims[MARKET.condition_id] = 30 * SHARE
    made.pledges["late"] = {MARKET.up_token: 15 * SHARE}
    made.pledges[MARKET.condition_id] = {MARKET.up_token: 50 * SHARE}
    assert sellable(made) == (55, 0)
    assert made.pledged(MARKET.up_token) == 65 * SHARE

    leg = FillLeg("o2", MARKET.up_token, Side.BUY, 4800, 10 * SHARE, maker=True)
    told = TradeSeen("t2", MARKET.condition_id, TradeStatus.MATCHED, (leg,), START)
    made.ledger.book(told)
    assert sellable(made) == (55, 0), "a match is no share yet"


def test_more_bound_than_there_is_leaves_nothing() -> None:
    """Never less than none."""
    made = account()
    made.claims[MARKET.condition_id] = 300 * SHARE

    assert sellable(made) == (0, 0)


def test_a_settled_market_sells_nothing() -> None:
    """Its shares are redeemed."""
    made = account()
    made.ledger.books[MARKET.condition_id].up_payout = SHARE

    assert sellable(made) == (0, 0)
    assert made.sellable("0xnobody", next(iter(Outcome))) == 0


def test_what_a_sale_promises_is_no_cash() -> None:
    """Matched, it may fail: its dollars are not spent, and its shares count as if they were back;
    confirmed, they are dollars (F31).
    """
    made = account()
    made.ledger.book(sale(TradeStatus.MATCHED))
    stands = made.standing(MARKET.condition_id)
    assert stands.free_cash == 922 * USD
    assert (stands.held.cost_up, stands.held.back_up) == (28_800_000, 19_200_000)
    assert made.standing("0xd").others.at_risk == 63 * USD, "seen from elsewhere as well"

    made.ledger.book(sale(TradeStatus.CONFIRMED))
    stands = made.standing(MARKET.condition_id)
    assert stands.free_cash == 946 * USD
    assert (stands.held.back_up, sellable(made)) == (0, (60, 0))
    leg = FillLeg("o3", OTHER.down_token, Side.SELL, 6000, 20 * SHARE, maker=True)
    made.ledger.book(TradeSeen("t3", "0xd", TradeStatus.MATCHED, (leg,), START))
    assert made.standing("0xd").held.back_down == 6 * USD


def test_asks_elsewhere_count_as_losses_and_not_as_cash() -> None:
    """Fifty Down at 0.30 there; an ask on ten of them at 0.40 would give six away if Down won, and
    that is not the worst that can happen there. One on Up is.
    """
    made = account()
    made.bids["0xd"] = OpenBids(orders=1, sold_down=6 * USD)
    assert made.standing(MARKET.condition_id).others.cluster_loss == 15 * USD

    made.bids["0xd"] = OpenBids(orders=1, sold_up=6 * USD)
    stands = made.standing(MARKET.condition_id)
    assert stands.others.cluster_loss == 21 * USD
    assert stands.others.at_risk == 30 * USD
    assert stands.free_cash == 922 * USD


async def test_orders_without_a_desk_bind_what_they_may_take(autojump_clock: MockClock) -> None:
    """While nobody knows what became of them, a bid binds its dollars and a sale its shares; of
    its risk it counts as the bid in its place (F63, S8). After the edge's patience they never were.
    """
    made = account()
    nothing: Any = None
    blank: Any = Blank()
    made.journal = blank
    reconciler = Reconciler(
        blank, nothing, nothing, made, nothing, nothing, nothing, grace_ms=2_000
    )
    terms = (("0x1", Side.BUY, 4000, 10), ("0x2", Side.SELL, 7000, 30))
    taken = reconciler.adrift.look_after(
        Intent(
            order_id, MARKET.condition_id, Outcome.UP, side, price, shares * SHARE,
            TimeInForce.GTC, 0, True, 0, "quote", b"",
        )
        for order_id, side, price, shares in terms
    )  # fmt: skip

    assert taken == 2
    await trio.sleep(EDGE_S - 1)
    await reconciler.adrift.visit()
    assert made.reserved[DOUBTFUL] == 4 * USD + 9 * USD
    assert sellable(made) == (70, 0)
    await trio.sleep(1)
    await reconciler.adrift.visit()
    assert (made.reserved[DOUBTFUL], sellable(made)) == (0, (100, 0))


def intent(order_id: str, side: Side, price: int, shares: int) -> Intent:
    """An order for Down."""
    return Intent(
        order_id, MARKET.condition_id, Outcome.DOWN, side, price, shares * SHARE,
        TimeInForce.FAK, 0, False, 0, "completion", b"",
    )  # fmt: skip


def left_out(made: Account, wanted: NewOrder) -> str | None:
    """Why a new scope's desk does not send this order, with the wallet as it stands."""
    fresh, take = desk(), wanted if wanted.taking else None
    rest = () if wanted.taking else (wanted,)
    fresh.desired = Desired(rest, 9900, 9900, 9900, 5000, take=take, take_number=1)
    stands = made.standing(MARKET.condition_id)
    assert len(fresh.act(START, stands)) == len(fresh.table), "one request for each order"
    return next(iter(fresh.counts.withheld), None)


async def test_what_an_order_without_a_desk_may_bring_is_not_taken_again(
    autojump_clock: MockClock,
) -> None:
    """A take of the missing hundred Down whose request the edge holds back: proven absent, and its
    scope ended. The next scope's desk does not know it, and took the same once more; and bids like
    it passed the net limit together with it (F18, S7).
    """
    made = account()
    blank: Any = Blank()
    made.journal = blank
    adrift = Adrift(blank, made.clock, made)
    take = NewOrder(
        MARKET, Outcome.DOWN, Side.BUY, 5000, 100 * SHARE, TimeInForce.FAK, post_only=False
    )
    bid = NewOrder(MARKET, Outcome.DOWN, Side.BUY, 4800, 150 * SHARE)
    assert (left_out(made, take), left_out(made, bid)) == (None, None)

    adrift.look_after([intent("0x1", Side.BUY, 5000, 100)])
    assert made.standing(MARKET.condition_id).coming_down == 100 * SHARE
    assert left_out(made, take) == "takes more than is missing"
    assert left_out(made, bid) == Limit.NET.value
    adrift.look_after([intent("0x2", Side.SELL, 5000, 7)])
    assert made.standing(MARKET.condition_id).coming_up == 7 * SHARE, "a sale brings the twin"
    assert made.standing(OTHER.condition_id).coming_down == 0

    await trio.sleep(EDGE_S)
    await adrift.visit()
    assert (left_out(made, take), left_out(made, bid)) == (None, None)


async def test_what_it_has_brought_and_no_trade_has_told_is_not_taken_again() -> None:
    """The same of a take that the last scope's desk had an answer for, and no trade."""
    made = account()
    take = NewOrder(
        MARKET, Outcome.DOWN, Side.BUY, 5000, 100 * SHARE, TimeInForce.FAK, post_only=False
    )
    filled = Tracked(SignedOrder("0x1", take, b""), 0, 0, State.FILLED, matched=100 * SHARE)
    Adrift(made.client, made.clock, made).await_told([filled])
    assert left_out(made, take) == "takes more than is missing"

    leg = FillLeg("0x1", MARKET.down_token, Side.BUY, 5000, 40 * SHARE, maker=False)
    trade = TradeSeen("t1", MARKET.condition_id, TradeStatus.MATCHED, (leg,), START)
    made.own("0x1", MARKET.condition_id)
    made.take([Told(MARKET.condition_id, trade)], START)
    stands = made.standing(MARKET.condition_id)
    assert (stands.held.down, stands.coming_down) == (40 * SHARE, 60 * SHARE), "counted once"


async def test_what_the_list_shows_and_no_desk_knows_may_come(autojump_clock: MockClock) -> None:
    """Also where its token is none of the market's, which is nobody's business here."""
    made = account()
    adrift = Adrift(made.client, made.clock, made)
    for token, coming in ((MARKET.up_token, 6 * SHARE), ("strange", 0)):
        row = OrderRow(
            "0x1", MARKET.condition_id, token, Side.BUY, 4000, 10 * SHARE, 4 * SHARE,
            OrderSeen.Kind.LIVE, "LIVE",
        )  # fmt: skip
        adrift.answer_for_late([row])
        assert made.standing(MARKET.condition_id).coming_up == coming


def test_a_released_market_leaves_nothing_behind() -> None:
    """Closed markets are forgotten (S20)."""
    made = account()
    made.claims["0xd"] = SHARE
    made.pledges["0xd"] = {OTHER.up_token: SHARE}
    made.unmergeable["0xd"] = "no gas"

    made.release("0xd")
    assert [made.claims, made.pledges, made.unmergeable] == [{}, {}, {}]


CHANGES: dict[str, Callable[[Account], object]] = {
    "another deposit": lambda it: it.ledger.deposit(5 * USD, "later"),
    "a result": lambda it: it.ledger.resolve(OTHER.condition_id, SHARE),
    "a new market": lambda it: it.ledger.open(attrs.evolve(OTHER, condition_id="0xf")),
    "a loss today": lambda it: setattr(it, "day_loss", 7 * USD),
    "money promised elsewhere": lambda it: it.reserved.update({OTHER.condition_id: 3 * USD}),
    "known by outcome": lambda it: it.bids.update({OTHER.condition_id: OpenBids(up=USD, orders=1)}),
    "a token pledged": lambda it: it.pledges.update({"who": {MARKET.up_token: 9 * SHARE}}),
    "shares that may come": lambda it: it.coming.update({"who": {MARKET.up_token: 9 * SHARE}}),
    "pledged within": lambda it: it.pledges["desk"].update({MARKET.up_token: 2 * SHARE}),
    "a claim": lambda it: it.claims.update({MARKET.condition_id: 4 * SHARE}),
    "other claims": lambda it: setattr(it, "claims", {MARKET.condition_id: 5 * SHARE}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_standing_is_reckoned_anew_whatever_changes(change: Callable[[Account], object]) -> None:
    """Each fact that it is read from, whoever writes it: what is kept is never an old standing."""
    it = account()
    it.pledges["desk"] = {MARKET.up_token: SHARE}
    before = it.standing(MARKET.condition_id)
    assert it.standing(MARKET.condition_id) is before, "nothing has changed"
    change(it)

    assert it.standing(MARKET.condition_id) == WalletStanding.standing(it, MARKET.condition_id)


def test_what_a_markets_own_orders_bind_is_no_news_to_it() -> None:
    """It is told to the others; its own desk counts its orders itself, and they change all day."""
    it, own = account(), MARKET.condition_id
    before, elsewhere = it.standing(own), it.standing(OTHER.condition_id)
    it.reserved[own], it.bids[own] = 3 * USD, OpenBids(up=2 * USD, orders=1)
    it.pledges[own] = {MARKET.up_token: 9 * SHARE}

    assert it.standing(own) is before
    assert before == WalletStanding.standing(it, own)
    assert it.standing(OTHER.condition_id) != elsewhere


def test_what_the_books_said_until_now_is_remembered() -> None:
    """Before anything about money is booked: the venue's cache may still show it (F34). Words of
    orders alone change no balance.
    """
    made = account()
    nothing: Any = None
    Reconciler(nothing, nothing, nothing, made, nothing, nothing, nothing, grace_ms=2_000)
    watch = made.before_booking[0].__self__.watch  # type: ignore[attr-defined]
    seen = OrderSeen("0x1", OrderSeen.Kind.DEAD, 0, "dead", START)
    made.take([Told(MARKET.condition_id, seen)], START)
    assert not watch._past

    made.take([Paid("deposit", 5 * USD, "a test")], START)
    ((_, cash),) = watch._past[CASH]
    assert (cash.total, made.ledger.cash) == (922 * USD, 927 * USD)


def test_what_a_node_may_still_show_is_remembered() -> None:
    """As well: before anything is booked that changes shares (F33)."""
    made = account()
    nothing: Any = None
    proof, key = MoveProof(made, nothing), MARKET.condition_id
    up, down = (made.ledger.books[key].shares(outcome) for outcome in Outcome)
    made.take([Moved(key, "split", "done", "s.0", 5 * SHARE, -5 * SHARE, "0x1")], START)

    assert not proof.behind(key, (up + 5 * SHARE, down + 5 * SHARE))
    assert proof.behind(key, (up, down))
