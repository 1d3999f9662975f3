"""The market and the user channel as their clients see them: `websockets`, and the official SDK.

Every frame goes through the SDK's own parser, which raises on a shape it does not know.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import pytest
from acceptance_kit import PATIENCE_S, Market, Venue
from polymarket import SecureClient
from polymarket.models.clob.market_events import (
    MarketBookEvent,
    MarketBookPayload,
    MarketEvent,
    MarketPriceChangeEvent,
    PriceChange,
    parse_market_event,
)
from polymarket.models.clob.order_response import AcceptedOrder
from polymarket.models.clob.user_events import (
    UserEvent,
    UserOrderEvent,
    UserTradeEvent,
    parse_user_event,
)
from polymarket.streams import (
    CryptoPriceSpec,
    CryptoTwapPriceSpec,
    MarketSpec,
    SecureSubscription,
    UserSpec,
)
from polymarket_kit import client_of, market_buy, streaming_client_of
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

PRICE = Decimal("0.03")  # a bid for Up there rests: the crowd of the first minutes trades far above
SIZE = Decimal("7.77")
FRAMES_MOST = 5000  # the crowd talks too; a test that hears this many without its own has failed

T = TypeVar("T")


class Channel:
    """A subscribed channel: frames in order, one event at a time."""

    def __init__(self, socket: Connection, parse: Callable[[object], Any]) -> None:
        self._socket = socket
        self._parse = parse

    def events(self) -> Iterator[Any]:
        for _ in range(FRAMES_MOST):
            said = json.loads(self._socket.recv(timeout=PATIENCE_S))
            yield from map(self._parse, said if isinstance(said, list) else [said])

    def until(self, wanted: Callable[[Any], T | None]) -> T:
        """The first thing that is wanted; whatever comes before it only has to parse."""
        return next(found for event in self.events() if (found := wanted(event)) is not None)

    def settle(self) -> None:
        """A PONG proves that the subscription before it has been read (feeds.md 4)."""
        self._socket.send("PING")
        while self._socket.recv(timeout=PATIENCE_S) != "PONG":
            pass  # an earlier fill, on its way through the chain


@contextmanager
def channel(url: str, first: object, parse: Callable[[object], Any]) -> Iterator[Channel]:
    with connect(url, open_timeout=PATIENCE_S, close_timeout=PATIENCE_S) as socket:
        socket.send(json.dumps(first))
        yield Channel(socket, parse)


def market_channel(venue: Venue, *tokens: str) -> Any:
    first = {"type": "market", "assets_ids": tokens, "custom_feature_enabled": True}
    return channel(venue.urls["market_ws"], first, parse_market_event)


def user_channel(venue: Venue, market: Market, **changes: str) -> Any:
    wallet = venue.wallet
    auth = {
        "apiKey": wallet.api_key,
        "secret": wallet.api_secret,
        "passphrase": wallet.passphrase,
    }
    first = {"type": "user", "auth": auth | changes, "markets": [market.condition_id]}
    return channel(venue.urls["user_ws"], first, parse_user_event)


@pytest.fixture(scope="module")
def trader(venue: Venue) -> Iterator[SecureClient]:
    with client_of(venue) as client:
        yield client
        client.cancel_all()


def place(trader: SecureClient, token: str) -> AcceptedOrder:
    response = trader.place_limit_order(asset_id=token, price=PRICE, size=SIZE, side="BUY")
    assert isinstance(response, AcceptedOrder)
    return response


def change_of(event: MarketEvent, token: str) -> PriceChange | None:
    """The change of a token's bids at our price in a market event."""
    if not isinstance(event, MarketPriceChangeEvent):
        return None
    found = (
        change
        for change in event.payload.price_changes
        if (change.asset_id, change.price, change.side) == (token, PRICE, "BUY")
    )
    return next(found, None)


class Level:
    """A token's bids at our price, which the crowd may change too; sizes on the wire are totals."""

    def __init__(self, token: str, size: Decimal) -> None:
        self._token = token
        self._size = size

    def moved(self, event: MarketEvent, by: Decimal) -> PriceChange | None:
        change = change_of(event, self._token)
        if change is None:
            return None
        before, self._size = self._size, change.size
        return change if change.size - before == by else None


def test_the_book_shows_an_order_come_and_go(
    venue: Venue, market: Market, trader: SecureClient
) -> None:
    """A snapshot of both books first; then one's own level grows by its size and shrinks again."""
    with market_channel(venue, market.up, market.down) as books:
        snapshots: dict[str, MarketBookPayload] = {}
        for event in books.events():
            assert isinstance(event, MarketBookEvent)
            snapshots[event.payload.asset_id] = event.payload
            if len(snapshots) == 2:
                break
        sizes = {level.price: level.size for level in snapshots[market.up].bids}
        level = Level(market.up, sizes.get(PRICE, Decimal(0)))

        placed = place(trader, market.up)
        grown = books.until(partial(level.moved, by=SIZE))
        trader.cancel_order(order_id=placed.order_id)
        shrunk = books.until(partial(level.moved, by=-SIZE))

    assert set(snapshots) == {market.up, market.down}
    for change in (grown, shrunk):
        assert change.best_bid is not None
        assert change.best_bid > PRICE


