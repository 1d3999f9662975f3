"""Gamma over HTTP: discovery of markets and events (feeds.md 8.3).

Lists hide closed markets unless asked with `closed=true`; lookups by slug or id show everything.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator

from polybot.clock import Clock
from polybot.exchange.engine import Engine
from polybot.exchange.gamma_figures import GammaFigures
from polybot.exchange.gamma_objects import (
    GammaObjects,
    crypto_config,
    event_id,
    series_id,
    series_object,
    series_slug,
)
from polybot.exchange.identities import full_condition_id
from polybot.exchange.lifecycle import Lifecycle
from polybot.exchange.model import STANDING, LevelChanged, Market, Phase, Traded
from polybot.exchange.net import Request, Response, Service, json_response
from polybot.exchange.terms import Terms

PAGE_MOST = 100
OFFSET_MOST = 2000

Shown = Callable[[Market], dict[str, object]]
Wanted = Callable[[Market], bool]


class _BadQuery(Exception):
    """A query parameter Gamma refuses with 422."""


class GammaService:
    """`service` answers Gamma's read routes from the lifecycle's markets and the engine's books."""

    def __init__(
        self, engine: Engine, lifecycle: Lifecycle, clock: Clock, terms: Terms = Terms()
    ) -> None:
        self._lifecycle = lifecycle
        figures = GammaFigures(engine, gaps=terms.gamma_gaps)
        engine.listen(figures.on_event, Traded, LevelChanged)
        self._objects = GammaObjects(lifecycle, figures)
        self._clock = clock
        self.service = Service(self._answer, None)

    async def _answer(self, request: Request) -> Response:
        if request.method != "GET":
            return _problem(405, "method not allowed", "use GET")
        try:
            return self._route(request.path.rstrip("/"), request.query)
        except _BadQuery as error:
            return _problem(422, "validation error", str(error))

    def _route(self, path: str, query: dict[str, str]) -> Response:
        match path.removeprefix("/").split("/"):
            case ["markets" | "events" as kind]:
                return json_response(self._offset_page(kind, query))
            case ["markets" | "events" as kind, "keyset"]:
                return json_response(self._keyset_page(kind, query))
            case ["markets" | "events" as kind, "slug", slug]:
                return self._one(kind, self._lifecycle.by_slug.get(slug), "slug")
            case ["markets" | "events" as kind, number]:
                return self._one(kind, self._by_id(kind, number), "id")
            case ["series"]:
                known, wanted = self._lifecycle.series, query.get("slug")
                return json_response(
                    [series_object(one) for one in known if wanted in {None, series_slug(one)}]
                )
            case ["series", number]:
                for one in self._lifecycle.series:
                    if series_id(one) == number:
                        return json_response(series_object(one))
                return _problem(404, "not found error", "id not found")
            case ["crypto-market-configs"]:
                return json_response([crypto_config(one) for one in self._lifecycle.series])
        return _problem(404, "not found error", "route not found")

    def _one(self, kind: str, market: Market | None, key: str) -> Response:
        if market is None:
            return _problem(404, "not found error", f"{key} not found")
        return json_response(self._shown(kind, {})(market))

    def _by_id(self, kind: str, number: str) -> Market | None:
        for market in self._lifecycle.by_slug.values():
            if number == (market.gamma_id if kind == "markets" else event_id(market)):
                return market
        return None

    def _shown(self, kind: str, query: dict[str, str]) -> Shown:
        now_ms = self._clock.now_ms()
        if kind == "markets":
            return lambda market: self._objects.market(market, now_ms)
        with_markets = query.get("include_markets") != "false"
        return lambda market: self._objects.event(market, now_ms, with_markets=with_markets)

    def _selected(self, query: dict[str, str]) -> list[Market]:
        """Markets a list request asks for, in the order of their ids (window by window)."""
        wanted = list(_filters(query))
        chosen = [m for m in self._lifecycle.by_slug.values() if all(f(m) for f in wanted)]
        return sorted(chosen, key=lambda market: int(market.gamma_id))

    def _offset_page(self, kind: str, query: dict[str, str]) -> list[dict[str, object]]:
        offset, limit = _count(query, "offset", 0), _count(query, "limit", PAGE_MOST)
        if offset > OFFSET_MOST:
            raise _BadQuery(f"offset must be at most {OFFSET_MOST}")
        chosen = self._selected(query)[offset : offset + min(limit, PAGE_MOST)]
        return [*map(self._shown(kind, query), chosen)]

    def _keyset_page(self, kind: str, query: dict[str, str]) -> dict[str, object]:
        """One page after a cursor; without `next_cursor` it is the last."""
        limit = min(max(_count(query, "limit", PAGE_MOST), 1), PAGE_MOST)
        after = _cursor_id(query.get("after_cursor", ""))
        rest = [market for market in self._selected(query) if int(market.gamma_id) > after]
        page: dict[str, object] = {kind: [*map(self._shown(kind, query), rest[:limit])]}
        if len(rest) > limit:
            page["next_cursor"] = base64.b64encode(rest[limit - 1].gamma_id.encode()).decode()
        return page


def _filters(query: dict[str, str]) -> Iterator[Wanted]:
    closed = query.get("closed", "false") == "true"
    yield lambda market: (market.phase is Phase.RESOLVED) == closed
    if slugs := set(_values(query, "slug")):
        yield lambda market: market.slug in slugs
    if conditions := set(_values(query, "condition_ids")):
        full = set(map(full_condition_id, conditions))
        yield lambda market: market.condition_id in full
    if tokens := set(_values(query, "clob_token_ids")):
        yield lambda market: not tokens.isdisjoint(market.tokens)
    if series := set(_values(query, "series_id")):
        yield lambda market: market.series is not STANDING and series_id(market.series) in series


def _values(query: dict[str, str], name: str) -> list[str]:
    values = [value for value in query.get(name, "").split(",") if value]
    if len(values) > PAGE_MOST:
        raise _BadQuery(f"{name} must hold at most {PAGE_MOST} values")
    return values


def _count(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or len(text) > 9:
        raise _BadQuery(f"invalid {name}")
    return int(text)


def _cursor_id(cursor: str) -> int:
    try:
        return int(base64.b64decode(cursor, validate=True) or b"-1")
    except (binascii.Error, ValueError):
        raise _BadQuery("invalid after_cursor") from None


def _problem(status: int, kind: str, error: str) -> Response:
    return json_response({"type": kind, "error": error}, status)
