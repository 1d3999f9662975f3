"""Orders and trades as REST (clob.md 5.1) and the user channel (feeds.md 4) spell them."""

from __future__ import annotations

from polybot.exchange.book_wire import price_text, size_text
from polybot.exchange.model import MakerFill, Order, OrderEvent, Trade

Record = dict[str, object]


def outcome_text(order: Order) -> str:
    return order.market.outcomes[order.market.outcome_of(order.token)]


def order_row(order: Order) -> Record:
    """One order of `GET /data/orders`. Sizes in shares, `created_at` in whole seconds."""
    return {
        "id": order.id,
        "status": order.status.value,
        "owner": order.owner,
        "maker_address": order.account,
        "market": order.market.condition_id,
        "asset_id": order.token,
        "side": order.side,
        "original_size": size_text(order.size),
        "size_matched": size_text(order.matched),
        "price": price_text(order.price),
        "outcome": outcome_text(order),
        "expiration": str(order.expiration_s),
        "order_type": order.kind.value,
        "associate_trades": list(order.trades),
        "created_at": order.created_ms // 1000,
    }


def order_event(event: OrderEvent) -> Record:
    """An `order` event of the user channel, as of that event rather than as of now."""
    order = event.order
    return {
        **order_row(order),
        "status": event.status,
        "size_matched": size_text(event.matched),
        "associate_trades": list(event.trades) or None,
        "order_owner": order.owner,
        "created_at": str(order.created_ms // 1000),
        "timestamp": str(event.at_ms),
        "type": event.kind,
        "event_type": "order",
    }


def _maker_row(fill: MakerFill) -> Record:
    order = fill.order
    return {
        "order_id": order.id,
        "owner": order.owner,
        "maker_address": order.account,
        "matched_amount": size_text(fill.shares),
        "price": price_text(fill.price),
        "fee_rate_bps": "0",
        "asset_id": order.token,
        "outcome": outcome_text(order),
        "outcome_index": order.market.outcome_of(order.token),
        "side": order.side,
    }


def _trade_fields(trade: Trade, trader_side: str) -> Record:
    """What REST and the user channel share: the taker's view, and every maker."""
    taker = trade.taker
    return {
        "id": trade.id,
        "taker_order_id": taker.id,
        "market": trade.market.condition_id,
        "asset_id": taker.token,
        "side": taker.side,
        "size": size_text(trade.shares),
        "fee_rate_bps": "0",
        "price": price_text(trade.price),
        "status": trade.status,
        "match_time": str(trade.matched_ms // 1000),
        "last_update": str(trade.updated_ms // 1000),
        "outcome": outcome_text(taker),
        "bucket_index": 0,
        "owner": taker.owner,
        "maker_address": taker.account,
        "transaction_hash": trade.tx_hash,
        "trader_side": trader_side,
        "maker_orders": [_maker_row(fill) for fill in trade.makers],
    }


def trade_row(trade: Trade, owner: str, now_ms: int) -> Record:
    """One trade of `GET /data/trades` as an API key sees it.

    Statuses are prefixed here, and one says what the stream does not: matched, not yet sent off.
    """
    side = "TAKER" if trade.taker.owner == owner else "MAKER"
    waits = trade.status == "MATCHED" and now_ms < trade.broadcast_ms
    return {
        **_trade_fields(trade, side),
        "status": f"TRADE_STATUS_{'MATCHED_NOT_BROADCASTED' if waits else trade.status}",
        "match_time_nano": str(trade.matched_ms * 1_000_000),
    }


def trade_event(trade: Trade, trader_side: str, at_ms: int) -> Record:
    """A `trade` event of the user channel."""
    return {
        **_trade_fields(trade, trader_side),
        "trade_owner": trade.taker.owner,
        "timestamp": str(at_ms),
        "type": "TRADE",
        "event_type": "trade",
    }
