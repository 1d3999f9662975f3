"""A slow, obvious venue to check books against: plain dicts, and JSON dumped to be hashed."""

from __future__ import annotations

import hashlib
import json

from venue_kit import CONDITION, DOWN, UP, make_market

from polybot.domain.market import Market, Outcome, Side
from polybot.venue.book_state import BookState
from polybot.venue.market_book import MarketBook
from polybot.venue.market_messages import (
    BookMessage,
    Change,
    LastTrade,
    PriceChange,
    decode_record,
)


class Venue:
    """The other side of the hash: both books as plain dicts, hashed by dumping JSON."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.books: dict[str, dict[str, dict[int, int]]] = {
            token: {"bids": {}, "asks": {}} for token in (market.up_token, market.down_token)
        }
        self.last_trade = ""
        self.tick = "0.01"

    def levels(self, token: str, side: str) -> list[dict[str, str]]:
        rows = sorted(self.books[token][side].items(), reverse=side == "asks")
        return [{"price": text(price), "size": amount(size)} for price, size in rows]

    def hash(self, token: str, stamp: int) -> str:
        value = {
            "market": self.market.condition_id,
            "asset_id": token,
            "timestamp": str(stamp),
            "hash": "",
            "bids": self.levels(token, "bids"),
            "asks": self.levels(token, "asks"),
            "min_order_size": "5",
            "tick_size": self.tick,
            "neg_risk": False,
            "last_trade_price": self.last_trade,
        }
        body = json.dumps(value, separators=(",", ":")).encode()
        return hashlib.sha1(body, usedforsecurity=False).hexdigest()

    def snapshot(self, token: str, stamp: int, *, dump: bool = True) -> BookMessage:
        row: dict[str, object] = {
            "event_type": "book",
            "market": self.market.condition_id,
            "asset_id": token,
            "timestamp": str(stamp),
            "hash": self.hash(token, stamp),
            "bids": self.levels(token, "bids"),
            "asks": self.levels(token, "asks"),
        }
        if dump:
            row |= {"tick_size": self.tick, "last_trade_price": self.last_trade}
        record = decode_record(row)
        assert isinstance(record, BookMessage)
        return record

    def change(self, stamp: int, *levels: tuple[Side, int, int]) -> PriceChange:
        """Change Up levels, mirrored on the Down book; every entry has the final hash."""
        for side, price, size in levels:
            bids_or_asks = "bids" if side is Side.BUY else "asks"
            self._set(self.market.up_token, bids_or_asks, price, size)
            other = "asks" if side is Side.BUY else "bids"
            self._set(self.market.down_token, other, 10_000 - price, size)
        entries = [
            self._entry(token, side_of, price_of, size, stamp)
            for side, price, size in levels
            for token, side_of, price_of in (
                (self.market.up_token, side, price),
                (
                    self.market.down_token,
                    Side.SELL if side is Side.BUY else Side.BUY,
                    10_000 - price,
                ),
            )
        ]
        return PriceChange(self.market.condition_id, str(stamp), entries)

    def _set(self, token: str, side: str, price: int, size: int) -> None:
        book = self.books[token][side]
        book.pop(price, None)
        if size:
            book[price] = size

    def _entry(self, token: str, side: Side, price: int, size: int, stamp: int) -> Change:
        book = self.books[token]
        return Change(
            text(price),
            amount(size),
            asset=token,
            side=side,
            hash=self.hash(token, stamp),
            bid_text=text(max(book["bids"], default=0)),
            ask_text=text(min(book["asks"], default=10_000)),
        )


def text(price: int) -> str:
    return f"{price / 10_000:g}"


def amount(size: int) -> str:
    return f"{size / 1_000_000:g}"


def opened() -> tuple[Venue, MarketBook]:
    """A venue with a small book, and our book after its dump."""
    market = make_market()
    venue, book = Venue(market), MarketBook(market)
    venue.change(1, (Side.BUY, 4900, 10_000_000), (Side.SELL, 5100, 20_000_000))
    for token in (UP, DOWN):
        book.apply(venue.snapshot(token, 1000))
    return venue, book


def state_of(book: MarketBook) -> set[BookState]:
    return {book.state(outcome) for outcome in Outcome}


def trade(price: int, stamp: int = 2000, asset: str = UP) -> LastTrade:
    return LastTrade(CONDITION, asset, price, 5_000_000, Side.BUY, stamp, "0x")


def levels_of(book: MarketBook, outcome: Outcome) -> tuple[list[tuple[int, int]], ...]:
    ours = book.book(outcome)
    return ours.levels(Side.BUY)[::-1], ours.levels(Side.SELL)[::-1]


def wire_levels(record: BookMessage) -> tuple[list[tuple[int, int]], ...]:
    sides = (record.bids, record.asks)
    return tuple([(level.price, level.size) for level in side] for side in sides)
