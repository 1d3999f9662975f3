"""The account's books: cash and shares in integers, each change with its evidence.

Written by the account and by settlement, nobody else. A match is provisional: it counts in holdings
and equity at once (the venue moves balances at the match, and risk must see it), but merging and
redeeming use confirmed shares only, and FAILED takes back exactly what MATCHED booked. The same
trade is told many times (every status, every reconnect, every REST read), now and then with more of
our orders than before: the key is (trade, order), and only a rise in status rank does anything.

Average cost per token, taker fees included (strategy.md 15). Realised profit on merge and redeem
only.
"""

from __future__ import annotations

import attrs

from polybot.domain.market import Market, Outcome, Side, taker_fee
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import notional


@attrs.frozen
class Holdings:
    """What we hold in one market, 10⁻⁶ shares; `*_confirmed` is the part final enough to merge."""

    up: int = 0
    down: int = 0
    up_confirmed: int = 0
    down_confirmed: int = 0
    cost: int = 0

    @property
    def pairs(self) -> int:
        return min(self.up, self.down)

    @property
    def mergeable(self) -> int:
        return min(self.up_confirmed, self.down_confirmed)

    @property
    def net(self) -> int:
        """Shares Up less shares Down: the only part that carries risk."""
        return self.up - self.down


@attrs.define
class _Position:
    shares: int = 0
    confirmed: int = 0
    cost: int = 0
    confirmed_cost: int = 0  # a merge takes from this part, so that a fill may fail after it

    def cost_of(self, shares: int) -> int:
        """Average cost of `shares`; the last share takes the rounding with it."""
        return self.cost if shares >= self.shares else self.cost * shares // self.shares

    def take(self, shares: int) -> int:
        """Remove confirmed shares and return their cost."""
        all_of_it = shares >= self.confirmed
        cost = self.confirmed_cost if all_of_it else self.confirmed_cost * shares // self.confirmed
        self.shares -= shares
        self.confirmed -= shares
        self.cost -= cost
        self.confirmed_cost -= cost
        return cost


@attrs.frozen
class _Entry:
    """What one leg moved, so that a reversal is this with the signs turned."""

    leg: FillLeg
    cash: int
    fee: int
    cost: int
    realised: int
    rebate: int

    @property
    def buy(self) -> bool:
        return self.leg.side is Side.BUY


@attrs.define
class _Booked:
    """One order's part in one trade; `at_ms` is when the venue first told of it."""

    status: TradeStatus
    at_ms: int
    entries: tuple[_Entry, ...]


@attrs.define(eq=False)
class MarketBooks:
    """One market's account. Money 10⁻⁶ dollars, sizes 10⁻⁶ shares."""

    market: Market
    positions: dict[Outcome, _Position] = attrs.field(
        factory=lambda: {outcome: _Position() for outcome in Outcome}
    )
    trades: dict[tuple[str, str], _Booked] = attrs.field(factory=dict)  # (trade, order) → legs
    fills: int = 0
    volume: int = 0
    fees: int = 0
    rebate_estimate: int = 0
    merged: int = 0
    redeemed: int = 0
    realised: int = 0
    winner: Outcome | None = None

    def holdings(self) -> Holdings:
        up, down = self.positions[Outcome.UP], self.positions[Outcome.DOWN]
        cost = up.cost + down.cost
        return Holdings(up.shares, down.shares, up.confirmed, down.confirmed, cost)

    @property
    def worst_value(self) -> int:
        """What the holdings are surely worth: pairs at 1, a resolved
        winner at 1, the rest nothing.
        """
        held = self.holdings()
        if self.winner is not None:
            return held.up if self.winner is Outcome.UP else held.down
        return held.pairs


