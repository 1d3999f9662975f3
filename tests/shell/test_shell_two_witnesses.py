"""The venue's word of the time beside the streams' stamps: neither is believed alone."""

from __future__ import annotations

import pytest
import trio
from test_shell_right_time import TRUE_S, Venue, off_by, right_time
from trio.testing import MockClock

from polybot.channels import Bell
from polybot.domain.orders import Failure
from polybot.right_time import CLOCK, RightTime


def stamped(time: RightTime, lies_s: float = 0.0, streams: int = 2) -> None:
    """Each stream has told three times within the last second, of the true time or another."""
    now_s = trio.current_time()
    for n in range(3):
        for stream in range(streams):
            at_s = now_s - 1 + n / 2
            stamp_s = TRUE_S + at_s - time.client.began + lies_s  # type: ignore[attr-defined]
            time.stamps.heard(f"s{stream}", int(stamp_s * 1000), at_s)


def error_s(time: RightTime) -> float:
    """How far our clock is ahead of the true time."""
    true_s = TRUE_S + trio.current_time() - time.client.began  # type: ignore[attr-defined]
    return float(time.clock.now_ms() / 1000 - true_s)


@pytest.mark.parametrize("lies_s", [-60.0, -3.0, 5.0, 60.0])
async def test_a_venue_that_lies_sets_no_clock(autojump_clock: MockClock, lies_s: float) -> None:
    """Its time is not that of its own stamps: nothing is placed, and a clock that is right stays so
    (F49).
    """
    time = right_time(venue := Venue(), off_by(0))
    venue.began -= lies_s  # what it tells is ahead by so much
    true_began = venue.began + lies_s
    await trio.sleep(5)
    for n in range(3):
        for stream in range(2):
            stamp_ms = int((TRUE_S + trio.current_time() - true_began) * 1000)
            time.stamps.heard(f"s{stream}", stamp_ms, trio.current_time())
        await trio.sleep(0.2 * (n < 2))

    assert await time.ask() is None
    assert "lies" in time.health.troubles[CLOCK]
    await time.set()
    assert abs(time.clock.now_ms() / 1000 - (TRUE_S + trio.current_time() - true_began)) < 0.01
    assert "lies" in str(await time.settle())


@pytest.mark.parametrize("streams", [1, 2])
async def test_a_machine_that_has_slept_is_behind_its_streams(
    autojump_clock: MockClock, streams: int
) -> None:
    """What rests may outlive its cutoff: nothing is placed at once, the reconciler looks, once, and
    the venue's time, with which the stamps agree, sets the clock.
    """
    time = right_time(Venue(), off_by(-30))
    await trio.sleep(5)
    time.look_at_stamps()
    assert time.health.troubles == {}
    stamped(time, streams=streams)
    time.look_at_stamps()
    assert time.health.troubles[CLOCK] == "30.0 s behind the streams' stamps"
    assert time.doubt._rung
    time.doubt = Bell()
    time.look_at_stamps()
    assert not time.doubt._rung

    assert await time.settle() is None
    assert abs(error_s(time)) < 0.5
    assert time.health.troubles == {}
    time.look_at_stamps()
    assert not time.doubt._rung


async def test_stamps_tell_what_whole_seconds_hide(autojump_clock: MockClock) -> None:
    """One answer leaves open whether a clock is 1.2 s behind; the stamps do not."""
    time = right_time(Venue(takes_s=0.0), off_by(-1.2))
    await trio.sleep(5.5)
    assert await time.ask() is None
    assert time.health.troubles == {}
    stamped(time)
    assert await time.ask() is None
    assert CLOCK in time.health.troubles


@pytest.mark.parametrize("off_s", [-1.8, -1.4, 1.4, 1.8])
async def test_it_is_sure_before_anything_leaves(autojump_clock: MockClock, off_s: float) -> None:
    """At whatever part of a second the venue was asked first."""
    for tenths in range(10):
        began = trio.current_time() - tenths / 10
        time = right_time(Venue(takes_s=0.0, began=began), off_by(off_s + tenths / 10))
        assert await time.settle() is None
        assert abs(error_s(time)) < 1.05


async def test_a_time_that_is_not_known_well_sets_a_clock_as_well(
    autojump_clock: MockClock,
) -> None:
    """Each answer is a second and a half on its way: where in it the venue looked nobody knows, but
    that it did. None at all sets no clock.
    """
    time = right_time(venue := Venue(takes_s=1.5), off_by(60))
    venue.answers = False
    await time.set()
    assert error_s(time) == pytest.approx(60)

    venue.answers = True
    await time.set()
    assert abs(error_s(time)) < 1.5

    venue.answers = False
    assert isinstance(await time.ask(), Failure)
