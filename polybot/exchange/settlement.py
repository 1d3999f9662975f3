"""How a matched trade settles: its statuses, when they come, and the undoing of one that fails."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial

import attrs

from polybot.exchange.accounts import Accounts
from polybot.exchange.agenda import Agenda
from polybot.exchange.model import Event, Trade, TradeUpdated

FINAL = ("CONFIRMED", "FAILED")
Step = tuple[str, int]  # (status, milliseconds after the step before)


@attrs.frozen
class SettlementDelays:
    """Times of the chain (feeds.md 4.5: block median 2.2 s, p90 about 3 s), odds of failure."""

    median_ms: int = 2_200
    sigma: float = 0.24  # of the logarithm: puts p90 at 3 s
    shortest_ms: int = 650
    longest_ms: int = 5_000
    confirm_shortest_ms: int = 2_000
    confirm_longest_ms: int = 6_000
    fail_ppm: int = 0

    def block_ms(self, rng: random.Random) -> int:
        """From the match, or from a retry, to the block."""
        drawn = int(rng.lognormvariate(math.log(self.median_ms), self.sigma))
        return min(max(drawn, self.shortest_ms), self.longest_ms)

    def confirm_ms(self, rng: random.Random) -> int:
        return rng.randint(self.confirm_shortest_ms, self.confirm_longest_ms)


def success(delays: SettlementDelays, rng: random.Random) -> tuple[Step, ...]:
    """MATCHED → MINED → CONFIRMED."""
    return ("MINED", delays.block_ms(rng)), ("CONFIRMED", delays.confirm_ms(rng))


def failure(delays: SettlementDelays, rng: random.Random) -> tuple[Step, ...]:
    """MATCHED → RETRYING → FAILED."""
    return ("RETRYING", delays.block_ms(rng)), ("FAILED", delays.block_ms(rng))


def schedule(delays: SettlementDelays, rng: random.Random) -> tuple[Step, ...]:
    """The steps after MATCHED, drawn once at the match: success, or failure."""
    if delays.fail_ppm and rng.randrange(1_000_000) < delays.fail_ppm:
        return failure(delays, rng)
    return success(delays, rng)


class Clearing:
    """Takes matched trades through their statuses.

    Balances move at MATCHED and move back exactly at FAILED. The chain settles in order, so a trade
    that was built upon cannot fail: when a wallet no longer holds what it would have to give back,
    the retry succeeds instead. A reversal is told by `on_failed`, because it can leave orders of
    the parties without funds, and nobody must hear of the one before the other is put right.
    """

    def __init__(
        self,
        accounts: Accounts,
        agenda: Agenda,
        rng: random.Random,
        delays: SettlementDelays,
        tell: Callable[[Event], None],
        on_failed: Callable[[Trade, int], None],
    ) -> None:
        self._accounts, self._agenda = accounts, agenda
        self._rng, self._delays = rng, delays
        self._tell, self._on_failed = tell, on_failed
        # Whether a fault of the venue makes the trade fail that is matched now.
        self.doomed: Callable[[int], bool] = lambda _now_ms: False

    def begin(self, trade: Trade) -> None:
        """Move the balances of a fresh trade and put its first step on the agenda."""
        self._accounts.settle(trade)
        doomed = self.doomed(trade.matched_ms)
        plan = failure if doomed else schedule
        self._next(trade, plan(self._delays, self._rng))

    def _next(self, trade: Trade, steps: tuple[Step, ...]) -> None:
        if steps:
            self._agenda.add(trade.updated_ms + steps[0][1], partial(self._step, trade, steps))

    def _step(self, trade: Trade, steps: tuple[Step, ...], now_ms: int) -> None:
        (status, _), *rest = steps
        if status == "FAILED" and not self._reverse(trade):
            status, rest = "MINED", [("CONFIRMED", self._delays.confirm_ms(self._rng))]
        if status in {"MINED", "RETRYING"}:
            trade.tx_hash = f"0x{self._rng.getrandbits(256):064x}"
        trade.status, trade.updated_ms = status, now_ms
        self._next(trade, tuple(rest))
        if status == "FAILED":
            self._on_failed(trade, now_ms)
        else:
            self._tell(TradeUpdated(trade, now_ms))

    def _reverse(self, trade: Trade) -> bool:
        self._accounts.settle(trade, -1)
        if any(self._accounts.wallet(account).overdrawn() for account in parties(trade)):
            self._accounts.settle(trade)
            return False
        return True


def parties(trade: Trade) -> list[str]:
    """The accounts of a trade, each once, in a fixed order."""
    orders = (trade.taker, *(fill.order for fill in trade.makers))
    return list(dict.fromkeys(order.account for order in orders))
