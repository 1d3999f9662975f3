"""For how long the venue is told to look at the balances of what we have moved."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import trio
from desk_kit import MARKET
from test_shell_turns import BOTH, KEY, Wallet

from polybot.domain.orders import Failure
from polybot.domain.units import SHARE
from polybot.journal.entries import Resolved


async def test_balances_of_closed_books_are_not_asked_for() -> None:
    """A venue that does not look at the tokens of settled markets was told to for ever: two more
    with each redemption, a round ended with each, and what a merge had moved waited behind them.
    """
    wallet, asked = Wallet(Resolved(KEY, SHARE, "chain")), list[str | None]()
    inventory: Any = wallet.inventory
    wallet.disk.answers.set()
    wallet.shown.set()

    async def refresh(token: str | None) -> Failure | None:
        await trio.lowlevel.checkpoint()
        asked.append(token)
        return Failure("HTTP 400 market is closed") if token in BOTH else None

    inventory.ctx.client = SimpleNamespace(refresh=refresh)
    inventory.under_way.stale = dict.fromkeys((*BOTH, None))
    await inventory.round()
    assert KEY not in inventory.watched
    assert [*inventory.under_way.stale] == [None]

    asked.clear()
    inventory.under_way.stale |= {"later": None}
    await inventory.round()
    assert asked == [None, "later"]
    assert MARKET.condition_id not in wallet.account.ledger.books
