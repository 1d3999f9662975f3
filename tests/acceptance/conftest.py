"""One exchange for the whole folder. It must end clean after all that was asked of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from acceptance_kit import USUAL, Market, Venue, command, free_ports, long_window_start_s


@pytest.fixture(scope="session")
def venue() -> Iterator[Venue]:
    """At the end: exit code 0 at the first Ctrl-C, and not one line of complaint on stderr."""
    with command(*USUAL, "--start", str(long_window_start_s(phase_s=20))) as running:
        yield Venue.from_line(running.first_line())

        assert running.process.poll() is None, f"it ended on its own: {running.stderr()}"
        assert running.stop(signal.SIGINT) == 0
        assert running.stderr() == ""


@pytest.fixture
def ports() -> Iterator[int]:
    """The first of enough ports in a row that are free."""
    with free_ports() as first:
        yield first


@pytest.fixture
def market(venue: Venue) -> Market:
    return venue.current_market()
