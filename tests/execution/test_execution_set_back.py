"""A clock that is set back, where it had run ahead of the venue's: nothing waits any longer."""

from __future__ import annotations

import pytest
from execution_kit import (
    RICH,
    T0,
    UP,
    answer_reads,
    cancels,
    desk,
    look_ups,
    order,
    posts,
    refused,
    resting,
    unknown,
    wanting,
)

from polybot.domain.orders import CancelResult, Reject
from polybot.execution.desk import RECANCEL_MS, Desk
from polybot.execution.doubts import DOUBT_MOST_MS
from polybot.execution.lifecycle import State
from polybot.execution.params import OrderParams
from polybot.execution.pauses import POST_ONLY_MS, QUIET_MS, Pauses
from polybot.execution.wish import Desired

BACK_MS = 30_000
THEN = T0 - BACK_MS


def cancelling() -> Desk:
    """A desk whose order rests on: its cancel got no answer."""
    made = desk()
    resting(made, order())
    made.desired = Desired()
    assert cancels(made.act(T0, RICH)) == ["0x1"]
    made.cancelled(["0x1"], CancelResult(frozenset(), {}, "timed out"), T0 + 10)
    return made


def test_a_cancel_is_asked_again_at_once() -> None:
    """The last one is of a time to come; from then on every second, as ever."""
    made = cancelling()

    asked = [ms for ms in range(0, 2 * RECANCEL_MS + 1, 100) if cancels(made.act(THEN + ms, RICH))]

    assert asked == [0, RECANCEL_MS, 2 * RECANCEL_MS]


def test_an_order_that_no_cancel_removes_is_noticed() -> None:
    """The attempt counts anew, and not from thirty seconds ahead."""
    made = cancelling()
    noticed = None
    for ms in range(0, BACK_MS, 100):
        now_ms = THEN + ms
        if cancels(made.act(now_ms, RICH)):
            made.cancelled(["0x1"], CancelResult(frozenset(), {}, "HTTP 500"), now_ms)
        if noticed is None and made.doubts.overdue(now_ms) is not None:
            noticed = ms

    assert noticed == DOUBT_MOST_MS


def test_an_unknown_order_is_looked_up_at_once() -> None:
    """And then with the usual pauses, not at every turn."""
    made = desk()
    made.desired = wanting(order(UP, 4800))
    assert posts(made.act(T0, RICH))
    made.posted([unknown("0x1")], T0 + 10)

    asked = []
    for ms in range(0, 5_000, 50):
        if look_ups(made.act(THEN + ms, RICH)):
            asked.append(ms)
            made.table["0x1"].look_up_pending = False  # an answer that tells nothing

    assert asked[0] == 0
    assert 2 < len(asked) < 12


def test_a_routine_move_waits_for_its_usual_pause_alone() -> None:
    """What stands too low by two ticks is moved at once, and not in half a minute."""
    made = desk(params=OrderParams(routine_every_ms=200))
    resting(made, order(UP, 4800))
    made.desired = wanting(order(UP, 4500))

    assert cancels(made.act(THEN, RICH)) == ["0x1"]


@pytest.mark.parametrize("then_ms", [T0 + 100, THEN], ids=["it goes on", "it is set back"])
def test_a_doubt_ends_in_time(then_ms: int) -> None:
    """By proof: absences were of before the order then, for as long as the clock had been ahead."""
    made = desk()
    made.desired = wanting(order(UP, 4800))
    assert posts(made.act(T0, RICH))
    made.posted([unknown("0x1")], T0 + 10)
    now_ms = then_ms
    while made.table["0x1"].state is State.UNKNOWN and now_ms < then_ms + 60_000:
        now_ms += 100
        answer_reads(made, made.act(now_ms, RICH), None, now_ms)

    assert now_ms - then_ms <= DOUBT_MOST_MS


def test_a_side_rests_no_longer_after_a_refusal() -> None:
    """Half a minute without a bid, where two tenths of a second were meant."""
    made = desk()
    made.desired = wanting(order())
    (sent,) = posts(made.act(T0, RICH))
    made.posted([refused(sent.id)], T0)

    assert posts(made.act(THEN, RICH)) == []
    assert len(posts(made.act(THEN + QUIET_MS[Reject.POST_ONLY_CROSSES], RICH))) == 1


def test_an_engine_that_restarted_takes_again_in_its_time() -> None:
    """Two minutes without orders that take, and no more: past the stop each second counts."""
    pauses = Pauses()
    pauses.engine_left(T0)

    assert pauses.post_only(THEN)
    assert not pauses.post_only(THEN + POST_ONLY_MS)
    assert not pauses.holds(order(), THEN + POST_ONLY_MS)
