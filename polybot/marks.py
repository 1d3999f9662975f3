"""What shares are worth while nobody has paid for them: at fair, and at worst. Never booked.

At fair needs a fair price. Where the feed has none just now, or the window has ended and its result
is not known, the last one counts that the loss limits have noted, once a second: a screen must move
no limit by looking, so nobody else's question is noted. Where this run has never had one, as after
a restart, the limits take what the shares cost, which the journal knows: neither the hope of a
start nor its fear may count as profit or loss. A screen tells no figure then, while the window is
open. At worst is what the ledger is sure of: pairs at a dollar, single shares at nothing.

Rejected: no equity until there is a price. A share of a window whose feed is down left the whole
wallet without its loss limits.
"""

from __future__ import annotations

import attrs

from polybot.account import Account
from polybot.clock import Clock
from polybot.domain.market_books import MarketBooks
from polybot.domain.units import ONE
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair


@attrs.define(eq=False)
class Marks:
    """Dollars are 10⁻⁶."""

    board: PriceBoard
    account: Account
    clock: Clock
    _last: dict[str, int] = attrs.field(factory=dict)  # Up's last fair price, by condition id

    def note(self) -> None:
        """Note the fair prices of now, for the time when there is none."""
        books, now_ms = self.account.ledger.books, self.clock.now_ms()
        last = {key: fair for key, fair in self._last.items() if key in books}
        for key, one in books.items():
            found = self.board.fair(one.market, now_ms)
            if isinstance(found, Fair):
                last[key] = round(found.q * ONE)
        self._last = last

    def value(self, books: MarketBooks) -> int | None:
        """What a market's holdings are worth at fair; None while nobody can say."""
        held, fair = books.holdings(), self._fair(books)
        if books.up_payout is not None or not held.net:
            return books.worst_value
        if fair is not None:
            return books.marked(fair)
        return held.cost if self.clock.now_ms() >= books.market.end_ms else None

    def equity(self) -> int:
        """Cash, and everything held at fair, or at its cost where nobody can say."""
        total = self.account.ledger.cash
        for one in self.account.ledger.books.values():
            value = self.value(one)
            total += one.holdings().cost if value is None else value
        return total

    def hope(self) -> int:
        """What shares that count as their cost would be worth beyond it if all of them won."""
        books = self.account.ledger.books.values()
        held = [one.holdings() for one in books if self.value(one) is None]
        return sum(max(each.up, each.down) - each.cost for each in held)

    def unrealised(self) -> int | None:
        """What everything held has gained or lost at fair, and nobody has paid yet; None while
        something held has no value.
        """
        total = 0
        for one in self.account.ledger.books.values():
            value = self.value(one)
            if value is None:
                return None
            total += value - one.holdings().cost
        return total

    def unrealised_worst(self) -> int:
        """The same at worst: what is lost if every single share loses."""
        books = self.account.ledger.books.values()
        return sum(one.worst_gain for one in books)

    def _fair(self, books: MarketBooks) -> int | None:
        found = self.board.fair(books.market, self.clock.now_ms())
        if isinstance(found, Fair):
            return round(found.q * ONE)
        return self._last.get(books.market.condition_id)
