"""`/notifications`: what the venue's bell tells an account about its orders and markets.

The calls are named in clob.md 5.1; the shapes are those that the official SDK parses
(`models/clob/notifications.py`). Kept per API key, the newest 500, until they are dropped.
"""

from __future__ import annotations

from collections import deque

from polybot.exchange.auth import ApiKey, KeyStore
from polybot.exchange.book_wire import price_text, size_text
from polybot.exchange.engine import Engine
from polybot.exchange.market_forms import long_form
from polybot.exchange.model import (
    Event,
    Market,
    MarketResolved,
    Order,
    OrderEvent,
    Traded,
    TradeUpdated,
)
from polybot.exchange.request import Request, Response, error_response, json_response
from polybot.exchange.wire_records import Record, outcome_text

KEPT = 500
CANCELLED, FILLED, RESOLVED, FILL_FAILED = 1, 2, 4, 8  # the kinds an exchange brings about
BAD_SIGNATURE_TYPE, BAD_IDS = "Invalid signature_type", "Invalid ids"


class Notifications:
    """Listens to the engine, for keys and nobody else."""

    def __init__(self, engine: Engine, keys: KeyStore) -> None:
        self._engine = engine
        self._keys = keys
        self._told: dict[str, deque[Record]] = {}  # by API key, oldest first
        self._traders: dict[str, dict[tuple[str, str], None]] = {}  # condition → (key, wallet)
        self._number = 0

    # --- what happens ------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        if isinstance(event, OrderEvent):
            self._on_order(event)
        elif isinstance(event, Traded):
            trade = event.trade
            for order in (trade.taker, *(fill.order for fill in trade.makers)):
                if order.owner in self._keys:
                    known = self._traders.setdefault(trade.market.condition_id, {})
                    known[order.owner, order.account] = None
        elif isinstance(event, TradeUpdated) and event.trade.status == "FAILED":
            trade = event.trade
            for order in (trade.taker, *(fill.order for fill in trade.makers)):
                payload = _order_payload(order, order.matched) | _settlement(trade.id)
                self._tell(order.owner, FILL_FAILED, payload, event.at_ms)
        elif isinstance(event, MarketResolved):
            self._on_resolved(event.market, event.at_ms)

    def _on_order(self, event: OrderEvent) -> None:
        order = event.order
        if order.owner not in self._keys:
            return
        payload = _order_payload(order, event.matched)
        if event.kind == "CANCELLATION":
            self._tell(order.owner, CANCELLED, payload, event.at_ms)
        elif event.kind == "UPDATE":
            last = order.trades[-1] if order.trades else ""
            self._tell(order.owner, FILLED, payload | _settlement(last), event.at_ms)

    def _on_resolved(self, market: Market, at_ms: int) -> None:
        """Told to who traded it and still holds some of it."""
        for owner, wallet in self._traders.pop(market.condition_id, {}):
            if any(self._engine.accounts.shares(wallet, token) for token in market.tokens):
                payload = long_form(market) | {"icon": "", "image": "", "fpmm": ""}
                self._tell(owner, RESOLVED, payload, at_ms)

    def _tell(self, owner: str, kind: int, payload: Record, at_ms: int) -> None:
        if owner not in self._keys:
            return
        self._number += 1
        told = self._told.setdefault(owner, deque(maxlen=KEPT))
        told.append(
            {
                "id": self._number,
                "owner": owner,
                "type": kind,
                "timestamp": str(at_ms // 1000),
                "payload": payload,
            }
        )

    # --- the calls ---------------------------------------------------------------------------

    def list(self, request: Request, key: ApiKey) -> Response:
        """GET: all of this key, newest first. The signature type is checked and plays no part."""
        if request.query.get("signature_type", "0") not in {"0", "1", "2", "3"}:
            return error_response(BAD_SIGNATURE_TYPE)
        return json_response([*reversed(self._told.get(key.key, ()))])

    def drop(self, request: Request, key: ApiKey) -> Response:
        """DELETE `?ids=1,2`: those are gone; unknown ones do no harm."""
        ids = request.query.get("ids", "").split(",")
        if not all(one.isascii() and one.isdigit() and len(one) <= 15 for one in ids):
            return error_response(BAD_IDS)
        gone = {int(one) for one in ids}
        kept = [one for one in self._told.get(key.key, ()) if one["id"] not in gone]
        self._told[key.key] = deque(kept, maxlen=KEPT)
        return json_response("OK")


def _order_payload(order: Order, matched: int) -> Record:
    market = order.market
    return {
        "asset_id": order.token,
        "market": market.condition_id,
        "order_id": order.id,
        "side": order.side,
        "type": order.kind.value,
        "price": price_text(order.price),
        "original_size": size_text(order.size),
        "matched_size": size_text(matched),
        "remaining_size": size_text(max(order.size - matched, 0)),
        "outcome": outcome_text(order),
        "outcome_index": market.outcome_of(order.token),
        "question": market.question,
        "market_slug": market.slug,
        "eventSlug": market.slug,
        "icon": "",
        "image": "",
    }


def _settlement(trade_id: str) -> Record:
    """Which trade; its hash is not known yet, or no longer (clob.md 3.6)."""
    return {"trade_id": trade_id, "transaction_hash": ""}
