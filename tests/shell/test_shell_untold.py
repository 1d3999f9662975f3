"""What is matched, and told by no trade yet, when nobody quotes its window any more."""

from __future__ import annotations

from typing import Any

import pytest
from desk_kit import MARKET
from shell_kit import Scene, clean, playing
from venue_bent import answer

from polybot.account import Account
from polybot.adrift import UNTOLD, Adrift
from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import NewOrder, SignedOrder, TimeInForce
from polybot.domain.units import SHARE, notional
from polybot.execution.lifecycle import State
from polybot.execution.tracked import Tracked
from polybot.patient_clock import PatientClock
from polybot.venue.tap import NOBODY

NO_TRADES = b'{"data": [], "next_cursor": "LTE=", "limit": 500, "count": 0}'
LASTS_MS = 15_000


def lagging(it: Scene) -> list[Tracked]:
    scopes = it.bot.supervisor.scopes.values()
    return [one for scope in scopes for one in scope.orders.desk.table.lagging()]


@pytest.mark.parametrize("comes", [True, False], ids=["it comes", "it never comes"])
async def test_what_an_untold_fill_has_spent_is_not_spent_again(
    comes: bool, fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last window's desk has withdrawn all, and the dollars of a fill that no trade had told
    were free for every other window until the trade came: promised twice.
    """
    monkeypatch.setattr("polybot.adrift.KEEP_DEAD_MS", LASTS_MS)
    async with playing() as it:
        it.venue.crowd.hushed = True
        account, user = it.bot.ctx.account, it.venue.lines["user_ws"]
        bend = it.venue.bend("GET", "/data/trades", act=answer(200, NO_TRADES))
        user.passes = lambda data: b'"trade"' not in data
        await it.filled()
        await it.until(lambda: lagging(it), "an order says more than trades do")
        spent = sum(notional(one.order.price, one.untold) for one in lagging(it))
        cash = account.ledger.cash
        await it.idle()

        assert account.ledger.cash == cash, "nothing is booked"
        assert account.reserved[UNTOLD] == spent > 0
        assert account.standing("another").free_cash == cash - account.ledger.promised - spent
        if comes:
            it.venue.bends.remove(bend)
            await it.until(lambda: account.ledger.cash < cash, "it is booked", 60)
        await it.until(lambda: not account.reserved[UNTOLD], "it is let go", 60)
        assert (account.ledger.cash == cash - spent) is comes
        report = await it.end()

    if comes:
        clean(report)


async def test_what_an_untold_sale_has_sold_is_not_sold_again() -> None:
    """Nor merged: its shares are bound, and its risk counts as that of the bid for the twin."""
    nothing: Any = None
    clock = Clock(0.0)
    account = Account(nothing, clock, nothing, nothing, CoreTape(NOBODY, clock))
    order = NewOrder(MARKET, Outcome.UP, Side.SELL, 5200, 10 * SHARE, TimeInForce.GTC)
    sale = Tracked(SignedOrder("0x1", order, b""), 0, 0, State.CANCELLED, matched=4 * SHARE)
    adrift = Adrift(nothing, clock, account)
    adrift.await_told([sale])

    assert account.pledged(MARKET.up_token) == 4 * SHARE
    assert account.reserved[UNTOLD] == notional(4800, 4 * SHARE)
