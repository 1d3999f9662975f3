"""What the chain has of an account: its holdings without the trades that no block holds yet.

The engine moves balances at the match; the chain follows with the block, 2–3 s later, and a trade
that fails never was there (onchain.md 6.4, 9.4).
"""

from __future__ import annotations

from collections.abc import Iterator

from polybot.exchange.accounts import leg_cash
from polybot.exchange.engine import Engine
from polybot.exchange.model import BUY, Order, Trade

ON_ITS_WAY = frozenset({"MATCHED", "RETRYING"})


def settled_cash(engine: Engine, account: str) -> int:
    """pUSD of the account on chain."""
    return engine.accounts.cash(account) - sum(cash for _, _, cash in _moves(engine, account))


def settled_shares(engine: Engine, account: str, token: str) -> int:
    """Shares of one token of the account on chain."""
    promised = sum(shares for which, shares, _ in _moves(engine, account) if which == token)
    return engine.accounts.shares(account, token) - promised


def _moves(engine: Engine, account: str) -> Iterator[tuple[str, int, int]]:
    """(token, shares, cash) that trades on their way have brought the account, signed."""
    for trade in engine.trades.values():
        if trade.status in ON_ITS_WAY:
            yield from _moves_of(trade, account)


def _moves_of(trade: Trade, account: str) -> Iterator[tuple[str, int, int]]:
    taker_cash = 0
    for fill in trade.makers:
        theirs, ours = leg_cash(trade.taker, fill.order, fill.shares)
        taker_cash += ours
        if fill.order.account == account:
            yield _move(fill.order, fill.shares, theirs)
    if trade.taker.account == account:
        token, shares, cash = _move(trade.taker, trade.shares, taker_cash)
        yield token, shares, cash - trade.fee


def _move(order: Order, shares: int, cash: int) -> tuple[str, int, int]:
    return (order.token, shares, -cash) if order.side == BUY else (order.token, -shares, cash)
