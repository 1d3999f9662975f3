"""The bot's clock is wrong, drifts and jumps: it notices, stops, and goes by the venue's (F49)."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from unittest import mock

import attrs
import pytest
import trio
from simulation_kit import broken, calm, sound
from trio.testing import MockClock

from polybot.clock import Clock
from polybot.exchange.faults.plan import Entry, Plan
from polybot.lab.simulation import simulate
from polybot.lab.simulation_case import Case, ClockTerms, Step
from polybot.lab.simulation_clock import WrongClock
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.right_time import RightTime
from polybot.venue_stamps import Stamps


def wrong(*, skew_ms: int = 0, drift_ppm: int = 0, step_ms: int = 0) -> Case:
    steps = (Step(60.0, step_ms),) if step_ms else ()
    return attrs.evolve(calm(length_s=100.0), clock=ClockTerms(skew_ms, drift_ppm, steps))


@pytest.mark.parametrize(
    "case",
    [
        wrong(skew_ms=3_000),
        wrong(skew_ms=-30_000, drift_ppm=500),
        wrong(step_ms=-60_000),
        wrong(step_ms=20_000),
    ],
    ids=["ahead", "far behind", "slept", "stepped ahead"],
)
def test_it_goes_by_the_venues_clock(case: Case) -> None:
    """No rule is broken, and it quotes again before the run is over."""
    outcome = sound(case)

    assert outcome.quoted_s > 100
    assert outcome.seen["TRADE"] > 0


@pytest.mark.parametrize(
    "clock",
    [
        ClockTerms(skew_ms=-15_000),
        ClockTerms(skew_ms=29_000),
        ClockTerms(steps=(Step(10, 21_000),)),
    ],
    ids=["behind at the start", "ahead at the start", "set ahead"],
)
def test_a_venue_that_takes_no_signature_of_another_time(clock: ClockTerms) -> None:
    """It refuses what is signed five seconds off: that is no reason to give a start up, nor to halt
    for good (brief seeds 107, 216).
    """
    terms = (("timestamp_tolerance_s", 5),)
    outcome = sound(attrs.evolve(calm(length_s=100.0), clock=clock, terms=terms, quiet_s=20.0))

    assert outcome.quoted_s > 40


def lied_to(skew_s: int, *, from_ms: int = 0, for_s: int = 30) -> Case:
    """`GET /time` is off by so much, and says it again whenever it is asked."""
    lie = Entry(
        "server_time_skewed", from_ms=from_ms, for_ms=for_s * 1000,
        values={"skew_s": (skew_s, skew_s)},
    )  # fmt: skip
    return attrs.evolve(calm(length_s=60.0), plan=Plan((lie,)), quiet_s=20.0)


@pytest.mark.parametrize(
    "case",
    [lied_to(-5), lied_to(3_600), lied_to(-5, from_ms=15_000)],
    ids=["behind", "far ahead", "behind all at once"],
)
def test_a_venue_that_lies_about_the_time(case: Case) -> None:
    """Its own stamps and the exchanges' contradict it: while it lies nothing is placed by a clock
    that is wrong, and when it does no more all is well again (S9, F49).
    """
    outcome = sound(case)

    assert outcome.struck["server_time_skewed"] > 1
    assert outcome.quoted_s > 20


def believing_the_venue() -> AbstractContextManager[object]:
    """There is no second witness: as we did it until this was tried."""
    patches = ExitStack()
    patches.enter_context(mock.patch.object(Stamps, "contradict", return_value=None))
    patches.enter_context(mock.patch.object(Stamps, "ahead_of", return_value=0))
    return patches


def test_a_bot_that_believes_the_venue_is_found() -> None:
    """Five seconds behind by the venue's word, and quoting by it (S9)."""
    with believing_the_venue():
        outcome = simulate(lied_to(-5, for_s=120), until="S9")

    assert broken(outcome) == {"S9"}


def trusting_its_clock() -> AbstractContextManager[object]:
    """Whatever the venue says of the time."""
    patches = ExitStack()
    patches.enter_context(mock.patch.object(RightTime, "agree"))
    patches.enter_context(mock.patch.object(RightTime, "judge"))
    patches.enter_context(mock.patch.object(RightTime, "look_at_stamps"))
    return patches


def test_a_bot_that_trusts_its_clock_is_found() -> None:
    """Two seconds and a half behind nothing else stops it: S9 says so."""
    with trusting_its_clock():
        outcome = simulate(wrong(skew_ms=-2_500), until="S9")

    assert broken(outcome) == {"S9"}
    assert "with a clock -2.5 s off" in outcome.violations[0].what


async def test_a_wrong_clock_reads_and_sleeps_alike(autojump_clock: MockClock) -> None:
    """Who sleeps until it shows a time wakes when it shows that time."""
    right = Clock.starting_at(1_000_000)
    clock = WrongClock.beside(right, skew_ms=-5_000, drift_ppm=20_000)
    await clock.sleep_until(1_097_000)

    assert clock.exact_ms() == pytest.approx(1_097_000)
    assert right.exact_ms() == pytest.approx(1_100_000)
    assert clock.ahead_ms(right) == pytest.approx(-3_000)
    clock.set_right(3_000)
    assert clock.ahead_ms(right) == pytest.approx(0)


async def test_what_has_passed_is_told_without_steps(autojump_clock: MockClock) -> None:
    """How long a disk has held an order up is no matter of a clock that was set meanwhile (brief
    seed 3776).
    """
    clock = WrongClock.beside(Clock.starting_at(1_000_000), skew_ms=0, drift_ppm=0)
    first_ms = clock.now_ms()
    await trio.sleep(1)
    clock.set_right(11_000)
    await trio.sleep(0.5)
    second_ms = clock.now_ms()
    clock.set_right(-60_000)
    await trio.sleep(0.25)

    assert clock.passed_s(first_ms) == pytest.approx(1.75)
    assert clock.passed_s(second_ms) == pytest.approx(0.25, abs=0.002)
    assert clock.passed_s(clock.now_ms()) == pytest.approx(0, abs=0.002)


def test_clocks_are_drawn_apart() -> None:
    """Half of all starts are right; others are off either way, drift, and jump both ways."""
    drawn = [draw(seed, 1.0).clock for seed in range(300)]
    steps = [step.by_ms for one in drawn for step in one.steps]

    assert 0.3 < sum(one.skew_ms == 0 for one in drawn) / len(drawn) < 0.6
    assert min(one.skew_ms for one in drawn) < -10_000 < 10_000 < max(one.skew_ms for one in drawn)
    assert any(one.drift_ppm for one in drawn)
    assert min(steps) < -30_000 < 30_000 < max(steps)
    assert Keep(clock=False).of(draw(5, 1.0)).clock == ClockTerms()
