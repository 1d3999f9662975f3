"""An ask that has ended may have filled, told 50 to 650 ms later: what comes on top (feeds.md 4.5).

That its shares are gone makes the venue refuse the next ask for them, and nothing else: not a bid
or a take of the twin, nor another ask where more is held.
"""

from __future__ import annotations

import attrs
from execution_kit import (
    DOWN,
    RICH,
    T0,
    UP,
    acked,
    cancels,
    desk,
    order,
    posts,
    resting,
    seen,
    wanting,
)
from msgspec.structs import replace

from polybot.domain.market import Side
from polybot.domain.orders import CancelResult, OrderSeen, TimeInForce
from polybot.domain.units import SHARE
from polybot.execution.desk import Desk
from polybot.execution.table import LATE_FILL_MS
from polybot.execution.wish import Desired
from polybot.risk.checks import Standing
from polybot.risk.exposure import Exposure
from polybot.risk.limits import RiskParams

# Ten Up are held and confirmed, and nothing else.
HELD = Standing(
    10_000 * SHARE,
    10_000 * SHARE,
    Exposure(cost_up=5 * SHARE, up=10 * SHARE),
    sellable_up=10 * SHARE,
)
PLENTY = Standing(
    10_000 * SHARE,
    10_000 * SHARE,
    Exposure(cost_up=15 * SHARE, cost_down=15 * SHARE, up=30 * SHARE, down=30 * SHARE),
    sellable_up=30 * SHARE,
    sellable_down=30 * SHARE,
)
ASK = attrs.evolve(order(UP, 5200), side=Side.SELL)
ENDED_MS = T0 + 20


def withdrawn(limits: RiskParams | None = None) -> Desk:
    """A desk whose ask for ten Up has just been told to have ended."""
    made = desk(limits=limits)
    made.desired = wanting(ASK)
    (sent,) = posts(made.act(T0, HELD))
    made.posted([acked(sent.id)], T0)
    made.desired = Desired(cause="completion")
    assert cancels(made.act(T0 + 10, HELD)) == [sent.id]
    made.heard(seen(sent.id, OrderSeen.Kind.DEAD), ENDED_MS)
    return made


def test_nothing_is_taken_that_an_ended_ask_may_have_paired() -> None:
    """The ask moved us toward Down as the take does: both, and the position is turned around."""
    made = withdrawn()
    take = attrs.evolve(order(DOWN, 5000), tif=TimeInForce.FAK, post_only=False)
    made.desired = Desired((), 9900, 9900, 9900, 5000, take=take, take_number=1)
    assert posts(made.act(ENDED_MS + 10, HELD)) == []

    made.desired = replace(made.desired, take_number=2)
    assert len(posts(made.act(ENDED_MS + LATE_FILL_MS, HELD))) == 1


def test_a_bid_for_the_twin_counts_with_an_ended_ask() -> None:
    """Net limit ten: sold ten Up and bought twenty Down are net twenty Down (S7)."""
    made = withdrawn(RiskParams(max_net_shares=10))
    made.desired = wanting(order(DOWN, 4500, 20))
    assert posts(made.act(ENDED_MS + 10, HELD)) == []

    assert len(posts(made.act(ENDED_MS + LATE_FILL_MS, HELD))) == 1


def test_another_ask_counts_with_an_ended_one_where_more_is_held() -> None:
    """The venue refuses it only for want of shares, and there are thirty: net limit ten (S7)."""
    made = withdrawn(RiskParams(max_net_shares=10))
    made.desired = wanting(attrs.evolve(ASK, price=5100))
    assert posts(made.act(ENDED_MS + 10, PLENTY)) == []

    assert len(posts(made.act(ENDED_MS + LATE_FILL_MS, PLENTY))) == 1


def test_the_streams_word_of_an_end_leaves_room_whenever_the_reply_came() -> None:
    """The room was counted from the reply: a stream that is as late as that left none."""
    made = desk(limits=RiskParams(max_net_shares=10))
    resting(made, order(UP, 4800))
    made.desired = wanting(order(UP, 4400))
    made.act(T0, RICH)
    made.cancelled(["0x1"], CancelResult(frozenset({"0x1"}), {}), T0 + 20)
    told_ms = T0 + 20 + LATE_FILL_MS
    assert posts(made.act(told_ms - 1, RICH)) == []
    made.heard(seen("0x1", OrderSeen.Kind.DEAD), told_ms)

    assert posts(made.act(told_ms, RICH)) == []
    assert posts(made.act(told_ms + LATE_FILL_MS - 1, RICH)) == []
    assert len(posts(made.act(told_ms + LATE_FILL_MS, RICH))) == 1


def test_a_clock_that_is_set_back_makes_that_moment_no_longer() -> None:
    """By the clock of before the end is still to come: the side waited for as long as it had been
    ahead, half a minute here.
    """
    made, then_ms = withdrawn(RiskParams(max_net_shares=10)), ENDED_MS - 30_000
    made.desired = wanting(order(DOWN, 4500, 20))
    assert posts(made.act(then_ms, HELD)) == []

    assert len(posts(made.act(then_ms + LATE_FILL_MS, HELD))) == 1


def test_no_merge_takes_what_an_ended_ask_may_have_sold() -> None:
    """Its trade would find the shares gone, and fail at the venue. Merges wait for asks that are
    withdrawn for them, and were asked for in the moment in which the ask had ended.
    """
    made = withdrawn()
    assert made.promised.pledged(UP) == 10 * SHARE
    assert made.promised.pledged(DOWN) == 0

    made.act(ENDED_MS + LATE_FILL_MS, HELD)
    assert made.promised.pledged(UP) == 0
