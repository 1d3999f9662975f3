"""What signals are told, and the typed refusals of what cannot be.

Prices 10⁻⁴ and sizes 10⁻⁶ as everywhere; probabilities and dollars per share are floats here,
because signals are observations: they never become money.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence

import attrs
from msgspec import Struct

from polybot.domain.market import UP, Outcome, Side
from polybot.domain.units import ONE

Level = tuple[int, int]  # price, size

# No observation is so late: one that lies further back tells of a clock that was ahead.
SET_BACK_MS = 300_000


class Refusal(enum.Enum):
    """Why an observation was not taken."""

    NOT_A_SIZE = "size not positive"
    NOT_A_PRICE = "price not between 0 and 1"
    NOT_FINITE = "a figure is not finite"
    TIME_BACKWARDS = "older than what is held"


@attrs.frozen
class Print:
    """One trade of the tape: the taker's side on the taker's token."""

    outcome: Outcome
    side: Side
    price: int
    size: int

    @property
    def toward_up(self) -> int:
        """+1 when the taker wanted Up, -1 when Down: buying Down is selling Up (strategy.md 11)."""
        bought = self.side is Side.BUY
        return 1 if bought is (self.outcome is UP) else -1

    @property
    def refusal(self) -> Refusal | None:
        if self.size <= 0:
            return Refusal.NOT_A_SIZE
        return None if 0 < self.price < ONE else Refusal.NOT_A_PRICE


class Depth(Struct, frozen=True, gc=False):
    """One outcome's book as others made it, best first; empty sides are possible."""

    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()

    @property
    def bid(self) -> int | None:
        return self.bids[0][0] if self.bids else None

    @property
    def ask(self) -> int | None:
        return self.asks[0][0] if self.asks else None


def of_others(
    outcome: Outcome,
    bids: Sequence[Level],
    asks: Sequence[Level],
    own: Mapping[tuple[Outcome, int], int],
) -> Depth:
    """A book without our own bids; one for the other outcome at p shows as an ask at 1 - p."""
    ours = {price: size for (side, price), size in own.items() if side is outcome}
    shown = {ONE - price: size for (side, price), size in own.items() if side is not outcome}
    return Depth(_without(bids, ours), _without(asks, shown))


def _without(levels: Sequence[Level], ours: Mapping[int, int]) -> tuple[Level, ...]:
    if not ours:
        return tuple(levels)
    left = [(price, size - ours.get(price, 0)) for price, size in levels]
    return tuple([level for level in left if level[1] > 0])


class Priced(Struct, frozen=True, gc=False):
    """The model's price of Up: `q`, its volatility `v` per √s, and what it was made of: the spot,
    and its volatility per √s.
    """

    q: float
    v: float
    spot: float
    sigma: float

    @property
    def refusal(self) -> Refusal | None:
        q, v, spot, sigma = self.q, self.v, self.spot, self.sigma
        if 0 < q < 1 and 0 < spot < math.inf and 0 < sigma < math.inf and 0 <= v < math.inf:
            return None
        finite = all(map(math.isfinite, (q, v, spot, sigma)))
        return Refusal.NOT_A_PRICE if finite else Refusal.NOT_FINITE


@attrs.frozen
class Filled:
    """One fill of a resting order of ours. `half_spread` is what it was meant to earn against the
    fair price, in dollars per share, and `rebate` what the venue pays for it, as far as anybody can
    tell.
    """

    key: tuple[str, str]  # trade, order
    outcome: Outcome
    price: int
    size: int
    level: int
    half_spread: float = 0.0
    rebate: float = 0.0
