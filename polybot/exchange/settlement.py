"""How a matched trade settles: its statuses, when they come, and the undoing of one that fails."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import attrs

from polybot.exchange.accounts import Accounts, leg_cash
from polybot.exchange.agenda import Agenda
from polybot.exchange.model import BUY, Event, Order, Trade, TradeUpdated

FINAL = ("CONFIRMED", "FAILED")
IN_A_BLOCK = ("MINED", "RETRYING")  # a transaction that did it, or one that reverted
Step = tuple[str, int]  # (status, milliseconds after the step before)
Span = tuple[int, int]  # milliseconds, drawn evenly from first to last
MILLION = 1_000_000


@attrs.define
class ClearingPolicy:
    """Times of the chain (feeds.md 4.5: block median 2.2 s, p90 about 3 s), odds of trouble. What
    is drawn of them is moved to the nearest block.

    Mutable: a fault plan turns these knobs while the exchange runs, and they count for the trades
    matched from then on. The odds are in parts per million of trades. Nothing is drawn for odds of
    zero, so a quiet policy leaves the world's other draws as they are.
    """

    broadcast_ms: int = 650  # from the match to the mempool, at the median
    median_ms: int = 2_200  # from the match to the block
    sigma: float = 0.24  # of the logarithm: puts p90 at 3 s
    shortest_ms: int = 650
    longest_ms: int = 5_000
    confirm_ms: Span = (2_000, 6_000)  # from the block to the confirmation
    retry_ppm: int = 0  # first attempt lost, a later one succeeds (F32)
    retry_ms: Span = (2_000, 10_000)  # how long such a trade is RETRYING
    fail_ppm: int = 0  # the match is undone (F31)
    fail_ms: Span = (6_000, 12_000)  # from the match; RETRYING comes first if there is time
    reorg_ppm: int = 0  # undone although it was CONFIRMED (F38)
    reorg_ms: Span = (5_000, 60_000)  # from the confirmation

    def block_ms(self, rng: random.Random) -> int:
        """From the match, or from a retry, to the block."""
        drawn = int(rng.lognormvariate(math.log(self.median_ms), self.sigma))
        return min(max(drawn, self.shortest_ms), self.longest_ms)


def schedule(policy: ClearingPolicy, rng: random.Random) -> tuple[Step, ...]:
    """The steps after MATCHED, drawn once at the match.

    MINED → CONFIRMED; before it RETRYING, or after it FAILED; or RETRYING → FAILED.
    """
    if _happens(policy.fail_ppm, rng):
        return _failure(policy, rng)
    steps: tuple[Step, ...] = (("MINED", policy.block_ms(rng)),)
    if _happens(policy.retry_ppm, rng):
        steps = (("RETRYING", steps[0][1]), ("MINED", rng.randint(*policy.retry_ms)))
    steps += (("CONFIRMED", rng.randint(*policy.confirm_ms)),)
    if _happens(policy.reorg_ppm, rng):
        steps += (("FAILED", rng.randint(*policy.reorg_ms)),)
    return steps


def _happens(ppm: int, rng: random.Random) -> bool:
    return bool(ppm) and rng.randrange(MILLION) < ppm


def _failure(policy: ClearingPolicy, rng: random.Random) -> tuple[Step, ...]:
    first, last = policy.block_ms(rng), rng.randint(*policy.fail_ms)
    if first < last:
        return ("RETRYING", first), ("FAILED", last - first)
    return (("FAILED", last),)


class Clearing:
    """Takes matched trades through their statuses.

    Balances move at MATCHED and move back exactly at FAILED. The chain settles in order, so a trade
    that was built upon cannot fail: when a wallet no longer holds what it would have to give back,
    the retry succeeds instead, and a confirmed trade stays. A reversal is told by `on_failed`,
    because it can leave orders of the parties without funds, and nobody must hear of the one before
    the other is put right.

    `unmined` is the sum of all trades that no block holds yet: what the venue's books have moved
    and the chain has not. `on_the_way` is what they bring alone, by account and token or None.
    """

    def __init__(
        self,
        accounts: Accounts,
        agenda: Agenda,
        rng: random.Random,
        policy: ClearingPolicy,
        tell: Callable[[Event], None],
        on_failed: Callable[[Trade, int], None],
    ) -> None:
        self.policy = policy
        # How one trade goes; a fault plan may say otherwise than the policy.
        self.policy_of: Callable[[Trade, ClearingPolicy], ClearingPolicy] = _as_usual
        # (about when, after when) → the time of the block that holds it; blocks are the chain's.
        self.to_block: Callable[[int, int], int] = lambda due_ms, _after_ms: due_ms
        self.unmined = Accounts()
        self.on_the_way: Counter[tuple[str, str | None]] = Counter()
        self._accounts, self._agenda, self._rng = accounts, agenda, rng
        self._tell, self._on_failed = tell, on_failed

    def begin(self, trade: Trade) -> None:
        """Move the balances of a fresh trade and put its first step on the agenda."""
        self._accounts.settle(trade)
        self._count_unmined(trade, 1)
        trade.broadcast_ms = trade.matched_ms + self.policy.broadcast_ms
        self._next(trade, schedule(self.policy_of(trade, self.policy), self._rng))

    def settled(self, account: str, token: str | None) -> int:
        """pUSD, or shares of `token`, that the chain shows for a wallet.

        Trades of one wallet may be mined in another order than they were matched; the chain has no
        debts, so where a later spending is in a block and the income it came from is not, it is 0.
        """
        books, ahead = self._accounts, self.unmined
        if token is None:
            return max(0, books.cash(account) - ahead.cash(account))
        return max(0, books.shares(account, token) - ahead.shares(account, token))

    def movable(self, account: str, token: str | None) -> int:
        """What a wallet can move on chain: settled, and not given away by a trade on its way.

        The real chain would let it go and the trade fail; here a match is kept.
        """
        books = self._accounts
        booked = books.cash(account) if token is None else books.shares(account, token)
        return max(0, booked - self.incoming(account, token))

    def incoming(self, account: str, token: str | None) -> int:
        """pUSD, or shares of `token`, that trades which no block holds bring a wallet, whatever
        others of them take: nobody can count on that yet.
        """
        return self.on_the_way[account, token]

    def _count_unmined(self, trade: Trade, sign: int) -> None:
        self.unmined.settle(trade, sign)
        for account, token, amount in income(trade):
            self.on_the_way[account, token] += sign * amount
            if not self.on_the_way[account, token]:
                del self.on_the_way[account, token]

    def _next(self, trade: Trade, steps: tuple[Step, ...]) -> None:
        if not steps:
            return
        status, after_ms = steps[0]
        due_ms = trade.updated_ms + after_ms
        if status in IN_A_BLOCK:
            due_ms = self.to_block(due_ms, max(trade.updated_ms, trade.broadcast_ms))
        self._agenda.add(due_ms, partial(self._step, trade, steps))

    def fail(self, trade: Trade, now_ms: int) -> None:
        """Have a trade fail now, wherever it is on its way; one that was built upon goes on."""
        if trade.status != "FAILED" and self._reverse(trade):
            self._undo(trade, now_ms)

    def _step(self, trade: Trade, steps: tuple[Step, ...], now_ms: int) -> None:
        if trade.status == "FAILED":  # before its time, see `fail`
            return
        (status, _), *rest = steps
        if status == "FAILED":
            if self._reverse(trade):
                self._undo(trade, now_ms)
                return
            if trade.status == "CONFIRMED":
                return
            status, rest = "MINED", [("CONFIRMED", self._rng.randint(*self.policy.confirm_ms))]
        if trade.block_ms is None and status == "MINED":
            self._count_unmined(trade, -1)
        if status in IN_A_BLOCK:
            trade.tx_hash = f"0x{self._rng.getrandbits(256):064x}"
        if status == "MINED":
            trade.block_ms = now_ms
        trade.status, trade.updated_ms = status, now_ms
        self._next(trade, tuple(rest))
        self._tell(TradeUpdated(trade, now_ms))

    def _undo(self, trade: Trade, now_ms: int) -> None:
        """The rest of a reversal that the books have taken."""
        if trade.block_ms is None:
            self._count_unmined(trade, -1)
        trade.status, trade.updated_ms = "FAILED", now_ms
        self._on_failed(trade, now_ms)

    def _reverse(self, trade: Trade) -> bool:
        self._accounts.settle(trade, -1)
        if any(self._short(account, trade) for account in parties(trade)):
            self._accounts.settle(trade)
            return False
        return True

    def _short(self, account: str, trade: Trade) -> bool:
        """Whether a wallet no longer holds what it has just given back: of a trade that is in a
        block the chain must have it, where what is only matched does not count.
        """
        if self._accounts.wallet(account).overdrawn():
            return True
        if trade.block_ms is None:
            return False
        books, ahead = self._accounts, self.unmined
        held = [books.shares(account, t) - ahead.shares(account, t) for t in trade.market.tokens]
        return min(books.cash(account) - ahead.cash(account), *held) < 0


def _as_usual(_trade: Trade, policy: ClearingPolicy) -> ClearingPolicy:
    return policy


def income(trade: Trade) -> Iterator[tuple[str, str | None, int]]:
    """What a trade brings to whom: (account, token or None for pUSD, amount)."""
    taker, proceeds = trade.taker, -trade.fee
    for fill in trade.makers:
        theirs, ours = leg_cash(taker, fill.order, fill.shares)
        proceeds += ours
        yield _receipt(fill.order, fill.shares, theirs)
    yield _receipt(taker, trade.shares, proceeds)


def _receipt(order: Order, shares: int, cash: int) -> tuple[str, str | None, int]:
    if order.side == BUY:
        return order.account, order.token, shares
    return order.account, None, cash


def parties(trade: Trade) -> list[str]:
    """The accounts of a trade, each once, in a fixed order."""
    orders = (trade.taker, *(fill.order for fill in trade.makers))
    return list(dict.fromkeys(order.account for order in orders))
