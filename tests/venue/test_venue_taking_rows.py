"""Orders that take, as REST shows them: signed in dollars, at a price that is one by the other."""

from __future__ import annotations

import pytest
from venue_kit import CONDITION, CREDENTIALS, UP, answering, make_client

from polybot.domain.market import Side
from polybot.domain.orders import Failure, OrderRow, OrderSeen

ID = "0x" + "a" * 64


def told(order_type: str, side: str, price: str) -> dict[str, object]:
    """Five shares at 0.585 are 2.92 dollars and 4.9914 shares (clob.md 3.4)."""
    return {
        "id": ID,
        "status": "MATCHED",
        "owner": CREDENTIALS.api_key,
        "maker_address": CREDENTIALS.address,
        "market": CONDITION,
        "asset_id": UP,
        "side": side,
        "original_size": "4.9914",
        "size_matched": "4.9914",
        "price": price,
        "order_type": order_type,
        "associate_trades": None,
    }


@pytest.mark.parametrize("order_type", ["FAK", "FOK"])
@pytest.mark.parametrize(("side", "price"), [(Side.BUY, 5851), (Side.SELL, 5850)])
async def test_the_price_of_a_take_may_be_finer_than_any_tick(
    order_type: str, side: Side, price: int
) -> None:
    """Its row could never be read: a take whose answer was lost stayed in doubt for ever, over each
    restart, and a stop that outwaits such orders did not end.
    """
    wire = told(order_type, side.value, "0.58500621068237368273")
    row = await make_client(answering(wire)).order(ID)

    assert isinstance(row, OrderRow)
    assert (row.price, row.matched, row.kind) == (price, 4_991_400, OrderSeen.Kind.MATCHED)


@pytest.mark.parametrize(
    ("order_type", "price"),
    [("GTC", "0.58500621"), ("FAK", "0.5850x"), ("FAK", "1.5"), ("FAK", "")],
)
async def test_any_other_is_not_read(order_type: str, price: str) -> None:
    """What rests is held against what we have signed: of that nothing is rounded."""
    assert isinstance(
        await make_client(answering(told(order_type, "BUY", price))).order(ID), Failure
    )
