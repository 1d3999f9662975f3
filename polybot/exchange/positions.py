"""Split, merge, redeem and what an account is worth (onchain.md 6.1 and 6.4; effects only).

These are acts on chain: they can use what the chain has of a wallet, not the shares of a trade that
no block holds yet. The chain knows nothing of orders and takes what they count on, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from polybot.exchange.accounts import Accounts
from polybot.exchange.model import DOWN, UP, Market, Phase, Refused

NO_CASH = "ERC20: transfer amount exceeds balance"
NO_SHARES = "ERC1155: burn amount exceeds balance"
NO_RESULT = "result for condition not received yet"
RESOLVED = "the market is resolved"

# (account, token or None for pUSD) → what a transaction of the account can move now
Movable = Callable[[str, str | None], int]


def split(
    accounts: Accounts, movable: Movable, account: str, market: Market, shares: int
) -> Refused | int:
    """Turn pUSD into the same number of both tokens; possible until the resolution."""
    assert shares >= 0, "amounts are unsigned on chain"
    if market.phase is Phase.RESOLVED:
        return Refused(RESOLVED)
    if movable(account, None) < shares:
        return Refused(NO_CASH)
    accounts.wallet(account).cash -= shares
    accounts.add_shares(account, market.tokens, shares)
    accounts.back(market.condition_id, shares)
    return shares


def merge(
    accounts: Accounts, movable: Movable, account: str, market: Market, shares: int
) -> Refused | int:
    """Turn the same number of both tokens back into pUSD, before or after the resolution."""
    assert shares >= 0, "amounts are unsigned on chain"
    if min(movable(account, token) for token in market.tokens) < shares:
        return Refused(NO_SHARES)
    accounts.add_shares(account, market.tokens, -shares)
    accounts.wallet(account).cash += shares
    accounts.back(market.condition_id, -shares)
    return shares


def payouts(market: Market) -> tuple[int, int] | None:
    """The payout vector (Up, Down) of a resolved condition; None before (onchain.md 6.1)."""
    return market.payouts if market.phase is Phase.RESOLVED else None


def redeem(
    accounts: Accounts,
    movable: Movable,
    account: str,
    market: Market,
    burn: tuple[int, int] | None = None,
) -> Refused | tuple[int, int]:
    """Burn settled shares for their payout; returns how many, (Up, Down).

    `burn` is how many of each outcome (Protocol V2's redeem names them, 6.2); None burns the
    wallet's whole settled balance of both, losers included, as the CTF does (6.1). Shares of trades
    still on their way stay and can be redeemed later.
    """
    if payouts(market) is None:
        return Refused(NO_RESULT)
    up, down = (movable(account, token) for token in market.tokens)
    if burn is not None and (burn[UP] > up or burn[DOWN] > down):
        return Refused(NO_SHARES)
    burnt = (up, down) if burn is None else burn
    for token, shares in zip(market.tokens, burnt, strict=True):
        accounts.add_shares(account, (token,), -shares)
    paid = payout(market, burnt)
    accounts.wallet(account).cash += paid
    accounts.back(market.condition_id, -paid)
    return burnt


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
