"""Stamps as a second witness of the venue's time (reliability.md F49)."""

from __future__ import annotations

from hypothesis import given, strategies as st

from polybot.venue_stamps import RECENT_S, Stamps

T0 = 1_795_201_110_000


def told(*streams: str, late_ms: int = 50, seconds: float = 10.0, begin_s: float = 100.0) -> Stamps:
    """A second's three messages of each stream, each so late; the venue's time at Trio's 100 s is
    T0.
    """
    stamps, now_s = Stamps(), begin_s
    while now_s < begin_s + seconds:
        for stream in streams:
            stamps.heard(stream, T0 + int((now_s - 100.0) * 1000) - late_ms, now_s)
        now_s += 0.33
    return stamps


def verdict(stamps: Stamps, lie_ms: int, now_s: float = 110.0) -> str | None:
    """What is thought of a venue that is off by so much, by answers that tell it to a tenth."""
    time_ms = T0 + int((now_s - 100.0) * 1000) + lie_ms
    return stamps.contradict(time_ms - 50, time_ms + 50, now_s)


def test_a_venue_that_says_the_truth() -> None:
    """Whatever the streams' usual delays are, and with one that is late."""
    assert verdict(told("market", "binance"), 0) is None
    stamps = told("market")
    for number in range(30):
        stamps.heard("polybolt", T0 + number * 330 - 9_000, 100 + number * 0.33)
    assert verdict(stamps, 0) is None


def test_a_time_that_is_behind_what_was_published() -> None:
    """One stream is proof enough: nothing is stamped before it is there."""
    why = verdict(told("market"), -5_000)

    assert why == "the venue's time is 4.9 s behind the streams' stamps: one of them lies"
    assert verdict(told("market"), -900) is None, "nobody is that exact"


def test_a_time_that_is_ahead_of_everything() -> None:
    """Several streams that are read all the time, and none of them is younger: a doubt. One alone
    may be late.
    """
    why = verdict(told("market", "binance"), 5_000)

    assert why is not None
    assert why.startswith("all streams are 5.")
    assert verdict(told("market"), 5_000) is None
    assert verdict(told("market", "binance"), 2_500) is None


def test_a_slip_is_no_witness() -> None:
    """Two stamps of the year 2100 prove nothing; nor do old ones, or none at all."""
    stamps = told("market", "binance")
    for at_s in (108.0, 109.0):
        stamps.heard("binance", 4_102_444_800_000, at_s)
    assert verdict(stamps, 0) is None

    assert verdict(told("market"), -5_000, now_s=110.0 + RECENT_S) is None
    assert verdict(Stamps(), -5_000) is None


@given(
    late=st.lists(st.integers(0, 60_000), min_size=1, max_size=200),
    pause_ms=st.integers(1, 2_000),
    width_ms=st.integers(0, 1_000),
)
def test_truth_is_never_called_behind(late: list[int], pause_ms: int, width_ms: int) -> None:
    """However late messages are: what the venue truly says of the time contradicts no stamp."""
    stamps = Stamps()
    for number, late_ms in enumerate(late):
        stamps.heard("market", T0 + number * pause_ms - late_ms, number * pause_ms / 1000)
    now_ms = len(late) * pause_ms
    why = stamps.contradict(T0 + now_ms - width_ms, T0 + now_ms, now_ms / 1000)

    assert why is None or not why.startswith("the venue's time is")


def test_a_clock_that_has_slept_is_behind_at_once() -> None:
    """By what was heard before, and though nothing is heard any more (brief seed 367)."""
    stamps = told("market", "binance")
    shows_ms = T0 + 10_000

    assert stamps.ahead_of(shows_ms, 110.0) == 0
    assert 58_800 < stamps.ahead_of(shows_ms - 59_000, 110.0) < 59_000
    assert 58_800 < stamps.ahead_of(shows_ms - 54_000, 115.0) < 59_000
    assert Stamps().ahead_of(shows_ms - 59_000, 110.0) == 0
