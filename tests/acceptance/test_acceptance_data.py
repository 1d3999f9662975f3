"""The Data API as the official unified SDK asks it, over HTTP, against the running exchange."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from acceptance_kit import Market, Venue, eventually
from polymarket import SecureClient
from polymarket_kit import client_of, market_buy


@pytest.fixture(scope="module")
def client(venue: Venue) -> Iterator[SecureClient]:
    with client_of(venue) as client:
        yield client


def test_a_purchase_arrives_at_the_index(client: SecureClient, market: Market) -> None:
    """Position, activity, trade and value follow the block, late and through stale caches."""
    assert client.get_portfolio_value().value >= 0
    market_buy(client, market.up)

    def position() -> object:
        held = client.list_positions(condition_id=market.condition_id).first_page().items
        mine = [one for one in held if one.asset_id == market.up]
        assert mine
        return mine[0]

    held = eventually(position)
    assert getattr(held, "opposite_asset_id") == market.down  # noqa: B009  an SDK model
    (trade, *_) = client.list_trades(condition_id=market.condition_id).first_page().items
    assert (trade.wallet, trade.side, trade.slug) == (client.wallet, "BUY", market.slug)
    (activity, *_) = client.list_activity().first_page().items
    assert activity.transaction_hash == trade.transaction_hash
    assert client.get_portfolio_value().value > 0


def test_the_market_is_known_to_the_index(client: SecureClient, market: Market) -> None:
    """Results, open interest, holders and tokens parse by the SDK's own models."""
    (result,) = client.get_resolutions(condition_ids=market.condition_id)
    assert (result.status, result.payouts) == ("posed", None)
    (interest,) = client.get_open_interests(condition_ids=market.condition_id)
    assert interest.value > 0
    holders = client.list_market_holders(condition_ids=market.condition_id).first_page().items
    assert {group.asset_id for group in holders} == {market.up, market.down}
    tokens = client.get_token_references(condition_ids=market.condition_id)
    assert [one.asset_id for one in tokens] == [market.up, market.down]


@pytest.mark.conforms("feeds-12.8-approvals")
def test_the_index_knows_the_approvals(client: SecureClient) -> None:
    """All seventeen of the demo wallet are there (onchain.md 4)."""
    state = client.get_trading_approvals_state()
    assert state.is_fully_approved, state.missing
