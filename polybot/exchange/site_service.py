"""The few API calls of the website, polymarket.com, that trading clients make."""

from __future__ import annotations

from collections.abc import Callable

from polybot.exchange.geoblock import Geoblock
from polybot.exchange.net import Request, Response, Service, error_response


class SiteService:
    """`GET /api/geoblock` (clob.md 1); what else the website answers, others put into `routes`."""

    def __init__(self, geoblock: Geoblock) -> None:
        self.routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "/api/geoblock"): geoblock.probe,
        }
        self.service = Service(self._answer, None)

    async def _answer(self, request: Request) -> Response:
        route = self.routes.get((request.method, request.path))
        return error_response("not found", 404) if route is None else route(request)
