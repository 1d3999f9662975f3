"""The market channel's prints: when they come and to whom (feeds.md 2.3, 12.1)."""

from __future__ import annotations

import trio
from clob_kit import DOWN_TOKEN, T0, UP_TOKEN, ClobKit
from test_exchange_market_stream import watcher
from trio.testing import MockClock
from wire_kit import kinds

from polybot.exchange.model import BUY, SELL, UP
from polybot.exchange.terms import Terms


async def test_the_result_does_not_swallow_the_print_of_the_last_trade(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Each trade has one print, 70 ms after its books, and trading goes on until the result: then
    nobody watches the market any more, so what waits is told before.
    """
    kit = ClobKit()
    nursery.start_soon(kit.server.run)
    kit.crowd(SELL, UP_TOKEN, 5200, 10)
    wire = await watcher(kit, nursery, UP_TOKEN, custom_feature_enabled=True)
    kit.crowd(BUY, UP_TOKEN, 5500, 6)
    await trio.sleep(0.03)
    kit.engine.resolve_market(kit.market, UP, T0 + 30)
    await trio.sleep(1)

    told = kinds(wire.take())
    assert told.count("book") == 2
    assert told.count("last_trade_price") == 1
    assert told.index("last_trade_price") < told.index("market_resolved")


async def test_under_own_entries_only_a_print_goes_to_the_watchers_of_its_token(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A print has the taker's token only (feeds.md 2.3). Where entries, books and ticks come of the
    outcomes subscribed to and no others, a bot must not hear by a print what it would miss there.
    """
    kit = ClobKit(terms=Terms(both_outcomes=False))
    nursery.start_soon(kit.server.run)
    up = await watcher(kit, nursery, UP_TOKEN)
    down = await watcher(kit, nursery, DOWN_TOKEN)
    kit.crowd(SELL, UP_TOKEN, 5200, 10)
    kit.crowd(BUY, UP_TOKEN, 5500, 6)
    await trio.sleep(1)

    assert kinds(up.take()).count("last_trade_price") == 1
    assert "last_trade_price" not in kinds(down.take())
