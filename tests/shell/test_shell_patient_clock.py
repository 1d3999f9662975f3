from __future__ import annotations

import trio

from polybot.patient_clock import SLACK_S, PatientClock

RATE = 1000.0


async def test_it_runs_fast() -> None:
    """A sleep ends at its deadline of this clock, though far less time has passed on the wall."""
    clock = PatientClock(RATE)
    clock.start_clock()
    begun = clock.current_time()

    wait_s = clock.deadline_to_sleep_time(begun + 60)

    assert 0 < wait_s <= 60 / RATE


async def test_a_short_sleep_is_over_at_once() -> None:
    """Where the kernel would round a wait up to a whole millisecond, a second of this clock here,
    it has passed before Trio looks for what has come.
    """
    clock = PatientClock(RATE)
    clock.start_clock()
    begun = clock.current_time()

    assert clock.deadline_to_sleep_time(begun + 0.3) == 0

    assert begun + 0.3 <= clock.current_time() <= begun + 0.3 + 2 * SLACK_S


def test_it_waits_for_the_program() -> None:
    """However long the machine was away, one step is the sleep that was asked for, and a little."""

    async def main() -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, PatientClock)
        begun = trio.current_time()
        clock._seen -= 3600  # an hour of the wall is lost
        assert trio.current_time() <= begun + SLACK_S
        clock.deadline_to_sleep_time(begun + 5)
        clock._seen -= 3600
        assert trio.current_time() <= begun + 5 + 3 * SLACK_S

    trio.run(main, clock=PatientClock(RATE))


def test_it_never_runs_backwards() -> None:
    """Sleeps on it end in the order of their deadlines, and never early."""
    ended: list[float] = []

    async def sleep(seconds: float) -> None:
        begun = trio.current_time()
        await trio.sleep(seconds)
        assert trio.current_time() >= begun + seconds
        ended.append(seconds)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for seconds in (30.0, 10.0, 20.0):
                nursery.start_soon(sleep, seconds)

    trio.run(main, clock=PatientClock(RATE))

    assert ended == [10.0, 20.0, 30.0]


async def test_a_scene_waits_for_a_thread(fast_clock: PatientClock) -> None:
    """What a thread works on takes some of the machine's time and none of the venue's."""
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 1)
        await trio.to_thread.run_sync(lambda: sum(range(3_000_000)))
        took = trio.current_time() - begun

    assert took < 0.5
