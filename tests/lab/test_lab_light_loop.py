"""The fewer calls of a simulation's loop against Trio's own."""

from __future__ import annotations

import random

import pytest
import trio
from trio._core import _run
from trio.testing import MockClock

from polybot.lab.light_loop import light_loop
from polybot.lab.seeded import seeded_scheduler
from polybot.lab.virtual_clock import virtual_clock

WAITERS, WAITS = 12, 40


async def patience(rng: random.Random) -> list[tuple[object, ...]]:
    """Tasks whose patience is set, moved, taken away and cancelled; who gave up, and when, and how
    many deadlines there were.
    """
    seen: list[tuple[object, ...]] = []

    async def waiter(name: int, rng: random.Random) -> None:
        for _ in range(WAITS):
            for_s = rng.choice((0.0, 0.1, rng.random(), trio.CancelScope().deadline))
            with trio.move_on_after(for_s) as scope, trio.move_on_after(rng.random()) as inner:
                match rng.randrange(5):
                    case 0:
                        scope.deadline = trio.current_time() + rng.choice((0.0, 0.1, 0.4))
                    case 1:
                        inner.deadline = scope.deadline
                    case 2:
                        scope.deadline = trio.CancelScope().deadline  # no longer any
                    case 3:
                        rng.choice((scope, inner)).cancel()
                await trio.sleep(rng.choice((0.0, 0.1, 0.5)))
            active = _run.GLOBAL_RUN_CONTEXT.runner.deadlines._active
            caught = scope.cancelled_caught, inner.cancelled_caught
            seen.append((name, trio.current_time(), *caught, active))

    async with trio.open_nursery() as nursery:
        for number in range(WAITERS):
            nursery.start_soon(waiter, number, random.Random(rng.getrandbits(64)))
    return seen


@pytest.mark.parametrize("seed", range(10))
def test_patience_ends_as_it_does_by_trios_own(seed: int) -> None:
    """When, for whom and in which order, to the last bit; and no deadline is left behind."""
    with seeded_scheduler(seed):
        clock = MockClock(autojump_threshold=0)
        trios = trio.run(patience, random.Random(seed), clock=clock)
    clock = virtual_clock()
    with seeded_scheduler(seed), light_loop(clock):
        ours = trio.run(patience, random.Random(seed), clock=clock)

    assert ours == trios
    assert len(ours) == WAITERS * WAITS
    assert {(True, False), (False, True), (False, False)} <= {one[2:4] for one in ours}


def test_a_scope_whose_body_fails_leaves_no_deadline() -> None:
    """The error comes out as it was."""
    clock = virtual_clock()

    async def failing() -> None:
        with trio.move_on_after(1):
            await trio.lowlevel.checkpoint()
            raise ValueError("the body's")

    async def main() -> int:
        before = _run.GLOBAL_RUN_CONTEXT.runner.deadlines._active
        with pytest.raises(ValueError, match="the body's"):
            await failing()
        return _run.GLOBAL_RUN_CONTEXT.runner.deadlines._active - before

    with light_loop(clock):
        assert trio.run(main, clock=clock) == 0


def test_all_is_trios_again_afterwards() -> None:
    """The time of another clock is told by that one."""
    with light_loop(virtual_clock()):
        pass

    async def main() -> float:
        with trio.move_on_after(7):
            await trio.sleep_forever()
        return trio.current_time()

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == 7
