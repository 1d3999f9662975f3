"""How a trade gets into a market's books: posted, confirmed, corrected, reversed.

One order's part at a time, for a trade may be told with more of our orders later (feeds.md 4.5).
Whatever is told, the postings of a trade sum to what its last word says.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs

from polybot.domain.accounts import Account, Kind, Posting, confirmed, opposite
from polybot.domain.market import Outcome, Side, taker_fee
from polybot.domain.orders import FillLeg, TradeSeen, TradeStatus

if TYPE_CHECKING:
    from polybot.domain.market_books import MarketBooks

REST = "REST"  # the wire that is asked again until it is right (`TradeSeen.source`)
PROMISED = Account(Kind.CASH, final=False)


@attrs.define
class Booked:
    """One order's part in one trade; `at_ms` is when the venue first told of it, `source` the wire
    whose amounts count.
    """

    status: TradeStatus
    at_ms: int
    source: str
    legs: Counter[FillLeg]
    postings: list[Posting] = attrs.field(factory=list)
    fills: int = 0
    volume: int = 0

    @property
    def sold(self) -> bool:
        """Whether it was a sale: the legs of one order are all of one side."""
        return any(leg.side is Side.SELL for leg in self.legs)

    def moved(self, account: Account) -> int:
        """What its postings sum to on an account."""
        return sum(amount for one, amount in self.postings if one == account)


def part_of(whole: int, part: int, of: int) -> int:
    """`part` of `of`'s share in `whole`; the last part takes the rounding with it."""
    return whole if part >= of else whole * part // of


def book(books: MarketBooks, trade: TradeSeen, order_id: str, legs: list[FillLeg]) -> bool:
    """Book one order's part. A trade may be told with more of our orders later (feeds.md 4.5)."""
    key = (trade.trade_id, order_id)
    booked = books.trades.get(key)
    if booked is None:
        booked = Booked(trade.status, trade.at_ms, trade.source, Counter(legs))
        books.trades[key] = booked
        if trade.status is TradeStatus.FAILED:
            return False
        _enter(books, booked, trade)
    elif corrects(booked, trade, legs):
        _correct(books, booked, trade, legs)
    elif trade.status <= booked.status:
        return False
    booked.status, booked.source = trade.status, trade.source  # whose word for it this is now
    if trade.status is TradeStatus.CONFIRMED:
        _post(books, booked, trade, confirmed(booked.postings))
    elif trade.status is TradeStatus.FAILED:
        _post(books, booked, trade, opposite(booked.postings))
        _count(books, booked, -1)
    sweep(books, trade.at_ms, f"after trade {trade.trade_id} {trade.status.name}")
    return True


def by_order(trade: TradeSeen) -> dict[str, list[FillLeg]]:
    """A trade's legs of ours; a taker has one for each price it met."""
    found: dict[str, list[FillLeg]] = {}
    for leg in trade.legs:
        found.setdefault(leg.order_id, []).append(leg)
    return found


def _enter(books: MarketBooks, booked: Booked, trade: TradeSeen) -> None:
    """Post what the legs say and count it."""
    booked.fills = booked.volume = 0
    for leg in booked.legs.elements():
        _post(books, booked, trade, _postings(books, leg))
        booked.fills += 1
        booked.volume += leg.dollars
    _count(books, booked, 1)


def corrects(booked: Booked, trade: TradeSeen, legs: list[FillLeg]) -> bool:
    """Whether a message has other amounts than are booked, and more say than what told those."""
    if TradeStatus.FAILED in (booked.status, trade.status) or booked.legs == Counter(legs):
        return False
    return outranks(trade, booked.status, booked.source)


def outranks(trade: TradeSeen, status: TradeStatus, source: str) -> bool:
    """Whether a message says more of a trade's amounts than one of that status by that wire."""
    more = (trade.source == REST) > (source == REST)
    return trade.status > status or (trade.status is status and more)


def _correct(books: MarketBooks, booked: Booked, trade: TradeSeen, legs: list[FillLeg]) -> None:
    """Reverse what is booked and book what is right."""
    _post(books, booked, trade, opposite(booked.postings))
    _count(books, booked, -1)
    booked.postings.clear()  # they sum to nothing
    booked.legs = Counter(legs)
    _enter(books, booked, trade)


def _post(books: MarketBooks, booked: Booked, trade: TradeSeen, postings: list[Posting]) -> None:
    source = f" by {trade.source}" if trade.source else ""
    books.post(trade.at_ms, f"trade {trade.trade_id} {trade.status.name}{source}", postings)
    booked.postings += postings


def _count(books: MarketBooks, booked: Booked, sign: int) -> None:
    books.fills += sign * booked.fills
    books.volume += sign * booked.volume
    if booked.sold:
        books.fills_sold += sign * booked.fills
        books.volume_sold += sign * booked.volume


def _postings(books: MarketBooks, leg: FillLeg) -> list[Posting]:
    """What a matched leg moves: bought shares are promised, sold ones are gone at once."""
    fees, outcome = books.market.fees, books.market.outcome_of(leg.token)
    dollars, taken = leg.dollars, taker_fee(fees, leg.price, leg.shares)
    fee, rebate = (0, taken * fees.rebate_ppm // 1_000_000) if leg.maker else (taken, 0)
    outside = books.account(Kind.OUTSIDE, leg.token)
    if leg.side is Side.BUY:
        spent = dollars + fee
        postings = [
            (PROMISED, -spent),
            (books.account(Kind.COST, leg.token, final=False), spent),
            (books.account(Kind.SHARES, leg.token, final=False), leg.shares),
            (outside, -leg.shares),
        ]
    else:
        proceeds = dollars - fee
        cost = part_of(books.cost(outcome), leg.shares, books.shares(outcome))
        postings = [
            (PROMISED, proceeds),
            (books.account(Kind.COST, leg.token), -cost),
            (books.account(Kind.SOLD), cost - proceeds),
            (books.account(Kind.SHARES, leg.token), -leg.shares),
            (outside, leg.shares),
        ]
    memo = [(books.account(Kind.FEES), fee), (books.account(Kind.REBATES_DUE), rebate)]
    return [*postings, *memo, (books.account(Kind.MEMO), -fee - rebate)]


def sweep(books: MarketBooks, at_ms: int, evidence: str) -> None:
    """Where a reversal or correction came after a merge or sale of the same shares, their averages
    differ: what cost is left on nothing is result. It may be nothing only later, when as many are
    bought or split as the reversal took too many.
    """
    postings: list[Posting] = []
    for outcome in Outcome:
        if books.shares(outcome) == books.shares(outcome, final=True) == 0:
            token = books.market.token(outcome)
            for final in (True, False):
                account = books.account(Kind.COST, token, final=final)
                postings.append((account, -books.accounts[account]))
    left = -sum(amount for _, amount in postings)
    if any(amount for _, amount in postings):
        postings.append((books.account(Kind.CORRECTED), left))
        books.post(at_ms, evidence, postings)
