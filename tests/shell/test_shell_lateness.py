"""When books are of the past, and by what they are believed again."""

from __future__ import annotations

from hypothesis import given, strategies as st

from polybot.lateness import FIRST_MS, LASTING_MS, LATE_MS, LONGEST_MS, Lateness

T0 = 1_795_201_110_000
LATE = LATE_MS + 1


def test_time_alone_is_no_evidence() -> None:
    """After one late change the books are of the past until something shows that they are not."""
    late = Lateness()
    late.changed(LATE_MS, T0)
    assert not late.late(T0)

    late.changed(LATE, T0)
    assert late.late(T0 + 3_600_000)
    late.in_time()
    assert not late.late(T0 + 3_600_000)


def test_one_in_time_is_not_enough() -> None:
    """Frames that come in bunches end with young ones: nothing may be late for a while."""
    late = Lateness()
    late.changed(LATE, T0)
    late.changed(100, T0 + 10)
    assert not late.unproven
    assert late.late(T0 + FIRST_MS - 1)
    assert not late.late(T0 + FIRST_MS)

    late.in_time()
    assert not late.late(T0 + FIRST_MS)


def test_the_while_doubles_where_it_was_too_short() -> None:
    """Late for two seconds and good for one, again and again: believed for three of the first
    quarter of a minute, and then no more. After a long quiet it begins with a second.
    """
    late, believed, now = Lateness(), list[int](), T0
    for period in range(40):
        for ms in range(0, 3_000, 100):
            late.changed(LATE if ms < 2_000 else 100, now)
            believed += [period] * (not late.late(now))
            now += 100

    assert len(believed) <= 10
    assert set(believed) <= {0, 1, 2, 3}
    late.changed(100, now)
    assert late.late(now)
    now += 5 * LONGEST_MS
    late.changed(LATE, now)
    late.changed(100, now)
    assert not late.late(now + FIRST_MS)


@given(st.lists(st.tuples(st.integers(0, 40_000), st.booleans()), min_size=1, max_size=60))
def test_in_time_for_the_longest_while_is_always_enough(steps: list[tuple[int, bool]]) -> None:
    """Whatever came before, no stream is held back for good that is in time."""
    late, now = Lateness(), T0
    for wait_ms, is_late in steps:
        now += wait_ms
        late.changed(LATE if is_late else 0, now)
        assert late.late(now) or not is_late
    late.changed(0, now + 1)

    assert not late.late(now + LONGEST_MS)


def test_a_clock_that_is_set_back() -> None:
    """Changes that seemed late by a clock an hour ahead hold nothing back for an hour."""
    late = Lateness()
    late.changed(3_600_000, T0 + 3_600_000)
    late.changed(100, T0)

    assert late.late(T0)  # asked at each turn
    assert late.late(T0 + FIRST_MS - 1)
    assert not late.late(T0 + FIRST_MS)


def test_what_the_feed_asks_between_turns_decides_nothing() -> None:
    """After a step of the clock as well: a tape has the turns, not the feed's own looks (20455)."""
    asked, unasked = Lateness(), Lateness()
    for late in (asked, unasked):
        late.changed(LATE, T0 + 3_600_000)
        late.in_time()
    assert asked.held(T0)
    assert not asked.lasts(T0)

    for late in (asked, unasked):
        assert late.late(T0 + 240)
        assert late.late(T0 + FIRST_MS)
        assert not late.late(T0 + 240 + FIRST_MS)


def test_another_connection_is_tried_once() -> None:
    """When it has been late for as long as it might be silent; again where it was well between."""
    late = Lateness()
    late.changed(LATE, T0)
    assert not late.lasts(T0 + LASTING_MS)
    assert late.lasts(T0 + LASTING_MS + 1)

    late.changed(LATE, T0 + LASTING_MS + 2)
    assert not late.lasts(T0 + 10 * LASTING_MS)
    late.in_time()
    began = T0 + 20 * LASTING_MS
    late.changed(LATE, began)
    assert late.lasts(began + LASTING_MS + 1)


def test_no_connection_is_left_that_is_in_time_again() -> None:
    """Neither at once nor when the next change is late."""
    late = Lateness()
    late.changed(LATE, T0)
    late.in_time()
    assert not late.lasts(T0 + LASTING_MS + 1)

    late.changed(LATE, T0 + LASTING_MS + 1)
    assert not late.lasts(T0 + LASTING_MS + 2)
