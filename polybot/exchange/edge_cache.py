"""The content-delivery cache before the Data API: answers that are stale, and say so.

Keyed by the path with its whole query, so that a changing dummy parameter gets past it (feeds.md
11). Only good answers are kept.
"""

from __future__ import annotations

from collections import OrderedDict

import attrs

from polybot.exchange.request import Request, Response

KEPT = 2_000  # answers, the oldest go first

Key = tuple[str, tuple[tuple[str, str], ...]]


@attrs.frozen
class _Kept:
    response: Response
    at_ms: int


class EdgeCache:
    """Keeps answers for as long as their route's `max_age_s` says; 0 or no entry: never.

    `max_age_s` may be changed at any time.
    """

    def __init__(self, max_age_s: dict[str, int]) -> None:
        self.max_age_s = max_age_s
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()

    def find(self, request: Request, now_ms: int) -> Response | None:
        kept = self._kept.get(_key(request))
        age_ms = 0 if kept is None else now_ms - kept.at_ms
        if kept is None or age_ms >= self._most_s(request) * 1000:
            return None
        return self._dressed(request, kept.response, age_ms // 1000, "HIT")

    def keep(self, request: Request, response: Response, now_ms: int) -> Response:
        """The answer as it leaves, remembered when its route is cached."""
        if response.status != 200 or not self._most_s(request):
            return response
        self._kept[_key(request)] = _Kept(response, now_ms)
        self._kept.move_to_end(_key(request))
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._dressed(request, response, 0, "MISS")

    def _most_s(self, request: Request) -> int:
        return self.max_age_s.get(request.path, 0)

    def _dressed(self, request: Request, response: Response, age_s: int, hit: str) -> Response:
        told = (
            ("cache-control", f"public, max-age={self._most_s(request)}"),
            ("age", str(age_s)),
            ("cf-cache-status", hit),
        )
        return attrs.evolve(response, headers=(*response.headers, *told))


def _key(request: Request) -> Key:
    return request.path, tuple(sorted(request.query.items()))
