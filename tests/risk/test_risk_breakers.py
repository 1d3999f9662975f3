"""Brakes: error rate, storms of refusals, fills on one side."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from polybot.domain.market import Outcome
from polybot.domain.orders import Reject
from polybot.risk.breakers import DOUBLINGS_MOST, ErrorRate, MarketBrakes, Pause, Window
from polybot.risk.limits import RiskParams

UP, DOWN = Outcome.UP, Outcome.DOWN
T0 = 1_790_000_100_000
PARAMS = RiskParams()


def brakes(params: RiskParams = PARAMS) -> MarketBrakes:
    return MarketBrakes(params, ErrorRate(params))


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 5)), max_size=40))
def test_a_window_holds_what_is_young(steps: list[tuple[int, int]]) -> None:
    """The sum is that of everything younger than the window, at every moment."""
    window, now, seen = Window(10_000), T0, []
    for wait_ms, amount in steps:
        now += wait_ms
        seen.append((now, amount))
        assert window.add(now, amount) == sum(n for at, n in seen if now - at < 10_000)


def test_a_window_takes_a_clock_that_goes_back() -> None:
    """A stamp before the last counts at the last: nothing is lost or kept too long."""
    window = Window(1_000)
    window.add(T0)

    assert window.add(T0 - 500) == 2
    assert window.sum(T0 + 999) == 2
    assert window.sum(T0 + 1_000) == 0


def test_a_window_takes_a_clock_that_goes_back_twice() -> None:
    """What lies too far ahead of now is forgotten, whatever was counted since."""
    window = Window(1_000)
    window.add(T0)
    window.add(T0 - 600)

    assert window.sum(T0 - 999) == 2
    assert window.sum(T0 - 1_000) == 0


def test_a_clock_that_was_far_ahead_hides_no_outage() -> None:
    """What it had stamped counted until the time came round again, and with it all that was sent
    meanwhile: an hour of good answers hid the failures of now.
    """
    errors = ErrorRate(PARAMS)
    for n in range(100):
        errors.note(T0 + 3_600_000 + n, failed=False)
    for n in range(1_000):
        errors.note(T0 + 1_000 * n, failed=False)
    for n in range(30):
        errors.note(T0 + 1_000_000 + 1_000 * n, failed=True)

    assert errors.open(T0 + 1_030_000)


def test_a_pause_doubles_when_it_comes_back_soon() -> None:
    """Twice as long each time, up to a bound; a quiet while later it begins again."""
    pause, now, lengths = Pause(1_000), T0, []
    for _ in range(8):
        pause.begin(now)
        lengths.append(pause.until_ms - now)
        pause.begin(now)  # under way: nothing changes
        now = pause.until_ms
        assert not pause.active(now)
        assert pause.active(now - 1)

    assert lengths[:5] == [1_000, 2_000, 4_000, 8_000, 16_000]
    assert max(lengths) == 1_000 << DOUBLINGS_MOST
    longest = 1_000 << DOUBLINGS_MOST
    now += 4 * longest
    pause.begin(now)
    assert pause.until_ms == now + longest
    now += 5 * longest + 1
    pause.begin(now)
    assert pause.until_ms == now + 1_000


def test_a_pause_takes_a_clock_that_goes_back() -> None:
    """An hour that our clock was ahead, perhaps in an earlier run, is no hour of pause."""
    pause = Pause(1_000)
    pause.begin(T0)
    back = T0 - 3_600_000

    assert pause.active(back)
    assert pause.active(back + 999)
    assert not pause.active(back + 1_000)


def test_too_many_failures_hold_the_wallet() -> None:
    """Above 30 % of at least 20 requests nothing is placed for 20 s, in any market."""
    errors = ErrorRate(PARAMS)
    held, other = MarketBrakes(PARAMS, errors), MarketBrakes(PARAMS, errors)
    for n in range(19):
        errors.note(T0 + n, failed=True)
    assert held.holds(UP, T0 + 20) is None, "nineteen say nothing"

    errors.note(T0 + 20, failed=True)

    assert held.holds(UP, T0 + 21) == other.holds(DOWN, T0 + 21) == "too many requests fail"
    assert held.holds(UP, T0 + 20 + 19_999) is not None
    assert held.holds(UP, T0 + 20 + 20_000) is None
    assert errors.opened == 1


def test_a_share_at_the_limit_holds_nothing() -> None:
    """Exactly 30 % is allowed, and old failures are forgotten."""
    errors = ErrorRate(PARAMS)
    for n in range(100):
        errors.note(T0 + n, failed=n % 10 >= 7)
    assert not errors.open(T0 + 100)

    for n in range(50):
        errors.note(T0 + 40_000 + n, failed=n % 10 == 0)
    assert not errors.open(T0 + 41_000)


@pytest.mark.parametrize(
    ("first", "then", "after_ms", "opens"),
    [
        ((19, 0), (0, 1), 29_999, True),  # 19 failures of 20
        ((19, 0), (1, 0), 30_000, False),  # one of one
        ((0, 100), (20, 0), 29_999, False),  # 20 of 120
        ((0, 100), (20, 0), 30_000, True),  # 20 of 20
    ],
)
def test_both_counts_are_of_one_window(
    first: tuple[int, int], then: tuple[int, int], after_ms: int, opens: bool
) -> None:
    """Failures are held against what was sent within the same half minute, to the millisecond."""
    errors = ErrorRate(PARAMS)
    for at_ms, (bad, good) in ((T0, first), (T0 + after_ms, then)):
        for n in range(bad + good):
            errors.note(at_ms, failed=n < bad)

    assert errors.open(T0 + after_ms) is opens


@pytest.mark.parametrize(("bad", "good"), [(10, 0), (1, 19)])
def test_what_was_judged_is_not_judged_again(bad: int, good: int) -> None:
    """After pauses that are shorter than their windows only what came since counts: ten failures of
    ten are too few to say anything, one of twenty is nothing; and one refusal is no storm.
    """
    made = brakes(
        RiskParams(error_window_s=60, error_pause_s=1, reject_window_s=60, reject_pause_s=1)
    )
    for _ in range(20):
        made.errors.note(T0, failed=True)
        made.refused(Reject.TICK, T0)
    assert made.holds(UP, T0) is not None
    made.refused(Reject.TICK, T0 + 2_000)
    for n in range(bad + good):
        made.errors.note(T0 + 2_000, failed=n < bad)

    assert made.holds(UP, T0 + 2_000) is None


@pytest.mark.parametrize(
    ("after_ms", "fills_ms", "held"), [(9_999, 59_999, 1), (10_000, 60_000, 0)]
)
def test_the_windows_of_a_market(after_ms: int, fills_ms: int, held: bool) -> None:
    """Ten refusals within ten seconds, sixty fills within sixty: to the millisecond."""
    refused, filled = brakes(), brakes()
    for n in range(10):
        refused.refused(Reject.TICK, T0 + (after_ms if n == 9 else 0))
    for n in range(60):
        filled.filled(UP, T0 + (fills_ms if n == 59 else 0))

    assert (refused.holds(UP, T0 + after_ms) is not None) == held
    assert (filled.holds(UP, T0 + fills_ms) is not None) == held


def test_brakes_that_are_switched_off() -> None:
    """Nought is never, not at once."""
    made = brakes(RiskParams(reject_most=0, repeat_most=0))
    for _ in range(100):
        made.refused(Reject.TICK, T0)
        made.filled(UP, T0)

    assert made.holds(UP, T0) is None


def test_a_storm_of_refusals_leaves_the_market_alone() -> None:
    """Ten refusals within ten seconds, of whatever kind but a moved book."""
    made = brakes()
    for n in range(9):
        made.refused(Reject.NOT_ENOUGH_BALANCE, T0 + 1_000 * n)
    assert made.holds(UP, T0 + 9_000) is None

    made.refused(Reject.TICK, T0 + 9_000)

    assert made.holds(UP, T0 + 9_001) == "storm of refusals"
    assert made.holds(DOWN, T0 + 9_001) == "storm of refusals"
    assert made.holds(UP, T0 + 9_000 + 14_999) is not None
    assert made.holds(UP, T0 + 9_000 + 15_000) is None


@pytest.mark.parametrize("reason", [Reject.POST_ONLY_CROSSES, Reject.NO_MATCH, Reject.UNREACHABLE])
def test_what_no_order_is_refused_for_is_no_storm(reason: Reject) -> None:
    """A book that moved comes with every fast second, and the desk waits for it by itself; so does
    a take that finds nothing. What has found no connection is no refusal.
    """
    made = brakes()
    for n in range(100):
        made.refused(reason, T0 + n)

    assert made.holds(UP, T0 + 100) is None


def test_refusals_spread_out_are_no_storm() -> None:
    """One a second stays below ten within ten seconds."""
    made = brakes()
    for n in range(60):
        made.refused(Reject.SIZE, T0 + 1_200 * n)
        assert made.holds(UP, T0 + 1_200 * n) is None


def test_one_sided_fills_end_in_a_pause_of_that_side() -> None:
    """Sixty fills of one outcome in a minute, none of the other: leave that side alone."""
    made = brakes()
    for n in range(60):
        assert made.holds(UP, T0 + 500 * n) is None
        made.filled(UP, T0 + 500 * n)

    assert made.holds(UP, T0 + 30_000) == "too many fills on one side"
    assert made.holds(DOWN, T0 + 30_000) is None, "what pairs is not held"
    assert made.holds(UP, T0 + 29_500 + 59_999) is not None
    assert made.holds(UP, T0 + 29_500 + 60_000) is None


def test_fills_that_pair_are_no_repetition() -> None:
    """A fill of the other outcome begins the series anew."""
    made = brakes()
    for n in range(400):
        made.filled(UP if n % 50 else DOWN, T0 + 10 * n)

    assert made.holds(UP, T0 + 4_000) is None


@pytest.mark.parametrize("outcome", Outcome)
def test_nothing_happened_nothing_held(outcome: Outcome) -> None:
    """Fresh brakes hold nobody."""
    assert brakes().holds(outcome, T0) is None
