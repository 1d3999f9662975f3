"""Two hundred seeds, each lived twice and decided once more: the same to the last byte (S21)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs
import pytest

from polybot.lab.simulation_brief import BRIEF_S, brief
from polybot.lab.simulation_case import Case, End, Keep, draw
from polybot.lab.soak import Found, Task, line, live, main

SEEDS, TOGETHER = 200, 5
# Beyond those, what once broke a rule or two (docs/reliability.md says why): with the settings and
# the wallet that they draw, and with the usual ones that all had at the time.
FOUND = (620,)
AS_THEN = Keep(settings=False, means=False, terms=False)
FOUND_THEN = (239, 312, 322, 367, 523, 986, 1242, 1281, 2314, 2681, 3776, 4159)
LOTS = [range(first, first + TOGETHER) for first in range(1, SEEDS + 1, TOGETHER)]


@pytest.mark.parametrize(
    "seeds",
    [*LOTS, FOUND, FOUND_THEN],
    ids=lambda seeds: f"{seeds[0]} to {seeds[-1]}",
)
def test_a_seed_is_the_same_twice(seeds: Sequence[int]) -> None:
    """Whatever it draws: venue, links, disks, clock, signals, deaths. No rule is broken, either."""
    keep = AS_THEN if seeds is FOUND_THEN else Keep()
    found = [live(Task(seed, 0.0, keep, brief=True)) for seed in seeds]

    assert not [line(one) for one in found if not one.sound]
    assert any(one.outcome.seen.get("PLACEMENT") for one in found)


def kinds(case: Case) -> Counter[str]:
    """What a case has in it."""
    return Counter(
        [f"life {life.end.value}" for life in case.lives]
        + [f"link {trouble.harm.value}" for trouble in case.troubles]
        + [f"disk {trouble.ail.value}" for trouble in case.disks]
        + ["clock"] * len(case.clock.steps)
        + ["foreign"] * (case.foreign_s is not None)
        + ["engine"] * (case.engine is not None)
        + ["strikes"] * (case.strikes is not None)
        + ["again"] * (len(case.lives) > 1)
    )


def test_everything_is_drawn_by_some() -> None:
    """The same things as in hours: none is too rare for seconds, and all come in time."""
    cases = [brief(seed) for seed in range(1, SEEDS + 1)]
    hours = sum((kinds(draw(seed, 1.0)) for seed in range(1, SEEDS + 1)), Counter[str]())

    assert sum(map(kinds, cases), Counter[str]()).keys() == hours.keys()
    for case in cases:
        times = [one.at_s for one in case.troubles]
        times += [one.at_s for one in case.disks] + [one.at_s for one in case.clock.steps]
        assert all(0 < at_s < BRIEF_S for at_s in times), case.text()
        assert sum(life.lasts_s + life.down_s for life in case.lives) < 2 * BRIEF_S, case.text()
        assert case.lives[-1].end is End.STOP


def test_the_command_that_repeats_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seed that is not the same twice is told with what lives it again."""

    def another_each_time(task: Task) -> Found:
        return attrs.evolve(live(task), differs=True)

    monkeypatch.setattr("polybot.lab.soak.live", another_each_time)
    monkeypatch.setattr("polybot.lab.soak.each_of", map)

    assert main(["--seeds", "6", "--brief"]) == 1
    said = capsys.readouterr().out
    assert "the second run differed: python -m polybot soak --seeds 6 --brief\n" in said
