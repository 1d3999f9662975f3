"""Writes of the journal that take milliseconds, as on every real disk."""

from __future__ import annotations

import statistics

import attrs
from simulation_kit import calm, sound

from polybot.lab.simulation_disk import PACE_MOST_S, paced
from polybot.lab.simulation_draw import PACES_MS, draw
from polybot.lab.simulation_keep import Keep


def test_a_bot_lives_with_a_disk_that_takes_its_time() -> None:
    """It trades, breaks no rule, and is another life than on a disk that takes none."""
    lives = [sound(attrs.evolve(calm(length_s=90.0), pace_ms=pace_ms)) for pace_ms in (0, 40)]

    assert lives[1].seen["PLACEMENT"] > 10
    assert lives[0].hash != lives[1].hash


def test_what_a_write_takes() -> None:
    """So much in the mean, each time another, never longer than a second; nothing at a mean of 0;
    and the same again for the same name.
    """
    pace, longest = paced("a name", 40), paced("a name", 10_000)
    drawn = [pace() for _ in range(4_000)]

    assert 0.036 < statistics.mean(drawn) < 0.044
    assert len(set(drawn)) == len(drawn)
    assert drawn[0] == paced("a name", 40)() != paced("another", 40)()
    assert paced("a name", 0)() == 0.0
    assert max(longest() for _ in range(9)) == PACE_MOST_S


def test_three_seeds_of_five_draw_one() -> None:
    """All of them do, it can be left out, and the text of the case tells it."""
    cases = [draw(seed, 1.0) for seed in range(200)]
    slow = [case for case in cases if case.pace_ms]

    assert {case.pace_ms for case in cases} == set(PACES_MS)
    assert 90 < len(slow) < 150
    assert all(Keep(pace=False).of(case).pace_ms == 0 for case in slow)
    assert all(f"a write takes {case.pace_ms} ms" in case.text() for case in slow)
