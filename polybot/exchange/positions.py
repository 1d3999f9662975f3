"""Split, merge, redeem and what an account is worth (onchain.md 6.1 and 6.4; effects only)."""

from __future__ import annotations

from collections.abc import Mapping

from polybot.exchange.accounts import Accounts
from polybot.exchange.model import Market, Phase, Refused

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


def redeem(accounts: Accounts, account: str, market: Market) -> Refused | int:
    """Burn the account's whole balance of both tokens and pay one dollar per winning share."""
    if market.phase is not Phase.RESOLVED or market.winner is None:
        return Refused(NO_RESULT)
    payout = accounts.shares(account, market.tokens[market.winner])
    for token in market.tokens:
        accounts.add_shares(account, (token,), -accounts.shares(account, token))
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
