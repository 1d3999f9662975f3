"""Liquidity rewards: whether they are worth quoting for, and how (clob.md 6.3, strategy.md 8.3).

A market with a pool pays, a day, our share of Q_min over all makers; an order counts when it is
large enough and nearer to the midpoint than the widest spread. So quoting for rewards means a first
bid of their least size on both outcomes, at the prices we would bid anyway or a little better:

- never above a cap, never on one side alone, never while doubt shrinks the sizes;
- only while it brings more than it costs, and twice as much to begin with: sizes that go to and fro
  lose their place in every queue. What it *brings* is the pool's rate times our share, with
  all others in the book taken for perfect makers, a midnight-to-midnight pool for a market of five
  minutes, and the part of our orders that the venue says score: an estimate from below. What it
  *costs* is what fills of that size are expected to lose: the bid above the block price (a large
  bid's average share is worth less than its first), less the edge it should keep, once for each
  side every `fill_s`;
- at most half of the reward expected per share filled lowers the edge (strategy.md 8.2): no bid
  that loses without it is made for more than half of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from polybot.domain import units
from polybot.domain.market import DOWN, UP, Outcome, RewardPool
from polybot.quoting.model import BookView, QuoteInputs, Terms
from polybot.quoting.params import QuoteParams, RewardParams
from polybot.quoting.reasons import NoReward, Reason
from polybot.quoting.reservation import block_value

DAY_S, HOUR_S = 86_400, 3_600
ENTER = 0.5  # costs at most this part of what it brings, to begin with
Levels = Iterable[tuple[int, int]]


def judge(
    inputs: QuoteInputs,
    prices: Mapping[Outcome, int],
    q: float,
    edge: float,
    params: QuoteParams,
    rewards: RewardParams,
) -> Terms | Reason:
    """Whether bids at these prices are worth the pool's least size; `edge` is what each must keep.

    Raises ValueError for a market without a pool.
    """
    pool, book = inputs.market.rewards, inputs.up
    if pool is None:
        raise ValueError("expected a market with a pool")
    if len(prices) < 2:
        return Reason(NoReward.WITHHELD)
    mid2 = None if book is None else midpoint2(book, pool)
    if book is None or mid2 is None:
        return Reason(NoReward.NO_MIDPOINT, None, (("shares", units.amount_text(pool.min_size)),))
    for outcome, price in prices.items():
        away2 = _away2(outcome, price, mid2)
        if away2 >= 2 * pool.max_spread:
            return Reason(NoReward.TOO_FAR, outcome, (("away", away2 / 2 / units.ONE),))
    share = _share(inputs, prices, book, mid2, pool)
    reward = pool.per_day / units.USD / DAY_S * share * inputs.scoring
    cost = sum(
        _loss(inputs, outcome, price, q, edge, params, pool) for outcome, price in prices.items()
    )
    if cost >= reward * rewards.fill_s * (1.0 if inputs.rewarded else ENTER):
        told = (
            ("brings_an_hour", reward * HOUR_S),
            ("costs", cost * HOUR_S / rewards.fill_s),
            ("scoring", inputs.scoring),
        )
        return Reason(NoReward.DEAR, None, told)
    filled = len(prices) * pool.min_size / units.SHARE
    credit = rewards.counts * reward * rewards.fill_s / filled
    return Terms(reward * HOUR_S, cost * HOUR_S / rewards.fill_s, credit)


def midpoint2(book: BookView, pool: RewardPool) -> int | None:
    """Twice the midpoint of the best levels that are large enough, ours included, 10⁻⁴."""
    bid = next((price for price, size in book.bids if size >= pool.min_size), None)
    ask = next((price for price, size in book.asks if size >= pool.min_size), None)
    return None if bid is None or ask is None else bid + ask


def _away2(outcome: Outcome, price: int, mid2: int) -> int:
    """Twice a bid's distance from the midpoint, seen from Up: a bid for Down is an ask there."""
    return abs(2 * (price if outcome is UP else units.ONE - price) - mid2)


def score(away2: int, size: int, pool: RewardPool) -> float:
    """((v − s) / v)² · size in shares; nothing on the edge or beyond (strategy.md 8.3)."""
    if away2 >= 2 * pool.max_spread or size < pool.min_size:
        return 0.0
    return float((1 - away2 / 2 / pool.max_spread) ** 2 * size / units.SHARE)


def _share(
    inputs: QuoteInputs,
    prices: Mapping[Outcome, int],
    book: BookView,
    mid2: int,
    pool: RewardPool,
) -> float:
    """Our part of all scores. The others' is at most half of all they show on both sides: no
    maker's Q_min is above the mean of its two.
    """
    ours = min(score(_away2(o, price, mid2), pool.min_size, pool) for o, price in prices.items())
    theirs = 0.0
    for levels, outcome in ((book.bids, UP), (book.asks, DOWN)):
        for price, size in levels:
            seen = price if outcome is UP else units.ONE - price
            left = size - inputs.own.get((outcome, seen), 0)
            theirs += score(abs(2 * price - mid2), left, pool) / 2
    return ours / (ours + theirs) if ours else 0.0


def _loss(
    inputs: QuoteInputs,
    outcome: Outcome,
    price: int,
    q: float,
    edge: float,
    params: QuoteParams,
    pool: RewardPool,
) -> float:
    """Dollars that one fill of the least size at this price is expected to lose; 0 for a gain."""
    up = outcome is UP
    chance, net = (q, inputs.net_shares) if up else (1 - q, -inputs.net_shares)
    shares = pool.min_size / units.SHARE
    worth = block_value(chance, params.gamma_per_share, net, shares) - edge
    return max(0.0, price / units.ONE - worth) * shares
