"""One stream's memory: whole seconds, holes, freshness and freezing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from polybot.pricing.track import BRIDGE_S, HISTORY_S, Track, basis, whole_second

T0 = 1_790_000_000


def feed(track: Track, prices: dict[int, float], *, snapshot: bool = False) -> None:
    for second, price in prices.items():
        track.take(price, (T0 + second) * 1000, (T0 + second) * 1000 + 100, snapshot=snapshot)


def test_the_price_at_a_second_is_the_last_up_to_it() -> None:
    """A tick within a second counts for the whole second that follows it."""
    assert whole_second(5000) == 5
    assert whole_second(4001) == 5
    track = Track()
    track.take(1.0, T0 * 1000 + 100, 0, snapshot=False)
    track.take(2.0, T0 * 1000 + 900, 0, snapshot=False)
    track.take(3.0, T0 * 1000 + 1001, 0, snapshot=False)

    assert track.at(T0 + 1) == 2.0
    assert track.at(T0 + 2) == 3.0
    assert track.at(T0 + 3) is None
    assert track.at(T0) is None


def test_short_holes_are_carried_over_long_ones_are_not() -> None:
    """A missing second takes the last value; after ten the history starts again."""
    track = Track()
    feed(track, {0: 1.0, 3: 4.0})
    assert [track.at(T0 + k) for k in range(4)] == [1.0, 1.0, 1.0, 4.0]

    feed(track, {3 + BRIDGE_S + 1: 9.0})

    assert track.at(T0 + 3) is None
    assert track.at(T0 + 14) == 9.0


def test_mean_over_past_and_future() -> None:
    """Seconds still to come count at the last value; seconds forgotten make no mean."""
    track = Track()
    feed(track, {0: 1.0, 1: 2.0, 2: 6.0})

    assert track.mean(T0, T0 + 2) == 3.0
    assert track.mean(T0 + 2, T0 + 5) == 6.0
    assert track.mean(T0 + 5, T0 + 9) == 6.0
    assert track.mean(T0 - 1, T0 + 2) is None
    assert track.mean(T0 + 2, T0 + 1) is None
    assert Track().mean(T0, T0 + 1) is None


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=400))
def test_history_is_bounded_and_contiguous(gaps_ms: list[int]) -> None:
    """However the ticks fall, the last seconds are there without holes, and no more than 150."""
    track, now = Track(), T0 * 1000
    for n, gap in enumerate(gaps_ms):
        now += gap
        track.take(float(n + 1), now, now, snapshot=False)

    last = whole_second(now)
    held = [track.at(last - back) for back in range(HISTORY_S + 20)]
    known = [price is not None for price in held]
    assert held[0] == float(len(gaps_ms))
    assert sum(known) <= HISTORY_S
    assert known == sorted(known, reverse=True)


def replayed(told: list[tuple[int, float | None]]) -> tuple[dict[int, float], int]:
    """What is known of each second after these ticks, (stamp, value) with None for a loss, worked
    out from the first one on; and the last second.
    """
    known: dict[int, float] = {}
    torn, latest = False, 0
    for stamp_ms, value in told:
        if value is None:
            torn = True
        elif stamp_ms >= latest:
            second, last = whole_second(stamp_ms), max(known, default=0)
            if second - last > BRIDGE_S or (torn and second - last > 1):
                known = {}
            else:
                known |= dict.fromkeys(range(last + 1, second), known.get(last, 0.0))
            known[second], torn, latest = value, False, stamp_ms
    return known, max(known)


@given(
    st.lists(
        st.tuples(st.integers(-2000, 4000) | st.just(12_000), st.none() | st.floats(0.5, 1e5)),
        max_size=300,
    )
)
def test_it_is_what_its_ticks_say(steps: list[tuple[int, float | None]]) -> None:
    """Ticks early, late, twice, with holes and losses: every second and every mean is what comes of
    all of them, told from the first one on.
    """
    track, now, told = Track(), T0 * 1000, list[tuple[int, float | None]]()
    before = [(1000, 1.0 + n % 7) for n in range(160)]
    for gap_ms, value in [*before, *steps]:
        now += gap_ms
        told.append((now, value))
        if value is None:
            track.tear()
        else:
            track.take(value, now, now, snapshot=False)

    known, last = replayed(told)
    kept = {second: known.get(second) for second in range(last - HISTORY_S + 1, last + 1)}
    assert {second: track.at(second) for second in kept} == kept
    for first, until in ((0, 59), (10, 69), (-5, 60), (40, 99), (90, 149)):
        path = [kept.get(max(last - back, 0)) for back in range(first, until + 1) if back >= 0]
        path += [known[last]] * -min(first, 0)
        mean = track.mean(last - until, last - first)
        assert (mean is None) is (None in path)
        assert mean == pytest.approx(math.fsum(filter(None, path)) / len(path)) or mean is None


def test_late_ticks_change_nothing() -> None:
    """A tick older than what is held is refused, and does not count as life."""
    track = Track()
    feed(track, {5: 5.0})

    assert not track.take(1.0, (T0 + 4) * 1000, (T0 + 60) * 1000, snapshot=False)
    assert (track.value, track.live_ms) == (5.0, (T0 + 5) * 1000 + 100)


@pytest.mark.parametrize(
    ("wait_ms", "fresh"), [(0, True), (2400, True), (2700, False), (60_000, False)]
)
def test_freshness_counts_from_receipt(wait_ms: int, fresh: bool) -> None:
    """A value published a second after its stamp is fresh for 2.5 s after we received it."""
    track = Track()
    track.take(1.0, T0 * 1000 - 1000, T0 * 1000, snapshot=False)

    assert track.is_fresh(T0 * 1000 + wait_ms, 2.5, 6.0) is fresh


def test_old_stamps_are_not_fresh_however_new_they_arrive() -> None:
    """A stream that replays the past is stale by its stamps."""
    track = Track()
    track.take(1.0, T0 * 1000 - 7000, T0 * 1000, snapshot=False)

    assert not track.is_fresh(T0 * 1000, 2.5, 6.0)


def test_a_snapshot_is_not_life() -> None:
    """Replayed history fills the seconds but proves nothing about the stream."""
    track = Track()
    feed(track, {0: 1.0, 1: 2.0}, snapshot=True)

    assert track.at(T0) == 1.0
    assert not track.is_fresh((T0 + 1) * 1000 + 100, 2.5, 6.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 9_000), st.integers(-3_000, 3_000), st.booleans(), st.booleans()),
        max_size=12,
    ),
    st.tuples(*[st.sampled_from([0.0005, 1.0, 2.5, 7.1234, math.inf])] * 3),
    st.lists(st.integers(-2_000, 9_000), min_size=1, max_size=4),
)
def test_lively_is_fresh_and_moving(
    ticks: list[tuple[int, int, bool, bool]],
    patience_s: tuple[float, float, float],
    asked: list[int],
) -> None:
    """Whatever came when, asked again and again between: a receipt and a stamp within its patience,
    and a change sooner ago than that.
    """
    track, now_ms = Track(patience_s=patience_s), T0 * 1000
    receipt_s, stamp_s, still_s = patience_s

    for after_ms, stamped_ms, same, snapshot in [(0, 0, False, False), *ticks]:
        now_ms += after_ms
        value = track.value if same else track.value + 1
        track.take(value, now_ms - stamped_ms, now_ms, snapshot=snapshot)
        for later_ms in asked:
            at_ms = now_ms + later_ms
            fresh = track.is_fresh(at_ms, receipt_s, stamp_s)
            moving = track.changed_ms is not None and at_ms - track.changed_ms < still_s * 1000
            assert track.is_lively(at_ms) is (fresh and moving)


def test_what_has_told_nothing_is_not_lively() -> None:
    """Not even where nothing is asked of it; nor what has only replayed its past."""
    track = Track()
    assert not track.is_lively(T0 * 1000)
    feed(track, {0: 1.0, 1: 2.0}, snapshot=True)
    assert not track.is_lively((T0 + 1) * 1000)


def test_frozen_only_if_the_witness_moved() -> None:
    """Standing still is suspicious only while the other source moves by two basis points."""
    still, quiet, moving = Track(), Track(), Track()
    feed(still, dict.fromkeys(range(40), 100_000.0))
    feed(quiet, {k: 100_000.0 + (k % 2) for k in range(40)})
    feed(moving, {k: 100_000.0 + k for k in range(40)})
    now = (T0 + 39) * 1000

    assert not still.is_frozen(now, quiet, 20, 2.0)
    assert not still.is_frozen(now, moving, 20, 2.0)
    feed(moving, {40: 100_060.0})
    assert still.is_frozen(now, moving, 20, 2.0)
    assert not moving.is_frozen(now, still, 20, 2.0)


def test_basis_is_the_median_difference() -> None:
    """A jump the oracle has not seen yet does not leak into the basis."""
    oracle, exchange = Track(), Track()
    for k in range(60):
        price = 100_000.0 + k % 5
        feed(exchange, {k: price + 24.0 + (500.0 if k >= 58 else 0.0)})
        feed(oracle, {k: price})

    found = basis(oracle, exchange, 5, 0)

    assert found is not None
    assert found.offset == -24.0
    assert found.error == 0.0


def test_basis_needs_pairs() -> None:
    """Too few common seconds are no basis."""
    oracle, exchange = Track(), Track()
    feed(exchange, dict.fromkeys(range(4), 100.0))
    feed(oracle, dict.fromkeys(range(10), 99.0))

    assert basis(oracle, exchange, 5, 0) is None
    assert basis(oracle, exchange, 4, 0) is not None
