"""Split, merge, redeem and what an account is worth (onchain.md 6.1 and 6.4; effects only).

These are acts on chain: they can use what the chain has of a wallet, not the shares of a trade that
no block holds yet. The chain knows nothing of orders and takes what they count on, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from polybot.exchange.accounts import Accounts
from polybot.exchange.model import DOWN, UP, Market, Phase, Refused
from polybot.exchange.settlement import Clearing

NO_CASH = "ERC20: transfer amount exceeds balance"
NO_SHARES = "ERC1155: burn amount exceeds balance"
NO_RESULT = "result for condition not received yet"
RESOLVED = "the market is resolved"


def split(
    accounts: Accounts, clearing: Clearing, account: str, market: Market, shares: int
) -> Refused | int:
    """Turn pUSD into the same number of both tokens; possible until the resolution."""
    assert shares >= 0, "amounts are unsigned on chain"
    if market.phase is Phase.RESOLVED:
        return Refused(RESOLVED)
    if clearing.movable(account, None) < shares:
        return Refused(NO_CASH)
    accounts.wallet(account).cash -= shares
    accounts.add_shares(account, market.tokens, shares)
    accounts.back(market.condition_id, shares)
    return shares


def merge(
    accounts: Accounts, clearing: Clearing, account: str, market: Market, shares: int
) -> Refused | int:
    """Turn the same number of both tokens back into pUSD, before or after the resolution."""
    assert shares >= 0, "amounts are unsigned on chain"
    if min(clearing.movable(account, token) for token in market.tokens) < shares:
        return Refused(NO_SHARES)
    accounts.add_shares(account, market.tokens, -shares)
    accounts.wallet(account).cash += shares
    accounts.back(market.condition_id, -shares)
    return shares


def redeem(
    accounts: Accounts, clearing: Clearing, account: str, market: Market
) -> Refused | tuple[int, int]:
    """Burn the wallet's whole settled balance of both tokens for its payout.

    Returns the shares burnt, (Up, Down); `payout` says what they bring. Shares of trades still on
    their way stay and can be redeemed later.
    """
    if market.phase is not Phase.RESOLVED or market.payouts is None:
        return Refused(NO_RESULT)
    up, down = (clearing.movable(account, token) for token in market.tokens)
    paid = payout(market, (up, down))
    for token, shares in zip(market.tokens, (up, down), strict=True):
        accounts.add_shares(account, (token,), -shares)
    accounts.wallet(account).cash += paid
    accounts.back(market.condition_id, -paid)
    return up, down


def payout(market: Market, shares: tuple[int, int]) -> int:
    """pUSD for so many shares of a resolved market, each outcome floored as the CTF does it."""
    assert market.payouts is not None, "the payouts come with the resolution"
    whole = sum(market.payouts)
    return sum(n * part // whole for n, part in zip(shares, market.payouts, strict=True))


def equity(accounts: Accounts, account: str, by_token: Mapping[str, Market]) -> int:
    """Cash, pairs of open markets at one dollar, shares of resolved ones at their payout.

    Unpaired shares of an open market count nothing: the exchange has no opinion on their price.
    """
    wallet = accounts.wallet(account)
    held = {by_token[token].condition_id: by_token[token] for token in wallet.shares}
    return wallet.cash + sum(_worth(accounts, account, market) for market in held.values())


def _worth(accounts: Accounts, account: str, market: Market) -> int:
    up, down = (accounts.shares(account, market.tokens[outcome]) for outcome in (UP, DOWN))
    return min(up, down) if market.payouts is None else payout(market, (up, down))
