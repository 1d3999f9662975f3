"""Maker rebates: each market's makers share a part of its taker fees, day by day (clob.md 6.2).

A day's pool of a market is the rebate share of the fees collected there. A maker's part goes by
fee-equivalent: what the fee formula says of his fills, C·r·(p(1−p))^e. The rate is the market's and
cancels out, so that the weights are whole numbers and the parts exact, rounded down to the
micro-dollar. What rounding leaves stays with the venue.

A maker who has accrued less than a dollar is not paid but keeps what he has: "minimum $1 accrued".
The money comes out of the collected fees. Taker rebates (since 2026-05-28) are left out.
"""

from __future__ import annotations

from collections import defaultdict

import attrs

from polybot.exchange.engine import Engine
from polybot.exchange.model import Event, Trade, Traded, TradeUpdated
from polybot.exchange.money import ONE
from polybot.exchange.payday import DAYS_KEPT, LEAST, Payday, day_of


@attrs.define
class _Pool:
    """One market's day: fees in 10⁻⁶ pUSD, fee-equivalents by wallet in units of their own."""

    percent: int
    fees: int = 0
    weights: defaultdict[str, int] = attrs.field(factory=lambda: defaultdict(int))


class Rebates:
    """Listens to the engine from its making on; let time move it."""

    def __init__(self, engine: Engine, percent: int, start_ms: int) -> None:
        engine.listen(self.on_event, Traded, TradeUpdated)
        self._engine = engine
        self._percent = percent
        self._payday = Payday(start_ms)
        self._pools: dict[int, dict[str, _Pool]] = {}  # day → condition id
        self._owed: defaultdict[str, int] = defaultdict(int)  # of days past, below the minimum
        self.paid: defaultdict[str, int] = defaultdict(int)  # by wallet, ever

    # --- collecting ------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        if isinstance(event, Traded):
            self._count(event.trade, 1)
        elif isinstance(event, TradeUpdated) and event.trade.status == "FAILED":
            self._count(event.trade, -1)

    def _count(self, trade: Trade, sign: int) -> None:
        """A failed trade takes back what it brought, unless its day has been paid: then the venue
        has paid for nothing, as it would.
        """
        day, market = day_of(trade.matched_ms), trade.market
        if not trade.fee or day < self._payday.day:
            return
        share = self._percent if market.rebate_percent is None else market.rebate_percent
        pool = self._pools.setdefault(day, {}).setdefault(market.condition_id, _Pool(share))
        pool.fees += sign * trade.fee
        for fill in trade.makers:
            curve = (fill.price * (ONE - fill.price)) ** market.fee_exponent
            pool.weights[fill.order.account] += sign * fill.shares * curve

    # --- telling ---------------------------------------------------------------------

    def of_day(self, day: int, wallet: str) -> dict[str, int]:
        """What a wallet has earned on a day by condition id, 10⁻⁶ pUSD; paid or not."""
        pools = self._pools.get(day, {})
        parts = {condition: self._part(pool, wallet) for condition, pool in pools.items()}
        return {condition: amount for condition, amount in parts.items() if amount}

    def _part(self, pool: _Pool, wallet: str) -> int:
        weight, total = pool.weights.get(wallet, 0), sum(pool.weights.values())
        return pool.fees * pool.percent * weight // (100 * total) if weight else 0

    def accrued(self, wallet: str) -> int:
        """What is earned and not yet paid."""
        unpaid = [day for day in self._pools if day >= self._payday.day]
        return self._owed[wallet] + sum(sum(self.of_day(day, wallet).values()) for day in unpaid)

    # --- paying ----------------------------------------------------------------------

    def next_due_ms(self) -> int:
        return self._payday.due_ms

    def advance(self, now_ms: int) -> None:
        for day in self._payday.reached(now_ms):
            self._pay(day, now_ms)
            for old in [known for known in self._pools if known <= day - DAYS_KEPT]:
                del self._pools[old]

    def _pay(self, day: int, now_ms: int) -> None:
        makers = {wallet for pool in self._pools.get(day, {}).values() for wallet in pool.weights}
        for wallet in makers:
            self._owed[wallet] += sum(self.of_day(day, wallet).values())
        for wallet in sorted(wallet for wallet, owed in self._owed.items() if owed >= LEAST):
            amount = self._owed.pop(wallet)
            self.paid[wallet] += amount
            self._engine.pay_rebate(wallet, amount, now_ms)
