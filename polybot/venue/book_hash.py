"""One token's book in the venue's own words, ready to be hashed (feeds.md 3).

The venue hashes the JSON text of the whole book after every change. Each level keeps its ready-made
fragment of that text, so that a check is one join and one SHA-1, a few microseconds for a hundred
levels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import attrs

from polybot.domain.book import Book
from polybot.domain.market import BUY
from polybot.venue.fields import price_of_text
from polybot.venue.market_messages import Change, WireLevel, amount_of_text


@attrs.define(eq=False)
class HashedBook:
    """A token's book twice: as integers (`book`) and as fragments of the hashed text."""

    market: str
    asset: str
    min_size_text: str
    tick_text: str
    neg_risk: bool
    book: Book = attrs.field(factory=Book, init=False)
    _bid_texts: dict[int, str] = attrs.field(factory=dict, init=False)  # by price
    _ask_texts: dict[int, str] = attrs.field(factory=dict, init=False)

    def replace(self, bids: Iterable[WireLevel], asks: Iterable[WireLevel]) -> None:
        """Take a snapshot, in any order. Raises ValueError for a level that is none, and has then
        changed nothing.
        """
        bid_rows = [(level.price, level.size, _fragment(level)) for level in bids]
        ask_rows = [(level.price, level.size, _fragment(level)) for level in asks]
        self._bid_texts = {price: text for price, size, text in bid_rows if size}
        self._ask_texts = {price: text for price, size, text in ask_rows if size}
        self.book.replace(
            [(price, size) for price, size, _ in bid_rows],
            [(price, size) for price, size, _ in ask_rows],
        )

    def apply(self, change: Change) -> int | None:
        """Set one level. Returns its price if it shrank, as a trade makes it do."""
        price, size = price_of_text(change.price_text), amount_of_text(change.size_text)
        side = change.side
        texts = self._bid_texts if side is BUY else self._ask_texts
        if size:
            texts[price] = _fragment(change)
        else:
            texts.pop(price, None)
        return price if size < self.book.set(side, price, size) else None

    def hashes(self, timestamp: str) -> Callable[[str], str]:
        """The hash the venue would give this book at `timestamp`, by the text of the last trade:
        that comes at the end, and where the one that is believed is not it, others are tried. Bids
        ascend, asks descend.
        """
        bids = ",".join(map(self._bid_texts.__getitem__, self.book.bid_prices))
        asks = ",".join(map(self._ask_texts.__getitem__, reversed(self.book.ask_prices)))
        text = (
            f'{{"market":"{self.market}","asset_id":"{self.asset}","timestamp":"{timestamp}",'
            f'"hash":"","bids":[{bids}],"asks":[{asks}],'
            f'"min_order_size":"{self.min_size_text}","tick_size":"{self.tick_text}",'
            f'"neg_risk":{"true" if self.neg_risk else "false"},"last_trade_price":"'
        )
        book = hashlib.sha1(text.encode(), usedforsecurity=False)

        def ended(last_trade_text: str) -> str:
            whole = book.copy()
            whole.update(f'{last_trade_text}"}}'.encode())
            return whole.hexdigest()

        return ended


def _fragment(level: WireLevel) -> str:
    return f'{{"price":"{level.price_text}","size":"{level.size_text}"}}'
