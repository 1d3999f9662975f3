"""Where a window's profit came from, in integers that add up to it; what prices did after fills.

The yardstick is the mid of the others' book at the moment of the match, ten seconds later and at
the window's end. Valued at each in turn, a fill's result is a telescope: what it was worth above
its cost (spread), what that lost within ten seconds (adverse selection), what it gained from there
to the end of the window (inventory), and what the result made of it (settlement). Nothing is left
over, so nothing has to be called "other".

A merged pair is two fills whose payouts are a dollar together, whoever paid it and when.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

import attrs

from polybot.domain.market import Outcome
from polybot.domain.units import ONE, SHARE

AFTER_MS = 10_000
HORIZONS_MS = (1_000, 5_000, 10_000, 30_000)
# Seconds to the end of the window, as the calibration has them.
BUCKETS_S = (300, 240, 180, 120, 60, 30, 10, 0)


@attrs.frozen
class Fill:
    """One leg of ours in one trade. `shares` below zero were sold; `cash` is what it brought or,
    below zero, cost, without the fee; money 10⁻⁶, the price of its own token 10⁻⁴.
    """

    at_ms: int
    outcome: Outcome
    price: int
    shares: int
    cash: int
    fee: int
    rebate: int
    maker: bool
    order_id: str = ""


@attrs.define
class MidTrack:
    """Twice the mid of Up (10⁻⁴) of everybody but us, by time; an empty side counts as the edge."""

    times: list[int] = attrs.field(factory=list)
    twice: list[int] = attrs.field(factory=list)

    def note(self, at_ms: int, bid: int | None, ask: int | None) -> None:
        """A book with nobody in it says nothing: the last mid stands."""
        if bid is None and ask is None:
            return
        value = (bid or 0) + (ONE if ask is None else ask)
        if not self.twice or self.twice[-1] != value:
            self.times.append(at_ms)
            self.twice.append(value)

    def at(self, at_ms: int, outcome: Outcome) -> int:
        """Twice the mid of an outcome, as last noted by then; even where nothing has been yet."""
        place = bisect.bisect_right(self.times, at_ms) - 1
        up = self.twice[max(0, place)] if self.twice else ONE
        return up if outcome is Outcome.UP else 2 * ONE - up

    def worth(self, fill: Fill, at_ms: int) -> int:
        """What a fill's shares are worth then, 10⁻⁶ dollars, rounded down."""
        return fill.shares * self.at(at_ms, fill.outcome) // (2 * ONE)


@attrs.frozen
class Sources:
    """The parts of a profit, 10⁻⁶ dollars."""

    spread: int = 0
    adverse: int = 0
    inventory: int = 0
    settlement: int = 0
    fees: int = 0  # paid, so below zero
    rebates: int = 0

    @property
    def total(self) -> int:
        return sum(attrs.astuple(self))

    def plus(self, other: Sources) -> Sources:
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Sources(*(mine + theirs for mine, theirs in pairs))


def sources(fills: Sequence[Fill], mids: MidTrack, end_ms: int, up_payout: int) -> Sources:
    """Split the result of a window's fills; `up_payout` is what one Up share pays, 10⁻⁶."""
    spread = adverse = inventory = settlement = 0
    for fill in fills:
        after_ms = min(fill.at_ms + AFTER_MS, max(end_ms, fill.at_ms))
        matched, after = mids.worth(fill, fill.at_ms), mids.worth(fill, after_ms)
        ended = mids.worth(fill, max(end_ms, fill.at_ms))
        payout = up_payout if fill.outcome is Outcome.UP else SHARE - up_payout
        spread += matched + fill.cash
        adverse += after - matched
        inventory += ended - after
        settlement += fill.shares * payout // SHARE - ended
    return Sources(
        spread, adverse, inventory, settlement,
        -sum(fill.fee for fill in fills), sum(fill.rebate for fill in fills),
    )  # fmt: skip


# --- markouts ------------------------------------------------------------------------------------


@attrs.frozen
class Markout:
    """What fills of a part of the window were worth afterwards, against their price: 10⁻⁶ dollars
    for `shares` (10⁻⁶), by horizon in the order of `HORIZONS_MS`.
    """

    fills: int = 0
    shares: int = 0
    after: tuple[int, ...] = (0,) * len(HORIZONS_MS)

    def plus(self, other: Markout) -> Markout:
        return Markout(
            self.fills + other.fills,
            self.shares + other.shares,
            tuple(mine + theirs for mine, theirs in zip(self.after, other.after, strict=True)),
        )


def bucket(left_ms: int) -> int:
    """The place in `BUCKETS_S` of the part of the window that so much is left of: a window longer
    than the first bound has its beginning there, too.
    """
    left_s = max(0, left_ms) / 1000
    return next(
        (place - 1 for place in range(1, len(BUCKETS_S)) if left_s > BUCKETS_S[place]),
        len(BUCKETS_S) - 2,
    )


def markouts(fills: Iterable[Fill], mids: MidTrack, end_ms: int) -> tuple[Markout, ...]:
    """One for each part of the window, the earliest first; a horizon ends with the window."""
    found = [Markout()] * (len(BUCKETS_S) - 1)
    for fill in fills:
        after = tuple(
            mids.worth(fill, min(fill.at_ms + horizon_ms, max(end_ms, fill.at_ms))) + fill.cash
            for horizon_ms in HORIZONS_MS
        )
        place = bucket(end_ms - fill.at_ms)
        found[place] = found[place].plus(Markout(1, abs(fill.shares), after))
    return tuple(found)
