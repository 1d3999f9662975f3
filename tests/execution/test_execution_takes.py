"""Orders that take: once for each number, one at a time, filled by dollars, never resting."""

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
    desk,
    look_ups,
    order,
    posts,
    refused,
    resting,
    row,
    seen,
    unknown,
)

from polybot.domain.market import Side, most_spent, taker_fee
from polybot.domain.orders import (
    CancelResult,
    FillLeg,
    NewOrder,
    OrderSeen,
    Reject,
    TimeInForce,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import SHARE, notional
from polybot.execution.desk import Desk
from polybot.execution.lifecycle import State
from polybot.execution.table import LATE_FILL_MS
from polybot.execution.wish import Desired
from polybot.risk.checks import Standing
from polybot.risk.exposure import Exposure
from polybot.risk.limits import RiskParams

LONG_UP = attrs.evolve(RICH, held=Exposure(up=10 * SHARE))


def take(number: int = 1, *, price: int = 5000, shares: int = 10) -> Desired:
    """Buy Down now or never; nothing rests beside it."""
    made = NewOrder(
        MARKET, DOWN, Side.BUY, price, shares * SHARE, TimeInForce.FAK, post_only=False
    )  # fmt: skip
    return Desired(fair_up=5000, take=made, take_number=number)


def taken(order_id: str, shares: int, price: int = 5000) -> TradeSeen:
    leg = FillLeg(order_id, MARKET.down_token, Side.BUY, price, shares * SHARE, maker=False)
    return TradeSeen("t9", MARKET.condition_id, TradeStatus.MATCHED, (leg,), T0)


def sent(made: Desk, wish: Desired, standing: Standing = LONG_UP, *, now_ms: int = T0) -> list[str]:
    made.desired = wish
    return [each.id for each in posts(made.act(now_ms, standing))]


def test_a_take_does_not_wait_for_what_other_markets_have_sent() -> None:
    """All desks share one budget: while another market followed its prices, the last seconds of
    this one went by without its missing shares. What it has taken is waited off by quotes.
    """
    made = desk()
    made.budget.places.take(100, T0)

    assert len(sent(made, take(1))) == 1
    assert made.budget.places.available(T0 + 100) == 1, "of two that came back"


def test_no_take_beside_an_end_that_is_not_proven() -> None:
    """A cancel's reply does not say what the order matched before it (F20): until the stream has
    told its end, and a late fill would be told, its shares may be ours already, and are not taken
    again.
    """
    made = desk()
    (bid,) = resting(made, order(DOWN, 4800))
    made.desired = Desired()
    made.act(T0, LONG_UP)
    made.cancelled([bid], CancelResult(frozenset({bid}), {}), T0)

    assert sent(made, take(1)) == []
    assert made.counts.withheld == {"the end of an order is not proven": 1}

    made.heard(seen(bid, OrderSeen.Kind.DEAD), T0)
    assert sent(made, take(2), now_ms=T0 + LATE_FILL_MS - 1) == []
    assert len(sent(made, take(3), now_ms=T0 + LATE_FILL_MS)) == 1


def test_no_take_of_what_a_bid_has_matched_already() -> None:
    """A bid's own message says that it was filled, and its trade is not told yet: what is missing
    by the books is not missing any more.
    """
    made = desk()
    (bid,) = resting(made, order(DOWN, 4800))
    made.heard(seen(bid, OrderSeen.Kind.MATCHED, 10), T0)

    assert sent(made, take(1)) == []
    assert made.counts.withheld == {"takes more than is missing": 1}
    assert len(sent(made, take(2), attrs.evolve(RICH, held=Exposure(up=20 * SHARE)))) == 1


def test_a_take_leaves_once_for_its_number() -> None:
    """The wish may stand for a while; only a new number is a new try. One that found nothing has
    ended as such orders do (F28): the next number is not kept waiting for it.
    """
    made = desk()

    assert sent(made, take(1)) == ["0x1"]
    made.posted([refused("0x1", Reject.NO_MATCH)], T0)
    assert sent(made, take(1)) == []
    assert sent(made, take(2), now_ms=T0 + 1) == ["0x2"]


def test_takes_that_find_nothing_are_no_storm_of_refusals() -> None:
    """However many: the last one is the one that counts."""
    made = desk()
    for n in range(1, 41):
        assert sent(made, take(n), now_ms=T0 + 100 * n) == [f"0x{n}"]
        made.posted([refused(f"0x{n}", Reject.NO_MATCH)], T0 + 100 * n)


def test_one_at_a_time_until_it_is_booked() -> None:
    """From the signature to the last of its trades the position is not known."""
    made = desk()
    sent(made, take(1))
    assert made.taking
    assert sent(made, take(2)) == []
    made.posted([acked("0x1", "matched", taking=5)], T0)
    assert made.table["0x1"].state is State.FILLED, "what it did not get is gone"
    assert made.taking, "five shares are matched and not told yet"
    assert sent(made, take(3)) == []
    made.heard(taken("0x1", 5), T0)
    assert not made.taking
    assert sent(made, take(4, shares=5)) == ["0x2"]


def test_a_match_without_its_amount_is_looked_up() -> None:
    """A reply that says "matched" and not how much left no trace of the shares until their trade
    was told: the next one took as many again, and nothing was reserved for the first.
    """
    made = desk()
    sent(made, take(1))
    made.posted([acked("0x1", "matched", taking=0)], T0)
    assert made.table["0x1"].state is State.UNKNOWN
    assert made.promised.reserved == most_spent(MARKET.fees, 5 * SHARE)
    made.desired = take(2)
    actions = made.act(T0, LONG_UP)
    assert (posts(actions), look_ups(actions)) == ([], ["0x1"])

    made.looked_up("0x1", row("0x1", Kind.MATCHED, 10), T0 + 600)
    (order,) = made.table
    assert order.state is State.FILLED
    assert made.taking, "ten shares are matched and not told yet"
    assert sent(made, take(3), now_ms=T0 + 700) == []
    made.heard(taken("0x1", 10), T0 + 800)
    assert not made.taking


def test_a_take_without_an_answer_blocks_the_next() -> None:
    """An order in doubt may have been filled (S3)."""
    made = desk()
    sent(made, take(1))
    made.posted([unknown("0x1")], T0)

    assert made.taking
    assert sent(made, take(2)) == []


@pytest.mark.parametrize("reason", [Reject.POST_ONLY_MODE, Reject.RESTARTING])
def test_nothing_is_taken_after_a_restart_of_the_engine(reason: Reject) -> None:
    """The venue takes resting orders only for two minutes (clob.md 7.3)."""
    made = desk()
    sent(made, take(1))
    made.posted([refused("0x1", reason)], T0)

    assert made.pauses.post_only(T0 + 119_999)
    assert not made.pauses.post_only(T0 + 120_000)


def test_cheaper_shares_are_no_overfill() -> None:
    """A taker's buy is filled by dollars: ten at 0.50 may become 12.5 at 0.40 (clob.md 3.2)."""
    made = desk()
    sent(made, take(1))
    made.heard(taken("0x1", 12, price=4000), T0)

    assert not made.table.faults
    made.heard(attrs.evolve(taken("0x1", 3, price=4000), trade_id="t10"), T0)
    assert list(made.table.faults) == ["filled beyond its size"]


def test_what_it_may_spend_is_reserved_with_its_fee() -> None:
    """At most the rate on top, whatever the price it meets in the end."""
    made = desk()
    sent(made, take(1))
    assert made.promised.reserved == most_spent(MARKET.fees, 5 * SHARE) == 5_350_000
    assert made.promised.reserved >= 5 * SHARE + taker_fee(MARKET.fees, 5000, 10 * SHARE)

    made.heard(taken("0x1", 5, price=4000), T0)
    assert made.promised.reserved == most_spent(MARKET.fees, 5 * SHARE - notional(4000, 5 * SHARE))


def test_a_take_spends_no_more_than_it_was_sent_for() -> None:
    """Cheaper shares are more shares, down to the lowest price; the dollars stay what they were."""
    made = desk()
    sent(made, take())
    made.table.seen(seen("0x1", Kind.MATCHED, 200_000_000), T0)
    tracked = made.table["0x1"]

    assert tracked.untold == tracked.most_shares == 500 * SHARE
    assert tracked.unbooked == most_spent(MARKET.fees, 5_000_000)


def test_a_partial_match_told_by_the_stream_is_its_end() -> None:
    """MATCHED with shares missing: a bid would rest on, what takes does not (F25)."""
    made = desk()
    sent(made, take(1))
    made.heard(seen("0x1", OrderSeen.Kind.MATCHED, matched=4), T0)

    assert made.table["0x1"].state is State.CANCELLED
    assert made.taking, "its trades are still to come"


def test_a_bid_for_the_missing_side_goes_first() -> None:
    """Both could fill: the take waits until the bid is proven gone."""
    made = desk()
    (bid,) = resting(made, order(DOWN, 4700))

    assert sent(made, take(1)) == []
    assert made.counts.withheld["takes more than is missing"] == 1
    made.heard(seen(bid, OrderSeen.Kind.DEAD), T0)
    assert sent(made, take(2), now_ms=T0 + LATE_FILL_MS) == ["0x2"]


def test_a_bid_that_it_would_meet_goes_first() -> None:
    """Our own bid for Up at 0.50 stands as an offer of Down at 0.50."""
    made = desk()
    resting(made, order(UP, 5000))

    assert sent(made, take(1)) == []
    assert made.counts.withheld["pair with a resting order too dear"] == 1


def test_a_take_is_one_fill_at_however_many_prices() -> None:
    """Each price it met counted as a fill of its own: one sweep of a thin book stopped its side for
    a minute, in the last of which what is missing is to be taken (`repeat_most`).
    """
    made = desk(limits=RiskParams(repeat_most=3))
    (taker,) = sent(made, take(shares=30), attrs.evolve(RICH, held=Exposure(up=60 * SHARE)))
    legs = [taken(taker, 10, price).legs[0] for price in (4800, 4900, 5000)]
    made.heard(attrs.evolve(taken(taker, 30), legs=tuple(legs)), T0)
    assert made.firewall.brakes.holds(DOWN, T0) is None

    for n in range(2):
        made.heard(attrs.evolve(taken(taker, 1), trade_id=f"t{n}"), T0)
    assert made.firewall.brakes.holds(DOWN, T0) == "too many fills on one side"
