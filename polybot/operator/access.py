"""What an operator's command needs of a configuration: the venue, the signer, the journal.

The commands are processes of their own and share no path with the engine but the signer, so that
they work when the engine is dead, hangs, or does what nobody meant (FIA guide: a kill function
separable from the trading application).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import attrs
import httpx

from polybot.clock import Clock
from polybot.config import Config, load
from polybot.domain.orders import Failure
from polybot.host import Host, clock_of, host_of
from polybot.journal.store import live_journal_place
from polybot.options import Overrides
from polybot.venue.clob import ClobClient
from polybot.venue.keys import derive_credentials
from polybot.venue.secret import Credentials, Secret
from polybot.venue.signing import Wallet
from polybot.venue.site import POLYMARKET, Site


def parser(name: str, about: str) -> argparse.ArgumentParser:
    """The words every operator's command understands."""
    made = argparse.ArgumentParser(prog=f"polybot {name}", description=about, allow_abbrev=False)
    made.add_argument(
        "--config",
        type=Path,
        default=Path("config.toml"),
        metavar="FILE",
        help="the file that the engine is started with (config.toml)",
    )
    made.add_argument(
        "--world",
        metavar="exchange:FILE",
        help="a running embedded exchange instead of Polymarket: the JSON line it printed",
    )
    return made


@attrs.frozen
class Access:
    """One wallet at one venue. `credentials` None: to be derived from the key. `host`: the venue is
    an embedded exchange.
    """

    config: Config
    site: Site
    private_key: Secret
    credentials: Credentials | None
    journal: Path
    owner: str
    host: Host | None = None
    secrets_file: Path | None = None

    @classmethod
    def of(cls, said: argparse.Namespace) -> Access:
        """Raises ConfigError, or ValueError with the remedy."""
        if said.world is not None:
            host = host_of(said.world)
            if host is None:
                raise ValueError(f"{said.world}: expected exchange:FILE")
            config = load(said.config, os.environ, Overrides(mode="paper"))
            path = host.journal_path(Path(config.journal.folder))
            key = host.private_key
            return cls(config, host.site, key, host.credentials, path, host.owner, host)
        config = load(said.config, os.environ, Overrides(mode="live"))
        assert config.keys is not None, "a live configuration has keys"
        address = Wallet(config.keys.private_key).address
        api = config.keys.api
        known = None if api is None else Credentials(address, api.key, api.secret, api.passphrase)
        path, owner = live_journal_place(Path(config.journal.folder), address)
        named = config.live.secrets_file
        secrets = said.config.parent / Path(named).expanduser() if named else None
        key = config.keys.private_key
        site = config.keys.site(POLYMARKET)
        return cls(config, site, key, known, path, owner, None, secrets)

    async def client(self, http: httpx.AsyncClient, timeout_s: float) -> ClobClient | Failure:
        """A client of the venue; derives the credentials where none are given.

        Raises TimeoutError when an embedded exchange does not answer.
        """
        credentials = self.credentials or await derive_credentials(self.site, self.private_key)
        if isinstance(credentials, Failure):
            return credentials
        clock = Clock.from_system() if self.host is None else await clock_of(http, self.host)
        live = self.config.live
        funder, kind = live.funder, live.signature_type
        if self.host is not None:
            funder, kind = self.host.deposit, 3
        return ClobClient(
            http,
            self.site,
            credentials,
            clock,
            funder=funder,
            signature_type=kind,
            timeout_s=timeout_s,
        )
