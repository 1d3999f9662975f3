"""Who owns what: cash, shares, what live orders have claimed of them, and the venue's own pots.

Conservation, to the micro-unit: all cash + collateral behind outstanding pairs + fees = deposits.
Fees are what the venue still has of them: rebates come out of them and are counted on their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import attrs

from polybot.exchange import contracts
from polybot.exchange.approvals import UNLIMITED, Approvals, Pair, exchange_of, route_of
from polybot.exchange.model import BUY, Order, Trade
from polybot.exchange.money import ONE

K = TypeVar("K")


def resting_claim(order: Order) -> int:
    """What a resting order keeps reserved: pUSD for a BUY (rounded up), shares for a SELL."""
    left = order.size - order.matched
    return -(-order.price * left // ONE) if order.side == BUY else left


def leg_cash(taker: Order, maker: Order, shares: int) -> tuple[int, int]:
    """pUSD that change hands in one leg: (maker's, taker's), both positive.

    The maker's amount is floored to 10⁻⁶, as on chain (clob.md 3.2). With the same token on both
    sides the taker's is the same number, so the buyer keeps the dust. In a mint or a merge the two
    must make up exactly one dollar a pair, so the taker pays, or receives, the dust.
    """
    cash = maker.price * shares // ONE
    return cash, cash if maker.token == taker.token else shares - cash


@attrs.define(eq=False)
class Wallet:
    """One account's holdings and what its orders have claimed of them."""

    cash: int = 0
    claimed_cash: int = 0
    shares: dict[str, int] = attrs.field(factory=dict)
    claimed_shares: dict[str, int] = attrs.field(factory=dict)
    # The same claims by the token and the exchange that must be allowed to take it.
    claimed_by: dict[Pair, int] = attrs.field(factory=dict)

    def uncovered(self, order: Order) -> bool:
        """Whether more of what this order would give is claimed than there is."""
        if order.side == BUY:
            return self.cash < self.claimed_cash
        return self.shares.get(order.token, 0) < self.claimed_shares.get(order.token, 0)

    def overdrawn(self) -> bool:
        return self.cash < 0 or any(amount < 0 for amount in self.shares.values())

    def overclaimed(self) -> bool:
        return self.cash < self.claimed_cash or any(
            self.shares.get(token, 0) < amount for token, amount in self.claimed_shares.items()
        )


def _add(amounts: dict[K, int], key: K, change: int) -> None:
    """Add to an entry; a zero is not kept, so that old markets leave nothing behind."""
    amount = amounts.get(key, 0) + change
    if amount:
        amounts[key] = amount
    else:
        amounts.pop(key, None)


