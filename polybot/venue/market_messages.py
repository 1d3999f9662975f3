"""The CLOB market channel: text frames to frozen records (feeds.md 2). Total: a bad frame is a
record too.

What comes all the time – changes, books, best prices – is read straight into typed structs by
msgspec, in a tenth of the time of plain JSON and checks of our own. They hold the venue's texts,
which are hashed, and read a number when it is asked for: one that is none raises ValueError, and
whoever asks first, the book, counts the message as bad. What is not exactly of the expected shape
is read again the tolerant way, which also reads everything else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import attrs
import msgspec
import orjson

from polybot.domain import units
from polybot.domain.market import Side
from polybot.venue import fields
from polybot.venue.fields import Json, price_of_text

# The same size comes for both tokens, and round ones all the time.
amount_of_text = functools.lru_cache(maxsize=20_000)(units.parse_amount)


def stamp_of_text(text: str) -> int:
    """Unix milliseconds. Raises ValueError."""
    if len(text) > 16 or not (text.isascii() and text.isdigit()):
        raise ValueError(f"expected milliseconds, was {text[:40]!r}")
    return int(text)


class WireLevel(
    msgspec.Struct, frozen=True, gc=False, rename={"price_text": "price", "size_text": "size"}
):
    """One level of a snapshot in the venue's own texts. Most snapshots say what we know already:
    the numbers are read when they are wanted.
    """

    price_text: str
    size_text: str

    @property
    def price(self) -> int:
        """In 10⁻⁴. Raises ValueError for what is no price."""
        return price_of_text(self.price_text)

    @property
    def size(self) -> int:
        """In 10⁻⁶. Raises ValueError for what is no amount."""
        return amount_of_text(self.size_text)


class BookMessage(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="event_type",
    tag="book",
    rename={"asset": "asset_id", "tick_text": "tick_size", "last_trade_text": "last_trade_price"},
):
    """A full snapshot of one token's book, levels in the wire's order. Fields not sent are None."""

    market: str
    asset: str
    timestamp: str  # milliseconds, as written: it is hashed
    bids: tuple[WireLevel, ...]
    asks: tuple[WireLevel, ...]
    hash: str = ""
    tick_text: str | None = None
    last_trade_text: str | None = None  # "" when never traded

    @property
    def timestamp_ms(self) -> int:
        """Raises ValueError for what is no stamp."""
        return stamp_of_text(self.timestamp)


class Change(
    WireLevel,
    frozen=True,
    gc=False,
    kw_only=True,
    rename={"asset": "asset_id", "bid_text": "best_bid", "ask_text": "best_ask"},
):
    """One level's new total, and the venue's view of the top after the message, which may be left
    out or empty.
    """

    asset: str
    side: Side
    hash: str | None = None
    bid_text: str | None = None
    ask_text: str | None = None


class PriceChange(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="event_type",
    tag="price_change",
    rename={"entries": "price_changes"},
):
    market: str
    timestamp: str
    entries: list[Change]

    @property
    def timestamp_ms(self) -> int:
        """Raises ValueError for what is no stamp."""
        return stamp_of_text(self.timestamp)


class BestBidAsk(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="event_type",
    tag="best_bid_ask",
    rename={"asset": "asset_id", "bid_text": "best_bid", "ask_text": "best_ask"},
):
    """The top of one token's book; None or empty where it is not told."""

    market: str
    asset: str
    bid_text: str | None = None
    ask_text: str | None = None


class LastTrade(msgspec.Struct, frozen=True, gc=False):
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


_Frequent = PriceChange | BookMessage | BestBidAsk
_typed = msgspec.json.Decoder(_Frequent | list[_Frequent]).decode


def decode_market(frame: str | bytes) -> Sequence[MarketMessage]:
    """Every record in one frame, in order. Never raises."""
    try:
        value = _typed(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        # How deep msgspec reads depends on its caller's depth, which a replay has not in common
        # with the run; orjson has a limit of its own.
        return _decode_any(frame)
    return value if type(value) is list else (value,)


def _decode_any(frame: str | bytes) -> Sequence[MarketMessage]:
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
        return Noise(fields.shown(kind))
    try:
        return decode(row)
    except ValueError as error:
        return Bad(f"{kind}: {error}")


def decode_book(row: Json) -> BookMessage:
    """A snapshot from GET /book, or from a socket that writes it in some other way. Raises
    ValueError, also for a level that cannot be read.
    """
    tick, last = row.get("tick_size"), row.get("last_trade_price")
    return BookMessage(
        fields.text(row, "market"),
        fields.text(row, "asset_id"),
        _stamp(row),
        _levels(row.get("bids")),
        _levels(row.get("asks")),
        fields.optional_text(row, "hash"),
        None if tick is None else fields.number_text(tick),
        last if isinstance(last, str) else None,
    )


def _levels(value: object) -> tuple[WireLevel, ...]:
    return tuple(_level(fields.as_object(row)) for row in fields.as_list(value))


def _level(row: Json) -> WireLevel:
    price, size = fields.text(row, "price"), fields.text(row, "size")
    price_of_text(price)
    amount_of_text(size)
    return WireLevel(price, size)


def _stamp(row: Json) -> str:
    stamp = fields.text(row, "timestamp")
    stamp_of_text(stamp)
    return stamp


def _price_change(row: Json) -> PriceChange:
    items = fields.as_list(row.get("price_changes"))
    entries = [_change(fields.as_object(item)) for item in items]
    return PriceChange(fields.text(row, "market"), _stamp(row), entries)


def _change(item: Json) -> Change:
    change = Change(
        fields.as_text(item.get("price")),
        fields.as_text(item.get("size")),
        asset=fields.as_text(item.get("asset_id")),
        side=fields.side(item),
        hash=fields.optional_text(item, "hash"),
        bid_text=_told(item.get("best_bid")),
        ask_text=_told(item.get("best_ask")),
    )
    price_of_text(change.price_text)
    amount_of_text(change.size_text)
    return change


def _told(value: object) -> str | None:
    """A best price, None where the venue leaves it out or empty."""
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else fields.number_text(value)
    price_of_text(text)
    return text


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
