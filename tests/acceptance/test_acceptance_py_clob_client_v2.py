"""The exchange as `py_clob_client_v2` sees it: the official Python client, unchanged.

It signs, sends and parses with its own code; nothing of polybot is between it and the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from acceptance_kit import CHAIN_ID, PATIENCE_S, Market, Venue, eventually, until_matched
from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import (
    ApiCreds,
    AssetType,
    BalanceAllowanceParams,
    BookParams,
    MarketOrderArgsV2,
    OpenOrderParams,
    OrderArgsV2,
    OrderMarketCancelParams,
    OrderPayload,
    OrderType,
    PostOrdersV2Args,
    TradeParams,
)
from py_clob_client_v2.exceptions import PolyApiException
from py_clob_client_v2.http_helpers import helpers

LOW = 0.01  # a bid there rests: the crowd of the first minute trades far above
NONCES = iter(range(1, 1000))


@pytest.fixture(autouse=True)
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client keeps one HTTP client for the process; a test's own one is closed at its end."""
    with httpx.Client(timeout=PATIENCE_S) as client:
        monkeypatch.setattr(helpers, "_http_client", client)
        yield


@pytest.fixture
def client(venue: Venue) -> Iterator[Any]:
    """A client with the wallet's key and credentials. What it leaves resting is cancelled."""
    wallet = venue.wallet
    creds = ApiCreds(wallet.api_key, wallet.api_secret, wallet.passphrase)
    client = ClobClient(venue.urls["clob"], CHAIN_ID, key=wallet.private_key, creds=creds)
    yield client
    client.cancel_all()


@pytest.fixture
def stranger(venue: Venue) -> Any:
    """The same wallet under an API key of its own: a dead-man switch armed here is only its own."""
    client = ClobClient(venue.urls["clob"], CHAIN_ID, key=venue.wallet.private_key)
    client.set_api_creds(client.create_or_derive_api_key(next(NONCES)))
    return client


def bid(client: Any, token: str, price: float = LOW, size: float = 10) -> Any:
    """A signed BUY; tick, exchange version and neg-risk are asked of the venue by the client."""
    return client.create_order(OrderArgsV2(token, price, size, "BUY"))


def refusal(caught: pytest.ExceptionInfo[PolyApiException]) -> tuple[int | None, Any]:
    return caught.value.status_code, caught.value.error_msg["error"]


# --- reads ----------------------------------------------------------------------------------------


def test_the_gamma_market_has_a_book(client: Any, venue: Venue, market: Market) -> None:
    """The tokens Gamma names are those the CLOB trades, with one set of parameters."""
    info = client.get_clob_market_info(market.condition_id)
    listed = venue.get("gamma", "/markets", slug=market.slug)[0]

    assert [token["t"] for token in info["t"]] == [market.up, market.down]
    assert (info["mos"], info["mts"]) == (listed["orderMinSize"], listed["orderPriceMinTickSize"])
    assert (info["fd"]["r"], info["fd"]["e"]) == (0.07, 1)
    assert client.get_tick_size(market.up) == str(info["mts"])
    assert client.get_neg_risk(market.up) is False
    assert client.get_fee_rate_bps(market.up) == 1000
    assert client.get_version() == 2


@pytest.mark.conforms("clob-5.2-book-hash", "clob-5.2-book")
def test_a_book_has_the_hash_the_client_computes(client: Any, market: Market) -> None:
    """The best is last on both sides, and the hash is over what was sent."""
    book = client.get_order_book(market.up)
    prices = {side: [float(level["price"]) for level in book[side]] for side in ("bids", "asks")}

    assert prices["bids"] == sorted(prices["bids"])
    assert prices["asks"] == sorted(prices["asks"], reverse=True)
    assert prices["bids"][-1] < prices["asks"][-1]
    assert book["hash"] == client.get_order_book_hash(dict(book))
    assert book["market"] == market.condition_id


def test_prices_agree_with_the_book(client: Any, market: Market) -> None:
    """Price, midpoint and spread are of one book; side BUY is the best bid (clob.md 5.2)."""
    best_bid = float(client.get_price(market.up, "BUY")["price"])
    best_ask = float(client.get_price(market.up, "SELL")["price"])
    both = client.get_order_books([BookParams(market.up), BookParams(market.down)])

    assert 0 < best_bid < best_ask < 1
    assert 0 < float(client.get_midpoint(market.up)["mid"]) < 1
    assert float(client.get_spread(market.up)["spread"]) > 0
    assert [book["asset_id"] for book in both] == [market.up, market.down]
    assert set(client.get_midpoints([BookParams(market.up), BookParams(market.down)])) == {
        market.up,
        market.down,
    }


