"""An order event that does not tell how large its order is."""

from __future__ import annotations

import orjson
import pytest
from venue_kit import CONDITION, CREDENTIALS, UP

from polybot.domain.orders import OrderSeen
from polybot.venue.private_rows import Me
from polybot.venue.user_messages import decode_user


@pytest.mark.parametrize("size", ["", None, "0"])
@pytest.mark.parametrize(
    ("order_type", "kind"), [("GTC", OrderSeen.Kind.LIVE), ("FAK", OrderSeen.Kind.DEAD)]
)
def test_matched_of_an_untold_size_may_rest(
    size: str | None, order_type: str, kind: OrderSeen.Kind
) -> None:
    """Two shares of an unknown number passed for the whole: an order of no desk whose rest lay in
    the book was taken for ended, and neither cancelled nor looked up.
    """
    event = {
        "event_type": "order", "type": "UPDATE", "id": "0x1", "status": "MATCHED",
        "owner": CREDENTIALS.api_key, "market": CONDITION, "asset_id": UP, "side": "BUY",
        "price": "0.53", "size_matched": "2", "original_size": size, "order_type": order_type,
        "timestamp": "1795132800000",
    }  # fmt: skip
    batch = decode_user(orjson.dumps(event).decode(), Me.of(CREDENTIALS))

    (seen,) = batch.events
    assert isinstance(seen, OrderSeen)
    assert (seen.kind, seen.matched) == (kind, 2_000_000)
