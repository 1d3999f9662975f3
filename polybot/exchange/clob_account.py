"""Private reads: own orders, own trades (clob.md 5.1)."""

from __future__ import annotations

from collections import deque
from itertools import takewhile

from polybot.exchange import eip712
from polybot.exchange.auth import ApiKey, KeyStore
from polybot.exchange.engine import Engine
from polybot.exchange.identities import full_condition_id
from polybot.exchange.model import Event, Order, OrderEvent, Trade, Traded
from polybot.exchange.paging import page
from polybot.exchange.request import (
    Request,
    Response,
    error_response,
    json_response,
)
from polybot.exchange.wire_records import order_row, trade_row

# Per API key; the engine forgets resolved markets, the venue does not.
KEPT_TRADES = KEPT_ORDERS = 20_000

BAD_ORDER_QUERY = "invalid order params payload"
BAD_TRADE_QUERY = "Invalid trade params payload"


class AccountReads:
    """What an API key may read of its own."""

    def __init__(self, engine: Engine, keys: KeyStore) -> None:
        self._engine = engine
        self._keys = keys
        self._trades: dict[str, deque[Trade]] = {}  # by API key, oldest first
        # By API key and id, those first of which nothing has been told for longest.
        self._orders: dict[str, dict[str, Order]] = {}

    def on_event(self, event: Event) -> None:
        """The engine's listener: remember what is every API key's, and nobody else's."""
        if isinstance(event, OrderEvent):
            self._remember(event.order)
        if not isinstance(event, Traded):
            return
        trade = event.trade
        owners = {trade.taker.owner, *(fill.order.owner for fill in trade.makers)}
        for owner in owners:
            if owner in self._keys:
                self._trades.setdefault(owner, deque(maxlen=KEPT_TRADES)).append(trade)

    def _remember(self, order: Order) -> None:
        if order.owner in self._keys:
            mine = self._orders.setdefault(order.owner, {})
            mine.pop(order.id, None)
            mine[order.id] = order
            if len(mine) > KEPT_ORDERS:
                del mine[next(iter(mine))]

    # --- orders ------------------------------------------------------------------------------

    def orders(self, request: Request, key: ApiKey) -> Response:
        """Live orders, oldest first; with `id` that one order whatever its status."""
        query = request.query
        if "id" in query:
            order = self._own(query["id"], key)
            found = [order] if order else []
        else:
            found = self._engine.live_orders(key.key)
        chosen = [order for order in found if _order_matches(order, query)]
        return page(chosen, query, BAD_ORDER_QUERY, order_row)

    def order(self, request: Request, key: ApiKey) -> Response:
        order = self._own(request.path.rpartition("/")[2], key)
        return json_response(order_row(order)) if order else error_response("Order not found", 404)

    def _own(self, order_id: str, key: ApiKey) -> Order | None:
        order = self._engine.orders.get(order_id) or self._orders.get(key.key, {}).get(order_id)
        return order if order is not None and order.owner == key.key else None

    # --- trades ------------------------------------------------------------------------------

    def trades(self, request: Request, key: ApiKey) -> Response:
        """Own trades, newest first. Market and asset are matched against the taker order."""
        query = request.query
        if not all(_is_seconds(query.get(name, "0")) for name in ("before", "after")):
            return error_response(BAD_TRADE_QUERY)
        mine = reversed(self._trades.get(key.key, ()))
        now_ms = self._engine.now_ms
        after_ms = int(query.get("after", "0")) * 1000
        recent = takewhile(lambda trade: trade.matched_ms >= after_ms, mine)
        chosen = [trade for trade in recent if _trade_matches(trade, query)]
        return page(chosen, query, BAD_TRADE_QUERY, lambda trade: trade_row(trade, key.key, now_ms))


def _order_matches(order: Order, query: dict[str, str]) -> bool:
    market, token = full_condition_id(query.get("market", "")), query.get("asset_id")
    return market in ("", order.market.condition_id) and token in (None, "", order.token)


def _is_seconds(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15


def _trade_matches(trade: Trade, query: dict[str, str]) -> bool:
    matched_s = trade.matched_ms // 1000
    wallets = {trade.taker.account, *(fill.order.account for fill in trade.makers)}
    wallet = query.get("maker_address")
    return (
        _order_matches(trade.taker, query)
        and query.get("id") in (None, "", trade.id)
        and (not wallet or eip712.parse_address(wallet) in wallets)
        and ("before" not in query or matched_s <= int(query["before"]))
    )
