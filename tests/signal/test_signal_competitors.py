"""Rivals: what they do to our improvements, how fast they are, and the answer to it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, strategies as st
from signal_kit import DOWN, START, UP, depth

from polybot.signal.competitors import KEPT, Competitors, Response, Returns, response
from polybot.signal.params import SignalParams

PARAMS = SignalParams()
EDGE = 0.01


def watching() -> tuple[Competitors, list[bool]]:
    closed: list[bool] = []
    return Competitors(PARAMS, closed.append), closed


def improve(rivals: Competitors, at_ms: int, *, beaten_after_ms: int | None, by: int = 10) -> None:
    """We improve from 0.49 to 0.491; perhaps somebody goes above us."""
    rivals.book(UP, depth(4900, 5000), 4900, EDGE, at_ms - 100)
    rivals.book(UP, depth(4900, 5000), 4910, EDGE, at_ms)
    if beaten_after_ms is not None:
        beaten = at_ms + beaten_after_ms
        rivals.book(UP, depth(4910 + by, 5000), 4910, EDGE, beaten)
        rivals.book(UP, depth(4910 + by, 5000), 4900, EDGE, beaten + 10)
    else:
        rivals.book(UP, depth(4900, 5000), 4910, EDGE, at_ms + 1_001)
        rivals.book(UP, depth(4900, 5000), 4900, EDGE, at_ms + 1_100)


def test_the_undercut_rate_of_our_improvements() -> None:
    """The share beaten within one second (strategy.md 11)."""
    rivals, closed = watching()
    for n in range(12):
        improve(rivals, START + 5_000 * n, beaten_after_ms=200 if n % 4 else None)

    read = rivals.read(START + 60_000)

    assert (read.improvements, read.undercut) == (12, 0.75)
    assert read.response is Response.JOIN
    assert sum(closed) == 9


def test_further_than_our_edge_the_market_moved() -> None:
    """Outbid by more than e is no undercut: it is measured in units of edge (strategy.md 11)."""
    rivals, closed = watching()
    improve(rivals, START, beaten_after_ms=200, by=150)

    assert closed == []


def test_what_stands_counts_once() -> None:
    """An improvement that lasts a minute is one improvement."""
    rivals, closed = watching()
    for n in range(600):
        rivals.book(UP, depth(4900, 5000), 4910, EDGE, START + 100 * n)

    assert closed == [False]


def test_withdrawn_is_not_beaten() -> None:
    """A bid that we took back ourselves says nothing of rivals."""
    rivals, closed = watching()
    rivals.book(UP, depth(4900, 5000), 4910, EDGE, START)
    rivals.book(UP, depth(4900, 5000), None, EDGE, START + 300)
    rivals.book(UP, depth(4950, 5000), None, EDGE, START + 400)

    assert closed == []


def test_requote_latency_after_a_move() -> None:
    """From the spot's move to the touch that follows it; a touch that never does is none."""
    rivals, _ = watching()
    for n in range(5):
        at = START + 10_000 * n
        rivals.book(UP, depth(4900 + 10 * n, 6000), None, EDGE, at)
        rivals.spot_moved(at + 100)
        rivals.book(UP, depth(4905 + 10 * n, 6000), None, EDGE, at + 100 + 50 * (n + 1))
    rivals.spot_moved(START + 100_000)
    rivals.book(UP, depth(4700, 6000), None, EDGE, START + 103_000)

    assert rivals.read(START + 110_000).requote_s == pytest.approx(0.150)


def test_sizes_that_keep_coming_back_are_programs() -> None:
    """A size at the touch again and again is a maker's fingerprint (strategy.md 11)."""
    rivals, _ = watching()
    for n in range(40):
        shares = (50, 77, 1_000 + n, 2_000 + n)[n % 4]
        rivals.book(UP, depth(4900, 5000, shares), None, EDGE, START + 100 * n)

    assert rivals.read(START + 4_000).makers == 2


