"""A process that stands still beside others that do not, on Trio's own clock and a virtual one."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import pytest
import trio

from polybot.lab.alarms import light_sleep
from polybot.lab.seeded import seeded_scheduler
from polybot.lab.standstill import PROCESS, Standstill
from polybot.lab.virtual_clock import virtual_clock

Seen = list[tuple[str, float]]


@attrs.define(eq=False)
class Stage:
    """Two processes, "ours" and "theirs", and what each has seen by Trio's time."""

    still: Standstill
    seen: Seen = attrs.field(factory=list)

    def note(self, what: str) -> None:
        self.seen.append((f"{PROCESS.get()} {what}", trio.current_time()))

    async def every(self, for_s: float) -> None:
        while True:
            await trio.sleep(for_s)
            self.note("tick")

    async def reads(self, receive: trio.MemoryReceiveChannel[str], within_s: float) -> None:
        with trio.move_on_after(within_s) as patience:
            self.note(await receive.receive())
            await trio.lowlevel.checkpoint()
            self.note("goes on")
        if patience.cancelled_caught:
            self.note("gives up")


def played(scene: Callable[[Stage, trio.Nursery], object], seed: int = 1) -> Seen:
    """Not quite five seconds in which "ours" stands still from 1.05 to 3.05."""

    async def main() -> Seen:
        still = Standstill(trio.current_time)
        stage = Stage(still)
        async with trio.open_nursery() as nursery:
            scene(stage, nursery)
            await trio.sleep(1.05)
            still.begin("ours")
            await trio.sleep(2)
            still.end("ours")
            await trio.sleep(1.9)
            nursery.cancel_scope.cancel()
        assert (still.whose, still.ended_s) == ("", 3.05)
        assert still.lasted_s == pytest.approx(2)
        return stage.seen

    with seeded_scheduler(seed), light_sleep():
        return trio.run(main, clock=virtual_clock())


def of(process: str, nursery: trio.Nursery, run: Callable[..., object], *args: object) -> None:
    """Start a task of a process."""
    token = PROCESS.set(process)
    nursery.start_soon(run, *args)  # type: ignore[arg-type]
    PROCESS.reset(token)


def times(seen: Seen, what: str) -> list[float]:
    return [round(at, 6) for name, at in seen if name == what]


def test_who_stands_still_gets_no_turn_and_others_do() -> None:
    """Nor does what the process has started; it goes on with the turn that was due."""

    async def parent(stage: Stage) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.every, 0.5)

    def scene(stage: Stage, nursery: trio.Nursery) -> None:
        of("ours", nursery, parent, stage)
        of("theirs", nursery, stage.every, 0.5)

    seen = played(scene)

    assert times(seen, "ours tick") == [0.5, 1.0, 3.05, 3.55, 4.05, 4.55]
    assert times(seen, "theirs tick") == [0.5 * n for n in range(1, 10)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("sent_s", "limit_s"), [(1.5, 2.5), (2.5, 1.5), (3.0, 1.2)])
def test_what_has_come_is_read_before_a_limit_is_found_over(
    sent_s: float, limit_s: float, seed: int
) -> None:
    """Whichever was first while it stood: a kernel has the bytes when the program is woken."""

    def scene(stage: Stage, nursery: trio.Nursery) -> None:
        send, receive = trio.open_memory_channel[str](math.inf)

        async def sends() -> None:
            await trio.sleep(sent_s)
            send.send_nowait("hears")

        of("ours", nursery, stage.reads, receive, limit_s)
        of("theirs", nursery, sends)

    assert played(scene, seed) == [("ours hears", 3.05), ("ours gives up", 3.05)]


@pytest.mark.parametrize("nested", [True, False])
def test_a_limit_that_is_over_is_found_when_it_goes_on(*, nested: bool) -> None:
    """Of a scope within another, too; one that is over later keeps its own time."""

    async def waits(stage: Stage) -> None:
        with trio.move_on_after(4.0), trio.move_on_after(1.5), trio.CancelScope():
            await trio.sleep_forever()
        stage.note("gives up")
        if nested:
            with trio.move_on_after(1.0):
                await trio.sleep_forever()
            stage.note("again")

    seen = played(lambda stage, nursery: of("ours", nursery, waits, stage))

    assert times(seen, "ours gives up") == [3.05]
    assert times(seen, "ours again") == [4.05] * nested


def test_somebody_elses_scope_is_cancelled_though_one_of_its_tasks_stands() -> None:
    """The one that stands hears of it when it goes on."""

    async def both(stage: Stage) -> None:
        with trio.move_on_after(2.0):
            async with trio.open_nursery() as nursery:
                of("ours", nursery, end, stage)
                of("theirs", nursery, end, stage)

    async def end(stage: Stage) -> None:
        try:
            await trio.sleep_forever()
        finally:
            stage.note("ends")

    seen = played(lambda stage, nursery: of("theirs", nursery, both, stage))

    assert (times(seen, "theirs ends"), times(seen, "ours ends")) == ([2.0], [3.05])


async def test_to_end_what_has_ended_does_nothing() -> None:
    """Nor does another's end: whoever is dead had gone on before."""
    still = Standstill(lambda: 5.0)
    still.end("ours")
    still.begin("ours")
    still.end("theirs")
    assert still.whose == "ours"
    still.end("ours")
    still.end("ours")

    assert (still.whose, still.ended_s, still.lasted_s) == ("", 5.0, 0.0)
