"""The venue's time out of whole seconds (reliability.md F49)."""

from __future__ import annotations

from hypothesis import given, strategies as st

from polybot.venue_time import KEPT, OFF_MOST_MS, SURE_MS, Offset, VenueTime

T0 = 1_795_201_110_000


def answer(
    time: VenueTime, at_ms: int, off_ms: int, there_ms: int = 20, back_ms: int = 20
) -> Offset:
    """The venue is asked at `at_ms` of its own time, by a clock that is off by so much."""
    venue_s = (at_ms + there_ms) // 1000
    return time.heard(at_ms + off_ms, venue_s, at_ms + there_ms + back_ms + off_ms)


@given(
    off_ms=st.integers(-100_000, 100_000),
    asked=st.lists(
        st.tuples(st.integers(0, 5_000), st.integers(0, 3_000), st.integers(0, 3_000)), min_size=1
    ),
)
def test_the_truth_is_always_within(off_ms: int, asked: list[tuple[int, int, int]]) -> None:
    """However slow each way is, and whenever it is asked; and each answer leaves no more open than
    the one before it, until that is forgotten.
    """
    time, at_ms, known = VenueTime(), T0, Offset(-(10**9), 10**9)
    for number, (pause_ms, there_ms, back_ms) in enumerate(asked):
        at_ms += pause_ms
        before, known = known, answer(time, at_ms, off_ms, there_ms, back_ms)
        assert known.least <= off_ms <= known.most
        assert known.width <= there_ms + back_ms + 999
        assert number >= KEPT or before.both(known) == known
        assert not (known.off and abs(off_ms) <= OFF_MOST_MS)


def test_a_few_answers_tell_it_well() -> None:
    """Asked at other parts of the second they cut each other down to a tenth."""
    time = VenueTime()
    for number in range(9):
        known = answer(time, T0 + number * 1_370, 2_600)

    assert known.width < 160
    assert known.off


def test_one_second_off_is_not_yet_sure() -> None:
    """A single answer is worth a second: what may still be right is not called wrong."""
    assert not answer(VenueTime(), T0 + 500, 1_400).off
    assert answer(VenueTime(), T0 + 500, 1_600).off


def test_a_clock_that_is_stepped() -> None:
    """What contradicts the answers before it is believed alone, and at once."""
    time = VenueTime()
    for number in range(9):
        answer(time, T0 + number * 1_370, 0)
    known = answer(time, T0 + 20_000, -60_000)

    assert known.off
    assert known.least <= -60_000 <= known.most


@given(
    off_ms=st.integers(-100_000, 100_000), less=st.integers(0, 5_000), more=st.integers(0, 5_000)
)
def test_a_clock_is_never_set_further_off(off_ms: int, less: int, more: int) -> None:
    """Wherever in what is known it is: and it is not surely off any more."""
    known = Offset(off_ms - less, off_ms + more)
    by = known.nearer

    assert abs(off_ms - by) <= abs(off_ms)
    assert not Offset(known.least - by, known.most - by).off
    if known.off and known.width <= SURE_MS:
        assert by == known.middle
