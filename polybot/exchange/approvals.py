"""Who may move whose tokens: ERC-20 allowances and ERC-1155 operators (onchain.md 4).

One table for both kinds: an operator of a wallet's shares is a spender without a limit. Addresses
are in checksum form, amounts in base units (10⁻⁶); `UNLIMITED` is never used up, as on chain.
"""

from __future__ import annotations

from collections.abc import Callable

from polybot.exchange import contracts
from polybot.exchange.model import BUY, Market, Order

UNLIMITED = 2**256 - 1
KEPT_CHANGES = 20  # of one approval: more within seconds is no client's doing

SPENDERS = (
    contracts.EXCHANGE,
    contracts.NEG_RISK_EXCHANGE,
    contracts.CTF_ADAPTER,
    contracts.NEG_RISK_CTF_ADAPTER,
    contracts.ROUTER,
    contracts.EXCHANGE_V3,
    contracts.PERPS_DEPOSIT,
)
OPERATORS = {
    contracts.CTF: (
        contracts.EXCHANGE,
        contracts.NEG_RISK_EXCHANGE,
        contracts.CTF_ADAPTER,
        contracts.NEG_RISK_CTF_ADAPTER,
        contracts.AUTO_REDEEMER,
        contracts.BINARY_MODULE,
        contracts.NEG_RISK_MODULE,
    ),
    contracts.POSITION_MANAGER: (
        contracts.ROUTER,
        contracts.EXCHANGE_V3,
        contracts.AUTO_REDEEMER,
    ),
}

Pair = tuple[str, str]  # (token contract, spender or operator)
_ROUTES: dict[tuple[bool, bool, bool], Pair] = {}  # by (version 2, neg-risk, buys): eight at most

# The 17 that the official SDK sets up, in its order.
STANDARD: tuple[Pair, ...] = (
    *((contracts.COLLATERAL, spender) for spender in SPENDERS),
    *((token, operator) for token, operators in OPERATORS.items() for operator in operators),
)


def exchange_of(market: Market) -> str:
    """The exchange contract that settles this market's trades (clob.md 3.2)."""
    if market.version == "v2":
        return contracts.EXCHANGE_V3
    return contracts.NEG_RISK_EXCHANGE if market.neg_risk else contracts.EXCHANGE


def shares_contract(market: Market) -> str:
    """The ERC-1155 contract that holds this market's shares."""
    return contracts.POSITION_MANAGER if market.version == "v2" else contracts.CTF


def route_of(order: Order) -> Pair:
    """Which token an order gives, and which exchange must be allowed to take it."""
    market = order.market
    key = market.version == "v2", market.neg_risk, order.side == BUY
    route = _ROUTES.get(key)
    if route is None:
        token = contracts.COLLATERAL if order.side == BUY else shares_contract(market)
        route = _ROUTES[key] = token, exchange_of(market)
    return route


class Approvals:
    """The approvals of every wallet. A wallet that never approved anything has none."""

    def __init__(self) -> None:
        self.now_ms: Callable[[], int] = int  # the engine's clock, once it has one
        self._allowed: dict[str, dict[Pair, int]] = {}
        # By owner, token and spender: when the owner changed it, and what it was before.
        self._before: dict[tuple[str, str, str], tuple[tuple[int, int], ...]] = {}
        self._revoked: set[tuple[str, str, str]] = set()

    def allowance(self, owner: str, token: str, spender: str) -> int:
        """How much `spender` may take; 0 or `UNLIMITED` for an ERC-1155."""
        return self._allowed.get(owner, {}).get((token, spender), 0)

    def approve(self, owner: str, token: str, spender: str, amount: int) -> None:
        """Set an allowance, whatever it was; for an operator `UNLIMITED` or 0."""
        now_ms, key = self.now_ms(), (owner, token, spender)
        if now_ms:  # what a wallet begins with has always been so
            changes = (*self._before.get(key, ()), (now_ms, self.allowance(*key)))
            self._before[key] = changes[-KEPT_CHANGES:]
        self._allowed.setdefault(owner, {})[token, spender] = amount
        (self._revoked.discard if amount else self._revoked.add)(key)

    def indexed(self, owner: str, token: str, spender: str, seen_ms: int) -> int:
        """The allowance as an index shows it that has seen the chain up to `seen_ms`."""
        for changed_ms, before in self._before.get((owner, token, spender), ()):
            if changed_ms > seen_ms:
                return before
        return self.allowance(owner, token, spender)

    def approve_all(self, owner: str) -> None:
        """Give the standard 17, unlimited."""
        for token, spender in STANDARD:
            self.approve(owner, token, spender, UNLIMITED)

    def introduce(self, owner: str) -> None:
        """Give the standard 17 to an account that has never approved or revoked anything."""
        if owner not in self._allowed:
            self.approve_all(owner)

    def spend(self, owner: str, token: str, spender: str, amount: int) -> None:
        """Use up a limited allowance. A negative amount gives back what a failed trade had used; of
        what has been revoked since there is nothing to have back.
        """
        allowed = self._allowed.get(owner, {})
        left = allowed.get((token, spender), 0)
        revoked = amount < 0 and (owner, token, spender) in self._revoked
        if left != UNLIMITED and not revoked:
            allowed[token, spender] = left - amount

    def allowances(self, wallet: str, asset: str) -> dict[str, int]:
        """By exchange, for `/balance-allowance` (clob.md 5.1).

        `asset` is its `asset_type`: COLLATERAL, CONDITIONAL or CONDITIONAL-V2.
        """
        exchanges = (contracts.EXCHANGE, contracts.NEG_RISK_EXCHANGE, contracts.EXCHANGE_V3)
        token = {
            "COLLATERAL": contracts.COLLATERAL,
            "CONDITIONAL": contracts.CTF,
            "CONDITIONAL-V2": contracts.POSITION_MANAGER,
        }[asset]
        return {spender: self.allowance(wallet, token, spender) for spender in exchanges}

    def copy_of(self, owners: set[str]) -> Approvals:
        """A table of its own for these wallets: what a trial of a transaction works on."""
        copy = Approvals()
        copy._allowed = {o: dict(self._allowed[o]) for o in owners if o in self._allowed}
        return copy