def test_the_wallet_is_funded(client: Any) -> None:
    """The demo wallet has pUSD, approved without limit for whichever exchange asks."""
    answer = client.get_balance_allowance(BalanceAllowanceParams(AssetType.COLLATERAL))

    assert int(answer["balance"]) > 1_000_000_000
    assert all(int(allowed) > int(answer["balance"]) for allowed in answer["allowances"].values())
    client.update_balance_allowance(BalanceAllowanceParams(AssetType.COLLATERAL))


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_is_created_once_and_derived_after(venue: Venue) -> None:
    """Creating twice fails with the venue's text; deriving gives the first key again."""
    client = ClobClient(venue.urls["clob"], CHAIN_ID, key=venue.wallet.private_key)
    nonce = next(NONCES)
    with pytest.raises(PolyApiException) as nothing_yet:
        client.derive_api_key(nonce)

    creds = client.create_or_derive_api_key(nonce)

    assert refusal(nothing_yet) == (400, "Could not derive api key!")
    assert client.create_or_derive_api_key(nonce) == creds
    with pytest.raises(PolyApiException) as twice:
        client.create_api_key(nonce)
    assert refusal(twice) == (400, "Could not create api key")


def test_the_wallets_own_key_is_derivable(venue: Venue) -> None:
    """A client that has only the private key comes to the credentials of the JSON line."""
    wallet = venue.wallet
    client = ClobClient(venue.urls["clob"], CHAIN_ID, key=wallet.private_key)

    creds = client.create_or_derive_api_key()

    assert creds == ApiCreds(wallet.api_key, wallet.api_secret, wallet.passphrase)


def test_a_deleted_key_opens_nothing(stranger: Any) -> None:
    """After its deletion a key is unknown: 401."""
    key = stranger.creds.api_key
    assert key in stranger.get_api_keys()["apiKeys"]
    assert stranger.get_closed_only_mode() == {"closed_only": False}

    assert stranger.delete_api_key() == "OK"

    with pytest.raises(PolyApiException) as unknown:
        stranger.get_open_orders()
    assert refusal(unknown) == (401, "Unauthorized/Invalid api key")


# --- resting orders -------------------------------------------------------------------------------


def test_the_life_of_a_resting_order(client: Any, market: Market) -> None:
    """Placed, listed, read by id, cancelled, gone – and still readable as cancelled."""
    reply = client.post_order(bid(client, market.up), OrderType.GTC)

    assert (reply["success"], reply["status"], reply["errorMsg"]) == (True, "live", "")
    order_id = reply["orderID"]
    (row,) = client.get_open_orders(OpenOrderParams(market=market.condition_id))
    assert row == client.get_order(order_id)
    assert (row["id"], row["status"], row["outcome"]) == (order_id, "LIVE", "Up")
    assert (float(row["price"]), float(row["original_size"])) == (LOW, 10)
    assert (row["owner"], float(row["size_matched"])) == (client.creds.api_key, 0)

    gone = client.cancel_order(OrderPayload(order_id))

    assert gone == {"canceled": [order_id], "not_canceled": {}}
    assert client.get_open_orders() == []
    assert client.get_order(order_id)["status"] == "CANCELED"
    again = client.cancel_order(OrderPayload(order_id))
    assert again["canceled"] == []
    assert again["not_canceled"].keys() == {order_id}


@pytest.mark.conforms("clob-3.7-batch")
def test_a_batch_is_judged_entry_by_entry(client: Any, market: Market) -> None:
    """Good entries rest; a bad one has an empty id and the reason, and stops no other."""
    good, small, other = (
        bid(client, market.up),
        bid(client, market.up, size=1),
        bid(client, market.down, 0.01),
    )

    replies = client.post_orders(
        [PostOrdersV2Args(order, OrderType.GTC) for order in (good, small, other)], post_only=True
    )

    assert [reply["status"] for reply in replies] == ["live", "", "live"]
    assert replies[1]["orderID"] == ""
    assert "Size (1) lower than the minimum: 5" in replies[1]["errorMsg"]
    ids = {replies[0]["orderID"], replies[2]["orderID"]}
    assert {row["id"] for row in client.get_open_orders()} == ids


@pytest.mark.conforms("clob-4.1-cancel-market", "clob-4.1-cancel-all")
def test_every_way_to_cancel_many(client: Any, market: Market) -> None:
    """By ids, by token, by market and all at once: each takes what it names and nothing else."""
    tokens = [market.up, market.down] * 2
    placed = client.post_orders(
        [PostOrdersV2Args(bid(client, token, 0.01), OrderType.GTC) for token in tokens]
    )
    up, down, up_too, down_too = (reply["orderID"] for reply in placed)

    assert client.cancel_orders([up, up])["canceled"] == [up]
    by_token = client.cancel_market_orders(OrderMarketCancelParams(asset_id=market.down))
    assert sorted(by_token["canceled"]) == sorted([down, down_too])
    by_market = client.cancel_market_orders(OrderMarketCancelParams(market=market.condition_id))
    assert by_market["canceled"] == [up_too]
    last = client.post_order(bid(client, market.up), OrderType.GTC)["orderID"]
    assert client.cancel_all() == {"canceled": [last], "not_canceled": {}}
    assert client.get_open_orders() == []


