"""Rewards, rebates and limits as the official SDK asks for them, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from acceptance_kit import PATIENCE_S, USUAL, Venue, command, long_window_start_s
from polymarket import RateLimitUpdate, SecureClient
from polymarket.errors import RateLimitError, RequestRejectedError
from polymarket_kit import credentials_of, environment_of

LOW = Decimal("0.01")
TERMS = """
[venue]
rewards_daily_pool = 5_000_000
post_only_s = 1_000
"""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """An exchange of our own: its modes and limits are nobody else's business."""
    terms: Path = tmp_path_factory.mktemp("terms") / "terms.toml"
    terms.write_text(TERMS, encoding="utf-8")
    start = str(long_window_start_s(phase_s=20))
    with command(*USUAL, "--start", start, "--terms", str(terms)) as running:
        yield Venue.from_line(running.first_line())


@pytest.fixture
def updates() -> list[RateLimitUpdate]:
    return []


@pytest.fixture
def client(venue: Venue, updates: list[RateLimitUpdate]) -> Iterator[SecureClient]:
    with SecureClient.create(
        private_key=venue.wallet.private_key,
        wallet=venue.wallet.address,
        environment=environment_of(venue),
        credentials=credentials_of(venue.wallet),
        on_rate_limit_update=updates.append,
    ) as made:
        yield made
        switch(venue, "normal")
        made.cancel_all()


def switch(venue: Venue, mode: str, **more: int) -> None:
    body = {"mode": mode, **more}
    reply = httpx.post(venue.urls["admin"] + "/mode", json=body, timeout=PATIENCE_S)
    reply.raise_for_status()


def spend(client: SecureClient) -> None:
    """Cancel what does not exist, thirty at a time, far faster than the bucket refills."""
    for _ in range(200):
        client.cancel_orders(order_ids=["0x" + "00" * 32] * 30)


def test_every_program_call_parses(client: SecureClient, venue: Venue) -> None:
    """The SDK's own calls, each against its own models (clob.md 5.1, 5.2)."""
    market = venue.current_market()
    today = datetime.fromtimestamp(venue.now_s(), UTC).date().isoformat()
    rewards = client.list_current_rewards().first_page()
    assert market.condition_id in {row.condition_id for row in rewards.items}
    (row,) = client.list_market_rewards(condition_id=market.condition_id).first_page().items
    assert row.market_slug == market.slug
    assert client.list_reward_markets(query="bitcoin").first_page().items
    assert client.list_user_earnings_for_day(date=today).first_page().items == ()
    assert client.get_total_earnings_for_user_for_day(date=today) == ()
    page = client.list_user_earnings_and_markets_config(date=today).first_page()
    assert page.items[0].earnings[0].earnings == 0
    assert client.get_reward_percentages() == {}
    assert client.get_current_rebates(date=today, maker_address=venue.wallet.address) == ()


def test_the_sdk_hears_of_its_budget(
    client: SecureClient, venue: Venue, updates: list[RateLimitUpdate]
) -> None:
    """`on_rate_limit_update` with each order and cancel; past it RateLimitError (clob.md 7.2)."""
    client.cancel_all()
    assert updates[-1].tier == "standard"
    assert updates[-1].remaining is not None
    with pytest.raises(RateLimitError) as caught:
        spend(client)
    assert caught.value.retry_after is not None
    assert caught.value.rate_limit is not None


def test_the_sdk_knows_each_mode(client: SecureClient, venue: Venue) -> None:
    """`restriction` of its error in every mode, and what passes (clob.md 7.3)."""
    up = venue.current_market().up

    def place(*, post_only: bool) -> str | None:
        try:
            client.place_limit_order(
                asset_id=up, price=LOW, size=Decimal(5), side="BUY", post_only=post_only
            )
        except RequestRejectedError as error:
            return error.restriction
        return None

    switch(venue, "restarting", for_s=1_000)
    assert place(post_only=True) == "restarting"
    switch(venue, "post_only", for_s=1_000)
    assert place(post_only=False) == "post_only"
    assert place(post_only=True) is None
    switch(venue, "cancel_only")
    assert place(post_only=True) == "cancel_only"
    client.cancel_all()
