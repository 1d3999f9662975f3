"""Prices and sizes on the venue's grid: combined cap, levels, inventory room (strategy.md 6.2).

From here on money is integer. Floats are rounded down once, after every cap, and nothing is moved
afterwards but downwards.
"""

from __future__ import annotations

import functools
from math import floor

from polybot.domain import units
from polybot.domain.market import Outcome
from polybot.domain.units import ONE
from polybot.quoting.model import Quote
from polybot.quoting.params import Rungs
from polybot.quoting.reasons import Reason, Why


def grid_floor(probability: float, tick: int) -> int:
    """The highest price on the grid not above `probability`; 0 or less when there is none."""
    # Half a billionth forgives binary noise (0.53 is 5299.999…): a ten-thousandth of a price unit.
    return floor(probability * ONE / tick + 5e-10) * tick


# The first bid of one outcome: price 10⁻⁴ on the grid, and the cap it was held to.
Top = tuple[int, float]


def combine(up: Top, down: Top, net_shares: float, target: int, tick: int) -> tuple[int, int]:
    """Lower one of two first bids until together they cost at most `target` (strategy.md 6.2, 3).

    The side that would add to the inventory gives way; when flat, the one with less slack to its
    cap, then the higher price, then Up. One side is chosen once and bears it all.
    """
    (up_price, _), (down_price, _) = up, down
    excess = up_price + down_price - target
    if excess <= 0:
        return up_price, down_price
    lowered = -(-excess // tick) * tick
    if _up_gives_way(up, down, net_shares):
        return up_price - lowered, down_price
    return up_price, down_price - lowered


def _up_gives_way(up: Top, down: Top, net_shares: float) -> bool:
    if net_shares != 0:
        return net_shares > 0
    (up_price, up_cap), (down_price, down_cap) = up, down
    # In whole price units: a slack that differs by rounding noise is a tie.
    slack_up = round(up_cap * units.ONE) - up_price
    slack_down = round(down_cap * units.ONE) - down_price
    if slack_up != slack_down:
        return slack_up < slack_down
    return up_price >= down_price


# What limits the sizes of both sides, 10⁻⁶ shares: the market's minimum, the least that the first
# bid and the most that any may be, both 0 where they are not set.
Sizing = tuple[int, int, int]


@functools.lru_cache(maxsize=1024)
def side(
    outcome: Outcome,
    top: int,
    deepest: int,
    tick: int,
    room: int,
    part: float,
    by: Sizing,
    rungs: Rungs,
) -> tuple[tuple[Quote, ...], tuple[Reason, ...]]:
    """One side's bids from `top` down and why they are fewer or smaller than asked for: those below
    the first are not above `deepest`, all of them together not more than `room`.

    Remembered: between two ticks of the price the same ladder is asked for again and again.
    """
    prices = level_prices(top, deepest, tick, rungs)
    quotes, reasons = sized(outcome, prices, room, part, by, rungs)
    if len(prices) < len(rungs.sizes):
        missing = (("from_level", str(len(prices))),)
        reasons.append(Reason(Why.CAP_BELOW_TICK, outcome, missing))
    return tuple(quotes), tuple(reasons)


def level_prices(top: int, deepest: int, tick: int, rungs: Rungs) -> list[int]:
    """Bids from `top` down, strictly falling; those below the first are not above `deepest`.

    They are filled by jumps, so they keep twice the edge (strategy.md 6.2, 5).
    """
    if top < tick:
        return []
    prices, last, step = [top], top, rungs.step_ticks * tick
    for _ in range(len(rungs.sizes) - 1):
        last = min(top - step, deepest, last - tick)
        if last < tick:
            break
        prices.append(last)
        step += step
    return prices


def sized(
    outcome: Outcome, prices: list[int], room: int, part: float, by: Sizing, rungs: Rungs
) -> tuple[list[Quote], list[Reason]]:
    """Give each price `part` of its usual size out of `room`, the shares that may still be bought;
    what falls below the minimum is left out, never rounded up (strategy.md 9). Sizes are rounded
    down to whole lots.
    """
    quotes: list[Quote] = []
    min_size, first, most = by
    for level, price in enumerate(prices):
        wanted = int(rungs.sizes[level] * part + 0.5)
        if first and not level:
            wanted = max(first, wanted)
        if most:
            wanted = min(most, wanted)
        size = units.floor_to(min(room, wanted), units.LOT)
        if size < min_size:
            return quotes, [_short(outcome, level, wanted, room, min_size)]
        quotes.append(Quote(outcome, price, size, level))
        if size < units.floor_to(wanted, units.LOT):
            return quotes, [_short(outcome, level, wanted, size, min_size)]
        room -= size
    return quotes, []


def _short(outcome: Outcome, level: int, wanted: int, left: int, min_size: int) -> Reason:
    why = Why.BELOW_MINIMUM if wanted < min_size <= left else Why.INVENTORY
    figures = (
        ("level", str(level)),
        ("wanted", units.amount_text(wanted)),
        ("left", units.amount_text(max(left, 0))),
    )
    return Reason(why, outcome, figures)
