"""What a taker would get, worked out without touching anything.

Three kinds of match, all at the maker's price (feeds.md 4.4): complementary (BUY against SELL of
the same token), mint (BUY against BUY of the other token: both pay, a pair is made), merge (SELL
against SELL of the other token: a pair is given up, both are paid).
"""

from __future__ import annotations

import attrs

from polybot.exchange.accounts import leg_cash
from polybot.exchange.book import Book, Level
from polybot.exchange.fees import taker_fee
from polybot.exchange.model import MakerFill, Order
from polybot.exchange.money import ONE

LOT = 10_000  # 0.01 share: the wire's size grain


@attrs.frozen
class LevelMatch:
    """All makers of one price level that the taker hits."""

    price: int  # in the taker's terms
    shares: int
    cash: int  # what the taker pays or receives before the fee
    fee: int
    makers: tuple[MakerFill, ...]


@attrs.frozen
class Plan:
    """The matches a taker would make. `complete` when nothing of it would stay unfilled."""

    matches: tuple[LevelMatch, ...]
    complete: bool

    @property
    def shares(self) -> int:
        return sum(match.shares for match in self.matches)

    @property
    def cash(self) -> int:
        return sum(match.cash for match in self.matches)

    @property
    def fee(self) -> int:
        return sum(match.fee for match in self.matches)


NOTHING = Plan((), complete=False)


@attrs.define
class _Appetite:
    """What the taker still wants: shares, or pUSD to spend for a market-type BUY."""

    left: int
    in_dollars: bool
    grain: int  # shares come in multiples of it

    def at(self, price: int) -> int:
        """Shares wanted at `price`. Rounded down, so that their cost never exceeds what is left."""
        shares = self.left * ONE // price if self.in_dollars else self.left
        return shares - shares % self.grain

    def eat(self, shares: int, cash: int) -> None:
        self.left -= cash if self.in_dollars else shares

    def satisfied(self, limit: int) -> bool:
        """Dollars that would not buy one lot at the limit are dust, not an unfilled rest."""
        return self.at(limit) < LOT if self.in_dollars else self.left == 0


def plan(book: Book, taker: Order) -> Plan:
    """Walk the levels that the taker crosses: best price first, then the oldest order."""
    in_dollars = taker.dollars is not None
    wanted = taker.remaining if taker.dollars is None else taker.dollars
    appetite = _Appetite(wanted, in_dollars, _grain(taker) if in_dollars else 1)
    matches: list[LevelMatch] = []
    for level in book.facing(taker):
        price = level.price if taker.is_up else ONE - level.price
        if not appetite.at(price):
            break
        match = _match_level(level, price, taker, appetite)
        matches.append(match)
        last = match.makers[-1]
        # Dollars too few for one more micro-share here must not buy one at a worse price.
        if last.shares < last.order.remaining:
            break
    return Plan(tuple(matches), appetite.satisfied(taker.price))


def _grain(taker: Order) -> int:
    """The shares that a sum of dollars buys are a multiple of this.

    Exchange V3 reckons what an order gets as floor(given · taker amount / maker amount) (clob.md
    3.2). A maker's BUY gives pUSD, and only some numbers of shares can come out of that; in whole
    lots every amount is exact, whichever side one starts from, and no order is left with dust that
    nobody can fill. Under Exchange V2 micro-shares are seen in real replies (clob.md 3.6).
    """
    return LOT if taker.market.version == "v2" else 1


def _match_level(level: Level, price: int, taker: Order, appetite: _Appetite) -> LevelMatch:
    """Fill from the level's oldest order on; the appetite is for something at least."""
    fills: list[MakerFill] = []
    shares = cash = 0
    for maker in level.orders.values():
        part = min(maker.remaining, appetite.at(price))
        if not part:
            break
        _, paid = leg_cash(taker, maker, part)
        appetite.eat(part, paid)
        fills.append(MakerFill(maker, part, maker.price))
        shares, cash = shares + part, cash + paid
        if part < maker.remaining:
            break
    return LevelMatch(price, shares, cash, taker_fee(taker.market, shares, price), tuple(fills))
