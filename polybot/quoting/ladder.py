"""Prices and sizes on the venue's grid: combined cap, levels, inventory room (strategy.md 6.2).

From here on money is integer. Floats are rounded down once, after every cap, and nothing is moved
afterwards but downwards.
"""

from __future__ import annotations

import math

import attrs

from polybot.domain import units
from polybot.domain.market import Outcome
from polybot.quoting.model import Quote
from polybot.quoting.params import QuoteParams
from polybot.quoting.reasons import Reason, Why
from polybot.signal.advice import NEUTRAL, Advice


def grid_floor(probability: float, tick: int) -> int:
    """The highest price on the grid not above `probability`; 0 or less when there is none."""
    # Half a billionth forgives binary noise (0.53 is 5299.999…): a ten-thousandth of a price unit.
    return math.floor(probability * units.ONE / tick + 5e-10) * tick


def target_total(params: QuoteParams) -> int:
    """The most that a pair of bids may cost, 10⁻⁴ (strategy.md 6.2, 4)."""
    dollars = min(max(1 - 2 * params.base_edge, 0.9), params.target_total_max)
    return math.floor(dollars * units.ONE + 5e-10)


@attrs.frozen
class Top:
    """The first bid of one outcome: price 10⁻⁴ on the grid, and the cap it was held to."""

    price: int
    cap: float


def combine(up: Top, down: Top, net_shares: float, target: int, tick: int) -> tuple[int, int]:
    """Lower one of two first bids until together they cost at most `target` (strategy.md 6.2, 3).

    The side that would add to the inventory gives way; when flat, the one with less slack to its
    cap, then the higher price, then Up. One side is chosen once and bears it all.
    """
    excess = up.price + down.price - target
    if excess <= 0:
        return up.price, down.price
    lowered = -(-excess // tick) * tick
    if _up_gives_way(up, down, net_shares):
        return up.price - lowered, down.price
    return up.price, down.price - lowered


def _up_gives_way(up: Top, down: Top, net_shares: float) -> bool:
    if net_shares != 0:
        return net_shares > 0
    # In whole price units: a slack that differs by rounding noise is a tie.
    slack_up = round(up.cap * units.ONE) - up.price
    slack_down = round(down.cap * units.ONE) - down.price
    if slack_up != slack_down:
        return slack_up < slack_down
    return up.price >= down.price


def level_prices(top: int, deep_cap: float, tick: int, params: QuoteParams) -> list[int]:
    """Bids from `top` down, strictly falling; the deeper ones also stay below `deep_cap`.

    Deeper bids are filled by jumps, so they keep twice the edge (strategy.md 6.2, 5).
    """
    prices: list[int] = []
    for level in range(params.levels):
        price = top
        if level:
            price = min(top - (params.step_ticks << (level - 1)) * tick, grid_floor(deep_cap, tick))
            price = min(price, prices[-1] - tick)
        if price < tick:
            break
        prices.append(price)
    return prices


def sized(
    outcome: Outcome,
    prices: list[int],
    room: int,
    min_size: int,
    params: QuoteParams,
    advice: Advice = NEUTRAL,
    scale: float = 1.0,
) -> tuple[list[Quote], list[Reason]]:
    """Give each price a size out of `room`, the 10⁻⁶ shares that may still be bought.

    `scale` is the part of the usual size to quote. Sizes are rounded down to whole lots; what
    falls below the minimum is left out, never rounded up (strategy.md 9).
    """
    quotes: list[Quote] = []
    for level, price in enumerate(prices):
        wanted = _wanted(level, params, scale * advice.shrink)
        if advice.smallest:
            wanted = min(wanted, min_size)
        size = units.floor_to(min(wanted, room), units.LOT)
        if size < min_size:
            return quotes, [_short(outcome, level, wanted, room, min_size)]
        quotes.append(Quote(outcome, price, size, level))
        room -= size
        if size < units.floor_to(wanted, units.LOT):
            return quotes, [_short(outcome, level, wanted, size, min_size)]
    return quotes, []


def _wanted(level: int, params: QuoteParams, scale: float) -> int:
    return int(params.size_shares * params.size_growth**level * scale * units.SHARE + 0.5)


def _short(outcome: Outcome, level: int, wanted: int, left: int, min_size: int) -> Reason:
    why = Why.BELOW_MINIMUM if wanted < min_size else Why.INVENTORY
    figures = (
        ("level", str(level)),
        ("wanted", units.amount_text(wanted)),
        ("left", units.amount_text(max(left, 0))),
    )
    return Reason(why, outcome, figures)
