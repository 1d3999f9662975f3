"""Protocol V2 windows and an operator's markets, through both official clients as they are.

The exchange is started with `protocol = "v2"`; each client finds out by itself what it trades.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from acceptance_kit import (
    CHAIN_ID,
    LONG_S,
    PATIENCE_S,
    USUAL,
    Market,
    Venue,
    command,
    eventually,
    long_window_start_s,
    until_matched,
)
from polymarket import SecureClient
from polymarket.models.clob.order_response import AcceptedOrder
from polymarket_kit import client_of, market_buy
from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import ApiCreds, OrderArgsV2, OrderPayload
from py_clob_client_v2.http_helpers import helpers

RAIN = {
    "question": "Will it rain?",
    "end": "2099-12-31T00:00:00Z",
    "min_size": "2",
    "tick": "0.0025",
    "fee_rate": "0.05",
}


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """An exchange whose windows are all of Protocol V2."""
    terms = Path(tmp_path_factory.mktemp("terms")) / "v2.toml"
    terms.write_text('[venue]\nprotocol = "v2"\n')
    start = str(long_window_start_s(phase_s=20))
    more = ("--series", "btc-15m,btc-1h", "--start", start, "--terms", str(terms))
    with command(*USUAL, *more) as running:
        yield Venue.from_line(running.first_line())
        assert running.stop(signal.SIGINT) == 0
        assert running.stderr() == ""


@pytest.fixture(scope="module")
def sdk(venue: Venue) -> Iterator[SecureClient]:
    with client_of(venue) as client:
        yield client


@pytest.fixture
def old(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """py_clob_client_v2 with the same wallet."""
    wallet = venue.wallet
    creds = ApiCreds(wallet.api_key, wallet.api_secret, wallet.passphrase)
    with httpx.Client(timeout=PATIENCE_S) as http:
        monkeypatch.setattr(helpers, "_http_client", http)
        yield ClobClient(venue.urls["clob"], CHAIN_ID, key=wallet.private_key, creds=creds)


@pytest.fixture
def window(venue: Venue) -> Market:
    """The running window by its position ids."""
    slug = f"btc-updown-15m-{venue.now_s() // LONG_S * LONG_S}"
    found = venue.get("gamma", f"/markets/slug/{slug}")
    assert found["version"] == "v2"
    return Market(slug, found["conditionId"], *found["positionIds"])


def listed(venue: Venue, **fields: object) -> dict[str, Any]:
    reply = httpx.post(venue.urls["admin"] + "/markets", json=RAIN | fields, timeout=PATIENCE_S)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def test_the_sdk_trades_a_v2_window(sdk: SecureClient, window: Market) -> None:
    """Found by slug, read, bid, cancelled, bought and sold under Exchange V3 (clob.md 3.2)."""
    found = sdk.get_market(slug=window.slug)
    assert found.version == "v2"
    assert found.outcomes.yes.position_id == window.up
    resting = sdk.place_limit_order(asset_id=window.up, price="0.01", size=10, side="BUY")
    assert isinstance(resting, AcceptedOrder), resting
    gone = sdk.cancel_market_orders(market=window.condition_id)
    assert gone.canceled == (resting.order_id,)
    bought = market_buy(sdk, window.up)
    assert bought.taking_amount == bought.taking_amount.quantize(Decimal("0.01"))

    def arrived() -> None:
        """The balance follows the chain, seconds after the match."""
        held = sdk.get_balance_allowance(asset_type="CONDITIONAL-V2", asset_id=window.up)
        assert held.balance == bought.taking_amount * 1_000_000

    eventually(arrived)
    sold = until_matched(
        lambda: sdk.place_market_order(
            asset_id=window.up, side="SELL", shares=bought.taking_amount, order_type="FAK"
        )
    )
    assert isinstance(sold, AcceptedOrder), sold


def test_the_older_client_trades_a_v2_window(old: Any, window: Market) -> None:
    """`position_id=` makes it sign for Exchange V3; the book's hash is its own (clob.md 3.2)."""
    reply = old.create_and_post_order(
        OrderArgsV2(position_id=window.up, price=0.01, size=10, side="BUY")
    )
    assert reply["status"] == "live"
    book = old.get_order_book(window.up)
    assert (book["version"], book["market"]) == ("v2", window.condition_id)
    assert book["hash"] == old.get_order_book_hash(dict(book))
    gone = old.cancel_order(OrderPayload(reply["orderID"]))
    assert gone["canceled"] == [reply["orderID"]]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("neg_risk", [False, True])
def test_both_clients_trade_an_operators_market(
    venue: Venue, sdk: SecureClient, old: Any, version: str, neg_risk: bool
) -> None:
    """Neg-risk or not, of either protocol, at a tick no window has (clob.md 3.2, 3.4)."""
    slug = f"rain-{version}-{neg_risk}".lower()
    shown = listed(venue, slug=slug, version=version, neg_risk=neg_risk)
    yes, no = shown["tokens"]
    assert sdk.get_market(slug=slug).state.neg_risk is neg_risk
    resting = sdk.place_limit_order(asset_id=yes, price="0.4975", size=2, side="BUY")
    assert isinstance(resting, AcceptedOrder), resting
    name = "position_id" if version == "v2" else "token_id"
    args = OrderArgsV2(**{name: no, "price": 0.5025, "size": 2, "side": "BUY"})
    reply = old.create_and_post_order(args)
    assert (reply["status"], reply["makingAmount"]) == ("matched", "1.005"), reply
    resolve = {"market": slug, "winner": "Yes"}
    done = httpx.post(venue.urls["admin"] + "/markets/resolve", json=resolve, timeout=PATIENCE_S)
    assert done.json()["winner"] == "Yes"
    assert sdk.get_market(slug=slug).state.closed is True


def test_the_older_client_keeps_read_only_keys(old: Any) -> None:
    """Made, listed and deleted by the client's own calls (clob.md 2.1)."""
    made = old.create_readonly_api_key()["apiKey"]
    assert made in old.get_readonly_api_keys()
    assert old.delete_readonly_api_key(made) == "OK"
    assert made not in old.get_readonly_api_keys()


def test_lists_history_and_bell(sdk: SecureClient, old: Any, window: Market) -> None:
    """Cursor pages, prices and notifications through the clients' own calls (clob.md 5)."""
    for read in (
        old.get_markets, old.get_simplified_markets, old.get_sampling_markets,
        old.get_sampling_simplified_markets,
    ):  # fmt: skip
        page = read()
        assert page["count"] == len(page["data"]) == 100
        assert page["next_cursor"] == "MTAw"
    resting = sdk.place_limit_order(asset_id=window.down, price="0.01", size=10, side="BUY")
    assert isinstance(resting, AcceptedOrder)
    sdk.cancel_order(order_id=resting.order_id)
    newest = sdk.get_notifications()[0]
    assert newest.payload.order_id == resting.order_id  # type: ignore[union-attr]
    sdk.drop_notifications(ids=[newest.id])
    assert newest.id not in {one.id for one in sdk.get_notifications()}
