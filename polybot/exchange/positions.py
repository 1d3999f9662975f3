"""Split, merge, redeem and what an account is worth (onchain.md 6; effects only)."""

from __future__ import annotations

from collections.abc import Mapping

from polybot.exchange.accounts import Accounts
from polybot.exchange.model import UP, Market, Phase, Refused

NO_CASH = "ERC20: transfer amount exceeds balance"
NO_SHARES = "ERC1155: burn amount exceeds balance"
NO_RESULT = "result for condition not received yet"
RESOLVED = "the market is resolved"


def split(accounts: Accounts, account: str, market: Market, shares: int) -> Refused | int:
    """Turn pUSD into the same number of both tokens; possible until the resolution.

    The chain does not know of orders: it takes cash that they count on, too.
    """
    assert shares >= 0, "amounts are unsigned on chain"
    if market.phase is Phase.RESOLVED:
        return Refused(RESOLVED)
    if accounts.cash(account) < shares:
        return Refused(NO_CASH)
    accounts.wallet(account).cash -= shares
    accounts.add_shares(account, market.tokens, shares)
    accounts.back(market.condition_id, shares)
    return shares


def merge(accounts: Accounts, account: str, market: Market, shares: int) -> Refused | int:
    """Turn the same number of both tokens back into pUSD, before or after the resolution."""
    assert shares >= 0, "amounts are unsigned on chain"
    if min(accounts.shares(account, token) for token in market.tokens) < shares:
        return Refused(NO_SHARES)
    accounts.add_shares(account, market.tokens, -shares)
    accounts.wallet(account).cash += shares
    accounts.back(market.condition_id, -shares)
    return shares


def payouts(market: Market) -> tuple[int, int] | None:
    """The payout vector (Up, Down) of a resolved condition; None before (onchain.md 6.1).

    The one place that knows it: a share pays its numerator over the sum of both.
    """
    if market.phase is not Phase.RESOLVED or market.winner is None:
        return None
    return (1, 0) if market.winner == UP else (0, 1)


def redeem(
    accounts: Accounts, account: str, market: Market, burn: tuple[int, int] | None = None
) -> Refused | int:
    """Burn shares of a resolved market and pay them out; the payout is returned.

    `burn` is how many of each outcome (Protocol V2's redeem names them, 6.2); None burns the
    account's whole balance of both, losers included, as the CTF does (6.1).
    """
    vector = payouts(market)
    if vector is None:
        return Refused(NO_RESULT)
    held = [accounts.shares(account, token) for token in market.tokens]
    amounts = tuple(held) if burn is None else burn
    if any(amount > owned for amount, owned in zip(amounts, held, strict=True)):
        return Refused(NO_SHARES)
    payout = sum(a * n for a, n in zip(amounts, vector, strict=True)) // sum(vector)
    for token, amount in zip(market.tokens, amounts, strict=True):
        accounts.add_shares(account, (token,), -amount)
    accounts.wallet(account).cash += payout
    accounts.back(market.condition_id, -payout)
    return payout


def equity(accounts: Accounts, account: str, by_token: Mapping[str, Market]) -> int:
    """Cash, pairs of open markets at one dollar, shares of resolved ones at their payout.

    Unpaired shares of an open market count nothing: the exchange has no opinion on their price.
    """
    wallet = accounts.wallet(account)
    held = {by_token[token].condition_id: by_token[token] for token in wallet.shares}
    return wallet.cash + sum(_worth(accounts, account, market) for market in held.values())


def _worth(accounts: Accounts, account: str, market: Market) -> int:
    if market.winner is not None:
        return accounts.shares(account, market.tokens[market.winner])
    return min(accounts.shares(account, token) for token in market.tokens)
