"""Another venue's PolyBolt, heard tick by tick (feeds.md 5): Chainlink's prices and their averages.

A client of its own. Its silence is not made up for: what is not told there is not told here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trio_websocket import WebSocketConnection

from polybot.exchange.mirror_site import MirrorSite
from polybot.exchange.mirror_socket import connected, next_object, send
from polybot.exchange.mirror_world import Fact, Price

PING_S, PING = 30.0, '{"op":"ping"}'
SPOT, TWAP = "price.crypto", "price.crypto.twap"
FEEDS = {SPOT: "chainlink", TWAP: "twap60"}


class MirrorPolybolt:
    """`read` follows one connection to its end; `told` is called for each message of use."""

    def __init__(self, site: MirrorSite, assets: Sequence[str], told: Callable[[], None]) -> None:
        self._site, self._assets, self._told = site, assets, told

    async def read(self, hear: Callable[[Fact], None]) -> None:
        """Raises ValueError when the venue refuses, and whatever ends a connection."""
        site = self._site
        keys = {"apiKey": site.prices_key, "secret": site.prices_secret,
                "passphrase": site.prices_passphrase}  # fmt: skip
        async with connected(site.prices_ws, PING_S, PING) as socket:
            await send(socket, {"op": "auth", "auth": keys})
            while (await self._answer(socket)).get("op") != "authed":
                pass
            await send(socket, {"op": "subscribe", "subscriptions": self._wanted()})
            while True:
                message = await self._answer(socket)
                if message.get("channel") in FEEDS and "payload" in message:
                    for price in read_prices(message, self._assets):
                        hear(price)
                    self._told()

    def _wanted(self) -> list[dict[str, object]]:
        """The provider is always named: its default has changed (feeds.md 5.2)."""
        symbols = [f"{asset}usd" for asset in self._assets]
        spot: list[dict[str, object]] = [
            {"channel": SPOT, "filter": {"symbol": symbol, "provider": "chainlink"}}
            for symbol in symbols
        ]
        average: list[dict[str, object]] = [
            {"channel": TWAP, "filter": {"symbol": symbol, "window_seconds": 60}}
            for symbol in symbols
        ]
        return [*spot, *average]

    @staticmethod
    async def _answer(socket: WebSocketConnection) -> dict[str, Any]:
        message = await next_object(socket)
        if message.get("op") == "error":
            raise ValueError(f"PolyBolt refuses: {message.get('code')}")
        return message


def read_prices(message: dict[str, Any], assets: Sequence[str]) -> list[Price]:
    """The ticks of a data frame, one or the snapshot's many; none of other coins or sources."""
    payload = message["payload"]
    asset = str(payload.get("symbol", "")).removesuffix("usd")
    if asset not in assets or payload.get("source") != "chainlink":
        return []
    return [
        Price(
            FEEDS[message["channel"]], asset, point["timestamp"],
            float(point.get("full_accuracy_value") or point["value"]),
        )
        for point in payload.get("data", [payload])
    ]  # fmt: skip
