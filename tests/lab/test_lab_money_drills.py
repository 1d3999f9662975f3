"""The money drills as tests: what must be true on any machine. How long things take, bench says."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import pytest
import trio
from attrs import evolve

from polybot.lab.blind_drill import Blind, blind_drill
from polybot.lab.death_drill import Death
from polybot.lab.journal_drill import Appends, journal_drill, within
from polybot.lab.money_rows import append_rows, blind_rows, death_rows, restart_rows
from polybot.lab.report import Row
from polybot.lab.restart_drill import FILLED, FILLED_SIZE, RESTING, TAKE, Restarted, restart_drill
from polybot.lab.stage import Verdict
from polybot.patient_clock import PatientClock

# A request cancelled while it is written leaves httpx's one-chunk body generator behind.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Async generator 'httpx._content.ByteStream:ResourceWarning"
)
CLEAN = Verdict(0, 2_000_000_000, 2_000_000_000, True, 8, 1)
APPENDS = Appends((0.4, 0.6), (0.2, 0.3))
RESTARTED = Restarted(0.5, 50, 500, 250, 0, CLEAN)
BLIND = Blind((0.01, 0.02), (0.02, 0.03), 5.1, 0, CLEAN)
DEATH = Death(4, 13.2, 1.0, 1.5, 0)


def missed(rows: Sequence[Row]) -> list[str]:
    return [row.figure for row in rows if row.met is False]


T = TypeVar("T")


def at_speed_1(drill: Callable[[], Awaitable[T]]) -> T:
    """Run a drill on the wall's time but for what a busy machine takes of it, and collect what it
    leaves.
    """
    try:
        return trio.run(drill, clock=PatientClock(1.0))
    finally:
        gc.collect()


def test_a_restart_with_fifty_orders_and_five_hundred_trades() -> None:
    """What rested is gone, what nobody had heard is booked to the micro-dollar, and no order leaves
    before that (G11, F63).
    """
    seen = at_speed_1(partial(restart_drill, 3))

    assert seen.resting >= RESTING
    assert seen.trades >= FILLED * FILLED_SIZE // TAKE == 500
    assert seen.unheard >= 200
    assert seen.posts_before == 0
    assert seen.verdict.clean
    assert seen.verdict.equity_bot != 2_000_000_000, "the trades have moved something"


def test_blindness_withdraws_and_places_nothing() -> None:
    """Without its user stream a bot cancels, and sends nothing until it has reconciled (G12)."""
    seen = at_speed_1(partial(blind_drill, times=2, seed=3))

    assert len(seen.cancel_s) == len(seen.empty_s) == 2
    assert all(
        0 < cancel <= empty for cancel, empty in zip(seen.cancel_s, seen.empty_s, strict=True)
    )
    assert 3 <= seen.mute_s <= 6, "from the last PONG it has five"
    assert seen.posts_after == 0
    assert seen.verdict.clean


def test_every_append_is_timed_beside_its_floor() -> None:
    """As many figures as appends, and none of nothing."""
    seen = trio.run(journal_drill, 5)

    assert len(seen.ours_ms) == len(seen.floor_ms) == 5
    assert min(seen.ours_ms + seen.floor_ms) > 0


@pytest.mark.parametrize(("hundredth", "wanted"), [(50, 2.0), (99, 4.0), (100, 4.0), (1, 1.0)])
def test_a_hundredth_of_few(hundredth: int, wanted: float) -> None:
    """The rank is rounded up: 99 of 100 among four is the worst."""
    assert within([4.0, 1.0, 3.0, 2.0], hundredth) == wanted


def test_good_figures_miss_nothing() -> None:
    """Each drill's rows, all met."""
    rows = [*append_rows(APPENDS), *restart_rows(RESTARTED), *blind_rows(BLIND), *death_rows(DEATH)]

    assert missed(rows) == []


def test_one_bad_figure_spoils_its_drill() -> None:
    """Whatever misses its target is said to."""
    bad = evolve(CLEAN, live_orders=1)
    assert len(missed(append_rows(evolve(APPENDS, ours_ms=(0.4, 1.6))))) == 1
    for restarted in (
        evolve(RESTARTED, ready_s=3.1),
        evolve(RESTARTED, posts_before=1),
        evolve(RESTARTED, verdict=bad),
    ):
        assert len(missed(restart_rows(restarted))) == 1
    for blind in (
        evolve(BLIND, cancel_s=(0.01, 0.26)),
        evolve(BLIND, mute_s=6.1),
        evolve(BLIND, posts_after=1),
        evolve(BLIND, verdict=bad),
    ):
        assert len(missed(blind_rows(blind))) == 1
    for death in (
        evolve(DEATH, alone_s=15.1),
        evolve(DEATH, stop_s=2.1),
        evolve(DEATH, stop_code=3),
    ):
        assert len(missed(death_rows(death))) == 1


def test_a_slow_disk_is_not_ours_to_miss() -> None:
    """Where the disk alone takes longer than half the target, the ratio is told and not judged."""
    assert missed(append_rows(Appends((4.0, 16.0), (3.9, 13.6)))) == []
