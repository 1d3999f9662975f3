"""One token's book in the venue's own words, ready to be hashed (feeds.md 3).

The venue hashes the JSON text of the whole book after every change. Each level keeps its ready-made
fragment of that text in the hash's order (bids ascending, asks descending), so that a check is one
join and one SHA-1, a few microseconds for a hundred levels.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable

import attrs

from polybot.domain.book import Book
from polybot.domain.market import Side
from polybot.venue.market_messages import Change, WireLevel


@attrs.define(eq=False)
class HashedBook:
    """A token's book twice: as integers (`book`) and as fragments of the hashed text."""

    market: str
    asset: str
    min_size_text: str
    tick_text: str
    neg_risk: bool
    book: Book = attrs.field(factory=Book, init=False)
    # Keys ascend in both: bid prices, and negated ask prices.
    _bid_keys: list[int] = attrs.field(factory=list, init=False)
    _bid_texts: list[str] = attrs.field(factory=list, init=False)
    _ask_keys: list[int] = attrs.field(factory=list, init=False)
    _ask_texts: list[str] = attrs.field(factory=list, init=False)

    def replace(self, bids: Iterable[WireLevel], asks: Iterable[WireLevel]) -> None:
        """Take a snapshot. The wire promises an order, but sorting
        costs little and assumes nothing.
        """
        bid_rows = {level.price: level for level in bids if level.size}
        ask_rows = {level.price: level for level in asks if level.size}
        self._bid_keys = sorted(bid_rows)
        self._bid_texts = [_fragment(bid_rows[price]) for price in self._bid_keys]
        self._ask_keys = sorted(-price for price in ask_rows)
        self._ask_texts = [_fragment(ask_rows[-key]) for key in self._ask_keys]
        self.book.replace(
            [(level.price, level.size) for level in bid_rows.values()],
            [(level.price, level.size) for level in ask_rows.values()],
        )

    def apply(self, change: Change) -> bool:
        """Set one level. Returns whether it shrank, as a trade makes it do."""
        if change.side is Side.BUY:
            keys, texts, key = self._bid_keys, self._bid_texts, change.price
        else:
            keys, texts, key = self._ask_keys, self._ask_texts, -change.price
        old = self.book.set(change.side, change.price, change.size)
        if change.size or old:
            at = bisect_left(keys, key)
            if not change.size:
                del keys[at], texts[at]
            elif old:
                texts[at] = _fragment(change)
            else:
                keys.insert(at, key)
                texts.insert(at, _fragment(change))
        return change.size < old

    def hash(self, timestamp: str, last_trade_text: str) -> str:
        """The hash the venue would give this book at `timestamp`."""
        text = (
            f'{{"market":"{self.market}","asset_id":"{self.asset}","timestamp":"{timestamp}",'
            f'"hash":"","bids":[{",".join(self._bid_texts)}],"asks":[{",".join(self._ask_texts)}],'
            f'"min_order_size":"{self.min_size_text}","tick_size":"{self.tick_text}",'
            f'"neg_risk":{"true" if self.neg_risk else "false"},'
            f'"last_trade_price":"{last_trade_text}"}}'
        )
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _fragment(level: WireLevel | Change) -> str:
    return f'{{"price":"{level.price_text}","size":"{level.size_text}"}}'
