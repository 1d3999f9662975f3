"""The exchange as the official unified SDK sees it: strict parsers on every reply.

The SDK validates each answer against its own models and raises where one does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from acceptance_kit import Market, Venue, once_settled, until_matched
from polymarket import SecureClient
from polymarket.errors import OrderHeartbeatMismatchError, RequestRejectedError
from polymarket.models.clob.order_response import RejectedOrder
from polymarket_kit import accepted, client_of, credentials_of, environment_of, market_buy

LOW = Decimal("0.01")  # a bid there rests: the crowd of the first minute trades far above
GTD_S = 600
NONCES = iter(range(2001, 3000))


@pytest.fixture(scope="module")
def account(venue: Venue) -> Iterator[SecureClient]:
    """One client with the wallet's credentials: the SDK checks them when it is made."""
    with client_of(venue) as client:
        yield client


@pytest.fixture
def client(account: SecureClient) -> Iterator[SecureClient]:
    """What a test leaves resting is cancelled."""
    yield account
    account.cancel_all()


def test_it_takes_the_wallet_for_what_it_is(client: SecureClient, venue: Venue) -> None:
    """An EOA that signs for itself, with the credentials of the JSON line found active."""
    assert client.wallet_type == "EOA"
    assert client.wallet == client.signer == venue.wallet.address
    assert client.credentials.key == venue.wallet.api_key
    assert venue.wallet.api_key in client.fetch_api_keys()
    assert client.get_closed_only_mode() is False


def test_it_derives_the_same_credentials(venue: Venue) -> None:
    """Without credentials the SDK creates, is refused with 400, and derives."""
    with SecureClient.create(
        private_key=venue.wallet.private_key,
        wallet=venue.wallet.address,
        environment=environment_of(venue),
    ) as client:
        assert client.credentials == credentials_of(venue.wallet)


def test_gamma_and_book_parse(client: SecureClient, market: Market) -> None:
    """The market by its slug, and the books of its two outcomes, are whole."""
    found = client.get_market(slug=market.slug)
    book = client.get_order_book(asset_id=market.up)

    assert found.condition_id == market.condition_id == book.condition_id
    assert (found.version, found.state.closed, found.state.accepting_orders) == ("v1", False, True)
    assert found.trading.minimum_order_size == book.min_order_size == 5
    assert found.trading.minimum_tick_size == book.tick_size
    labels = (found.outcomes.yes.label, found.outcomes.no.label)
    tokens = (found.outcomes.yes.token_id, found.outcomes.no.token_id)
    assert (labels, tokens) == (("Up", "Down"), (market.up, market.down))
    assert book.bids[-1].price < book.asks[-1].price
    assert book.bids[0].price <= book.bids[-1].price, "the best is last"


@pytest.mark.conforms("feeds-12.6-keyset")
def test_lists_of_markets_and_events_parse(client: SecureClient, market: Market) -> None:
    """Discovery by condition and by slug through the SDK's keyset pages."""
    by_condition = client.list_markets(condition_ids=[market.condition_id]).first_page()
    event = client.get_event(slug=market.slug)

    assert [one.slug for one in by_condition.items] == [market.slug]
    assert [one.condition_id for one in event.markets or ()] == [market.condition_id]


def test_prices_parse(client: SecureClient, market: Market) -> None:
    """Every price read of the SDK finds a decimal where it wants one."""
    bid = client.get_price(asset_id=market.up, side="BUY")
    ask = client.get_price(asset_id=market.up, side="SELL")

    assert 0 < bid < ask < 1
    assert 0 < client.get_midpoint(asset_id=market.up) < 1
    assert client.get_spread(asset_id=market.up) > 0
    last = client.get_last_trade_price(asset_id=market.up)
    assert last is not None
    assert 0 < last.price < 1
    assert len(client.get_order_books(asset_ids=[market.up, market.down])) == 2


def test_balances_parse(client: SecureClient, market: Market) -> None:
    """pUSD and shares in base units, with an allowance for each exchange."""
    cash = client.get_balance_allowance(asset_type="COLLATERAL")
    shares = client.get_balance_allowance(asset_type="CONDITIONAL", asset_id=market.up)

    assert cash.balance > 1_000_000_000
    assert shares.balance >= 0
    assert all(allowed > cash.balance for allowed in cash.allowances.values())


