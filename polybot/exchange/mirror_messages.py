"""Market-channel frames of another venue as events in Up terms (feeds.md 2.3): a reader of our own.

Used for recorded frames and for the live stream. Unknown kinds and foreign tokens are nothing;
what is not a frame at all raises ValueError, and the caller decides what that means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import attrs
import orjson

from polybot.exchange.model import BUY, DOWN, SELL
from polybot.exchange.money import ONE, UNIT

Totals = dict[int, int]  # Up price → shares
Outcomes = Mapping[str, tuple[str, int]]  # token → (condition id, UP | DOWN)


@attrs.frozen
class Snapshot:
    """A whole book. `tick` is only on the first one after a subscription."""

    at_ms: int
    bids: Totals
    asks: Totals
    market: str = ""  # condition id
    tick: int | None = None
    last_trade: int | None = None


@attrs.frozen
class Changes:
    """New totals of levels: (side, Up price, shares); `best` is what the sender says results."""

    at_ms: int
    changes: tuple[tuple[str, int, int], ...]
    market: str = ""
    best: tuple[int | None, int | None] | None = None  # Up's (bid, ask)


@attrs.frozen
class Print:
    """A trade, in the taker's own terms."""

    at_ms: int
    outcome: int
    side: str
    price: int
    shares: int
    market: str = ""


@attrs.frozen
class NewTick:
    at_ms: int
    tick: int
    market: str = ""


@attrs.frozen
class Resolution:
    at_ms: int
    winner: int
    market: str = ""


Beat = Snapshot | Changes | Print | NewTick | Resolution


def scaled(text: object, scale: int) -> int:
    """A wire number as an integer; ValueError when it is none or does not fit the scale."""
    try:
        value = Decimal(str(text)) * scale
        whole = int(value)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"not a number: {text!r}") from error
    if whole != value:
        raise ValueError(f"{text!r} is finer than 1/{scale}")
    return whole


def totals(rows: list[dict[str, Any]]) -> Totals:
    """Levels as `[{"price", "size"}]`; empty ones are left out."""
    levels = {scaled(row["price"], ONE): scaled(row["size"], UNIT) for row in rows}
    return {price: size for price, size in levels.items() if size}


def mirrored(side: Totals) -> Totals:
    """Down's levels in Up's terms, or the reverse."""
    return {ONE - price: size for price, size in side.items()}


def read_frame(text: str | bytes, outcomes: Outcomes) -> list[Beat]:
    """All events of one frame, in order. ValueError when it is not JSON or not as documented."""
    if text in ("PONG", "NO NEW ASSETS"):  # feeds.md 2.1, 2.2
        return []
    decoded = orjson.loads(text)
    messages = decoded if isinstance(decoded, list) else [decoded]
    return [beat for message in messages for beat in read_message(message, outcomes)]


def read_message(message: Any, outcomes: Outcomes) -> Iterator[Beat]:
    """The events of one decoded message."""
    try:
        # A REST book has no event type (recordings hold them beside the stream's).
        kind = message.get("event_type", "book" if "bids" in message else "")
        if kind == "price_change":
            yield from _changes(message, outcomes)
        elif kind == "market_resolved":
            yield from _resolution(message, outcomes)
        elif kind in _READERS and message["asset_id"] in outcomes:
            yield _READERS[kind](message, *outcomes[message["asset_id"]])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a message of the market channel: {error!r}") from error


def _snapshot(message: dict[str, Any], market: str, outcome: int) -> Snapshot:
    bids, asks = totals(message["bids"]), totals(message["asks"])
    if outcome == DOWN:
        bids, asks = mirrored(asks), mirrored(bids)
    tick, last = message.get("tick_size"), message.get("last_trade_price")
    return Snapshot(
        int(message["timestamp"]), bids, asks, market,
        scaled(tick, ONE) if tick else None, scaled(last, ONE) if last else None,
    )  # fmt: skip


def _print(message: dict[str, Any], market: str, outcome: int) -> Print:
    return Print(
        int(message["timestamp"]), outcome, message["side"],
        scaled(message["price"], ONE), scaled(message["size"], UNIT), market,
    )  # fmt: skip


def _tick(message: dict[str, Any], market: str, _outcome: int) -> NewTick:
    return NewTick(int(message["timestamp"]), scaled(message["new_tick_size"], ONE), market)


_READERS: dict[str, Callable[[dict[str, Any], str, int], Beat]] = {
    "book": _snapshot,
    "last_trade_price": _print,
    "tick_size_change": _tick,
}


def _changes(message: dict[str, Any], outcomes: Outcomes) -> Iterator[Changes]:
    """Both tokens tell the same levels; each is taken once, the later entry standing."""
    found: dict[str, dict[tuple[str, int], int]] = {}
    best: dict[str, tuple[int | None, int | None]] = {}
    for entry in message["price_changes"]:
        if entry["asset_id"] not in outcomes:
            continue
        market, outcome = outcomes[entry["asset_id"]]
        side, price = entry["side"], scaled(entry["price"], ONE)
        bid, ask = _edge(entry.get("best_bid"), 0), _edge(entry.get("best_ask"), ONE)
        if outcome == DOWN:
            side, price = (SELL if side == BUY else BUY), ONE - price
            bid, ask = (None if ask is None else ONE - ask), (None if bid is None else ONE - bid)
        found.setdefault(market, {})[side, price] = scaled(entry["size"], UNIT)
        if entry.get("best_bid") and entry.get("best_ask"):
            best[market] = bid, ask
    for market, levels in found.items():
        changes = tuple((side, price, size) for (side, price), size in levels.items())
        yield Changes(int(message["timestamp"]), changes, market, best.get(market))


def _edge(text: str | None, empty: int) -> int | None:
    """A best price; "0", "1" and nothing stand for an empty side."""
    price = scaled(text, ONE) if text else empty
    return None if price == empty else price


def _resolution(message: dict[str, Any], outcomes: Outcomes) -> Iterator[Resolution]:
    winner = outcomes.get(message["winning_asset_id"])
    if winner is not None:
        yield Resolution(int(message["timestamp"]), winner[1], winner[0])
