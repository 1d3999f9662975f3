"""Where a window's profit came from: what the truth says of every fill.

The yardstick is the true probability of Up as the window went on (`true_odds`), not a price of the
book: a maker who is wrong together with the book learns nothing from the book. Nor is it what the
crowd believes, which takes returns for normal where the world's have bursts and jumps. From the
first note after a fill on all that it does has a mean of zero, whoever knew what: the price is that
of now, and nobody knows the next one. Ten seconds are told for those who would rather see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from polybot.exchange.model import BUY, UP

AFTER_MS = 10_000


class Filled(Protocol):
    """What of a fill counts here; see `maker_account.Fill`."""

    @property
    def outcome(self) -> int: ...
    @property
    def side(self) -> str: ...
    @property
    def shares(self) -> int: ...
    @property
    def cash(self) -> int: ...
    @property
    def fee(self) -> int: ...
    @property
    def matched_ms(self) -> int: ...


@attrs.define
class Truth:
    """The true probability of Up from `start_ms` on, noted every `step_ms`."""

    start_ms: int
    step_ms: int
    up: list[float] = attrs.field(factory=list)

    def at(self, at_ms: int, outcome: int) -> float:
        """That of one outcome, as first noted then or later: an earlier note lacks what somebody
        may have traded on. The last one when there is none; IndexError when there never was.
        """
        index = min(max(0, -((self.start_ms - at_ms) // self.step_ms)), len(self.up) - 1)
        return self.up[index] if outcome == UP else 1 - self.up[index]


@attrs.frozen
class Sources:
    """The parts of a profit without its rebate, 10⁻⁶ dollars; they add up to it exactly.

    `spread`: what fills were worth when they were matched, above what they cost; `adverse`: what
    that lost within ten seconds; `fees` paid as a taker, below zero; `held`: from there to the end.
    """

    spread: int = 0
    adverse: int = 0
    fees: int = 0
    held: int = 0


def sources(fills: Sequence[Filled], truth: Truth, profit: int) -> Sources:
    """Split a window's `profit` (rebate left out) by its fills."""
    if not fills:
        return Sources()
    spread = adverse = fees = 0
    for fill in fills:
        shares = fill.shares if fill.side == BUY else -fill.shares
        matched = truth.at(fill.matched_ms, fill.outcome)
        after = truth.at(fill.matched_ms + AFTER_MS, fill.outcome)
        spread += round(shares * matched) + fill.cash + fill.fee
        adverse += round(shares * (after - matched))
        fees -= fill.fee
    return Sources(spread, adverse, fees, profit - spread - adverse - fees)
