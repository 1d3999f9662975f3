"""The drills as tests: stopping is safe at any moment, and so is losing the heartbeat.

The bench measures how long things take; here only what must be true is asserted, on any machine.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from polybot.lab.doubt_drill import doubt_drill
from polybot.lab.drills import DOUBT_SPEED, kill_rows
from polybot.lab.heartbeat_drill import Failing, Heartbeats, heartbeat_drill
from polybot.lab.kill_drill import Kill, one_kill
from polybot.lab.stage import Taps, Verdict, staged
from polybot.lab.stop_drill import MERGES, SPEED, Moment, When, stop_drill
from polybot.patient_clock import PatientClock

# A request cancelled while it is written leaves httpx's one-chunk body generator behind.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Async generator 'httpx._content.ByteStream:ResourceWarning"
)

CLEAN = Verdict(
    live_orders=0,
    equity_exchange=2_000_000_000,
    equity_bot=2_000_000_000,
    proven_empty=True,
    orders=8,
    fills=1,
)


T = TypeVar("T")


def at_speed(drill: Callable[[], Awaitable[T]]) -> T:
    """Run a drill on a fast clock that waits for a busy machine, and collect what it leaves."""
    try:
        return trio.run(drill, clock=PatientClock(SPEED))
    finally:
        gc.collect()


@pytest.fixture(scope="module")
def moments() -> list[Moment]:
    """One run for all assertions: one of each kind, the moments of a merge among them."""
    return at_speed(partial(stop_drill, range(len(When)), 7))


def test_nothing_rests_after_a_stop_at_any_moment(moments: list[Moment]) -> None:
    """After every stop the exchange counts no order of the wallet, and the bot has proof of it."""
    for one in moments:
        assert one.verdict.live_orders == 0, one
        assert one.verdict.proven_empty, one


def test_the_books_agree_after_a_stop_at_any_moment(moments: list[Moment]) -> None:
    """After every stop bot and exchange have the same equity to the micro-dollar."""
    for one in moments:
        assert one.verdict.agreed, one


def test_no_order_sets_out_after_the_stop(moments: list[Moment]) -> None:
    """Once `stop` has returned no POST begins, also not for an order that was signed before."""
    assert [one for one in moments if one.posts_after] == []


def test_every_stop_sends_a_cancel_all(moments: list[Moment]) -> None:
    """The exchange has read a cancel-all after every stop, whatever else was going on."""
    assert [one for one in moments if one.cancel_s is None] == []


def test_a_merge_under_way_at_the_stop_is_booked_by_the_next_start(moments: list[Moment]) -> None:
    """What the relayer has or may have at the stop cannot be called back: the next bot on the same
    journal books it once, for what it was, and nothing is submitted after the stop (F33, F63).
    """
    merges = [one for one in moments if one.when in MERGES]

    assert [one.heir for one in merges] == [()] * len(MERGES)
    assert all(one.came for one in merges), "each stop fell into its merge"
    assert not sum(one.submits_after for one in moments)


def test_the_moments_are_not_idle(moments: list[Moment]) -> None:
    """The drill proves something: all kinds of moments, with many orders and fills among them."""
    assert {one.when for one in moments} == set(When)
    assert sum(one.verdict.orders for one in moments) > 50
    assert sum(one.verdict.fills for one in moments) > 10


@pytest.fixture(scope="module")
def heartbeats() -> Heartbeats:
    drill = partial(
        heartbeat_drill,
        failing=Failing.SILENT,
        beats=2,
        seed=1,
        speed=SPEED,
        intensity=0.1,
    )
    return at_speed(drill)


def test_no_order_sets_out_without_a_heartbeat(heartbeats: Heartbeats) -> None:
    """Once the heartbeat is known to be lost nothing is sent, and what rested is withdrawn."""
    assert heartbeats.posts_after == 0
    assert heartbeats.resting == 0 or heartbeats.cancel_s is not None


def test_a_heartbeat_that_comes_back_lets_quoting_begin_again(heartbeats: Heartbeats) -> None:
    """After the venue answers again the bot quotes again, and its end is as clean as any."""
    assert heartbeats.again_s > 0
    assert heartbeats.verdict.clean


def test_a_loss_withdraws_everything_at_once() -> None:
    """The risk limits' own decision sends a cancel-all of the whole wallet, nothing sets out after
    it, and trading stays halted (G10, strategy.md 14). The bench holds the times.
    """
    seen = at_speed(partial(one_kill, 3, SPEED))

    assert 0 <= seen.sent_s <= seen.read_s
    assert seen.posts_after == 0
    assert seen.halted
    assert seen.verdict.clean
    assert seen.verdict.orders > 0


def test_a_kill_misses_its_target_in_the_middle() -> None:
    """The median decides, and one POST behind the decision is a miss; the worst is told."""
    good = Kill(0.001, 0.004, 0, halted=True, verdict=CLEAN)
    slow = evolve(good, sent_s=0.011, read_s=0.02)
    assert [row.met for row in kill_rows([good, slow, good])] == [True] * 4
    assert [row.met for row in kill_rows([good, slow, slow])] == [False, False, True, True]
    assert "worst 11.0 ms" in kill_rows([good, slow, good])[0].note

    late, running = evolve(good, posts_after=1), evolve(good, halted=False)
    assert [row.met for row in kill_rows([good, late, good])] == [True, True, False, True]
    assert [row.met for row in kill_rows([good, running, good])] == [True, True, True, False]


@pytest.mark.parametrize(
    "spoilt",
    [
        evolve(CLEAN, live_orders=1),
        evolve(CLEAN, proven_empty=False),
        evolve(CLEAN, equity_bot=1),
        evolve(CLEAN, equity_bot=None),
    ],
)
def test_a_verdict_needs_all_three(spoilt: Verdict) -> None:
    """Clean means no order left, proof of it, and equal books: each missing one spoils it."""
    assert CLEAN.clean
    assert not spoilt.clean


def test_books_not_begun_agree_with_anything() -> None:
    """A bot stopped before it had read its balance says so; it is wrong only after an order."""
    assert evolve(CLEAN, equity_bot=None, orders=0, fills=0).clean


async def test_the_stage_gives_the_exchanges_word(autojump_clock: MockClock) -> None:
    """Before any trade the stage's verdict is the exchange's: no orders, the demo funds."""
    async with staged(seed=1, speed=1, intensity=0.1, taps=Taps()) as stage:
        verdict = await stage.verdict()

    assert (verdict.live_orders, verdict.orders) == (0, 0)
    assert verdict.equity_exchange == 2_000_000_000


# Orders of one request share its fate, and a doubt lasts some milliseconds or two seconds. Of a
# hundred doubts a third are long; of the thirty of a shorter drill it was now and then over half.
DRILL_S = 180


def test_no_order_stays_in_doubt_and_none_is_sent_twice() -> None:
    """On a link that spoils every third answer to an order, each fate is known within ten seconds,
    half of them within 0.7, and no order leaves twice (G6, G7).
    """
    drill = partial(doubt_drill, seconds=DRILL_S, seed=3, speed=DOUBT_SPEED)
    seen = trio.run(drill, clock=PatientClock(DOUBT_SPEED))
    gc.collect()

    assert len(seen.doubts_ms) >= 20
    assert seen.struck >= 20
    assert seen.twice == 0
    assert seen.within(50) <= 700
    assert seen.within(100) <= 10_000
    assert seen.halts == ()
    assert seen.verdict.clean
