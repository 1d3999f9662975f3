"""Which last trade price the venue hashes: a belief, held while it fits (feeds.md 3).

The hash of a book covers the market's last trade price, in terms of one of its two tokens, nobody
documents which; and it knows a trade 70 to 90 ms before the trade is printed. So what matched last
is believed, and when it stops matching there are candidates: a level that a trade shrank tells its
price, and prints and earlier beliefs may be the one. In ten recorded seconds
at full rate this explains the hashes wherever the recording kept the order of the messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import attrs

from polybot.domain.units import ONE

_SHRUNK_MAX = 64  # shrunken levels that are tried, the latest first: mostly a few prices at the top
_RECENT_MAX = 6


def last_trade_text(price: int) -> str:
    """A price as snapshots write `last_trade_price`: three decimals, four where it needs them."""
    return f"{price // ONE}.{price % ONE:04d}"[: 5 if price % 10 == 0 else 6]


@attrs.define(eq=False)
class LastTradeBelief:
    """`text` is the believed value; empty while the market never traded."""

    text: str = ""
    _recent: deque[str] = attrs.field(factory=lambda: deque(maxlen=_RECENT_MAX), init=False)
    _shrunk: deque[int] = attrs.field(factory=lambda: deque(maxlen=_SHRUNK_MAX), init=False)

    def believe(self, text: str) -> None:
        """`text` has matched a hash, or a dump has stated it."""
        if text != self.text:
            self._recent.append(self.text)
            self.text = text
        self._shrunk.clear()

    def shrank(self, price: int) -> None:
        """A level lost shares, perhaps to a trade, at `price` of one of the two tokens."""
        self._shrunk.append(price)

    def printed(self, price: int) -> None:
        """A trade was printed at `price`: its two spellings are candidates from now on."""
        texts = (last_trade_text(price), last_trade_text(ONE - price))
        self._recent.extend(text for text in texts if text not in self._recent)

    def candidates(self) -> Iterator[str]:
        """What to try when the belief does not match, likeliest first, each once."""
        tried = {self.text}
        shrunk = [
            text
            for p in reversed(self._shrunk)
            for text in (last_trade_text(p), last_trade_text(ONE - p))
        ]
        for text in (*shrunk, *self._recent):
            if text not in tried:
                tried.add(text)
                yield text
