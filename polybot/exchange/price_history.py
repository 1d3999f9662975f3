"""`GET /prices-history`: what a token traded at, one point a minute (clob.md 7.1 names the call).

Its reply is `{"history":[{"t","p"}]}` with Unix seconds, as both official clients expect; how the
venue draws its points between trades is not documented, so only minutes with a trade have one.
"""

from __future__ import annotations

from collections.abc import Iterator

from polybot.clock import Clock
from polybot.exchange.engine import Engine
from polybot.exchange.model import UP, Event, Market, Traded
from polybot.exchange.money import ONE
from polybot.exchange.request import Request, Response, error_response, json_response

BAD_FILTERS = "invalid filters"
MARKETS_KEPT = 5_000  # the ones traded last; a day of all series is about as many
_MINUTE_MS = 60_000
_HOUR_S = 3_600
_INTERVALS = {
    "1h": _HOUR_S,
    "6h": 6 * _HOUR_S,
    "1d": 24 * _HOUR_S,
    "1w": 168 * _HOUR_S,
    "1m": 720 * _HOUR_S,
    "max": None,
    "all": None,
}


class PriceHistory:
    """Listens to trades; prices are kept in Up's terms."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._minutes: dict[str, dict[int, int]] = {}  # condition id → minute → last price

    def on_event(self, event: Event) -> None:
        if not isinstance(event, Traded):
            return
        trade = event.trade
        condition = trade.market.condition_id
        minutes = self._minutes.pop(condition, None)  # to the end: the last to be forgotten
        self._minutes[condition] = minutes = {} if minutes is None else minutes
        up = trade.market.outcome_of(trade.taker.token) == UP
        minutes[event.at_ms // _MINUTE_MS] = trade.price if up else ONE - trade.price
        if len(self._minutes) > MARKETS_KEPT:
            del self._minutes[next(iter(self._minutes))]

    def points(
        self, market: Market, outcome: int, start_s: int, end_s: int, step_min: int
    ) -> Iterator[tuple[int, int]]:
        """(Unix seconds, price 10⁻⁴) in [start, end]: the last trade of every step."""
        last: dict[int, tuple[int, int]] = {}
        for minute, price in self._minutes.get(market.condition_id, {}).items():
            if start_s <= minute * 60 <= end_s:
                last[minute // step_min] = minute * 60, price if outcome == UP else ONE - price
        yield from last.values()

    def answer(self, request: Request) -> Response:
        """`market` is a token; `interval`, or `startTs` and `endTs`; `fidelity` in minutes."""
        query = request.query
        token = query.get("market", "")
        market = self._engine.by_token.get(token)
        span = _span(query, self._clock.now_ms() // 1000)
        step = _whole(query.get("fidelity", "1"))
        if market is None or span is None or not step:
            return error_response(BAD_FILTERS)
        points = self.points(market, market.outcome_of(token), *span, step)
        return json_response({"history": [{"t": t, "p": price / ONE} for t, price in points]})


def _span(query: dict[str, str], now_s: int) -> tuple[int, int] | None:
    if "interval" in query:
        if query["interval"] not in _INTERVALS:
            return None
        length = _INTERVALS[query["interval"]]
        return (0 if length is None else now_s - length), now_s
    start, end = (_whole(query.get(name, "")) for name in ("startTs", "endTs"))
    return None if start is None or end is None else (start, end)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None
