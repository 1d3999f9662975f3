"""Asks at the desk: what they bind, what blocks them, when they must go (reliability.md S3, S8)."""

from __future__ import annotations

import attrs
import pytest
from execution_kit import (
    DOWN,
    MARKET,
    RICH,
    T0,
    UP,
    Kind,
    acked,
    cancels,
    desk,
    order,
    posts,
    refused,
    seen,
    signed,
    unknown,
    wanting,
)
from msgspec.structs import replace

from polybot.domain.market import Outcome, Side
from polybot.domain.orders import (
    CancelResult,
    FillLeg,
    NewOrder,
    Reject,
    SignedOrder,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import SHARE
from polybot.execution.actions import Refresh
from polybot.execution.desk import Desk
from polybot.execution.firewall import open_bids
from polybot.execution.lifecycle import Event, State
from polybot.execution.pauses import QUIET_MS
from polybot.execution.table import OrderTable
from polybot.risk.checks import Standing
from polybot.risk.exposure import OpenBids
from polybot.risk.limits import RiskParams

LATER = T0 + 300


def ask(outcome: Outcome = UP, price: int = 5200, shares: int = 10) -> NewOrder:
    return NewOrder(MARKET, outcome, Side.SELL, price, shares * SHARE)


def stands(up: int = 0, down: int = 0) -> Standing:
    """A rich wallet with so many shares, all of which may be sold."""
    held = attrs.evolve(RICH.held, up=up * SHARE, down=down * SHARE)
    return attrs.evolve(RICH, held=held, sellable_up=up * SHARE, sellable_down=down * SHARE)


def asking(made: Desk, *orders: NewOrder, up: int = 20) -> list[str]:
    """Wish for these, post them and have them acknowledged."""
    made.desired = wanting(*orders)
    ids = [each.id for each in posts(made.act(T0, stands(up)))]
    made.posted([acked(order_id) for order_id in ids], T0)
    return ids


def sale(order_id: str, shares: int, status: TradeStatus = TradeStatus.MATCHED) -> TradeSeen:
    leg = FillLeg(order_id, MARKET.up_token, Side.SELL, 5200, shares * SHARE, maker=True)
    return TradeSeen("t1", MARKET.condition_id, status, (leg,), T0)


# --- what is wanted and what rests ----------------------------------------------------------------


def test_an_ask_leaves_with_shares_behind_it() -> None:
    """Twenty at hand: two asks of ten leave, a third one does not."""
    made = desk()
    ids = asking(made, ask(), ask(price=5300), ask(price=5400))

    assert len(ids) == 2
    assert made.counts.withheld == {"more than may be sold of it": 1}
    assert (made.promised.pledged(UP), made.promised.pledged(DOWN), made.promised.reserved) == (
        20 * SHARE,
        0,
        0,
    )


def test_a_bid_does_not_serve_where_its_ask_is_wanted() -> None:
    """The two have one place and bind different things: the bid goes, and both count while it
    does.
    """
    made = desk()
    (bid,) = asking(made, order(DOWN, 4800))
    made.desired = wanting(ask(UP, 5200))
    actions = made.act(LATER, stands(20))

    assert cancels(actions) == [bid]
    assert [each.order for each in posts(actions)] == [ask(UP, 5200)]
    assert made.promised.reserved == 4_800_000, "until its end is proven"


def test_an_ask_near_enough_keeps_its_place() -> None:
    """A tick away, as for bids; not beyond its cap, and in no pair above the pair's."""
    made = desk()
    (kept,) = asking(made, ask(price=5200))
    made.desired = wanting(ask(price=5300), order(UP, 5000), pair_cap=9800)
    assert cancels(made.act(LATER, stands(20))) == []

    made.desired = wanting(ask(price=5300), order(UP, 5100), pair_cap=9800)
    assert cancels(made.act(LATER + 300, stands(20))) == [kept], "0.48 and 0.51 are 0.99"


def test_an_ask_below_its_floor_goes_at_once() -> None:
    """Its cap is that of the bid for the twin: 0.47 for Down is 0.53 for Up."""
    made = desk()
    (gone,) = asking(made, ask(price=5200))
    made.desired = replace(wanting(ask(price=5300)), cap_down=4700)
    made.act(LATER, stands(20))

    assert made.table[gone].state is State.CANCELLING
    assert made.counts.cancels == {"cap": 1}


# --- shares that go -------------------------------------------------------------------------------


def test_asks_whose_shares_are_gone_are_cancelled_at_once() -> None:
    """A merge has claimed them, or what was confirmed has failed: the farthest ask goes, past the
    throttle, and the one that is still covered stays.
    """
    made = desk()
    near, far = asking(made, ask(price=5200), ask(price=5300))
    assert cancels(made.act(LATER, stands(20))) == []

    assert cancels(made.act(LATER + 1, stands(19))) == [far]
    assert made.counts.cancels == {"shares": 1}
    assert cancels(made.act(LATER + 2, stands(9))) == [near]


def test_an_ask_on_the_other_outcome_covers_nothing() -> None:
    """It stays, though it is the farther one."""
    made = desk()
    made.desired = wanting(ask(UP), ask(DOWN, 5300))
    up, down = posts(made.act(T0, stands(10, 10)))
    made.posted([acked(up.id), acked(down.id)], T0)

    assert cancels(made.act(LATER, stands(0, 10))) == [up.id]


def test_one_that_goes_anyway_is_enough() -> None:
    """What is being cancelled still binds, and is the first to make room."""
    made = desk()
    first, second = asking(made, ask(price=5200), ask(price=5300))
    made.desired = wanting(ask(price=5300))
    made.act(LATER, stands(20))
    assert made.table[first].state is State.CANCELLING

    made.act(LATER + 1, stands(10))
    assert made.table[second].state is State.LIVE


# --- doubt ----------------------------------------------------------------------------------------


def test_an_unknown_ask_binds_its_shares_and_its_side() -> None:
    """No reply: its shares stay bound, and neither an ask nor the bid for the twin is placed beside
    it (S3); the other side goes on.
    """
    made = desk()
    made.desired = wanting(ask())
    (only,) = posts(made.act(T0, stands(40)))
    made.posted([unknown(only.id)], T0)
    made.desired = wanting(ask(price=5400), order(DOWN, 4500), order(UP, 4500))
    actions = made.act(T0 + 1, stands(40))

    assert [each.order for each in posts(actions)] == [order(UP, 4500)]
    assert made.counts.withheld == {"an order is unknown": 2}
    assert made.promised.pledged(UP) == 10 * SHARE


def test_what_a_cancel_may_have_missed_stays_bound() -> None:
    """A cancel that only its reply has confirmed (F20): its shares are not offered again before the
    venue's list has shown it gone, or the stream has.
    """
    made = desk()
    (only,) = asking(made, ask(), up=10)
    made.desired = wanting(ask(price=5400))
    made.act(LATER, stands(10))
    made.cancelled([only], CancelResult(frozenset({only}), {}), LATER)

    assert posts(made.act(LATER + 300, stands(10))) == []
    assert made.promised.pledged(UP) == 10 * SHARE
    made.heard(seen(only, Kind.DEAD), LATER + 400)
    assert len(posts(made.act(LATER + 600, stands(10)))) == 1


def test_shares_sold_are_bound_until_the_ledger_knows() -> None:
    """The order message outruns the trade: four are sold and still in the books."""
    made = desk()
    (only,) = asking(made, ask(), up=10)
    made.heard(seen(only, matched=4), LATER)

    assert made.promised.pledged(UP) == 10 * SHARE
    assert made.promised.bids == OpenBids(orders=1, sold_up=4_800_000)
    made.heard(sale(only, 4), LATER)  # and the ledger has six left
    assert made.promised.pledged(UP) == 6 * SHARE
    assert cancels(made.act(LATER, stands(6))) == []


@pytest.mark.parametrize("outcome", Outcome)
def test_what_is_sold_and_not_booked_is_not_offered_again(outcome: Outcome) -> None:
    """The ledger has ten still, and ten of the other outcome, which are nobody's yet."""
    made = desk()
    made.desired = wanting(ask(outcome))
    (first,) = posts(made.act(T0, stands(10, 10)))
    made.posted([acked(first.id)], T0)
    made.heard(seen(first.id, Kind.MATCHED, 10), T0)
    made.desired = wanting(ask(outcome, 5300), ask(outcome.other, 5300))

    sent = posts(made.act(LATER, stands(10, 10)))
    assert [each.order.outcome for each in sent] == [outcome.other]
    assert made.counts.withheld == {"more than may be sold of it": 1}


@pytest.mark.parametrize(("spare", "sent"), [(0, 1), (-1, 0)])
def test_what_is_spent_and_not_booked_is_not_spent_again(spare: int, sent: int) -> None:
    """A bid for 4.80 was filled by its own message: cash for two of them is left for one."""
    made = desk()
    asking(made, order(UP, 4800))
    made.heard(seen("0x1", Kind.MATCHED, 10), T0)
    made.desired = wanting(order(DOWN, 4800))

    poor = attrs.evolve(RICH, free_cash=2 * 4_800_000 + spare)
    assert len(posts(made.act(LATER, poor))) == sent


@pytest.mark.parametrize(("limit", "sent"), [(15, 1), (14, 0)])
def test_what_was_matched_unbooked_is_at_risk_whichever_way(limit: int, sent: int) -> None:
    """4.80 for a bid, and 4.80 that an ask has given away: with one more bid 14.40."""
    made = desk(limits=RiskParams(max_order_usd=10, max_position_usd_per_market=limit))
    asking(made, order(UP, 4800), ask(UP, 5200))
    for order_id in ("0x1", "0x2"):
        made.heard(seen(order_id, Kind.MATCHED, 10), T0)
    made.desired = wanting(order(DOWN, 4800))

    assert len(posts(made.act(LATER, stands(10)))) == sent


@pytest.mark.parametrize("failed_first", [False, True])
def test_a_sale_that_fails_binds_no_less(failed_first: bool) -> None:
    """MATCHED, then FAILED: the shares are back in the ledger, and of the order no more is bound
    than was sent, whichever came first.
    """
    made = desk()
    (only,) = asking(made, ask(), up=10)
    told = [sale(only, 4), sale(only, 4, TradeStatus.FAILED)]
    for trade in reversed(told) if failed_first else told:
        made.heard(trade, LATER)

    assert made.promised.pledged(UP) == 10 * SHARE
    made.heard(seen(only, Kind.LIVE, matched=4), LATER)
    assert made.promised.pledged(UP) == 6 * SHARE, "the venue says that four of it are gone"


# --- refusals -------------------------------------------------------------------------------------


def test_a_refusal_for_want_of_shares_has_the_venue_look_again() -> None:
    """Its cache of balances lags (F34): it is asked once to read the chain, and meanwhile bids for
    the twin are free to go.
    """
    made = desk()
    made.desired = wanting(ask())
    (only,) = posts(made.act(T0, stands(20)))
    made.posted([refused(only.id, Reject.NOT_ENOUGH_BALANCE)], T0)

    actions = made.act(T0 + 1, stands(20))
    assert Refresh(MARKET.up_token) in actions
    assert posts(actions) == []
    assert made.act(T0 + 2, stands(20)) == []
    made.desired = wanting(order(DOWN, 4800))
    assert len(posts(made.act(T0 + 3, stands(20)))) == 1
    made.desired = wanting(ask())
    assert posts(made.act(T0 + QUIET_MS[Reject.NOT_ENOUGH_BALANCE] - 1, stands(40))) == []


def test_a_refused_bid_refreshes_nothing() -> None:
    """Cash is the reconciler's business."""
    made = desk()
    made.desired = wanting(order())
    (only,) = posts(made.act(T0, RICH))
    made.posted([refused(only.id, Reject.NOT_ENOUGH_BALANCE)], T0)

    assert made.act(T0 + 1, RICH) == []


# --- what asks may cost ---------------------------------------------------------------------------


def test_asks_give_away_what_their_shares_may_be_worth() -> None:
    """Ten Up at 0.52 forgo 4.80 should Up win; they spend nothing."""
    table = OrderTable()
    for order_id, made in (("0x1", ask()), ("0x2", ask(DOWN, 4900, 20)), ("0x3", order(DOWN))):
        table.record(SignedOrder(order_id, made, b""), T0)
    table.move(table["0x2"], Event.NO_ANSWER, T0)

    assert open_bids(table.open()) == OpenBids(0, 4_800_000, 3, 4_800_000, 10_200_000)
    assert table["0x1"].reserved == 0


def test_an_ask_is_no_overfill_and_no_bid() -> None:
    """Filled as sent; its trades say nothing of dollars to come."""
    table = OrderTable()
    table.record(signed("0x1", ask()), T0)
    table.seen(seen("0x1"), T0)
    table.traded(sale("0x1", 10), T0)

    assert table["0x1"].state is State.FILLED
    assert not table.faults
    assert (table.unbooked, table.pledged(UP)) == (0, 0)
