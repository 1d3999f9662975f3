"""Liquidity rewards: one random look a minute, shares summed over a UTC day (clob.md 6.3).

Each sample is normalised over all makers; a maker's reward is his part of the day's sum times the
market's daily pool. Below a dollar a day, over all markets, nothing is paid, and it does not carry
over. The money comes from outside: the venue's purse, not its fees. Without a pool, as on today's
up/down markets, nothing is sampled.
"""

from __future__ import annotations

import random
from collections import defaultdict

import attrs

from polybot.exchange.engine import Engine
from polybot.exchange.model import UP, Market, Order, Phase
from polybot.exchange.payday import DAYS_KEPT, LEAST, Payday, day_of
from polybot.exchange.scoring import RewardRule, midpoint2, q_min, scores

MINUTE_MS = 60_000
WHOLE = 10**12  # one sample, shared out in integers; what rounding leaves is nobody's

Shares = defaultdict[str, int]


@attrs.define
class _Epoch:
    """One market's day."""

    samples: int = 0
    shares: Shares = attrs.field(factory=lambda: defaultdict(int))


class Rewards:
    """Let time move it. `pool` is each open market's daily pool in 10⁻⁶ pUSD."""

    def __init__(
        self, engine: Engine, rule: RewardRule, pool: int, seed: str, start_ms: int
    ) -> None:
        self._engine = engine
        self.rule, self.pool = rule, pool
        self._seed = seed
        self._payday = Payday(start_ms)
        self._minute = start_ms // MINUTE_MS + 1
        self._sample_ms = self._drawn_ms()
        self._epochs: dict[int, dict[str, _Epoch]] = {}  # day → condition id
        self._latest: dict[str, dict[str, int]] = {}  # condition id → Q_min of the last sample
        self.paid: defaultdict[str, int] = defaultdict(int)  # by wallet, ever

    # --- looking ---------------------------------------------------------------------

    def scores(self, order: Order, now_ms: int) -> bool:
        """`GET /order-scoring`: by size, distance and age, whether or not a pool is there."""
        return scores(order, self._midpoint2(order.market), self.rule, now_ms)

    def _midpoint2(self, market: Market) -> int | None:
        if market.phase is not Phase.OPEN:
            return None
        bids, asks = self._engine.levels(market.tokens[UP])
        return midpoint2(bids, asks, self.rule.min_size)

    def _sample(self, now_ms: int) -> None:
        epoch_of = self._epochs.setdefault(day_of(now_ms), {})
        self._latest.clear()
        for market in self._engine.markets.values():
            if market.phase is Phase.OPEN:
                self._sample_market(market, epoch_of, now_ms)

    def _sample_market(self, market: Market, epochs: dict[str, _Epoch], now_ms: int) -> None:
        orders = self._engine.resting_orders(market)
        found = q_min(orders, self._midpoint2(market), self.rule, now_ms) if orders else {}
        if not found:
            return  # a look at nobody is no sample: the pool is shared by those who were there
        self._latest[market.condition_id] = found
        epoch, total = epochs.setdefault(market.condition_id, _Epoch()), sum(found.values())
        epoch.samples += 1
        for account, q in found.items():
            epoch.shares[account] += WHOLE * q // total

    # --- telling ---------------------------------------------------------------------

    def of_day(self, day: int, wallet: str) -> dict[str, int]:
        """What a wallet has earned on a day by condition id, 10⁻⁶ pUSD; paid or not."""
        parts = {
            condition: self.pool * epoch.shares[wallet] // (epoch.samples * WHOLE)
            for condition, epoch in self._epochs.get(day, {}).items()
            if wallet in epoch.shares
        }
        return {condition: amount for condition, amount in parts.items() if amount}

    def latest(self, condition_id: str) -> dict[str, int]:
        """Q_min of every wallet at the last sample, in units only comparable with each other."""
        return self._latest.get(condition_id, {})

    def latest_markets(self, wallet: str) -> list[str]:
        """The markets in which a wallet scored at the last sample."""
        return [condition for condition, found in self._latest.items() if wallet in found]

    # --- time ------------------------------------------------------------------------

    def _drawn_ms(self) -> int:
        """The random moment of the next minute: a function of the minute, so that whatever else
        is drawn changes nothing.
        """
        rng = random.Random(f"{self._seed} {self._minute}")
        return self._minute * MINUTE_MS + rng.randrange(MINUTE_MS)

    def next_due_ms(self) -> int | None:
        return min(self._sample_ms, self._payday.due_ms) if self.pool else None

    def advance(self, now_ms: int) -> None:
        if not self.pool:
            return
        while self._sample_ms <= now_ms:
            self._sample(self._sample_ms)
            self._minute += 1
            self._sample_ms = self._drawn_ms()
        for day in self._payday.reached(now_ms):
            self._pay(day, now_ms)
            for old in [known for known in self._epochs if known <= day - DAYS_KEPT]:
                del self._epochs[old]

    def _pay(self, day: int, now_ms: int) -> None:
        makers = {w for epoch in self._epochs.get(day, {}).values() for w in epoch.shares}
        for wallet in sorted(makers):
            amount = sum(self.of_day(day, wallet).values())
            if amount >= LEAST:
                self.paid[wallet] += amount
                self._engine.pay_reward(wallet, amount, now_ms)
