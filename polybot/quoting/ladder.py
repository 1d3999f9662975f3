"""Prices and sizes on the venue's grid: combined cap, levels, inventory room (strategy.md 6.2).

From here on money is integer. Floats are rounded down once, after every cap, and nothing is moved
afterwards but downwards.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from polybot.domain import units
from polybot.domain.market import Outcome
from polybot.quoting.model import Quote
from polybot.quoting.params import QuoteParams
from polybot.quoting.reasons import Reason, Why


def grid_floor(probability: float, tick: int) -> int:
    """The highest price on the grid not above `probability`; 0 or less when there is none."""
    # Half a billionth forgives binary noise (0.53 is 5299.999…): a ten-thousandth of a price unit.
    return math.floor(probability * units.ONE / tick + 5e-10) * tick


class Top(NamedTuple):
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
    if top < tick:
        return []
    prices, last = [top], top
    if params.levels > 1:
        deepest, step = grid_floor(deep_cap, tick), params.step_ticks * tick
        for _ in range(params.levels - 1):
            last = min(top - step, deepest, last - tick)
            if last < tick:
                break
            prices.append(last)
            step += step
    return prices


class Sizing(NamedTuple):
    """What limits the sizes of one side: the 10⁻⁶ shares that may still be bought, the market's
    minimum, and the part of the usual size to quote. The first bid is at least `first` and none
    above `most`, where those are set.
    """

    room: int
    min_size: int
    part: float = 1.0
    first: int = 0
    most: int = 0


def sized(
    outcome: Outcome, prices: list[int], by: Sizing, params: QuoteParams
) -> tuple[list[Quote], list[Reason]]:
    """Give each price a size; what falls below the minimum is left out, never rounded up
    (strategy.md 9). Sizes are rounded down to whole lots.
    """
    quotes: list[Quote] = []
    room, min_size, part, first, most = by
    for level, price in enumerate(prices):
        wanted = int(params.sizes[level] * part + 0.5)
        if first > wanted and not level:
            wanted = first
        if most and wanted > most:
            wanted = most
        size = min(room, wanted)
        size -= size % units.LOT
        if size < min_size:
            return quotes, [_short(outcome, level, wanted, room, min_size)]
        quotes.append(Quote(outcome, price, size, level))
        room -= size
        if size < wanted - wanted % units.LOT:
            return quotes, [_short(outcome, level, wanted, size, min_size)]
    return quotes, []


def _short(outcome: Outcome, level: int, wanted: int, left: int, min_size: int) -> Reason:
    why = Why.BELOW_MINIMUM if wanted < min_size <= left else Why.INVENTORY
    figures = (
        ("level", str(level)),
        ("wanted", units.amount_text(wanted)),
        ("left", units.amount_text(max(left, 0))),
    )
    return Reason(why, outcome, figures)
