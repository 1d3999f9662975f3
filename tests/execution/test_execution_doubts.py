"""What proves an end and what does not, and how long a doubt may last (reliability.md L1, F20)."""

from __future__ import annotations

import attrs
import pytest
from execution_kit import (
    DOWN,
    RICH,
    T0,
    UP,
    Kind,
    acked,
    answer_reads,
    cancels,
    desk,
    fill,
    order,
    posts,
    resting,
    row,
    seen,
    surveyed,
    surveys,
    wanting,
)

from polybot.domain.orders import CancelResult, Failure, OrderRow, TimeInForce
from polybot.domain.units import SHARE
from polybot.execution.desk import RECANCEL_MS
from polybot.execution.doubts import CONFIRM_MS, DOUBT_MOST_MS, LookUp, Survey, Surveyed
from polybot.execution.lifecycle import OPEN, State
from polybot.execution.params import OrderParams
from polybot.execution.reconcile import LAG_MOST_MS
from polybot.execution.wish import Desired
from polybot.orders_task import SURVEY_OVERLAP_S
from polybot.risk.checks import Standing
from polybot.risk.exposure import Exposure
from polybot.risk.limits import RiskParams

DONE = CancelResult(frozenset({"0x1"}), {})
SHORT = Standing(10_000 * SHARE, 10_000 * SHARE, Exposure(down=10 * SHARE, cost_down=1))


@pytest.mark.parametrize("answer", [Failure("no answer"), row("0x1", Kind.DELAYED)])
def test_a_delayed_order_has_a_bound(answer: OrderRow | Failure) -> None:
    """No look-up tells its end: it was waited for without one, and blocked every other take."""
    made = desk()
    take = attrs.evolve(order(UP, 5000), tif=TimeInForce.FAK, post_only=False)
    made.desired = Desired((), 9900, 9900, 9900, 5000, take=take, take_number=1)
    assert posts(made.act(T0, SHORT))
    made.posted([acked("0x1", "delayed")], T0 + 100)
    now_ms = T0 + 100
    while made.doubts.overdue(now_ms) is None and now_ms < T0 + 60_000:
        now_ms += 100
        answer_reads(made, made.act(now_ms, SHORT), answer, now_ms)

    assert now_ms - T0 <= 100 + DOUBT_MOST_MS


def test_life_told_by_the_stream_ends_what_a_refused_cancel_has_said() -> None:
    """Minutes later some of it is filled, one list lacks it, and a look-up says of the living one
    that it is matched (F25): it was taken for dead, because its cancel had once been refused.
    """
    made = desk()
    resting(made, order())
    made.desired = Desired()
    made.act(T0, RICH)
    made.cancelled(["0x1"], CancelResult(frozenset(), {"0x1": "Order not found"}), T0 + 10)
    made.heard(seen("0x1"), T0 + 20)
    states = [made.table["0x1"].state]
    made.desired = wanting(order())
    made.act(T0 + 30, RICH)
    later_ms = T0 + 60_000 + LAG_MOST_MS
    made.heard(fill("0x1", 4), T0 + 60_000)
    made.missing("0x1", later_ms, later_ms)
    states.append(made.table["0x1"].state)
    made.looked_up("0x1", attrs.evolve(row("0x1", matched=4), text="MATCHED"), later_ms + 50)
    states.append(made.table["0x1"].state)

    assert states == [State.LIVE, State.UNKNOWN, State.LIVE]


def test_an_unmatched_order_whose_cancel_was_refused_rests_on() -> None:
    """The venue's word for an order on its book has the other one in it (clob.md 3.6)."""
    made = desk()
    resting(made, order())
    made.desired = Desired()
    made.act(T0, RICH)
    said = "order can't be found - already canceled or matched"
    made.cancelled(["0x1"], CancelResult(frozenset(), {"0x1": said}), T0 + 10)
    made.act(T0 + 10, RICH)
    made.looked_up("0x1", attrs.evolve(row("0x1"), text="UNMATCHED"), T0 + 20)

    assert made.table["0x1"].state in OPEN


def test_trades_that_could_not_be_read_prove_no_end() -> None:
    """A list without the order does not tell whether it was filled before its cancel (F20)."""
    made = desk(limits=RiskParams(max_net_shares=10))
    resting(made, order(UP, 4800))
    made.desired = wanting(order(UP, 4400))
    made.act(T0, RICH)
    made.cancelled(["0x1"], DONE, T0 + 20)
    at_ms = T0 + 20 + CONFIRM_MS
    assert surveys(made.act(at_ms, RICH))
    made.surveyed(surveyed(at_ms, trades=False), at_ms + 100)

    assert posts(made.act(at_ms + 100, RICH)) == []


def test_a_later_survey_asks_for_the_trades_of_the_first() -> None:
    """Ten seconds without an answer: the next one's trades reach back to the end in question."""
    made = desk()
    resting(made, order(UP, 4800))
    made.desired = wanting(order(UP, 4400))
    made.act(T0, RICH)
    made.cancelled(["0x1"], DONE, T0 + 20)
    asked: list[int] = []
    for ms in range(0, 15_000, 100):
        for since_ms in surveys(made.act(T0 + ms, RICH)):
            asked.append(since_ms)
            made.surveyed(Surveyed(T0 + ms, Failure("timed out"), trades=False), T0 + ms)

    assert len(asked) > 2
    assert max(asked) // 1000 - SURVEY_OVERLAP_S <= T0 // 1000


def test_a_lost_cancel_is_repeated_in_time_though_a_requote_waits() -> None:
    """One bid breaks its cap and is withdrawn at once; the other waits for its routine moment, and
    what is due before that was forgotten.
    """
    made = desk(params=OrderParams(routine_every_ms=10_000))
    resting(made, order(UP, 4800), order(DOWN, 4800))
    made.desired = wanting(order(DOWN, 4300))
    assert cancels(made.act(T0 + 10, RICH)) == ["0x1"]
    made.cancelled(["0x1"], CancelResult(frozenset(), {}, "timed out"), T0 + 20)
    made.act(T0 + 20, RICH)

    assert made.next_due_ms(T0 + 20) <= T0 + 10 + RECANCEL_MS


def test_a_cancel_in_vain_is_noticed_though_a_requote_waits() -> None:
    """Woken only when the desk asks to be: ten seconds of vain cancels are a fault (F21)."""
    made = desk(params=OrderParams(routine_every_ms=10_000))
    resting(made, order(UP, 4800), order(DOWN, 4800))
    made.desired = wanting(order(DOWN, 4300))
    now_ms = T0 + 10
    while made.doubts.overdue(now_ms) is None and now_ms < T0 + 120_000:
        actions = made.act(now_ms, RICH)
        for action in actions:
            if isinstance(action, LookUp):
                made.looked_up(action.order_id, row(action.order_id), now_ms)
            elif isinstance(action, Survey):
                made.surveyed(surveyed(now_ms, row("0x1"), row("0x2")), now_ms)
        for order_id in cancels(actions):
            made.cancelled([order_id], CancelResult(frozenset(), {}, "HTTP 500"), now_ms)
        now_ms = made.next_due_ms(now_ms)

    assert now_ms - T0 <= DOUBT_MOST_MS + 2_000
