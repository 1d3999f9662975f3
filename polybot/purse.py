"""Whose money a bot trades, and how that wallet gets onto the chain."""

from __future__ import annotations

from functools import partial

import attrs
import httpx

from polybot.clock import Clock
from polybot.config import Config
from polybot.venue.chain import Chain
from polybot.venue.relayer import SEND_S, SdkWay, relayer_headers
from polybot.venue.rest import Rest
from polybot.venue.sdk import sdk_submit
from polybot.venue.secret import Credentials, Secret
from polybot.venue.site import Site
from polybot.venue.tap import NOBODY, Tap

NO_KEY = "no PM_RELAYER_API_KEY: shares are neither merged nor redeemed"


@attrs.frozen
class Purse:
    """`funder` None: the key's own address holds the money (signature type 0)."""

    funder: str | None = None
    signature_type: int = 0
    relayer_key: Secret | None = None

    @classmethod
    def of_config(cls, config: Config) -> Purse:
        """The wallet that `[live]` and the keys name."""
        assert config.keys is not None, "a live configuration has keys"
        live = config.live
        return cls(live.funder, live.signature_type, config.keys.relayer_key)

    @classmethod
    def deposit(cls, wallet: str, relayer_key: str) -> Purse:
        """A deposit wallet, as paper trades with: what new accounts have (onchain.md 5)."""
        return cls.of_kind(3, wallet, relayer_key)

    @classmethod
    def of_kind(cls, signature_type: int, wallet: str, relayer_key: str) -> Purse:
        """A wallet of this signature type (clob.md 3.3): the key's own needs no relayer."""
        return cls(wallet, signature_type, Secret(relayer_key)) if signature_type else cls()

    def chain(
        self, http: httpx.AsyncClient, site: Site, clock: Clock, address: str, tap: Tap = NOBODY
    ) -> Chain:
        rest = Rest(http, site.rpc, clock, tap=tap, name="rest chain")
        return Chain(rest, self.funder or address)

    def way(
        self,
        chain: Chain,
        site: Site,
        private_key: Secret,
        credentials: Credentials,
        *,
        speed: float,
    ) -> SdkWay | None:
        """The wallet's way onto the chain; None when it needs the relayer and has no key for it."""
        own_gas = self.signature_type == 0
        if not own_gas and self.relayer_key is None:
            return None
        make = partial(
            sdk_submit, site, private_key, credentials, chain.wallet, self.relayer_key, speed=speed
        )
        headers = relayer_headers(self.relayer_key, credentials.address)
        relayer = attrs.evolve(chain.rest, base=site.relayer, headers=headers, name="rest relayer")
        # The SDK's thread keeps to the wall, our patience to the clock it is measured by.
        return SdkWay(make, relayer, chain, own_gas=own_gas, patience_s=SEND_S * speed)
