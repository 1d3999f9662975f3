"""What the doctor looks at: one wallet at one venue, and what has been read of it once already."""

from __future__ import annotations

import random
from pathlib import Path

import attrs
import httpx
import trio

from polybot.clock import Clock
from polybot.config import Config
from polybot.discovery import current_market
from polybot.domain.market import Market
from polybot.venue.clob import ClobClient
from polybot.venue.rest import Rest
from polybot.venue.secret import Credentials
from polybot.venue.signing import Wallet
from polybot.venue.site import Site


@attrs.define(eq=False)
class Patient:
    """`journal` is the wallet's own file, or None where somebody has opened it already. `windows`
    are the current market of each series, or why it may not be traded.
    """

    config: Config
    site: Site
    wallet: Wallet
    client: ClobClient
    http: httpx.AsyncClient
    rng: random.Random
    journal: Path | None
    owner: str
    secrets_file: Path | None = None
    holds: bool = False  # the journal knows of shares
    _windows: dict[str, Market | str] | None = None
    _reading: trio.Lock = attrs.field(factory=trio.Lock)

    @property
    def funder(self) -> str:
        """The address that holds the money: on a host's exchange the one its client trades for."""
        if self.live and self.config.live.funder is not None:
            return self.config.live.funder
        return self.client.me.wallet if self.signature_type else self.wallet.address

    @property
    def signature_type(self) -> int:
        return self.client.signature_type

    @property
    def clock(self) -> Clock:
        return self.client.rest.clock

    @property
    def credentials(self) -> Credentials:
        found = self.client.rest.credentials
        assert found is not None, "a client of the CLOB signs"
        return found

    @property
    def live(self) -> bool:
        return self.config.keys is not None

    def rest(self, base: str) -> Rest:
        """Public calls to another host of the venue's."""
        return Rest(self.http, base, self.clock)

    async def windows(self) -> dict[str, Market | str]:
        async with self._reading:
            if self._windows is None:
                gamma = self.rest(self.site.gamma)
                self._windows = {
                    one: await current_market(self.client, gamma, one, self.clock.now_ms())
                    for one in self.config.bot.series
                }
            return self._windows

    def forget(self) -> None:
        """What was read may be of the past."""
        self._windows = None

    async def markets(self) -> list[Market]:
        """The current windows that may be traded."""
        return [one for one in (await self.windows()).values() if isinstance(one, Market)]
