"""Words to the service manager, heard on a socket like his."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from polybot.restart import StartFailed
from polybot.watchdog import READY, TURNS, Watchdog, notifying

PID = 4711


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Where he listens, as the environment has it, and what he hears with."""
    place = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(place if request.param == "file" else f"\0{place}")
        ear.setblocking(False)
        yield (place if request.param == "file" else f"@{place}"), ear


def heard(ear: socket.socket) -> list[bytes]:
    words = []
    while True:
        try:
            words.append(ear.recv(100))
        except BlockingIOError:
            return words


async def test_he_hears_of_the_start_and_of_every_turn(
    manager: tuple[str, socket.socket], autojump_clock: MockClock
) -> None:
    """Twice in the time that he waits, and no more when the body has ended."""
    place, ear = manager
    dog = Watchdog.of({"NOTIFY_SOCKET": place, "WATCHDOG_USEC": "60000000"}, PID)
    async with notifying(dog):
        await trio.sleep(95)
    await trio.sleep(100)

    assert heard(ear) == [READY, TURNS, TURNS, TURNS]


@pytest.mark.parametrize(
    ("environ", "every_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "5"}, None),
        ({"NOTIFY_SOCKET": "/n"}, math.inf),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "x"}, math.inf),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "²"}, math.inf),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "0"}, math.inf),  # not at every turn
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, math.inf),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(PID)}, 30.0),
    ],
)
def test_what_the_environment_asks_for(environ: dict[str, str], every_s: float | None) -> None:
    """Nobody asks on a terminal; who asks another process does not ask us."""
    dog = Watchdog.of(environ, PID)

    assert (dog.every_s if dog is not None else None) == every_s


async def test_a_manager_who_has_gone(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Is no reason to stop."""
    async with notifying(Watchdog(str(tmp_path / "nobody"), 1.0)), notifying(None):
        await trio.sleep(5)


@pytest.mark.parametrize("dog", [None, Watchdog("/nobody", 1.0)], ids=["none", "a manager"])
async def test_what_fails_leaves_as_it_is(dog: Watchdog | None, autojump_clock: MockClock) -> None:
    """In no group, and with its cause: who reads the log wants to know why a start failed."""
    cause = OSError("no network")
    with pytest.raises(StartFailed) as failed:
        async with notifying(dog):
            raise StartFailed("cannot reach the venue") from cause
    assert failed.value.__cause__ is cause

    two = ExceptionGroup("two", [ValueError("a"), ValueError("b")])
    with pytest.raises(ExceptionGroup) as several:
        async with notifying(dog):
            raise two
    assert several.value is two


async def test_who_is_cancelled_goes_quietly(autojump_clock: MockClock) -> None:
    """A time-out around it is a time-out, and no failure of the body."""
    with trio.move_on_after(5) as scope:
        async with notifying(None):
            await trio.sleep(60)

    assert scope.cancelled_caught
