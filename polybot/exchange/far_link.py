"""Services as their clients meet them from afar: every way takes as long as its model says.

Requests go the way of an order and answers the way of news, each for itself. Frames of a stream go
one after the other, those of the user stream as news, all others as a feed. What the ways take here
anyway comes on top: a loopback and this machine's work, counted as often as time is fast.
"""

from __future__ import annotations

import random

import attrs
import trio

from polybot.exchange.latency_models import NEAR, Latencies
from polybot.exchange.net import Service
from polybot.exchange.request import Request, Response

FEEDS = ("market_ws", "prices_ws", "rtds_ws", "binance_ws")
PATIENCE_S = 150.0  # longer than the longest ways there and back


@attrs.frozen
class FarLink:
    """Draws of each service come from a stream of their own."""

    latencies: Latencies
    seed: int

    def far(self, name: str, service: Service) -> Service:
        """The service of that name, from as far away as it is meant to be."""
        if self.latencies == NEAR:
            return service
        rng = random.Random(f"{self.seed} latency {name}")
        if name == "clob":
            return self._requests(service, rng)
        if name in FEEDS:
            return attrs.evolve(service, latency=lambda: self.latencies.feed(rng) / 1000)
        if name == "user_ws":
            return attrs.evolve(service, latency=lambda: self.latencies.news(rng) / 1000)
        return service

    def _requests(self, service: Service, rng: random.Random) -> Service:
        handle = service.http
        assert handle is not None, "a REST service answers requests"

        async def answer(request: Request) -> Response:
            await trio.sleep(self.latencies.order(rng) / 1000)
            response = await handle(request)
            await trio.sleep(self.latencies.news(rng) / 1000)
            return response

        return attrs.evolve(service, http=answer, patience_s=PATIENCE_S)
