"""What a transaction reads and changes: the engine's books themselves, or a copy for a trial.

A batch of calls is one transaction: all of it happens or none. So it runs first on a copy, and only
what ran through there is done for real; the same copy answers `eth_call` and `eth_estimateGas`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import attrs

from polybot.exchange import positions
from polybot.exchange.accounts import Accounts, Wallet
from polybot.exchange.approvals import Approvals
from polybot.exchange.engine import Engine
from polybot.exchange.model import Market, Refused
from polybot.exchange.session_signers import SessionSigners
from polybot.exchange.wallets import wallets_of


@attrs.define
class State:
    """The books as one transaction sees them; amounts are base units, POL in wei."""

    engine: Engine
    accounts: Accounts
    usdc_e: dict[str, int]  # by holder
    gas: dict[str, int]  # POL by holder
    sessions: SessionSigners
    deployed: set[str]  # wallets that have code
    now_ms: int
    touched: set[str] = attrs.field(factory=set)  # whose orders may have lost their funds

    @property
    def approvals(self) -> Approvals:
        return self.accounts.approvals

    @property
    def by_token(self) -> Mapping[str, Market]:
        return self.engine.by_token

    @property
    def markets(self) -> Mapping[str, Market]:
        return self.engine.markets

    def cash(self, account: str) -> int:
        """pUSD that a transaction can move: settled, and not already promised to a trade."""
        return max(0, self.accounts.cash(account) - self._incoming(account, None))

    def shares(self, account: str, token: str) -> int:
        """Shares that a transaction can move, like `cash`."""
        return max(0, self.accounts.shares(account, token) - self._incoming(account, token))

    def _incoming(self, account: str, token: str | None) -> int:
        return self.engine.desk.clearing.incoming(account, token)

    def split(self, account: str, market: Market, amount: int) -> Refused | int:
        return self.engine.split(account, market, amount, self.now_ms)

    def merge(self, account: str, market: Market, amount: int) -> Refused | int:
        return self.engine.merge(account, market, amount, self.now_ms)

    def redeem(self, account: str, market: Market, burn: tuple[int, int]) -> Refused | int:
        return self.engine.redeem(account, market, self.now_ms, burn)

    def trial(self, sender: str) -> State:
        """A copy on which a transaction of `sender` can be tried."""
        return _Trial(
            self.engine,
            _Copy(self.accounts, sender),
            dict(self.usdc_e),
            dict(self.gas),
            copy.deepcopy(self.sessions),
            set(self.deployed),
            self.now_ms,
        )


class _Copy(Accounts):
    """Accounts whose wallets are copied from others' when they are first looked at."""

    def __init__(self, original: Accounts, sender: str) -> None:
        super().__init__()
        self._original = original
        self.deposited, self.collateral = original.deposited, dict(original.collateral)
        self.approvals = original.approvals.copy_of({sender, wallets_of(sender).proxy})

    def wallet(self, account: str) -> Wallet:
        known = self._original.wallets.get(account)
        if account not in self.wallets and known is not None:
            self.wallets[account] = attrs.evolve(known, shares=dict(known.shares))
        return super().wallet(account)

    def _look(self, account: str) -> Wallet:
        return self.wallet(account)


class _Trial(State):
    """The effects alone, on the copy: no order is cancelled for them."""

    def split(self, account: str, market: Market, amount: int) -> Refused | int:
        return positions.split(self.accounts, self._movable, account, market, amount)

    def merge(self, account: str, market: Market, amount: int) -> Refused | int:
        return positions.merge(self.accounts, self._movable, account, market, amount)

    def redeem(self, account: str, market: Market, burn: tuple[int, int]) -> Refused | int:
        burnt = positions.redeem(self.accounts, self._movable, account, market, burn)
        return burnt if isinstance(burnt, Refused) else positions.payout(market, burnt)

    def _movable(self, account: str, token: str | None) -> int:
        return self.cash(account) if token is None else self.shares(account, token)
