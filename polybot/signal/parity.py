"""Parity: whether a pair can be bought below, or sold above, one dollar (strategy.md 12).

On executable prices of both books with both fees, never on mids, and only when both belong to one
epoch. The venue mirrors the two books, so a real gap is rare and mostly a stale snapshot: as a
signal it says first of all that what we see is not one moment.
"""

from __future__ import annotations

import enum
import math

import attrs

from polybot.domain.market import DOWN, UP, FeeSchedule, Market, Outcome, taker_fee
from polybot.domain.units import ONE, SHARE, notional
from polybot.signal.inputs import Depth, Level


class Way(enum.Enum):
    BUY = "buy both"
    SELL = "sell both"


@attrs.frozen
class Gap:
    """`shares` (10⁻⁶) of pairs that bring `gain` (10⁻⁶ dollars) after fees, before what a failed
    second leg may cost. `first` is the outcome to take first: the thinner one.
    """

    way: Way
    shares: int
    gain: int
    first: Outcome

    @property
    def per_pair(self) -> float:
        """Dollars per pair."""
        return self.gain / self.shares


def pair_gain(fees: FeeSchedule, way: Way, up: int, down: int, shares: int) -> int:
    """What so many pairs bring at these two prices, fees of both legs paid (10⁻⁶ dollars).

    0.48 and 0.49 cost 1.0050 with their fees: a loss (strategy.md 12).
    """
    spent = notional(up, shares) + notional(down, shares)
    fee = taker_fee(fees, up, shares) + taker_fee(fees, down, shares)
    return shares - spent - fee if way is Way.BUY else spent - shares - fee


def find_gap(market: Market, up: Depth, down: Depth, buffer: int) -> Gap | None:
    """The gap between two books of one epoch that is worth more than `buffer` (10⁻⁶ dollars a
    pair), or None. Level by level, as long as the next pair still is.
    """
    return _walk(market.fees, Way.BUY, up.asks, down.asks, buffer) or _walk(
        market.fees, Way.SELL, up.bids, down.bids, buffer
    )


def _walk(
    fees: FeeSchedule,
    way: Way,
    ups: tuple[Level, ...],
    downs: tuple[Level, ...],
    buffer: int,
) -> Gap | None:
    shares = gain = i = j = 0
    left_up = left_down = 0
    while i < len(ups) and j < len(downs):
        left_up, left_down = left_up or ups[i][1], left_down or downs[j][1]
        if pair_gain(fees, way, ups[i][0], downs[j][0], SHARE) <= buffer:
            break
        taken = min(left_up, left_down)
        gain += pair_gain(fees, way, ups[i][0], downs[j][0], taken)
        shares += taken
        left_up, left_down = left_up - taken, left_down - taken
        i, j = i + (left_up == 0), j + (left_down == 0)
    if shares == 0:
        return None
    thin_up = _total(ups) <= _total(downs)
    return Gap(way, shares, gain, UP if thin_up else DOWN)


def _total(levels: tuple[Level, ...]) -> int:
    return sum(size for _, size in levels)


def may_gap(up: Depth, down: Depth) -> bool:
    """Whether the best prices of both books leave room for a gap before any fee: mostly not, and
    then nothing more is reckoned.
    """
    if up.ask is not None and down.ask is not None and up.ask + down.ask < ONE:
        return True
    return up.bid is not None and down.bid is not None and up.bid + down.bid > ONE


def leg_risk(chance: float, v: float, latency_s: float, spread: float, fee: float) -> float:
    """What trying costs in dollars per pair: the chance that the second leg fails, times the move
    over our latency, the spread and the fee of getting out (strategy.md 12).

    `fee` in dollars per share. Raises ValueError unless all are finite and not negative.
    """
    figures = (chance, v, latency_s, spread, fee)
    if not all(math.isfinite(figure) and figure >= 0 for figure in figures):
        raise ValueError(f"expected finite figures, none negative, were {figures}")
    return chance * (v * math.sqrt(latency_s) + spread + fee)


@attrs.frozen
class ParityView:
    """A gap and what it leaves after the risk of the second leg, in dollars per pair."""

    gap: Gap
    after_risk: float

    @property
    def worth_it(self) -> bool:
        return self.after_risk > 0


def view(
    market: Market,
    up: Depth,
    down: Depth,
    *,
    buffer: float,
    chance: float,
    v: float,
    latency_s: float,
) -> ParityView | None:
    """Look for a gap and charge it with its leg risk. Nothing on negative-risk events, whose pairs
    do not merge alone (strategy.md 12).
    """
    if market.neg_risk:
        return None
    gap = find_gap(market, up, down, round(buffer * SHARE))
    if gap is None:
        return None
    second = up if gap.first is DOWN else down
    if second.bid is None or second.ask is None:
        return ParityView(gap, -math.inf)
    spread = max(0, second.ask - second.bid) / ONE
    fee = taker_fee(market.fees, second.bid, SHARE) / SHARE
    return ParityView(gap, gap.per_pair - leg_risk(chance, v, latency_s, spread, fee))
