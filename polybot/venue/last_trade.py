"""Which last trade price the venue hashes: a belief, held while it fits (feeds.md 3).

The hash of a book covers the market's last trade price, in terms of one of its two tokens, nobody
documents which; and it knows a trade 70 to 90 ms before the trade is printed. So what matched last
is believed, and when it stops matching there are candidates: a level that a trade shrank tells its
price, and prints and earlier beliefs may be the one. In ten recorded seconds
at full rate this explains the hashes wherever the recording kept the order of the messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import attrs

from polybot.domain.units import ONE

_PRICES_MAX = 64  # of a burst, many times the same few at the top of the book
_BELIEFS_MAX = 6


def last_trade_text(price: int) -> str:
    """A price as snapshots write `last_trade_price`: three decimals, four where it needs them."""
    return f"{price // ONE}.{price % ONE:04d}"[: 5 if price % 10 == 0 else 6]


@attrs.define(eq=False)
class LastTradeBelief:
    """`text` is the believed value; empty while the market never traded."""

    text: str = ""
    _before: deque[str] = attrs.field(factory=lambda: deque(maxlen=_BELIEFS_MAX), init=False)
    _prices: deque[int] = attrs.field(factory=lambda: deque(maxlen=_PRICES_MAX), init=False)

    def believe(self, text: str) -> None:
        """`text` has matched a hash, or a dump has stated it."""
        if text != self.text:
            self._before.append(self.text)
            self.text = text
        self._prices.clear()

    def perhaps(self, price: int) -> None:
        """A trade may have been at `price` of one of the two tokens: it was printed, or a level
        there lost shares.
        """
        self._prices.append(price)

    def candidates(self, least: Sequence[int] = ()) -> Iterator[str]:
        """What to try when the belief does not match, each once: the newest prices first, then
        what was believed before, then the prices `least` likely.
        """
        tried = {self.text}
        for text in (*_spellings(reversed(self._prices)), *self._before, *_spellings(least)):
            if text not in tried:
                tried.add(text)
                yield text


def _spellings(prices: Iterable[int]) -> Iterator[str]:
    for price in prices:
        yield last_trade_text(price)
        yield last_trade_text(ONE - price)