@pytest.mark.parametrize(("after_ms", "rate"), [(400, 1.0), (1_500, 0.0)])
def test_refill_after_a_trade(after_ms: int, rate: float) -> None:
    """Whether a touch that was taken is back within a second."""
    rivals, _ = watching()
    rivals.book(UP, depth(4900, 5000), None, EDGE, START)
    rivals.taken(UP, 4900, START + 10)
    rivals.taken(DOWN, 4900, START + 10)  # nothing is known there
    rivals.book(UP, depth(4800, 5000), None, EDGE, START + 20)
    rivals.book(UP, depth(4900, 5000), None, EDGE, START + 10 + after_ms)

    assert rivals.read(START + 5_000).refill == rate


def test_the_print_may_come_after_the_book() -> None:
    """The touch falls 80 ms before the print that explains it (feeds.md 3)."""
    rivals, _ = watching()
    rivals.book(UP, depth(4900, 5000), None, EDGE, START)
    rivals.book(UP, depth(4800, 5000), None, EDGE, START + 20)
    rivals.taken(UP, 4900, START + 100)
    rivals.book(UP, depth(4900, 5000), None, EDGE, START + 400)

    assert rivals.read(START + 5_000).refill == 1.0


def test_a_touch_only_shrunk_was_not_taken() -> None:
    """What a trade left standing needs no refill."""
    rivals, _ = watching()
    rivals.book(UP, depth(4900, 5000, 100), None, EDGE, START)
    rivals.taken(UP, 4900, START + 10)
    for n in range(1, 20):
        rivals.book(UP, depth(4900, 5000, 90), None, EDGE, START + 100 * n)

    assert rivals.read(START + 5_000).refill is None


@pytest.mark.parametrize(
    ("undercut", "improvements", "requote_s", "makers", "expected"),
    [
        (None, 0, None, 0, Response.IMPROVE),
        (0.6, 10, None, 0, Response.IMPROVE),
        (0.61, 10, None, 0, Response.JOIN),
        (1.0, 9, None, 0, Response.IMPROVE),
        (0.0, 50, 0.25, 2, Response.DEEPER),
        (0.0, 50, 0.26, 2, Response.IMPROVE),
        (0.0, 50, 0.1, 1, Response.IMPROVE),
        (1.0, 50, 0.1, 2, Response.DEEPER),
    ],
)
def test_the_response_table(
    undercut: float | None,
    improvements: int,
    requote_s: float | None,
    makers: int,
    expected: Response,
) -> None:
    """More than 60 % undercut: join; two fast makers: deeper (strategy.md 11)."""
    assert response(PARAMS, undercut, improvements, requote_s, makers) is expected


def test_habits_are_forgotten() -> None:
    """After five minutes what rivals did is history."""
    rivals, _ = watching()
    for n in range(12):
        improve(rivals, START + 5_000 * n, beaten_after_ms=200)
    assert rivals.read(START + 60_000).response is Response.JOIN

    improve(rivals, START + 500_000, beaten_after_ms=None)

    assert rivals.read(START + 502_000).response is Response.IMPROVE


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 6)), max_size=200))
def test_returns_are_counted_as_they_come_and_go(steps: list[tuple[int, int]]) -> None:
    """Fingerprints (strategy.md 11): counting as sizes come and leave is counting them all."""
    returns, seen, now_ms = Returns(1_000, 3), list[tuple[int, int]](), START
    for wait_ms, size in steps:
        now_ms += wait_ms
        returns.add(now_ms, size)
        seen.append((now_ms, size))
        inside = Counter(one for at_ms, one in seen if now_ms - at_ms <= 1_000)

        assert returns.read(now_ms) == sum(times >= 3 for times in inside.values())


def test_no_more_returns_are_remembered_than_there_is_room_for() -> None:
    """The oldest go first, whatever the window."""
    returns = Returns(10**9, 2)
    for n in range(KEPT + 10):
        returns.add(START, n // 2)

    assert returns.read(START) == KEPT // 2
