"""Sleeping without an exception, held against Trio's own."""

from __future__ import annotations

import math
import random
from functools import partial

import pytest
import trio
from trio._core import _run
from trio.testing import MockClock

from polybot.lab.alarms import Alarm, light_sleep, sleep_until
from polybot.lab.seeded import seeded_scheduler
from polybot.lab.virtual_clock import virtual_clock

SLEEPERS, NAPS = 8, 30


async def naps(rng: random.Random) -> list[tuple[str, float, bool]]:
    """Tasks that sleep, and are torn out of it now and then; who woke when, and whether so."""
    seen: list[tuple[str, float, bool]] = []

    async def sleeper(name: str, rng: random.Random) -> None:
        for _ in range(NAPS):
            with trio.move_on_after(rng.choice((math.inf, 0.05, 0.2))) as patience:
                await trio.sleep(rng.choice((0.0, 0.1, 0.2, rng.random() / 3)))
            seen.append((name, trio.current_time(), patience.cancelled_caught))

    async with trio.open_nursery() as nursery:
        for number in range(SLEEPERS):
            nursery.start_soon(sleeper, str(number), random.Random(rng.getrandbits(64)))
    return seen


@pytest.mark.parametrize("seed", range(20))
def test_everybody_wakes_when_and_in_the_order_in_which_trio_wakes_them(seed: int) -> None:
    """Also those whose patience ends while they sleep, or in the very moment (trio.md 8)."""
    with seeded_scheduler(seed):
        trios = trio.run(naps, random.Random(seed), clock=virtual_clock())
    with seeded_scheduler(seed), light_sleep():
        ours = trio.run(naps, random.Random(seed), clock=virtual_clock())
    assert ours == trios
    assert len(ours) == SLEEPERS * NAPS


def test_what_is_due_at_one_moment_comes_in_the_order_of_the_seed() -> None:
    """Trio takes it by its address, which is another one in each run: brief seed 99 lived twice
    asked for another cancel-all in one of them.
    """

    async def due_together(layout: int) -> list[int]:
        heard: list[int] = []
        memory = [bytearray(random.Random(layout + n).randrange(999)) for n in range(40)]
        alarms = [Alarm(1.0, partial(heard.append, number)) for number in range(40)]
        await trio.sleep(2)
        assert memory
        assert alarms
        return heard

    found = []
    for layout in range(4):
        with seeded_scheduler(7):
            found.append(trio.run(due_together, layout, clock=virtual_clock()))
    assert found == [found[0]] * 4
    assert sorted(found[0]) == list(range(40))
    assert found[0] != sorted(found[0]), "in another order than they were made"


async def test_an_alarm_goes_off_once_and_not_when_it_is_stopped(
    autojump_clock: MockClock,
) -> None:
    """It does what it was made for at its time, under Trio's own mock clock too."""
    heard: list[float] = []
    Alarm(1.0, lambda: heard.append(trio.current_time()))
    stopped = Alarm(2.0, lambda: heard.append(trio.current_time()))
    stopped.stop()
    stopped.stop()
    await trio.sleep(5)
    assert heard == [1.0]


async def test_who_is_torn_out_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    """A thousand sleeps that were cancelled do not lie in the heap of deadlines."""
    deadlines = _run.GLOBAL_RUN_CONTEXT.runner.deadlines
    before = deadlines._active
    for _ in range(1000):
        with trio.move_on_after(0.001):
            await sleep_until(1e9)
    await trio.sleep(0.01)
    assert deadlines._active == before
    assert len(deadlines._heap) < 1500


async def test_a_time_that_has_passed_is_a_checkpoint(autojump_clock: MockClock) -> None:
    """It lets others run, hears a cancellation, and takes no time."""
    with trio.testing.assert_checkpoints():
        await sleep_until(trio.current_time() - 1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await sleep_until(trio.current_time() - 1)
    assert scope.cancelled_caught
    assert trio.current_time() == 0


async def test_times_that_are_none(autojump_clock: MockClock) -> None:
    """Never is never, and what is no number is refused, as by Trio."""
    with trio.move_on_after(9) as scope:
        await sleep_until(math.inf)
    assert scope.cancelled_caught
    with pytest.raises(ValueError, match="NaN"):
        await sleep_until(math.nan)


async def test_only_while_the_body_runs(autojump_clock: MockClock) -> None:
    """Nothing of Trio is changed for anybody else."""
    trios = trio.sleep_until
    with light_sleep():
        assert trio.sleep_until is sleep_until
        await trio.sleep(1)
    assert trio.sleep_until is trios
    assert trio.current_time() == 1