def test_the_user_channel_tells_the_life_of_an_order(
    venue: Venue, market: Market, trader: SecureClient
) -> None:
    """PLACEMENT, then CANCELLATION, with the id and the sizes the reply gave."""
    with user_channel(venue, market) as mine:
        mine.settle()

        placed = place(trader, market.up)
        placement = mine.until(orders_of(placed.order_id))
        trader.cancel_order(order_id=placed.order_id)
        cancellation = mine.until(orders_of(placed.order_id))

    kinds = [event.payload.order_event_type for event in (placement, cancellation)]
    assert kinds == ["PLACEMENT", "CANCELLATION"]
    assert placement.payload.asset_id == market.up
    assert placement.payload.owner == venue.wallet.api_key
    assert (placement.payload.price, placement.payload.original_size) == (PRICE, SIZE)
    assert (placement.payload.status, cancellation.payload.status) == ("LIVE", "CANCELED")


def orders_of(order_id: str) -> Callable[[UserEvent], UserOrderEvent | None]:
    def wanted(event: UserEvent) -> UserOrderEvent | None:
        if isinstance(event, UserOrderEvent) and event.payload.id == order_id:
            return event
        return None

    return wanted


def test_the_user_channel_follows_a_fill_to_its_end(
    venue: Venue, market: Market, trader: SecureClient
) -> None:
    """A taker hears of its trade MATCHED, MINED and CONFIRMED, in this order; then it is settled
    for REST as well, with the same hash.
    """
    with user_channel(venue, market) as mine:
        mine.settle()
        bought = market_buy(trader, market.down)
        trade_id = bought.trade_ids[0]

        statuses, hashes = [], []
        while "CONFIRMED" not in statuses:
            trade = mine.until(trades_of(trade_id)).payload
            assert trade.taker_order_id == bought.order_id
            statuses.append(trade.status)
            hashes.append(trade.transaction_hash)

    assert statuses == ["MATCHED", "MINED", "CONFIRMED"]
    assert hashes[-1] in trader.wait_for_order_fill_settlement(bought, timeout_s=PATIENCE_S)


def trades_of(trade_id: str) -> Callable[[UserEvent], UserTradeEvent | None]:
    def wanted(event: UserEvent) -> UserTradeEvent | None:
        if isinstance(event, UserTradeEvent) and event.payload.id == trade_id:
            return event
        return None

    return wanted


def test_wrong_credentials_are_cut_off(venue: Venue, market: Market) -> None:
    """The venue gives no reason: the connection is just gone (feeds.md 4)."""
    with (
        user_channel(venue, market, passphrase="wrong") as refused,
        pytest.raises(ConnectionClosed),
    ):
        next(refused.events())


def test_the_official_streams_hear_the_same(venue: Venue, market: Market) -> None:
    """The SDK's own stream client subscribes to both channels and gets one's own order from both.

    It runs on asyncio only, hence a loop of its own.
    """

    def kind_of(event: object) -> str:
        if isinstance(event, MarketBookEvent):
            return "book"
        if isinstance(event, UserOrderEvent):
            return event.payload.order_event_type
        if isinstance(event, MarketPriceChangeEvent) and change_of(event, market.up):
            return "level"
        return "something else"

    async def hear(stream: AsyncIterable[object], missing: set[str]) -> None:
        async for event in stream:
            missing.discard(kind_of(event))
            if not missing:
                return

    async def trade() -> None:
        async with await streaming_client_of(venue) as client:
            both: tuple[SecureSubscription, ...] = (
                MarketSpec(asset_ids=[market.up]),
                UserSpec(markets=[market.condition_id]),
            )
            async with asyncio.timeout(PATIENCE_S), await client.subscribe(both) as stream:
                await hear(stream, {"book"})
                placed = await client.place_limit_order(
                    asset_id=market.up, price=PRICE, size=SIZE, side="BUY"
                )
                await hear(stream, {"PLACEMENT", "level"})
                assert isinstance(placed, AcceptedOrder)
                await client.cancel_order(order_id=placed.order_id)
                await hear(stream, {"CANCELLATION", "level"})

    asyncio.run(trade())


def test_the_official_price_stream_has_history_and_updates(venue: Venue) -> None:
    """The authenticated price stream gives the SDK a snapshot of each topic, then live values."""

    async def listen() -> None:
        specs = (CryptoPriceSpec(symbols=["btcusd"]), CryptoTwapPriceSpec(symbols=["btcusd"]))
        missing = {(spec.topic, kind) for spec in specs for kind in ("subscribe", "update")}
        async with (
            asyncio.timeout(PATIENCE_S),
            await streaming_client_of(venue) as client,
            await client.subscribe(specs) as stream,
        ):
            async for event in stream:
                missing.discard((event.topic, event.type))
                assert event.payload.symbol == "btcusd"
                if not missing:
                    return

    asyncio.run(listen())
