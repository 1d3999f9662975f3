"""The exchange's own view of itself over loopback HTTP: what a test or an operator checks against.

`GET /state?address=`, `/live-orders?owner=`, `/counters`. Money and shares are integers of 10⁻⁶,
prices of 10⁻⁴.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from polybot.clock import Clock
from polybot.exchange.counters import Counters, Tally
from polybot.exchange.engine import Engine
from polybot.exchange.model import Market, Order, Phase, Status
from polybot.exchange.net import Request, Response, Service, error_response, json_response

RECENT_MS = 7_200_000


class AdminService:
    """Reads the engine and the counters; what else it can do, others have put into `routes`."""

    def __init__(self, engine: Engine, counters: Counters, clock: Clock) -> None:
        self._engine = engine
        self._counters = counters
        self._clock = clock
        # Other parts of the exchange add their own calls here.
        self.routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "/state"): self._state,
            ("GET", "/live-orders"): self._live_orders,
            ("GET", "/counters"): self._totals,
        }
        # And what they know of an account: the keys go into its state.
        self.figures: list[Callable[[str], dict[str, int]]] = []
        self.service = Service(self._answer, None)

    async def _answer(self, request: Request) -> Response:
        route = self.routes.get((request.method, request.path))
        return error_response("not found", 404) if route is None else route(request)

    def _state(self, request: Request) -> Response:
        return json_response(self.state(request.query.get("address", "")))

    def _live_orders(self, request: Request) -> Response:
        orders = self._engine.live_orders(request.query.get("owner", ""))
        return json_response([*map(_order, orders)])

    def _totals(self, request: Request) -> Response:
        return json_response(dict(sorted(self._counters.totals.items())))

    def state(self, address: str) -> dict[str, object]:
        """One account as the exchange's books have it, and the markets of the last two hours."""
        accounts, now_ms = self._engine.accounts, self._clock.now_ms()
        tally = self._counters.accounts.get(address) or Tally()
        return {
            "now_ms": now_ms,
            "address": address,
            "live_orders": sum(
                1 for order in self._engine.orders.values() if _lives(order, address)
            ),
            "cash": accounts.cash(address),
            "reserved": accounts.cash(address) - accounts.available(address),
            "equity": self._engine.equity(address),
            "orders_received": tally.placed + tally.refused,
            "invalid_orders": tally.invalid,
            **attrs.asdict(tally),
            **{key: n for figures in self.figures for key, n in figures(address).items()},
            "markets": [
                self._market(market, address)
                for market in self._engine.markets.values()
                if _recent(market, now_ms) or self._shares(market, address) != [0, 0]
            ],
        }

    def _market(self, market: Market, address: str) -> dict[str, object]:
        return {
            "slug": market.slug,
            "condition_id": market.condition_id,
            "phase": market.phase.value,
            "strike": market.strike,
            "final": market.final,
            "winner": market.winner,
            "resolved_ms": market.resolved_ms,
            "shares": self._shares(market, address),
        }

    def _shares(self, market: Market, address: str) -> list[int]:
        return [self._engine.accounts.shares(address, token) for token in market.tokens]


def _lives(order: Order, address: str) -> bool:
    return order.account == address and order.status in {Status.LIVE, Status.DELAYED}


def _recent(market: Market, now_ms: int) -> bool:
    if market.phase is Phase.RESOLVED:
        return market.resolved_ms is not None and now_ms - market.resolved_ms < RECENT_MS
    return market.start_ms <= now_ms


def _order(order: Order) -> dict[str, object]:
    return {
        "id": order.id,
        "slug": order.market.slug,
        "token": order.token,
        "side": order.side,
        "price": order.price,
        "size": order.size,
        "matched": order.matched,
        "status": order.status.value,
    }
