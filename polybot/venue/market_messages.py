"""The CLOB market channel: text frames to frozen records (feeds.md 2). Total: a bad frame is a
record too.

Prices and sizes are kept twice, as integers to decide with and as the venue's texts to hash with.
This is the hot path; the delta decoder reads its keys directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import orjson

from polybot.domain import units
from polybot.domain.market import Side
from polybot.venue import fields
from polybot.venue.fields import Json, price_of_text


@attrs.frozen
class WireLevel:
    """One level of a snapshot: 10⁻⁴, 10⁻⁶, and the venue's own texts for them."""

    price: int
    size: int
    price_text: str
    size_text: str


@attrs.frozen
class BookMessage:
    """A full snapshot of one token's book, levels in the wire's order. Fields not sent are None."""

    market: str
    asset: str
    timestamp: str  # milliseconds, as written: it is hashed
    hash: str
    bids: tuple[WireLevel, ...]
    asks: tuple[WireLevel, ...]
    tick_text: str | None = None
    last_trade_text: str | None = None  # "" when never traded

    @property
    def timestamp_ms(self) -> int:
        return int(self.timestamp)


@attrs.frozen
class Change:
    """One level's new total. `best_bid`/`best_ask` are the venue's view of the top after the
    message.

    None: not told. 0 and 10_000 stand for an empty bid and ask side.
    """

    asset: str
    side: Side
    price: int
    size: int
    price_text: str
    size_text: str
    hash: str
    best_bid: int | None
    best_ask: int | None


@attrs.frozen
class PriceChange:
    market: str
    timestamp: str
    entries: tuple[Change, ...]

    @property
    def timestamp_ms(self) -> int:
        return int(self.timestamp)


@attrs.frozen
class LastTrade:
    """A trade: `side` is the taker's on `asset`, the taker's token."""

    market: str
    asset: str
    price: int
    size: int
    side: Side
    timestamp_ms: int
    transaction: str


@attrs.frozen
class TickSize:
    market: str
    asset: str
    old: str
    new: str
    tick: int  # the new one, 10⁻⁴
    timestamp_ms: int


@attrs.frozen
class BestBidAsk:
    """The top of one token's book; None for an empty side."""

    market: str
    asset: str
    best_bid: int | None
    best_ask: int | None
    timestamp_ms: int


@attrs.frozen
class Resolved:
    market: str
    winning_asset: str
    winning_outcome: str
    timestamp_ms: int


@attrs.frozen
class Noise:
    """A frame that is right but not for us: `PONG`, `NO NEW
    ASSETS`, `new_market`, an unknown event.
    """

    kind: str


@attrs.frozen
class Bad:
    """A frame or record we cannot read."""

    why: str


MarketMessage = (
    BookMessage | PriceChange | LastTrade | TickSize | BestBidAsk | Resolved | Noise | Bad
)


def market_greeting(tokens: Sequence[str]) -> str:
    """The first frame of a market connection (feeds.md 2.1)."""
    return orjson.dumps(
        {"type": "market", "assets_ids": sorted(tokens), "custom_feature_enabled": True}
    ).decode()


def decode_market(frame: str | bytes) -> list[MarketMessage]:
    """Every record in one frame, in order. Never raises."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError:
        head = frame[:40] if isinstance(frame, str) else frame[:40].decode("utf-8", "replace")
        return [Bad(f"not JSON: {head!r}") if head[:1] in ("{", "[") else Noise(head)]
    rows = value if isinstance(value, list) else [value]
    return [decode_record(row) for row in rows]


def decode_record(row: object) -> MarketMessage:
    """One record of a frame, already out of its JSON."""
    if not fields.is_object(row):
        return Bad(f"expected an object, was {type(row).__name__}")
    kind = row.get("event_type")
    decode = _DECODERS.get(kind) if isinstance(kind, str) else None
    if decode is None:
        return Noise(str(kind)[:40])
    try:
        return decode(row)
    except ValueError as error:
        return Bad(f"{kind}: {error}")


def decode_book(row: Json) -> BookMessage:
    """A snapshot from the socket or from GET /book. Raises ValueError."""
    tick, last = row.get("tick_size"), row.get("last_trade_price")
    return BookMessage(
        fields.text(row, "market"),
        fields.text(row, "asset_id"),
        _stamp(row),
        fields.optional_text(row, "hash"),
        _levels(row.get("bids")),
        _levels(row.get("asks")),
        None if tick is None else fields.number_text(tick),
        last if isinstance(last, str) else None,
    )


def _stamp(row: Json) -> str:
    stamp = fields.text(row, "timestamp")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 16):
        raise ValueError(f"expected milliseconds, was {stamp[:40]!r}")
    return stamp


def _levels(value: object) -> tuple[WireLevel, ...]:
    return tuple(_level(fields.as_object(row)) for row in fields.as_list(value))


def _level(row: Json) -> WireLevel:
    price, size = fields.text(row, "price"), fields.text(row, "size")
    return WireLevel(price_of_text(price), units.parse_amount(size), price, size)


def _price_change(row: Json) -> PriceChange:
    items = fields.as_list(row.get("price_changes"))
    entries = tuple(_change(fields.as_object(item)) for item in items)
    return PriceChange(fields.text(row, "market"), _stamp(row), entries)


def _change(item: Json) -> Change:
    price, size = fields.as_text(item.get("price")), fields.as_text(item.get("size"))
    return Change(
        fields.as_text(item.get("asset_id")),
        Side.BUY if item.get("side") == "BUY" else fields.side(item),
        price_of_text(price),
        units.parse_amount(size),
        price,
        size,
        fields.optional_text(item, "hash"),
        _told(item.get("best_bid")),
        _told(item.get("best_ask")),
    )


def _told(value: object) -> int | None:
    """A best price, None where the venue leaves it out or empty."""
    if value is None or value == "":
        return None
    return price_of_text(value if isinstance(value, str) else fields.number_text(value))


def _last_trade(row: Json) -> LastTrade:
    return LastTrade(
        fields.text(row, "market"),
        fields.text(row, "asset_id"),
        fields.price(row, "price"),
        fields.amount(row, "size"),
        fields.side(row),
        fields.first_stamp_ms(row, "timestamp"),
        fields.optional_text(row, "transaction_hash"),
    )


def _tick_size(row: Json) -> TickSize:
    new = fields.number_text(row.get("new_tick_size"))
    return TickSize(
        fields.text(row, "market"),
        fields.text(row, "asset_id"),
        fields.optional_text(row, "old_tick_size"),
        new,
        fields.tick_of_text(new),
        fields.first_stamp_ms(row, "timestamp"),
    )


def _best_bid_ask(row: Json) -> BestBidAsk:
    return BestBidAsk(
        fields.text(row, "market"),
        fields.text(row, "asset_id"),
        _told(row.get("best_bid")),
        _told(row.get("best_ask")),
        fields.first_stamp_ms(row, "timestamp"),
    )


def _resolved(row: Json) -> Resolved:
    return Resolved(
        fields.text(row, "market"),
        fields.optional_text(row, "winning_asset_id"),
        fields.optional_text(row, "winning_outcome"),
        fields.first_stamp_ms(row, "timestamp"),
    )


_DECODERS: dict[str, Callable[[Json], MarketMessage]] = {
    "book": decode_book,
    "price_change": _price_change,
    "last_trade_price": _last_trade,
    "tick_size_change": _tick_size,
    "best_bid_ask": _best_bid_ask,
    "market_resolved": _resolved,
}
