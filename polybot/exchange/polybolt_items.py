"""What PolyBolt can be asked for, and the payloads that answer it (feeds.md 5.1, 5.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import attrs

from polybot.exchange.book_wire import BookText, price_text
from polybot.exchange.money import ONE
from polybot.exchange.oracle import PriceTick

SPOT, TWAP, TOP = "price.crypto", "price.crypto.twap", "price.polymarket"
UNGATED = {TOP}  # needs no authentication; the documents vary (feeds.md 5.2, UNSURE)
PROVIDERS = ("chainlink", "pyth")


@attrs.frozen
class Item:
    """One subscription: a channel, its symbol (or token), and what makes two of them different.

    `feed` is the oracle's name for it; None where no data will ever come.
    """

    channel: str
    symbol: str
    feed: str | None
    detail: str  # provider or window


def read_item(one: object, symbols: Mapping[str, str], provider: str) -> Item | str:
    """A subscription as given, or the error code for it. `provider` where none is named."""
    channel = one.get("channel") if isinstance(one, dict) else None
    if not isinstance(one, dict) or channel not in (SPOT, TWAP, TOP):
        return "bad_channel"
    wanted = one.get("filter")
    if not isinstance(wanted, dict):
        return "bad_filter"
    if channel == TOP:
        token = wanted.get("asset_id")
        return Item(TOP, token, "top", "") if isinstance(token, str) else "bad_filter"
    symbol = wanted.get("symbol")
    if not isinstance(symbol, str) or symbol not in symbols:
        return "bad_filter"
    if channel == TWAP:
        window = wanted.get("window_seconds", 60)
        if type(window) is not int or window <= 0:
            return "bad_filter"
        return Item(TWAP, symbol, "twap60" if window == 60 else None, str(window))
    named = wanted.get("provider", provider)
    if named not in PROVIDERS:
        return "bad_filter"
    return Item(SPOT, symbol, "chainlink" if named == "chainlink" else None, str(named))


def exact(value: float) -> str:
    """The shortest plain decimal that reads back as the same float."""
    return f"{Decimal(repr(value)):f}"


def update(tick: PriceTick) -> dict[str, object]:
    payload: dict[str, object] = {
        "symbol": f"{tick.asset}usd",
        "value": tick.value,
        "full_accuracy_value": exact(tick.value),
        "timestamp": tick.stamp_ms,
    }
    if tick.feed == "twap60":
        payload["window_seconds"] = 60
    else:
        payload["received_at"] = tick.at_ms
    payload["source"] = "chainlink"
    return payload


def snapshot(item: Item, ticks: Sequence[PriceTick]) -> dict[str, object]:
    source = item.detail if item.channel == SPOT else "chainlink"
    payload: dict[str, object] = {"symbol": item.symbol, "source": source}
    if item.channel == TWAP:
        payload["window_seconds"] = int(item.detail)
    payload["data"] = [
        {"timestamp": t.stamp_ms, "value": t.value, "full_accuracy_value": exact(t.value)}
        for t in ticks
    ]
    return payload


def top_of_book(book: BookText, token: str) -> dict[str, object]:
    """`price.polymarket`: the best prices of one token, empty sides as in price_change."""
    outcome = book.market.outcome_of(token)
    bid, ask = book.best(outcome)
    return {
        "market": book.market.condition_id,
        "asset_id": token,
        "best_bid": price_text(bid or 0),
        "best_ask": price_text(ONE if ask is None else ask),
        "hash": book.hash(outcome),
        "timestamp": book.changed_ms,
    }
