"""Where the caller is, and what the venue allows from there (clob.md 1, 7.3).

Everybody on loopback is in one country, that of the terms; an operator may move it while the venue
runs. Order endpoints refuse a blocked caller before they look at who he is (clob.md 7.3).
"""

from __future__ import annotations

from polybot.exchange.request import Request, Response, error_response, json_response
from polybot.exchange.terms import Terms

RESTRICTED = (
    "Trading restricted in your region, please refer to available regions - "
    "https://docs.polymarket.com/developers/CLOB/geoblock"
)


class Geoblock:
    """One place for all callers. `country` is an ISO 3166-1 alpha-2 code, `region` may be empty."""

    def __init__(self, terms: Terms = Terms()) -> None:
        self._terms = terms
        self.country, self.region = terms.country, terms.region

    @property
    def blocked(self) -> bool:
        place = f"{self.country}-{self.region}"
        return self.country in self._terms.blocked_countries or place in self._terms.blocked_regions

    @property
    def close_only(self) -> bool:
        """Whether only orders that reduce a position are taken from here."""
        return self.country in self._terms.close_only_countries

    def refusal(self) -> Response | None:
        """The 403 of an order endpoint, None where trading is allowed."""
        return error_response(RESTRICTED, 403) if self.blocked else None

    def probe(self, request: Request) -> Response:
        """`GET /api/geoblock`, which lives on the website, not on the API hosts."""
        place = {"country": self.country, "region": self.region}
        return json_response({"blocked": self.blocked, "ip": request.peer, **place})
