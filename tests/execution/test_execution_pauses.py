"""For how long a desk leaves a side alone after a refusal, and a market whose engine is away."""

from __future__ import annotations

import pytest
from execution_kit import DOWN, RICH, T0, UP, cancels, desk, order, posts, refused, resting, wanting

from polybot.domain.orders import CancelResult, Reject
from polybot.execution.pauses import QUIET_MS
from polybot.execution.wish import Desired

# Said here once more, for these are the venue's conduct and not ours: 200 ms until a book that
# moved is seen, as long as a limit, a balance or a connection takes, and a restart asked for every
# five seconds.
QUIET = dict.fromkeys(Reject, 10_000) | {
    Reject.POST_ONLY_CROSSES: 200,
    Reject.NO_MATCH: 0,
    Reject.NOT_ENOUGH_BALANCE: 3_000,
    Reject.RATE_LIMITED: 2_000,
    Reject.RESTARTING: 5_000,
    Reject.CANCEL_ONLY: 5_000,
    Reject.POST_ONLY_MODE: 2_000,
    Reject.UNREACHABLE: 2_000,
}
AWAY = CancelResult(frozenset(), {}, "HTTP 425", away=True)


@pytest.mark.parametrize("reason", [reason for reason, quiet in QUIET.items() if quiet])
def test_a_refusal_is_answered_with_quiet(reason: Reject) -> None:
    """The outcome rests a while after a refusal; the other outcome does not (F24, F34)."""
    made = desk()
    made.desired = wanting(order(UP, 4800))
    (sent,) = posts(made.act(T0, RICH))
    made.posted([refused(sent.id, reason)], T0)
    made.desired = wanting(order(UP, 4800), order(DOWN, 4900))

    later = T0 + QUIET[reason]
    assert [each.order.outcome for each in posts(made.act(later - 1, RICH))] == [DOWN]
    assert [each.order.outcome for each in posts(made.act(later, RICH))] == [UP]
    assert made.counts.rejects == {reason.value: 1}
    restarted = reason in {Reject.RESTARTING, Reject.POST_ONLY_MODE}
    assert made.pauses.post_only(later) is restarted, "nobody else keeps what takes waiting"


def test_a_short_pause_does_not_end_a_long_one() -> None:
    """Two orders of one side are refused, the second for less."""
    made = desk()
    made.desired = wanting(order(UP, 4800), order(UP, 4700, level=1))
    first, second = posts(made.act(T0, RICH))
    made.posted([refused(first.id, Reject.SIZE), refused(second.id)], T0)

    assert posts(made.act(T0 + 9_999, RICH)) == []
    assert len(posts(made.act(T0 + 10_000, RICH))) == 2


def test_what_finds_nothing_rests_for_nothing() -> None:
    """It is how an order that takes ends (F28)."""
    assert QUIET_MS[Reject.NO_MATCH] == 0


def test_an_engine_that_is_away_is_sent_nothing() -> None:
    """A cancel is answered 425: no side gets a new order for five seconds, and nobody takes for two
    minutes (F39, clob.md 7.3).
    """
    made = desk()
    ids = resting(made, order(UP, 4800))
    made.desired = Desired()
    assert cancels(made.act(T0, RICH)) == ids
    made.cancelled(ids, AWAY, T0)
    made.desired = wanting(order(DOWN, 4900))

    assert posts(made.act(T0 + 2_900, RICH)) == []
    assert made.counts.withheld == {"quiet after a refusal": 1}
    assert made.pauses.post_only(T0 + 119_999)
    assert not made.pauses.post_only(T0 + 120_000)
