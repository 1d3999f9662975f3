"""A cancel path that fails while all else works: nothing may pile up, nor last (F21, F40).

The venue's reads show each order alive, so that no doubt about one lasts: what lasts is the
cancelling.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import attrs
import pytest
from execution_kit import (
    DOWN,
    RICH,
    T0,
    UP,
    acked,
    desk,
    look_ups,
    order,
    posts,
    resting,
    row,
    surveyed,
    unknown,
    wanting,
)

from polybot.domain.orders import CancelResult
from polybot.execution.actions import Cancel
from polybot.execution.desk import RECANCEL_MS, Desk
from polybot.execution.lifecycle import State
from polybot.execution.tracked import AWAY_MOST_MS, CANCEL_ROW_MS
from polybot.execution.wish import Desired

STEP_MS = 100
FAILED = CancelResult(frozenset(), {}, "HTTP 500")
AWAY = CancelResult(frozenset(), {}, "HTTP 425", away=True)

Answer = Callable[[Cancel], CancelResult]


def refusing(action: Cancel) -> CancelResult:
    return CancelResult(frozenset(), dict.fromkeys(action.ids, "already canceled or matched"))


def turn(made: Desk, now_ms: int, answer: Answer) -> tuple[list[str], bool]:
    """One turn at a venue that takes every order and shows every order alive: what it was sent, and
    whether something lasts too long, which is asked as the orders task asks it.
    """
    actions = made.act(now_ms, RICH)
    late = made.doubts.overdue(now_ms) is not None
    sent = [each.id for each in posts(actions)]
    made.posted([acked(order_id) for order_id in sent], now_ms)
    for action in actions:
        if isinstance(action, Cancel):
            made.cancelled(action.ids, answer(action), now_ms)
    for order_id in look_ups(actions):
        made.looked_up(order_id, row(order_id), now_ms)
    return sent, late


def overdue_at(made: Desk, answer: Answer, since_ms: int = 0, most_ms: int = 20_000) -> int | None:
    """When the desk first has something that lasts too long, looked at from `since_ms` on."""
    for ms in range(since_ms, since_ms + most_ms, STEP_MS):
        if turn(made, T0 + ms, answer)[1]:
            return ms
    return None


@pytest.mark.parametrize("answer", [lambda _: FAILED, refusing])
def test_a_cancel_that_never_works_is_a_fault(answer: Answer) -> None:
    """Ten seconds after the first, however often a look-up has shown the order alive meanwhile."""
    made = desk()
    resting(made, order(UP, 4800))
    made.desired = Desired()

    late = overdue_at(made, answer)

    assert late is not None
    assert 10_000 <= late <= 11_000


def test_nothing_is_placed_beside_an_overdue_cancel() -> None:
    """The wish moves every half second, each time another order is in its way: what rests is what
    the first three seconds have brought.
    """
    made = desk()
    resting(made, order(UP, 4800))
    sent = []
    for ms in range(0, 9_900, STEP_MS):
        made.desired = wanting(order(UP, 3000 + 100 * (ms // 500 % 15)))
        sent += [ms for _ in turn(made, T0 + ms, lambda _: FAILED)[0]]

    assert sent
    assert max(sent) < 3_000
    assert made.counts.withheld["a cancel is overdue"]


def test_an_engine_that_restarts_is_waited_for() -> None:
    """It says so (425), and nothing matches meanwhile: the count begins when it no longer says so
    (F39).
    """
    made = desk()
    resting(made, order(UP, 4800))
    made.desired = Desired()
    assert overdue_at(made, lambda _: AWAY, most_ms=60_000) is None

    late = overdue_at(made, lambda _: FAILED, 60_000)
    assert late is not None
    assert 69_000 <= late <= 71_000


@pytest.mark.parametrize("between", [AWAY, FAILED], ids=["at each", "at every other"])
def test_an_engine_that_is_away_for_ever_is_not_believed(between: CancelResult) -> None:
    """Cancels alone meet 425: reads show the order alive, it is filled at an old price, and nothing
    else would end its market before its window does.
    """
    made = desk()
    resting(made, order(UP, 4800))
    made.desired = Desired()
    answers = itertools.cycle((AWAY, between))

    late = overdue_at(made, lambda _: next(answers), most_ms=AWAY_MOST_MS + 20_000)

    assert late is not None
    assert AWAY_MOST_MS + 9_000 <= late <= AWAY_MOST_MS + 12_000


def test_each_restart_has_the_patience_of_the_first() -> None:
    """An order that was wanted again in between has outlived one; the next may last as long."""
    made = desk()
    resting(made, order(UP, 4800))
    wish, made.desired = made.desired, Desired()
    first_ms, pause_ms = AWAY_MOST_MS - 5_000, 10_000
    assert overdue_at(made, lambda _: AWAY, most_ms=first_ms) is None
    made.desired = wish
    assert overdue_at(made, lambda _: AWAY, first_ms, pause_ms) is None

    made.desired = Desired()
    assert overdue_at(made, lambda _: AWAY, first_ms + pause_ms, first_ms) is None


def test_what_was_cancelled_before_the_engine_left_is_cancelled() -> None:
    """A long cancel goes in parts, and the answer to one of them is 425: of the others the venue's
    word holds; only what it has not named waits for the engine.
    """
    made = desk()
    resting(made, order(UP, 4800), order(UP, 4700), order(DOWN, 4700))
    made.desired = Desired()
    (cancel,) = (a for a in made.act(T0, RICH) if isinstance(a, Cancel))
    one, two, three = cancel.ids

    made.cancelled(
        cancel.ids,
        CancelResult(frozenset({one}), {two: "already matched"}, "HTTP 425", away=True),
        T0,
    )

    states = {tracked.id: tracked.state for tracked in made.table}
    assert states == {one: State.CANCELLED, two: State.UNKNOWN, three: State.CANCELLING}
    assert made.pauses.post_only(T0 + 1)
    again = [a.ids for a in made.act(T0 + RECANCEL_MS, RICH) if isinstance(a, Cancel)]
    assert three in {order_id for ids in again for order_id in ids}
    assert one not in {order_id for ids in again for order_id in ids}


def test_one_that_was_wanted_meanwhile_is_counted_anew() -> None:
    """A cancel got lost, the wish came back and the order served it; a minute later it is to go."""
    made = desk()
    resting(made, order(UP, 4800))
    wish, made.desired = made.desired, Desired()
    for ms in range(0, 3_100, STEP_MS):
        turn(made, T0 + ms, lambda _: FAILED)
    made.desired = wish
    for ms in range(3_100, 60_000, STEP_MS):
        turn(made, T0 + ms, lambda _: FAILED)
    assert [t.state for t in made.table.open()] == [State.LIVE]

    made.desired = Desired()
    assert overdue_at(made, lambda _: FAILED, 60_000) == 70_000


@pytest.mark.parametrize("answer", [FAILED, AWAY], ids=["fails", "away"])
def test_an_order_that_nobody_has_shown_is_a_doubt_and_no_more(answer: CancelResult) -> None:
    """Its POST had no answer, so that cancels were sent to where nothing was; once it is shown, its
    cancel has as long as any.
    """
    made = desk()
    made.desired = wanting(order())
    (sent,) = posts(made.act(T0, RICH))
    made.table.posted(unknown(sent.id), T0)
    for ms in range(0, 9_000, STEP_MS):
        for action in made.act(T0 + ms, RICH):
            if isinstance(action, Cancel):
                made.cancelled(action.ids, answer, T0 + ms)
    made.looked_up(sent.id, row(sent.id), T0 + 9_000)
    made.desired = Desired()

    assert overdue_at(made, lambda _: FAILED, 9_000) == 19_000


@pytest.mark.parametrize("refusal", ["try again", "order is delayed and can't be canceled until"])
def test_a_refusal_that_says_nothing_of_an_end_ends_no_order(refusal: str) -> None:
    """A venue that was busy had a living, partly filled order taken for gone as soon as it was
    told as MATCHED: only a refusal that says that nothing rests goes with that word (F25).
    """
    made = desk()
    resting(made, order())
    made.closing = True
    made.act(T0, RICH)
    made.cancelled(["0x1"], CancelResult(frozenset(), {"0x1": refusal}), T0)
    made.looked_up("0x1", attrs.evolve(row("0x1", matched=4), text="MATCHED"), T0)

    assert [tracked.id for tracked in made.table.open()] == ["0x1"]


@pytest.mark.parametrize("listed", [True, False])
def test_a_refusal_counts_no_more_once_the_order_was_seen_alive(listed: bool) -> None:
    """`already canceled or matched` has been said of live orders: what is shown alive afterwards
    is ended by no MATCHED of a partial fill, however much later.
    """
    made = desk()
    resting(made, order())
    made.closing = True
    made.act(T0, RICH)
    refusal = {"0x1": "order can't be found - already canceled or matched"}
    made.cancelled(["0x1"], CancelResult(frozenset(), refusal), T0)
    alive = attrs.evolve(row("0x1"), text="LIVE")
    if listed:
        made.surveyed(surveyed(T0 + 1, alive), T0 + 2)
    else:
        made.looked_up("0x1", alive, T0 + 2)
    made.looked_up("0x1", attrs.evolve(row("0x1", matched=4), text="MATCHED"), T0 + 3)

    assert [tracked.id for tracked in made.table.open()] == ["0x1"]


def test_an_engine_puts_off_only_what_is_asked_for_now() -> None:
    """A cancel that nobody repeats any more waits for no engine: a window that is emptied much
    later would have spent its patience before its first request.
    """
    made = desk()
    tracked = made.table[resting(made, order(UP, 4800))[0]]
    assert tracked.put_off_ms(T0) == 0
    tracked.ask_away(T0)
    assert tracked.put_off_ms(T0 + 500) == 0, "nobody has said that it is away"
    tracked.await_engine(T0 + 500)

    assert tracked.put_off_ms(T0 + 2_500) == 2_000
    assert tracked.put_off_ms(T0 + CANCEL_ROW_MS) == CANCEL_ROW_MS - 500
    assert tracked.put_off_ms(T0 + CANCEL_ROW_MS + 1) == 0
