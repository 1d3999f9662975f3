"""A journal that is lost, or was moved away: the next life begins with what the venue shows."""

from __future__ import annotations

import attrs
from simulation_kit import calm, sound

from polybot.lab.simulation_brief import brief
from polybot.lab.simulation_case import Case, End, Keep, Life, draw
from polybot.lab.simulation_reach import FOREIGN, JOURNAL_LOST

DRAWN = [draw(seed, 1.0) for seed in range(1, 401)]


def lost(case: Case) -> int:
    return sum(life.lost for life in case.lives)


def test_what_seeds_draw() -> None:
    """One seed in four may lose a journal; the last life's is nobody's loss."""
    losing = [case for case in DRAWN if lost(case)]

    assert 40 < len(losing) < 100
    assert not any(case.lives[-1].lost for case in DRAWN)
    assert {life.end for case in losing for life in case.lives if life.lost} == set(End)


def test_it_can_be_left_out_and_is_told() -> None:
    """As every part of a case."""
    case = next(case for case in DRAWN if lost(case))

    assert lost(Keep(losses=False).of(case)) == 0
    assert "-lost " in case.text()
    assert "-lost " not in Keep(losses=False).of(case).text()


def test_a_life_without_the_journal_of_the_one_before() -> None:
    """Trading goes on, in markets that hold nothing of the past; no rule is broken, nothing halts:
    shares of before, and trades that are on their way, are no drift.
    """
    lives = (Life(40.0, End.KILL, 5.0, lost=True), Life(60.0, End.STOP, 0.0))
    found = sound(attrs.evolve(calm(length_s=100.0), lives=lives, sniped=0.5))

    assert found.seen[JOURNAL_LOST] == 1
    assert found.seen["TRADE"] > 0


def test_a_halt_is_lost_with_its_journal() -> None:
    """Nothing is left that could tell the next life of it: it trades."""
    found = sound(Keep(settings=False, means=False, terms=False).of(brief(2436)))

    assert found.seen[FOREIGN] == found.seen[JOURNAL_LOST] == 1
