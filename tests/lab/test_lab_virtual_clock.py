"""The quick clock of a simulation against Trio's own."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from polybot.lab.seeded import seeded_scheduler
from polybot.lab.virtual_clock import virtual_clock

SLEEPERS, NAPS = 12, 40


async def naps(rng: random.Random) -> list[tuple[str, float]]:
    """Tasks that sleep, wake each other, give up and meet at one moment; who did when."""
    seen: list[tuple[str, float]] = []
    bell = trio.Event()

    async def sleeper(name: str, rng: random.Random) -> None:
        nonlocal bell
        for _ in range(NAPS):
            match rng.randrange(4):
                case 0:
                    await trio.sleep(rng.choice((0.0, 0.1, 0.3)))
                case 1:
                    await trio.sleep(rng.random() / 3)
                case 2:
                    with trio.move_on_after(rng.uniform(0, 0.2)):
                        await bell.wait()
                case _:
                    bell.set()
                    bell = trio.Event()
            seen.append((name, trio.current_time()))

    async with trio.open_nursery() as nursery:
        for number in range(SLEEPERS):
            nursery.start_soon(sleeper, str(number), random.Random(rng.getrandbits(64)))
    return seen


@pytest.mark.parametrize("seed", range(20))
def test_everybody_wakes_when_and_in_the_order_in_which_trios_own_clock_wakes_them(
    seed: int,
) -> None:
    """To the last bit of the time: the sums of MockClock are kept (trio.md 8)."""
    found = []
    for clock in (MockClock(autojump_threshold=0), virtual_clock()):
        with seeded_scheduler(seed):
            found.append(trio.run(naps, random.Random(seed), clock=clock))
    assert found[0] == found[1]
    assert len(found[0]) == SLEEPERS * NAPS


def test_nothing_to_wait_for_is_no_jump() -> None:
    """A run whose tasks wait for each other alone stands still, and ends."""

    async def main() -> float:
        waiting = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiting.wait)
            await trio.testing.wait_all_tasks_blocked()
            waiting.set()
        return trio.current_time()

    assert trio.run(main, clock=virtual_clock()) == 0.0
