"""Lives whose process stands still for a while, and the world does not (F50, F69)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from unittest import mock

import attrs
import pytest
from simulation_kit import calm, found_with, sound

from polybot import loop_watch
from polybot.lab.simulation_case import Case, End, Life, Stand
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_reach import EMPTIED, STOOD

AT_S = 22.2


def standing(case: Case, for_s: float = 0.7, at_s: float = AT_S) -> Case:
    return attrs.evolve(case, stands=(Stand(at_s, for_s),))


@pytest.mark.parametrize("for_s", [0.3, 0.7, 2.0, 8.0, 30.0])
def test_a_standstill(for_s: float) -> None:
    """As long as a neighbour's backup, or a pause: over the venue's own switch."""
    case = attrs.evolve(calm(length_s=AT_S + for_s + 15), quiet_s=0.0)
    found = sound(standing(case, for_s))

    assert found.seen[STOOD] == 1
    assert found.seen["PLACEMENT"] > 20


@pytest.mark.parametrize("end", list(End))
@pytest.mark.parametrize("emptied", [True, False])
def test_whose_end_comes_while_it_stands(end: End, *, emptied: bool) -> None:
    """A kill reaches it there; what signals and an operator want is done when it goes on."""
    lives = (
        Life(AT_S + 3, end, 5.0, emptied=emptied),
        Life(15.0, End.STOP, 0.0),
    )
    case = attrs.evolve(calm(length_s=60.0), lives=lives, quiet_s=0.0)
    found = sound(standing(case, 20.0))

    assert (found.seen[STOOD], found.seen.get(EMPTIED, 0)) == (1, int(emptied))
    assert found.seen.get("kill", 0) == (end is End.KILL)


def nobody_watches_the_loop() -> AbstractContextManager[object]:
    """However late its own turns come."""
    return mock.patch.object(loop_watch, "STOOD_S", 1e9)


def test_a_bot_that_takes_no_notice_is_found() -> None:
    """It goes on as if nothing had been: with an order at once, and with what rests."""
    found_with(nobody_watches_the_loop, standing, "S9")
    found_with(nobody_watches_the_loop, lambda case: standing(case, at_s=20.0), "S9")


def test_it_is_drawn_by_some() -> None:
    """In one seed of four, for a moment or for a minute; it can be left out."""
    cases = [draw(seed, 1.0) for seed in range(400)]
    stood = [case for case in cases if case.stands]
    long_s = [one.for_s for case in stood for one in case.stands]

    assert 70 < len(stood) < 130
    assert min(long_s) < 0.2
    assert 50 < max(long_s) <= 60
    assert all(Keep(stands=False).of(case).stands == () for case in stood)
    assert all("stands still never" in case.text() for case in cases if not case.stands)
