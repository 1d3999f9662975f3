"""What a balance that differs may still be: a trade that is not listed yet, or an old figure."""

from __future__ import annotations

import attrs
import pytest
from execution_kit import T0

from polybot.domain.units import SHARE
from polybot.execution.reconcile import (
    DRIFT_MS,
    LISTED_MS,
    STALE_MS,
    TOLERANCE,
    Belief,
    DriftWatch,
    Kind,
)

TEN = Belief(Kind.SHARES, "111", 10 * SHARE, 10 * SHARE, 10 * SHARE, "0xc")
CASH = Belief(Kind.CASH, "cash", 10 * SHARE, 10 * SHARE, 10 * SHARE)
JUST = T0 + DRIFT_MS + 1


@pytest.mark.parametrize("side", [-1, 1])
def test_a_hundredth_is_no_difference_either_way(side: int) -> None:
    """And more than that is all of what it is."""
    assert TEN.off(10 * SHARE + side * TOLERANCE) == 0
    assert TEN.off(10 * SHARE + side * (TOLERANCE + 1)) == side * (TOLERANCE + 1)


def test_an_old_figure_is_known_between_two_looks() -> None:
    """What was believed ten seconds ago is not forgotten with what nobody asks for (F34)."""
    watch = DriftWatch()
    watch.judge(TEN, 10 * SHARE, T0)
    watch.remember(TEN, T0)
    four = attrs.evolve(TEN, least=4 * SHARE, most=4 * SHARE, total=4 * SHARE)
    for ms in (10_000, 16_000, STALE_MS):
        watch.keep([TEN.subject], T0 + ms)
        assert watch.judge(four, 10 * SHARE, T0 + ms) is None

    assert not watch.differing


@pytest.mark.parametrize(
    ("shares", "dollars", "found"),
    [
        (-3, +2, {"111"}),  # sold; dollars too many are given longer by themselves
        (+3, -2, {"111", "cash"}),  # bought
        (+3, +2, set()),
        (-3, -2, set()),
        (+3, 0, {"111"}),  # at the same look, which proves nothing
        (+3, None, {"111"}),
        (0, -2, set()),
    ],
)
def test_a_trade_that_is_not_listed_moves_both_ways(
    shares: int, dollars: int | None, found: set[str]
) -> None:
    """Shares up and dollars down, or the other way round (F29); what is alone may be anything."""
    watch = DriftWatch()
    watch.judge(TEN, (10 + shares) * SHARE, T0)
    if dollars is not None:
        watch.judge(CASH, (10 + dollars) * SHARE, T0)

    assert watch.unlisted(JUST) == found
    assert watch.unlisted(JUST - 1) == set()
    assert watch.unlisted(T0 + LISTED_MS) == found
    assert watch.unlisted(T0 + LISTED_MS + 1) == set(), "by then it would be listed"


def test_dollars_that_are_right_afterwards_prove_that_there_was_no_trade() -> None:
    """Shares have come from nowhere, and that is drift."""
    watch = DriftWatch()
    watch.judge(TEN, 13 * SHARE, T0)
    watch.judge(CASH, 10 * SHARE, T0 + 1)

    assert watch.unlisted(JUST) == set()


def test_what_was_seen_to_agree() -> None:
    """Of this very belief, since then."""
    watch = DriftWatch()
    assert not watch.agreed(TEN, T0)
    watch.judge(TEN, 10 * SHARE, T0)

    assert watch.agreed(TEN, T0)
    assert not watch.agreed(TEN, T0 + 1)
    assert not watch.agreed(attrs.evolve(TEN, total=11 * SHARE), T0)
    watch.judge(TEN, 11 * SHARE, T0 + 2)
    assert not watch.agreed(TEN, T0)


def test_more_dollars_than_are_known() -> None:
    """At the last look, and no longer than they are there."""
    watch, told = DriftWatch(), []
    assert not watch.surplus("cash")
    for n, dollars in enumerate((10, 12, 10, 8)):
        watch.judge(CASH, dollars * SHARE, T0 + n)
        told.append(watch.surplus("cash"))

    assert told == [False, True, False, False]
