"""Word of trades that were matched before the journal begins: a run whose journal is lost had
orders that nobody here has placed, and what they traded is in the balance that this one began with.
"""

from __future__ import annotations

import pytest
from desk_kit import MARKET
from test_shell_turns import AFTER, PAIRS, Wallet

from polybot.domain.market import Side
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus

BEGAN_S = AFTER // 1000
HELD = {MARKET.condition_id: True, "0xelsewhere": False}


@pytest.mark.parametrize("key", [*HELD])
@pytest.mark.parametrize(
    ("matched_s", "ours", "counts"),
    [
        (BEGAN_S - 1, False, False),
        (BEGAN_S, False, True),
        (0, False, True),
        (BEGAN_S - 1, True, True),
    ],
    ids=["of before", "of the first second", "of no time", "of before, and ours"],
)
async def test_a_trade_that_settles_when_its_journal_is_lost(
    matched_s: int, key: str, *, ours: bool, counts: bool
) -> None:
    """It was not listed yet when the start asked what was on its way, and the stream tells of its
    end: it was booked a second time, or halted trading as somebody else's (brief seed 4430). One of
    our own order counts whatever its time, and of no time nobody can say that it is of before.
    """
    wallet = Wallet()
    wallet.disk.answers.set()
    account, leg = wallet.account, FillLeg("0x1", MARKET.up_token, Side.BUY, 5_000, PAIRS, True)
    account.begun_s = BEGAN_S
    if ours:
        account.own("0x1", key)
    told = TradeSeen("t", key, TradeStatus.CONFIRMED, (leg,), AFTER + 3_000, matched_s=matched_s)

    await account.learn_of([told])

    assert (wallet.books.holdings().up > 0) == (HELD[key] and counts)
    assert bool(account.unplaced) == (counts and not ours)
