"""How near to the market a resting order must be to earn rewards, and how much (clob.md 6.3).

All in whole numbers and in Up's terms. The midpoint is doubled, and scores are multiplied by 3 and
by the square of the spread: only their ratios count. There is no in-game multiplier here (b = 1).
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from polybot.exchange.book import Levels
from polybot.exchange.model import BUY, Order, Status
from polybot.exchange.money import ONE

EDGE2 = 2 * ONE // 10  # the doubled midpoint 0.10: beyond it and 0.90 both sides are needed
SINGLE = 3  # c: one-sided quoting counts a third


@attrs.frozen
class RewardRule:
    """Least size (10⁻⁶ shares), widest distance (10⁻⁴), least age (milliseconds)."""

    min_size: int
    max_spread: int
    min_age_ms: int


def midpoint2(bids: Levels, asks: Levels, min_size: int) -> int | None:
    """The doubled size-cutoff-adjusted midpoint: levels below the least size do not count.

    None without such a level on both sides. The page does not say whether orders or levels are cut;
    levels are what everybody can see.
    """
    bid = next((price for price, size in reversed(bids) if size >= min_size), None)
    ask = next((price for price, size in reversed(asks) if size >= min_size), None)
    return None if bid is None or ask is None else bid + ask


def scores(order: Order, mid2: int | None, rule: RewardRule, now_ms: int) -> bool:
    """Whether the order counts now."""
    return (
        mid2 is not None
        and order.status is Status.LIVE
        and order.remaining >= rule.min_size
        and now_ms - order.created_ms >= rule.min_age_ms
        and abs(2 * order.up_price - mid2) <= 2 * rule.max_spread
    )


def q_min(
    orders: Iterable[Order], mid2: int | None, rule: RewardRule, now_ms: int
) -> dict[str, int]:
    """Q_min of every wallet that has one: ((v − s)/v)² · size, summed by side, then the smaller.

    A bid on Up and an ask on Down are one side, the other two the other: Q_one and Q_two.
    """
    sides: dict[str, list[int]] = {}
    for order in orders:
        if scores(order, mid2, rule, now_ms) and mid2 is not None:
            room = 2 * rule.max_spread - abs(2 * order.up_price - mid2)
            q = sides.setdefault(order.account, [0, 0])
            q[order.up_side != BUY] += room * room * order.remaining
    found = {}
    for account, (one, two) in sides.items():
        least = SINGLE * min(one, two)
        both_needed = mid2 is None or not EDGE2 <= mid2 <= 2 * ONE - EDGE2
        found[account] = least if both_needed else max(least, one, two)
    return {account: q for account, q in found.items() if q}
