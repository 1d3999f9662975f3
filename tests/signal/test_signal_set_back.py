"""A clock that was ahead and is set right blinds no signal for as long as it was ahead."""

from __future__ import annotations

from signal_kit import START, UP, depth, printed

from polybot.domain.market import Side
from polybot.signal.flow import FlowImbalance
from polybot.signal.params import SignalParams
from polybot.signal.regime import LiquidityRegime, Regime

AHEAD_MS = 1_200_000  # twenty minutes of an hour


def test_a_crisis_of_a_clock_that_was_ahead_ends() -> None:
    """The book is sound again for a minute; ten seconds are asked for."""
    made = LiquidityRegime(SignalParams())
    made.book(depth(4000, 5500), START + AHEAD_MS, fast=False)
    assert made.regime is Regime.CRISIS
    made.book(depth(4900, 5000), START + AHEAD_MS + 100, fast=False)
    for at_ms in range(0, 60_000, 250):
        made.book(depth(4900 - at_ms // 250 % 2 * 10, 5000), START + at_ms, fast=False)

    assert made.regime is not Regime.CRISIS


def test_trades_after_a_clock_that_was_ahead_count() -> None:
    """All of them were refused as older than what is held."""
    made = FlowImbalance(30.0)
    assert made.trade(printed(), START + AHEAD_MS) is None
    refused = [made.trade(printed(UP, Side.SELL), START + 1_000 * n) for n in range(60)]

    assert refused[-1] is None
