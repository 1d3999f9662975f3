"""The `live-feeds` world: a mirror with the reader that fills it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from urllib.parse import urlsplit

from polybot.clock import Clock
from polybot.exchange.mirror_feed import SILENT_S, MirrorFeed
from polybot.exchange.mirror_site import MirrorSite
from polybot.exchange.mirror_world import MirrorWorld
from polybot.exchange.model import Series
from polybot.exchange.queue_models import AHEAD_FIRST, QueueModel


class LiveWorld(MirrorWorld):
    """`prepare` it before the exchange is built on it; the exchange runs `run` beside its services.

    Time is the other venue's, so it goes at speed 1 only.
    """

    def __init__(
        self, series: Sequence[Series], start_ms: int, site: MirrorSite, seed: int,
        model: QueueModel = AHEAD_FIRST, *, silent_s: float = SILENT_S,
    ) -> None:  # fmt: skip
        self._clock = Clock.starting_at(start_ms)
        relayed = ("binance", "chainlink", "twap60") if site.polybolt else ("binance",)
        super().__init__(series, start_ms, urlsplit(site.clob).netloc, model, relayed)
        self._feed = MirrorFeed(self, site, random.Random(f"{seed} mirror"), silent_s=silent_s)

    async def prepare(self) -> None:
        """Hear the prices of the past hour. ValueError when the site does not answer."""
        await self._feed.prepare()
        self.start_ms = self._clock.now_ms()  # the other venue's clock went on meanwhile

    async def run(self, clock: Clock) -> None:
        """Read the site until cancelled."""
        await self._feed.run(clock)