@pytest.mark.conforms("clob-5.1-scoring")
def test_the_life_of_a_limit_order(client: SecureClient, market: Market) -> None:
    """Placed, listed, read, scored, cancelled, gone."""
    placed = accepted(
        client.place_limit_order(asset_id=market.up, price=LOW, size=10, side="BUY", post_only=True)
    )

    assert placed.status == "live"
    assert (placed.making_amount, len(placed.trade_ids)) == (Decimal(0), 0)
    (row,) = client.list_open_orders(market=market.condition_id).first_page().items
    assert row == client.get_order(order_id=placed.order_id)
    assert (row.id, row.status, row.order_type) == (placed.order_id, "LIVE", "GTC")
    assert (row.price, row.original_size, row.size_matched) == (LOW, Decimal(10), Decimal(0))
    assert (row.maker_address, row.expires_at) == (client.wallet, None)
    assert client.get_order_scoring(order_id=placed.order_id) is False

    gone = client.cancel_order(order_id=placed.order_id)

    assert (gone.canceled, gone.not_canceled) == ((placed.order_id,), {})
    assert client.list_open_orders().first_page().items == ()
    assert client.get_order(order_id=placed.order_id).status == "CANCELED"
    assert client.cancel_order(order_id=placed.order_id).not_canceled.keys() == {placed.order_id}


def test_an_expiration_travels(client: SecureClient, venue: Venue, market: Market) -> None:
    """A GTD order rests with the expiration it was sent with."""
    expiration = venue.now_s() + GTD_S
    placed = accepted(
        client.place_limit_order(
            asset_id=market.up, price=LOW, size=5, side="BUY", expiration=expiration
        )
    )

    row = client.get_order(order_id=placed.order_id)

    assert row.order_type == "GTD"
    assert row.expires_at is not None
    assert int(row.expires_at.timestamp()) == expiration


@pytest.mark.conforms("clob-4.1-cancel-many")
def test_a_batch_and_its_cancels(client: SecureClient, market: Market) -> None:
    """Each entry of a batch is accepted or refused with a code of its own; cancels by list,
    by market and of all.
    """
    orders = [
        client.create_limit_order(asset_id=token, price=LOW, size=size, side="BUY")
        for token, size in ((market.up, 5), (market.up, 999_999), (market.down, 6), (market.up, 7))
    ]

    first, refused, third, fourth = client.post_orders(orders)

    assert isinstance(refused, RejectedOrder)
    assert refused.code == "not_enough_balance"
    ids = [accepted(one).order_id for one in (first, third, fourth)]
    assert client.cancel_orders(order_ids=ids[:1]).canceled == (ids[0],)
    assert client.cancel_market_orders(asset_id=market.down).canceled == (ids[1],)
    assert client.cancel_all().canceled == (ids[2],)


def test_a_post_only_order_that_crosses_is_refused(client: SecureClient, market: Market) -> None:
    """Alone it is a 400 with the official text, in a batch the SDK's own code for it."""
    order = client.create_limit_order(
        asset_id=market.up, price="0.99", size=5, side="BUY", post_only=True
    )

    with pytest.raises(RequestRejectedError, match="order crosses book") as refused:
        client.post_order(order)
    (entry,) = client.post_orders([order])

    assert refused.value.status == 400
    assert isinstance(entry, RejectedOrder)
    assert entry.code == "post_only_would_cross"


def test_market_orders_fill_against_the_crowd(client: SecureClient, market: Market) -> None:
    """Bought for at most the dollars given and, once the venue has seen its block, sold again; each
    read back as a taker's trade.
    """
    bought = market_buy(client, market.down)
    sold = accepted(
        until_matched(
            lambda: once_settled(
                lambda: client.place_market_order(
                    asset_id=market.down, side="SELL", shares=bought.taking_amount, order_type="FAK"
                )
            )
        )
    )

    assert (bought.status, sold.status) == ("matched", "matched")
    assert 0 < bought.making_amount <= 6
    assert 0 < sold.making_amount <= bought.taking_amount
    for order, shares in ((bought, bought.taking_amount), (sold, sold.making_amount)):
        trades = [
            trade
            for id_ in order.trade_ids
            for trade in client.list_account_trades(id=id_).first_page().items
        ]
        assert sum(trade.size for trade in trades) == shares
        assert {trade.taker_order_id for trade in trades} == {order.order_id}
        assert {trade.trader_side for trade in trades} == {"TAKER"}


def test_the_heartbeat_chain(venue: Venue) -> None:
    """The SDK's typed mismatch tells the id expected. Under a key of its own: a switch once armed
    cannot be disarmed.
    """
    with SecureClient.create(
        private_key=venue.wallet.private_key,
        wallet=venue.wallet.address,
        environment=environment_of(venue),
        nonce=next(NONCES),
    ) as client:
        first = client.send_order_heartbeat().heartbeat_id
        second = client.send_order_heartbeat(heartbeat_id=first).heartbeat_id
        with pytest.raises(OrderHeartbeatMismatchError) as stale:
            client.send_order_heartbeat(heartbeat_id=first)

    assert stale.value.heartbeat_id == second
