"""A venue that refuses our key or our region: all halts until an operator has looked (F42, F43)."""

from __future__ import annotations

import attrs
import pytest
from simulation_kit import calm, sound

from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_plan import BARRING, Spell
from polybot.lab.simulation_reach import REFUSED


@pytest.mark.parametrize("fault", BARRING)
def test_who_is_refused_halts(fault: str) -> None:
    """Once, and for as long as nobody re-arms, also over a restart; then it trades again (S12)."""
    bar = Spell(fault, 40.0, 60.0, 9_000.0)
    found = sound(attrs.evolve(calm(length_s=200.0), bar=bar))

    assert found.struck[fault] > 0
    assert found.seen[REFUSED] == 1
    assert found.seen["stop"] == 3
    assert found.seen["PLACEMENT"] > 50


def test_it_is_drawn_by_some() -> None:
    """In one seed of twelve, both kinds; it can be left out, and is an entry of the plan."""
    cases = [draw(seed, 1.0) for seed in range(400)]
    barred = [case for case in cases if case.bar is not None]

    assert 15 < len(barred) < 55
    assert {case.bar.fault for case in barred if case.bar is not None} == set(BARRING)
    assert all(set(BARRING) & {it.fault for it in case.faults.entries} for case in barred)
    assert all(Keep(bar=False).of(case).bar is None for case in barred)
    assert all("; barred never; " not in case.text() for case in barred)
