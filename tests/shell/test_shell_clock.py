"""The one clock when it is set right: who sleeps by it goes by the new time (F50)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from polybot.app import Bot
from polybot.clock import Clock
from polybot.lab.simulation_clock import WrongClock
from polybot.quoting.params import WARM_UP_S
from polybot.supervisor import Supervisor
from polybot.venue.slugs import Window

HOUR_MS = 1_795_201_200_000  # a whole one
MIN_MS = 60_000


@pytest.mark.parametrize("by_s", [-30, -5, 0, 5, 90, 3_600])
async def test_who_sleeps_wakes_when_the_clock_shows_it(
    by_s: int, autojump_clock: MockClock
) -> None:
    """Set ahead he wakes sooner, at once where the time has passed; set back he sleeps on."""
    clock = Clock.starting_at(HOUR_MS)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.sleep_until, HOUR_MS + MIN_MS)
        await trio.sleep(10)
        clock.set_right(by_s * 1000)

    assert trio.current_time() - began == pytest.approx(max(10, 60 - by_s))
    assert clock._sleepers == {}


async def test_a_sleeper_can_be_cancelled(autojump_clock: MockClock) -> None:
    """From outside, also after the clock was set; and he leaves nothing behind."""
    clock = Clock.starting_at(HOUR_MS)
    with trio.move_on_after(20) as outside:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clock.sleep_until, HOUR_MS + MIN_MS)
            await trio.sleep(10)
            clock.set_right(5_000)

    assert outside.cancelled_caught
    assert clock._sleepers == {}


async def test_a_copy_is_a_clock_of_its_own(autojump_clock: MockClock) -> None:
    """Whoever has it wakes by it alone: the exchange's time is not the bot's to set."""
    clock = Clock.starting_at(HOUR_MS)
    copied, began = clock.copy(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(copied.sleep_until, HOUR_MS + MIN_MS)
        await trio.sleep(10)
        clock.set_right(45_000)

    assert trio.current_time() - began == pytest.approx(60)


async def test_nobody_wakes_for_a_machine_that_sleeps(autojump_clock: MockClock) -> None:
    """In the simulation a clock that jumps is the machine's doing, and wakes nobody; one that is
    set is the bot's.
    """
    clock = WrongClock.beside(Clock.starting_at(HOUR_MS), skew_ms=0, drift_ppm=0)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.sleep_until, HOUR_MS + MIN_MS)
        await trio.sleep(10)
        clock.step(-30_000)
        await trio.sleep(40)
        clock.set_right(30_000)

    assert trio.current_time() - began == pytest.approx(60)


@pytest.mark.parametrize(
    ("series", "at_min", "slept_min", "begun_min"),
    [
        ("btc-1h", 10, 0, [0, 60, 120]),
        ("btc-1h", 10, 40, [0, 60, 120]),
        ("btc-1h", 10, 80, [0, 60, 120]),  # slept into the window, and misses nothing more of it
        ("btc-5m", 1, 31, [0, 30, 35]),  # those slept through are over
    ],
)
async def test_windows_begin_in_time_after_the_machine_has_slept(
    series: str,
    at_min: int,
    slept_min: int,
    begun_min: list[int],
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trio's clock stands while the machine sleeps, ours is set when it wakes: the next window
    began so much too late as it had slept.
    """
    clock = Clock.starting_at(HOUR_MS + at_min * MIN_MS)
    begun: list[tuple[int, float]] = []

    async def run_window(_: Supervisor, _series: str, window: Window) -> None:
        late_s = (clock.now_ms() - window.start_ms) / 1000
        begun.append(((window.start_ms - HOUR_MS) // MIN_MS, late_s))

    monkeypatch.setattr(Supervisor, "_run_window", run_window)
    nothing: Any = None
    context: Any = SimpleNamespace(clock=clock)
    supervisor = Supervisor(context, nothing, nothing)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor._run_series, series)
        await trio.sleep(1)
        clock.set_right(slept_min * MIN_MS)
        woken_ms = clock.now_ms()
        while len(begun) < len(begun_min):  # noqa: ASYNC110 - the clock jumps
            await trio.sleep(1)
        nursery.cancel_scope.cancel()

    assert [start for start, _ in begun] == begun_min
    for start, late_s in begun[1:]:
        under_way_s = (woken_ms - HOUR_MS) / 1000 - start * 60
        assert late_s == pytest.approx(max(-WARM_UP_S, under_way_s), abs=0.1)


async def test_a_run_ends_in_time_after_the_machine_has_slept(autojump_clock: MockClock) -> None:
    """`--for 30m` is venue time: what has been slept through counts."""
    clock = Clock.starting_at(HOUR_MS)
    stopped: list[str] = []
    bot: Any = SimpleNamespace(ctx=SimpleNamespace(clock=clock), stop=stopped.append)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Bot._stop_at, bot, HOUR_MS + 30 * MIN_MS)
        await trio.sleep(60)
        clock.set_right(20 * MIN_MS)

    assert trio.current_time() - began == pytest.approx(10 * 60)
    assert stopped == ["time is up"]
