"""`polymarket-client`, the official unified SDK, pointed at a local exchange.

The SDK knows one environment. Its own internal helper makes another from it with other URLs
(onchain.md 9.1). Given the wallet's own address it takes it for an EOA, which needs neither the
relayer nor an RPC node. Every URL the exchange does not serve is a closed port, so that a call the
tests do not know of fails instead of leaving the machine.
"""

from __future__ import annotations

import dataclasses

from acceptance_kit import Venue, Wallet, until_matched
from polymarket import ApiKeyCreds, AsyncSecureClient, SecureClient
from polymarket._internal.environment import PRODUCTION_CONFIG, create_environment
from polymarket.environments import Environment
from polymarket.models.clob.order_response import AcceptedOrder, OrderResponse

NOWHERE = "127.0.0.1:9"
SERVED = {
    "clob_url": "clob",
    "clob_market_ws_url": "market_ws",
    "clob_user_ws_url": "user_ws",
    "data_url": "data",
    "gamma_url": "gamma",
    "rtds_ws_url": "rtds_ws",
    "realtime_ws_url": "prices_ws",
    "relayer_url": "relayer",
    "rpc_url": "rpc",
}


def environment_of(venue: Venue) -> Environment:
    urls: dict[str, str] = {}
    for field in dataclasses.fields(PRODUCTION_CONFIG):
        if field.name.endswith("_url"):
            scheme = "ws" if field.name.endswith("ws_url") else "http"
            served = venue.urls.get(SERVED.get(field.name, ""))
            urls[field.name] = served or f"{scheme}://{NOWHERE}"
    config = dataclasses.replace(PRODUCTION_CONFIG, **urls)  # type: ignore[arg-type]
    return create_environment(name="embedded", config=config)


def credentials_of(wallet: Wallet) -> ApiKeyCreds:
    return ApiKeyCreds.model_validate(
        {
            "apiKey": wallet.api_key,
            "secret": wallet.api_secret,
            "passphrase": wallet.passphrase,
        }
    )


def client_of(venue: Venue) -> SecureClient:
    """A client of the demo wallet. Making one sends a request: the credentials are checked."""
    return SecureClient.create(
        private_key=venue.wallet.private_key,
        wallet=venue.wallet.address,
        environment=environment_of(venue),
        credentials=credentials_of(venue.wallet),
    )


def accepted(response: OrderResponse) -> AcceptedOrder:
    assert isinstance(response, AcceptedOrder), response
    return response


def market_buy(client: SecureClient, token: str) -> AcceptedOrder:
    """At the market, and enough of it that it can be sold again: six dollars buy more than the five
    shares an order must have at any price, but of a level that shrinks meanwhile only what is left.
    """
    while True:
        bought = accepted(
            until_matched(
                lambda: client.place_market_order(
                    asset_id=token, side="BUY", amount=6, order_type="FAK"
                )
            )
        )
        if bought.taking_amount >= 5:
            return bought


async def streaming_client_of(venue: Venue) -> AsyncSecureClient:
    """The same on asyncio: only this one has streams."""
    return await AsyncSecureClient.create(
        private_key=venue.wallet.private_key,
        wallet=venue.wallet.address,
        environment=environment_of(venue),
        credentials=credentials_of(venue.wallet),
    )
