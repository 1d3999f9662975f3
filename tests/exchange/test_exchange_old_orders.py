"""Orders of markets that are over can be asked for: the engine forgets, the venue does not."""

from __future__ import annotations

import pytest
from clob_kit import T0, UP_TOKEN, ClobKit
from trio.testing import MockClock

from polybot.exchange import clob_account
from polybot.exchange.engine import GRACE_MS
from polybot.exchange.model import BUY, SELL, UP


def end(kit: ClobKit) -> None:
    """The market is resolved and forgotten."""
    kit.engine.resolve_market(kit.market, UP, T0 + 60_000)
    kit.engine.advance(T0 + 60_000 + GRACE_MS)
    kit.engine.forget(kit.market)


async def test_an_order_outlives_its_market(autojump_clock: MockClock) -> None:
    """`GET /data/order/{id}` gives cancelled and matched ones, too (clob.md 5.1): a bot that was
    away reads there what became of its orders, as it does of its trades. Others' stay hidden.
    """
    kit = ClobKit()
    kit.crowd(SELL, UP_TOKEN, 5_000, 10)
    filled = (await kit.call(kit.ann, "POST", "/order", kit.ann.limit(BUY, UP_TOKEN, 50, 10)))[1]
    resting = (await kit.call(kit.ann, "POST", "/order", kit.ann.limit(BUY, UP_TOKEN, 40, 10)))[1]
    end(kit)

    _, trades = await kit.call(kit.ann, "GET", "/data/trades")
    assert [row["taker_order_id"] for row in trades["data"]] == [filled["orderID"]]
    for placed, status in ((filled, "MATCHED"), (resting, "CANCELED_MARKET_RESOLVED")):
        path = f"/data/order/{placed['orderID']}"
        answer, row = await kit.call(kit.ann, "GET", path)
        assert (answer, row["status"]) == (200, status)
        assert (await kit.call(kit.bob, "GET", path))[0] == 404


async def test_of_very_many_the_oldest_go(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A market maker places millions in a long run, and memory must not grow with them."""
    monkeypatch.setattr(clob_account, "KEPT_ORDERS", 2)
    kit = ClobKit()
    placed = []
    for shares in (10, 11, 12):
        order = kit.ann.limit(BUY, UP_TOKEN, 40, shares)
        placed.append((await kit.call(kit.ann, "POST", "/order", order))[1]["orderID"])
    end(kit)

    paths = [f"/data/order/{order_id}" for order_id in placed]
    assert [(await kit.call(kit.ann, "GET", path))[0] for path in paths] == [404, 200, 200]
