"""`py_clob_client_v2` with the demo key's other wallets: proxy, Safe and deposit wallet.

This client has no calls for the chain: the wallets are there, deployed, funded and approved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from acceptance_kit import CHAIN_ID, PATIENCE_S, Market, Venue, until_matched
from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import (
    AssetType,
    BalanceAllowanceParams,
    MarketOrderArgsV2,
    OrderArgsV2,
    OrderPayload,
    OrderType,
    PostOrdersV2Args,
    TradeParams,
)
from py_clob_client_v2.http_helpers import helpers

from polybot.exchange.wallets import WalletKind

LOW = 0.01  # a bid there rests: the crowd of the first minute trades far above
NONCES = iter(range(5001, 6000))
KINDS = {"proxy": WalletKind.PROXY, "safe": WalletKind.SAFE, "deposit": WalletKind.DEPOSIT}


@pytest.fixture(autouse=True)
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client keeps one HTTP client for the process; a test's own one is closed at its end."""
    with httpx.Client(timeout=PATIENCE_S) as client:
        monkeypatch.setattr(helpers, "_http_client", client)
        yield


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(venue: Venue, kind: str) -> Iterator[Any]:
    """Under an API key of its own: the wallets of one key share the others, and their cancels."""
    client: Any = ClobClient(
        venue.urls["clob"],
        CHAIN_ID,
        key=venue.wallet.private_key,
        signature_type=int(KINDS[kind]),
        funder=getattr(venue.wallet, kind),
    )
    client.set_api_creds(client.create_or_derive_api_key(next(NONCES)))
    yield client
    client.cancel_all()


def balance(client: Any, asset: AssetType, token: str | None = None) -> int:
    params = BalanceAllowanceParams(asset, token)
    client.update_balance_allowance(params)
    answer = client.get_balance_allowance(params)
    assert all(int(allowed) > 0 for allowed in answer["allowances"].values())
    return int(answer["balance"])


def test_a_wallet_trades(client: Any, kind: str, venue: Venue, market: Market) -> None:
    """Balance, limit, batch, cancels, market order, trades and heartbeat (clob.md 3.3, 5.1)."""
    cash = balance(client, AssetType.COLLATERAL)
    assert cash > 1_000_000_000
    bid = client.create_order(OrderArgsV2(market.up, LOW, 10, "BUY"))
    order_id = client.post_order(bid, OrderType.GTC)["orderID"]
    row = client.get_order(order_id)
    assert (row["status"], row["maker_address"]) == ("LIVE", getattr(venue.wallet, kind))
    assert client.cancel_order(OrderPayload(order_id))["canceled"] == [order_id]
    batch = [
        PostOrdersV2Args(client.create_order(OrderArgsV2(token, LOW, 5, "BUY")), OrderType.GTC)
        for token in (market.up, market.down)
    ]
    ids = {reply["orderID"] for reply in client.post_orders(batch)}
    assert set(client.cancel_all()["canceled"]) == ids

    wanted = MarketOrderArgsV2(market.down, 6, "BUY", order_type=OrderType.FAK)

    def take() -> Any:
        return client.post_order(client.create_market_order(wanted), OrderType.FAK)

    reply = until_matched(take)
    trades = [row for id_ in reply["tradeIDs"] for row in client.get_trades(TradeParams(id_))]
    assert {row["taker_order_id"] for row in trades} == {reply["orderID"]}
    first = client.post_heartbeat()["heartbeat_id"]
    assert client.post_heartbeat(first)["heartbeat_id"] != first


def test_builder_keys(client: Any) -> None:
    """Made, listed, revoked by the account's own headers (onchain.md 7.1)."""
    made = client.create_builder_api_key()

    assert made["key"] in {one["key"] for one in client.get_builder_api_keys()}
    client.revoke_builder_api_key()
    assert made["key"] not in {one["key"] for one in client.get_builder_api_keys()}