@attrs.define(eq=False)
class Ledger:
    """The wallet. `cash` is pUSD in 10⁻⁶, open orders not deducted."""

    cash: int = 0
    books: dict[str, MarketBooks] = attrs.field(factory=dict)
    closed_realised: int = 0

    def open(self, market: Market) -> MarketBooks:
        return self.books.setdefault(market.condition_id, MarketBooks(market))

    def book(self, trade: TradeSeen) -> bool:
        """Apply a trade message; True if it changed anything. Trades of unknown markets are the
        reconciler's business and change nothing here.
        """
        books = self.books.get(trade.condition_id)
        if books is None:
            return False
        tokens = (books.market.up_token, books.market.down_token)
        if any(leg.token not in tokens for leg in trade.legs):
            return False  # of another market: nothing of it may be believed
        by_order: dict[str, list[FillLeg]] = {}
        for leg in trade.legs:
            by_order.setdefault(leg.order_id, []).append(leg)
        changed = [self._book(books, trade, order, legs) for order, legs in by_order.items()]
        return any(changed)

    def _book(
        self, books: MarketBooks, trade: TradeSeen, order_id: str, legs: list[FillLeg]
    ) -> bool:
        """Book one order's part. A trade may be told with more of our
        orders later (feeds.md 4.5).
        """
        key = (trade.trade_id, order_id)
        booked = books.trades.get(key)
        if booked is not None:
            return self._advance(books, booked, trade.status)
        if trade.status is TradeStatus.FAILED:
            books.trades[key] = _Booked(trade.status, trade.at_ms, ())
            return False
        entries = tuple(self._entry(books, leg) for leg in legs)
        booked = books.trades[key] = _Booked(trade.status, trade.at_ms, entries)
        if trade.status is TradeStatus.CONFIRMED:
            self._confirm(books, booked, 1)
        return True

    def _entry(self, books: MarketBooks, leg: FillLeg) -> _Entry:
        """Work out what a leg moves, and move it."""
        fees = books.market.fees
        dollars = notional(leg.price, leg.shares)
        taken = taker_fee(fees, leg.price, leg.shares)
        fee, rebate = (0, taken * fees.rebate_ppm // 1_000_000) if leg.maker else (taken, 0)
        if leg.side is Side.BUY:
            entry = _Entry(leg, -dollars - fee, fee, dollars + fee, 0, rebate)
        else:
            position = books.positions[books.market.outcome_of(leg.token)]
            cost = position.cost_of(leg.shares)
            proceeds = dollars - fee
            entry = _Entry(leg, proceeds, fee, -cost, proceeds - cost, rebate)
        self._apply(books, entry, 1)
        return entry

    def _apply(self, books: MarketBooks, entry: _Entry, sign: int) -> None:
        """Book an entry (sign 1) or take it back (sign -1)."""
        leg = entry.leg
        position = books.positions[books.market.outcome_of(leg.token)]
        shares = leg.shares if entry.buy else -leg.shares
        self.cash += sign * entry.cash
        position.shares += sign * shares
        position.cost += sign * entry.cost
        if not entry.buy:
            position.confirmed += sign * shares  # what is sold can no longer be merged
            position.confirmed_cost += sign * entry.cost
        books.fills += sign
        books.volume += sign * notional(leg.price, leg.shares)
        books.fees += sign * entry.fee
        books.rebate_estimate += sign * entry.rebate
        books.realised += sign * entry.realised

    def _advance(self, books: MarketBooks, booked: _Booked, status: TradeStatus) -> bool:
        if status <= booked.status:
            return False
        was, booked.status = booked.status, status
        if status is TradeStatus.FAILED:
            if was is TradeStatus.CONFIRMED:
                self._confirm(books, booked, -1)
            for entry in booked.entries:
                self._apply(books, entry, -1)
            booked.entries = ()
            self._sweep(books)
        elif status is TradeStatus.CONFIRMED:
            self._confirm(books, booked, 1)
        return True

    @staticmethod
    def _confirm(books: MarketBooks, booked: _Booked, sign: int) -> None:
        for entry in booked.entries:
            if entry.buy:
                position = books.positions[books.market.outcome_of(entry.leg.token)]
                position.confirmed += sign * entry.leg.shares
                position.confirmed_cost += sign * entry.cost

    @staticmethod
    def _sweep(books: MarketBooks) -> None:
        """Where a reversal came after a merge or sale of the same shares, their averages differ:
        what cost is left on nothing is result.
        """
        for position in books.positions.values():
            if position.shares == position.confirmed == 0:
                books.realised -= position.cost
                position.cost = position.confirmed_cost = 0

    def oldest_unsettled_ms(self) -> int | None:
        """When the oldest trade that is neither confirmed nor failed was told; None if all are."""
        final = (TradeStatus.CONFIRMED, TradeStatus.FAILED)
        return min(
            (
                booked.at_ms
                for books in self.books.values()
                for booked in books.trades.values()
                if booked.status not in final
            ),
            default=None,
        )

    def merge(self, condition_id: str, shares: int) -> None:
        """Turn `shares` confirmed pairs into cash at 1."""
        books = self.books[condition_id]
        if shares > books.holdings().mergeable:
            raise AssertionError(f"merge of {shares} exceeds confirmed pairs")
        cost = sum(position.take(shares) for position in books.positions.values())
        self.cash += shares
        books.merged += shares
        books.realised += shares - cost

    def resolve(self, condition_id: str, winner: Outcome) -> None:
        self.books[condition_id].winner = winner

    def redeem(self, condition_id: str) -> int:
        """Burn everything held, pay the winner at 1; returns the dollars received."""
        books = self.books[condition_id]
        if books.winner is None:
            raise AssertionError("redeem before resolution")
        paid = books.positions[books.winner].shares
        cost = sum(position.cost for position in books.positions.values())
        books.positions = {outcome: _Position() for outcome in Outcome}
        self.cash += paid
        books.redeemed += paid
        books.realised += paid - cost
        return paid

    def close(self, condition_id: str) -> None:
        """Forget a settled market; its result stays in `closed_realised`."""
        self.closed_realised += self.books.pop(condition_id).realised

    @property
    def realised(self) -> int:
        return self.closed_realised + sum(books.realised for books in self.books.values())

    @property
    def equity(self) -> int:
        """Cash plus what holdings are surely worth: the figure the
        exchange's books must agree with.
        """
        return self.cash + sum(books.worst_value for books in self.books.values())
