"""Why a stream was lost: an operator who reads the log in the morning is to know it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from loguru import logger
from shell_kit import clean, playing
from venue_bent import Line

from polybot.patient_clock import PatientClock

NAMED = {"market_ws": "market btc-updown-5m-", "prices_ws": "polybolt", "binance_ws": "binance"}


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged as a warning, or worse."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


@pytest.mark.parametrize("name", NAMED)
async def test_the_server_says_why(name: str, said: list[str], fast_clock: PatientClock) -> None:
    """The code and the words of a close are told with the stream's name; counted without them."""
    async with playing() as it:
        line = it.venue.lines[name]
        opened = line.opened
        for socket in list(line.sockets):
            socket.end(1013, "slow consumer: send buffer full")
        await it.until(lambda: line.opened > opened, "a new connection")
        await it.requoting()
        report = await it.end()

    lost = [line for line in said if "connection lost:" in line]
    assert lost[0].startswith(NAMED[name])
    assert lost[0].endswith(": connection lost: closed 1013 slow consumer: send buffer full\n")
    kinds = [kind for kind in report.bad_input if kind.endswith("connection lost")]
    assert kinds == [{"market_ws": "market stream"}.get(name, NAMED[name]) + ": connection lost"]
    clean(report)


GONE = {
    "market_ws": ": dialled again: silent while the book moved\n",
    "prices_ws": ": connection lost: silent for 10 s\n",
    "binance_ws": ": connection lost: silent for 10 s\n",
}


def other(line: Line, known: int) -> bool:
    """Whether a connection was opened that is not known yet."""
    return line.opened > known


@pytest.mark.parametrize("name", NAMED)
async def test_nobody_says_anything(name: str, said: list[str], fast_clock: PatientClock) -> None:
    """A peer that is gone without a word is told as such, and by what it was known; each time."""
    async with playing() as it:
        line = it.venue.lines[name]
        for known in (line.opened, line.opened + 1):
            for socket in list(line.sockets):
                socket.mute()
            await it.until(partial(other, line, known), "a new connection")
            await it.requoting()
        clean(await it.end())

    lost = [line for line in said if line.startswith(NAMED[name]) and line.endswith(GONE[name])]
    assert len(lost) == 2