@pytest.mark.conforms("clob-5.1-others-invisible", "clob-4.1-cancel-all")
def test_keys_of_one_wallet_do_not_see_each_other(
    client: Any, stranger: Any, market: Market
) -> None:
    """Orders belong to an API key: another key of the wallet neither lists nor cancels them."""
    order_id = client.post_order(bid(client, market.up), OrderType.GTC)["orderID"]

    assert stranger.get_open_orders() == []
    assert stranger.cancel_all()["canceled"] == []
    assert [row["id"] for row in client.get_open_orders()] == [order_id]


# --- refusals in the venue's words ----------------------------------------------------------------


@pytest.mark.conforms("clob-3.6-post-only-crosses")
def test_a_post_only_order_that_crosses_is_refused(client: Any, market: Market) -> None:
    """The official text, because clients compare it."""
    crossing = bid(client, market.up, price=0.99)

    with pytest.raises(PolyApiException) as refused:
        client.post_order(crossing, OrderType.GTC, post_only=True)

    assert refusal(refused) == (400, "invalid post-only order: order crosses book")
    assert client.get_open_orders() == []


def test_the_same_order_twice_is_a_duplicate(client: Any, market: Market) -> None:
    """Sending a signed order again after a lost reply cannot double it."""
    order = bid(client, market.up)
    order_id = client.post_order(order, OrderType.GTC)["orderID"]

    with pytest.raises(PolyApiException) as refused:
        client.post_order(order, OrderType.GTC)

    assert refusal(refused) == (400, f"order {order_id} is invalid. Duplicated.")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            OrderType.FAK,
            (
                "no orders found to match with FAK order. "
                "FAK orders are partially filled or killed if no match is found."
            ),
        ),
        (
            OrderType.FOK,
            "order couldn't be fully filled. FOK orders are fully filled or killed.",
        ),
    ],
    ids=["FAK", "FOK"],
)
def test_a_killed_market_order_says_why(client: Any, market: Market, kind: str, text: str) -> None:
    """Nobody sells at a cent: killed, in the words the SDKs map to codes."""
    order = client.create_market_order(MarketOrderArgsV2(market.up, 5, "BUY", 0.01, kind))

    with pytest.raises(PolyApiException) as refused:
        client.post_order(order, kind)

    assert refusal(refused) == (400, text)


@pytest.mark.conforms("clob-3.6-no-balance")
def test_more_than_the_wallet_has_is_refused(client: Any, market: Market) -> None:
    """An order beyond the balance is refused with the text the SDKs look for."""
    with pytest.raises(PolyApiException) as refused:
        client.post_order(bid(client, market.up, size=1_000_000), OrderType.GTC)

    status, text = refusal(refused)
    assert status == 400
    assert "not enough balance / allowance" in text


# --- fills ----------------------------------------------------------------------------------------


def test_a_market_order_fills_against_the_crowd(client: Any, market: Market) -> None:
    """A FAK buys from the book, pays the fee, shows in the trades and settles with a hash.

    `post_order` itself waits for the hash: the reply of the venue has trade ids only.
    """
    cash = BalanceAllowanceParams(AssetType.COLLATERAL)
    shares = BalanceAllowanceParams(AssetType.CONDITIONAL, market.down)
    before, held = (int(client.get_balance_allowance(what)["balance"]) for what in (cash, shares))

    def buy() -> Any:
        wanted = MarketOrderArgsV2(market.down, 6, "BUY", 0, OrderType.FAK)
        return client.post_order(client.create_market_order(wanted), OrderType.FAK)

    reply = until_matched(buy)

    assert (reply["status"], reply["success"]) == ("matched", True)
    spent, got = float(reply["makingAmount"]), float(reply["takingAmount"])
    assert 0 < spent <= 6
    (hash_, *_) = reply["transactionsHashes"]
    assert hash_.startswith("0x")
    trades = [row for id_ in reply["tradeIDs"] for row in client.get_trades(TradeParams(id_))]
    assert sum(float(row["size"]) for row in trades) == pytest.approx(got)
    assert {row["taker_order_id"] for row in trades} == {reply["orderID"]}
    assert {(row["trader_side"], row["side"]) for row in trades} == {("TAKER", "BUY")}

    def settled() -> tuple[int, int]:
        """The balances follow the chain: seconds after the match, and only when asked to look."""
        for what in (cash, shares):
            client.update_balance_allowance(what)
        after, holding = (
            int(client.get_balance_allowance(what)["balance"]) for what in (cash, shares)
        )
        assert holding > held
        return after, holding

    after, holding = eventually(settled)
    assert holding - held == round(got * 1e6)
    assert before - after > round(spent * 1e6), "a taker pays a fee on top"
    assert client.get_order(reply["orderID"])["status"] in {"MATCHED", "CANCELED"}


def test_the_dead_mans_switch_is_a_chain(stranger: Any) -> None:
    """Each beat needs the id of the one before; a stale id is refused with the one expected."""
    first = stranger.post_heartbeat("")["heartbeat_id"]
    second = stranger.post_heartbeat(first)["heartbeat_id"]

    with pytest.raises(PolyApiException) as stale:
        stranger.post_heartbeat(first)

    assert stale.value.status_code == 400
    assert stale.value.error_msg == {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": second}
    assert stranger.post_heartbeat(second)["heartbeat_id"] not in {first, second}
