"""The bot's own way to API credentials, through the official package, against the exchange."""

from __future__ import annotations

import attrs
import httpx
from acceptance_kit import Venue

from polybot.clock import Clock
from polybot.domain.orders import Failure
from polybot.venue.clob import ClobClient
from polybot.venue.keys import derive_credentials
from polybot.venue.secret import Credentials, Secret
from polybot.venue.site import Site


def site_of(venue: Venue) -> Site:
    """The exchange as the bot sees it; what it does not serve is not asked for."""
    return Site(**{field.name: venue.urls.get(field.name, "") for field in attrs.fields(Site)})


async def test_derived_credentials_open_the_private_calls(venue: Venue) -> None:
    """Asked twice, the venue gives the same key, and that key may read the wallet's balance."""
    key = Secret(venue.wallet.private_key)

    # The package alone takes seconds to import, and half a minute where six others do so as well.
    made = await derive_credentials(site_of(venue), key, timeout_s=300)
    again = await derive_credentials(site_of(venue), key, timeout_s=300)

    assert isinstance(made, Credentials)
    assert made == again
    assert made.address == venue.wallet.address
    clock = Clock.starting_at(venue.now_s() * 1000)
    async with httpx.AsyncClient() as http:
        balance = await ClobClient(http, site_of(venue), made, clock).balance(None)
    assert not isinstance(balance, Failure)
    assert balance > 0
