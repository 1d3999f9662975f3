"""Market-channel messages that are not books: prints, ticks, listings, results (feeds.md 2.3)."""

from __future__ import annotations

import json

from polybot.exchange.book_wire import price_text, size_text
from polybot.exchange.fees import told_rebate_percent
from polybot.exchange.gamma_objects import description, event_id
from polybot.exchange.model import Market, Phase, Trade
from polybot.exchange.money import UNIT, decimal_text


def _spaced(message: dict[str, object]) -> str:
    """The wire's spacing of later frames: a space after commas only, as in captured frames."""
    return json.dumps(message, separators=(", ", ":"))


def last_trade_price(trade: Trade, at_ms: int) -> str:
    """The print: the taker's token, side, total size and level price. No wallet."""
    return _spaced(
        {
            "market": trade.market.condition_id,
            "asset_id": trade.taker.token,
            "price": price_text(trade.price),
            "size": size_text(trade.shares),
            "fee_rate_bps": "0",
            "side": trade.taker.side,
            "timestamp": str(at_ms),
            "event_type": "last_trade_price",
            "transaction_hash": trade.tx_hash,
        }
    )


def tick_size_change(market: Market, token: str, old: int, new: int, at_ms: int) -> str:
    return _spaced(
        {
            "market": market.condition_id,
            "asset_id": token,
            "old_tick_size": price_text(old),
            "new_tick_size": price_text(new),
            "timestamp": str(at_ms),
            "event_type": "tick_size_change",
        }
    )


def new_market(market: Market, at_ms: int) -> str:
    """Sent for every market of the venue, about a day before its window."""
    text = description(market)
    return _spaced(
        {
            "id": market.gamma_id,
            "question": market.question,
            "market": market.condition_id,
            "slug": market.slug,
            "description": text,
            "assets_ids": list(market.tokens),
            "outcomes": list(market.outcomes),
            "event_message": {
                "id": event_id(market),
                "ticker": market.slug,
                "slug": market.slug,
                "title": market.question,
                "description": text,
            },
            "timestamp": str(at_ms),
            "event_type": "new_market",
            "tags": [],
            "condition_id": market.condition_id,
            "active": market.phase is Phase.OPEN,
            "clob_token_ids": list(market.tokens),
            "sports_market_type": "",
            "line": "",
            "game_start_time": "",
            "order_price_min_tick_size": price_text(market.tick),
            "group_item_title": "",
            "taker_base_fee": "1000" if market.fee_rate_ppm else "0",
            "fees_enabled": market.fee_rate_ppm > 0,
            "fee_schedule": {
                "exponent": str(market.fee_exponent),
                "rate": decimal_text(market.fee_rate_ppm, UNIT),
                "taker_only": True,
                "rebate_rate": decimal_text(told_rebate_percent(market), 100),
            },
        }
    )


def market_resolved(market: Market, winner: int | None, at_ms: int) -> str:
    """A void names nobody; no page has an example of one, so the two keys are empty."""
    return _spaced(
        {
            "id": market.gamma_id,
            "market": market.condition_id,
            "assets_ids": list(market.tokens),
            "winning_asset_id": "" if winner is None else market.tokens[winner],
            "winning_outcome": "" if winner is None else market.outcomes[winner],
            "timestamp": str(at_ms),
            "event_type": "market_resolved",
            "tags": [],
            "question": market.question,
            "slug": market.slug,
            "outcomes": list(market.outcomes),
        }
    )