class Accounts:
    """Every wallet, and the three venue totals: deposits, fees and collateral per market."""

    def __init__(self) -> None:
        self.wallets: dict[str, Wallet] = {}
        self.deposited = 0
        self.fees = 0
        self.rebated = 0
        self.collateral: dict[str, int] = {}  # by condition id: pUSD behind outstanding shares
        self.claims: dict[str, int] = {}  # by order id: what that order has reserved
        self.approvals = Approvals()

    def wallet(self, account: str) -> Wallet:
        """The account's wallet, made empty at first sight."""
        wallet = self.wallets.get(account)
        if wallet is None:
            wallet = self.wallets[account] = Wallet()
        return wallet

    def _look(self, account: str) -> Wallet:
        """The account's wallet for a read, which must not make one: having one is a fact."""
        return self.wallets.get(account) or Wallet()

    def deposit(self, account: str, amount: int, *, approved: bool = True) -> None:
        """Bring pUSD into the exchange: the only place where money appears.

        The operator's own accounts start with the standard approvals; a wallet that is to find its
        approvals missing, like one on chain, is funded with `approved=False`.
        """
        assert amount >= 0, "taking pUSD out is a withdrawal"
        self.wallet(account).cash += amount
        self.deposited += amount
        if approved:
            self.approvals.introduce(account)

    def withdraw(self, account: str, amount: int) -> None:
        """Take pUSD out of the exchange; the caller has checked that it is there."""
        self.wallet(account).cash -= amount
        self.deposited -= amount

    def transfer(self, sender: str, recipient: str, amount: int) -> None:
        """Move pUSD between wallets; the caller has checked that it is there."""
        self.wallet(sender).cash -= amount
        self.wallet(recipient).cash += amount

    def rebate(self, account: str, amount: int) -> None:
        """Give a part of the collected fees to a maker."""
        assert 0 <= amount <= self.fees, "a rebate comes out of the fees"
        self.wallet(account).cash += amount
        self.fees -= amount
        self.rebated += amount

    def cash(self, account: str) -> int:
        return self._look(account).cash

    def shares(self, account: str, token: str) -> int:
        return self._look(account).shares.get(token, 0)

    def available(self, account: str, token: str | None = None) -> int:
        """Free pUSD, or free shares of `token`: balance less the open remainder of own orders."""
        wallet = self._look(account)
        if token is None:
            return wallet.cash - wallet.claimed_cash
        return wallet.shares.get(token, 0) - wallet.claimed_shares.get(token, 0)

    def booked(self, order: Order) -> int:
        """What the wallet has, in whatever block, of what the order would give."""
        if order.side == BUY:
            return self.cash(order.account)
        return self.shares(order.account, order.token)

    def active(self, order: Order) -> int:
        """What the wallet's other orders have claimed of it."""
        wallet = self._look(order.account)
        if order.side == BUY:
            return wallet.claimed_cash
        return wallet.claimed_shares.get(order.token, 0)

    def allowance(self, order: Order) -> tuple[str, int, int] | None:
        """Whose allowance the order needs, its size, and what others have claimed of it; None for
        one without a limit. It is used up as the balance is (clob.md 3.8).
        """
        route = route_of(order)
        allowed = self.approvals.allowance(order.account, *route)
        if allowed == UNLIMITED:
            return None
        return route[1], allowed, self._look(order.account).claimed_by.get(route, 0)

    def available_to(self, order: Order) -> int:
        """Free units of what the order would give, as far as its exchange may take them."""
        free = self.booked(order) - self.active(order)
        allowance = self.allowance(order)
        if allowance is None:
            return free
        _, allowed, used = allowance
        return min(free, allowed - used)

    def uncovered(self, order: Order) -> bool:
        """Whether more of what this order would give is claimed than there is, or is allowed."""
        wallet, route = self._look(order.account), route_of(order)
        return wallet.uncovered(order) or self._exceeds(order.account, route)

    def overclaimed(self, account: str) -> bool:
        """Whether any order of the account is uncovered."""
        wallet = self._look(account)
        return wallet.overclaimed() or any(
            self._exceeds(account, route) for route in wallet.claimed_by
        )

    def _exceeds(self, account: str, route: Pair) -> bool:
        claimed = self._look(account).claimed_by.get(route, 0)
        return claimed > self.approvals.allowance(account, *route)

    def claim(self, order: Order, amount: int) -> None:
        """Set what the order has reserved, whatever it had before."""
        if amount:
            change = amount - self.claims.get(order.id, 0)
            self.claims[order.id] = amount
        else:
            change = -self.claims.pop(order.id, 0)
        if not change:
            return
        wallet = self.wallet(order.account)
        if order.side == BUY:
            wallet.claimed_cash += change
        else:
            _add(wallet.claimed_shares, order.token, change)
        _add(wallet.claimed_by, route_of(order), change)

    def settle(self, trade: Trade, sign: int = 1) -> None:
        """Move a trade's shares, cash and fee; with sign -1 move exactly the same back."""
        taker, taker_cash, minted = trade.taker, 0, 0
        for fill in trade.makers:
            theirs, ours = leg_cash(taker, fill.order, fill.shares)
            self._swap(fill.order, sign * fill.shares, sign * theirs)
            taker_cash += ours
            if fill.order.token != taker.token:
                minted += fill.shares if taker.side == BUY else -fill.shares
        self._swap(taker, sign * trade.shares, sign * taker_cash)
        self.wallet(taker.account).cash -= sign * trade.fee
        if taker.side == BUY:  # a SELL pays its fee out of what it receives
            self._use(taker, sign * trade.fee)
        self.fees += sign * trade.fee
        self.back(trade.market.condition_id, sign * minted)

    def _swap(self, order: Order, shares: int, cash: int) -> None:
        wallet = self.wallet(order.account)
        direction = 1 if order.side == BUY else -1
        wallet.cash -= direction * cash
        _add(wallet.shares, order.token, direction * shares)
        if order.side == BUY:
            self._use(order, cash)

    def _use(self, order: Order, cash: int) -> None:
        exchange = exchange_of(order.market)
        self.approvals.spend(order.account, contracts.COLLATERAL, exchange, cash)

    def back(self, condition_id: str, amount: int) -> None:
        """Change the collateral behind a market's shares."""
        _add(self.collateral, condition_id, amount)

    def add_shares(self, account: str, tokens: Iterable[str], amount: int) -> None:
        """Mint (or with a negative amount burn) shares; the caller moves the money for it."""
        wallet = self.wallet(account)
        for token in tokens:
            _add(wallet.shares, token, amount)
