"""When the quote task decides: on every change, at most every 50 ms and at least every 250."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import trio
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock

from polybot.channels import Bell
from polybot.execution.params import OrderParams
from polybot.quote_task import paced

PACE = OrderParams()
LEAST_S, MOST_S = PACE.requote_min_ms / 1000, PACE.requote_max_ms / 1000


def steps(rings: Sequence[float], until_s: float, *, inside: bool = False) -> list[float]:
    """The times of all steps when the bell rings at these; `inside` each step, too."""
    seen: list[float] = []

    async def main() -> None:
        bell, began = Bell(), trio.current_time()

        def step() -> None:
            seen.append(round(trio.current_time() - began, 6))
            if inside:
                bell.ring()

        async def ringing() -> None:
            for at in sorted(rings):
                await trio.sleep_until(began + at)
                bell.ring()

        with trio.move_on_after(until_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ringing)
                await paced(step, bell, PACE)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return seen


def test_the_defaults_are_the_reference_s() -> None:
    """50 ms at least and 250 ms at most between two decisions (strategy.md 18, 17)."""
    assert (LEAST_S, MOST_S) == (0.05, 0.25)


def test_without_news_every_quarter_of_a_second() -> None:
    """Time itself moves the fair price."""
    assert steps([], 1.01) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_news_is_decided_on_at_once() -> None:
    """A ring later than the shortest spacing is not waited with."""
    assert steps([0.06, 0.3], 0.5) == [0.0, 0.06, 0.3]


def test_a_burst_is_one_decision_and_none_of_it_is_lost() -> None:
    """Rings within the spacing are decided on together at its end, not at the next quarter."""
    assert steps([0.001 * n for n in range(1, 40)], 0.2) == [0.0, 0.05]


def test_a_ring_during_the_decision_is_not_lost() -> None:
    """What changes while a step runs is decided on after the shortest spacing."""
    assert steps([], 0.21, inside=True) == [0.0, 0.05, 0.1, 0.15, 0.2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 3.0), max_size=60))
def test_the_spacing_holds_whatever_rings(rings: list[float]) -> None:
    """Never nearer than the least, never farther than the most; and every ring is followed by a
    step within the least.
    """
    seen = steps(rings, 4.0)

    gaps = [after - before for before, after in itertools.pairwise(seen)]
    assert all(LEAST_S - 1e-6 <= gap <= MOST_S + 1e-6 for gap in gaps)
    for ring in rings:
        assert any(ring - 1e-6 <= at <= ring + LEAST_S + 1e-6 for at in seen)


@pytest.mark.parametrize("rings", [[], [0.01 * n for n in range(400)]])
def test_a_second_has_between_four_and_twenty_decisions(rings: list[float]) -> None:
    """What it may cost, whatever happens: 4 to 20 decisions a second and market."""
    assert 4 <= sum(1.0 <= at < 2.0 for at in steps(rings, 3.0)) <= 20
