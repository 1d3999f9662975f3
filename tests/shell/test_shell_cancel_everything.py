"""The wallet is emptied: all is cancelled, and read back until nothing rests or can come to."""

from __future__ import annotations

from itertools import pairwise

import attrs
import trio
from test_shell_look import SILENT, TAKEN, TRUE_S, Scene, row
from trio.testing import MockClock

from polybot.domain.orders import CancelResult, Failure
from polybot.reconciler import AWAY_PAUSE_S, LATE_LOOK_S, LEAST_S


async def test_all_is_cancelled_until_two_lists_show_nothing(autojump_clock: MockClock) -> None:
    """What was sent just before may land behind the first."""
    scene = Scene([[row("0x1")], [], [row("0x2")], SILENT, [], []])
    assert await scene.it.cancel_everything()
    assert scene.lists == [[]]
    assert scene.cancelled == ["all"] * 6
    assert scene.it.engine_away is None


async def test_an_engine_that_is_away_is_asked_every_second(autojump_clock: MockClock) -> None:
    """And what it says is kept for who waits."""
    scene = Scene([[row("0x1")]], answer=CancelResult(frozenset(), {}, "HTTP 425", away=True))
    with trio.move_on_after(5.5 * (AWAY_PAUSE_S + 0.01)):
        await scene.it.cancel_everything()
    assert scene.it.engine_away == "HTTP 425"
    assert len(scene.cancelled) == 6

    scene.answer, scene.lists = TAKEN, [[]]
    await scene.it.cancel_everything()
    assert scene.it.engine_away is None


async def test_a_list_that_is_refused_may_be_our_clocks_fault(autojump_clock: MockClock) -> None:
    """It is set, where it is."""
    scene = Scene([Failure("HTTP 401", refused=True), [], []])
    scene.it.clock.set_right(40_000)
    await scene.it.cancel_everything()
    true_ms = (TRUE_S + trio.current_time() - scene.began) * 1000
    assert abs(scene.it.clock.now_ms() - true_ms) < 1_000


@attrs.define
class Waits:
    """Orders that may come to rest yet, for four looks."""

    visits: list[float] = attrs.field(factory=list)

    @property
    def may_come(self) -> int:
        return 4 - len(self.visits)

    async def visit(self) -> None:
        await trio.lowlevel.checkpoint()
        self.visits.append(trio.current_time())


async def test_what_may_come_to_rest_is_waited_for(autojump_clock: MockClock) -> None:
    """And withdrawn, each time that a list shows something, or cannot be read."""
    scene = Scene([[], [row("0x1")], [], [], [], SILENT, [], []])
    scene.it.adrift = waits = Waits()  # type: ignore[assignment]
    await scene.it.outwait()
    assert len(waits.visits) == 4
    assert scene.cancelled == ["all"] * 4


async def test_the_list_is_read_more_often_than_each_is_looked_up(
    autojump_clock: MockClock,
) -> None:
    """It is one request for all of them: what comes rests for half a second, not for two."""
    scene = Scene([[], [row("0x1")], [], []])
    scene.it.adrift = waits = Waits()  # type: ignore[assignment]
    with trio.move_on_after(2.5 * LATE_LOOK_S):
        await scene.it.outwait()
    assert scene.cancelled
    assert not waits.visits

    await scene.it.outwait()
    assert min(b - a for a, b in pairwise(waits.visits)) >= LEAST_S


async def test_what_rests_on_is_asked_for_less_and_less_often(autojump_clock: MockClock) -> None:
    """The venue takes few cancel-alls; one that fails is no word of the engine's (S13)."""
    scene = Scene([[row("0x1")]], answer=CancelResult(frozenset(), {}, "HTTP 500"))
    counts = []
    for _ in range(4):
        with trio.move_on_after(1):
            await scene.it.cancel_everything()
        counts.append(len(scene.cancelled))
        scene.cancelled.clear()
    assert counts == [4] * 4

    with trio.move_on_after(4):
        await scene.it.cancel_everything()
    assert len(scene.cancelled) == 11
    assert scene.it.engine_away is None
