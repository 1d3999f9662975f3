"""A maker's orders and money in a match: what it believes, and what is true a latency away."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import attrs

from polybot.exchange.accounts import leg_cash
from polybot.exchange.crowd_hand import Hand, alive
from polybot.exchange.fees import taker_fee
from polybot.exchange.model import (
    BUY,
    SELL,
    Event,
    Market,
    MarketResolved,
    Order,
    Refused,
    Traded,
)
from polybot.exchange.money import ONE
from polybot.lab.maker_sources import Sources, Truth, sources

REBATE_PERCENT = 20  # makers' part of the taker fees on their own fills (clob.md 6.2)


@attrs.frozen
class Quote:
    """An order that should rest, in its own token's terms: price 10⁻⁴, size 10⁻⁶ shares.

    A SELL needs shares of that token, bought before. Not post-only, it may take: after the taker
    delay, for the fee. An `immediate` BUY never rests: it spends what its size costs at its price,
    once each time it is wanted.
    """

    outcome: int  # UP | DOWN
    price: int
    size: int
    side: str = BUY
    post_only: bool = True
    immediate: bool = False


@attrs.frozen
class Fill:
    """A match of an order of one's own, as it is reported. `cash` (10⁻⁶) is what it brought or,
    below zero, cost, the fee of a taker's part included.
    """

    outcome: int
    side: str
    shares: int
    cash: int
    fee: int
    rebate: int
    maker: bool
    matched_ms: int


@attrs.frozen
class Settled:
    """What a window came to: `profit` (10⁻⁶) is pay-out and cash flow, the rebate included;
    `sources` say where the rest of it came from.
    """

    slug: str
    winner: int
    profit: int
    rebate: int
    shares: int  # filled
    fills: int
    sources: Sources = Sources()


@attrs.define(eq=False)
class _Sent:
    """An order that the maker believes to rest or to be on its way; `left` by its own news."""

    quote: Quote
    left: int
    order: Order | None = None


@attrs.define
class _Books:
    """One window's truth."""

    shares: list[int] = attrs.field(factory=lambda: [0, 0])
    cash: int = 0
    rebate: int = 0
    fills: list[Fill] = attrs.field(factory=list)
    truth: Truth | None = None


class Account:
    """Sends what is wanted, hears of what came of it; both one latency late."""

    def __init__(
        self, hand: Hand, on_fill: Callable[[Fill], None], on_settled: Callable[[Settled], None],
        latency_ms: int,
    ) -> None:  # fmt: skip
        self.hand, self.settled = hand, list[Settled]()
        self._on_fill, self._on_settled, self._latency_ms = on_fill, on_settled, latency_ms
        self._market: Market | None = None
        self._held = [0, 0]
        self._sent: list[_Sent] = []
        self._by_id: dict[str, _Sent] = {}
        self._books: dict[str, _Books] = {}
        self._news: list[tuple[int, int, Callable[[int], None]]] = []
        self._number = 0
        hand.engine.listen(self._hear, Traded, MarketResolved)

    @property
    def held(self) -> tuple[int, int]:
        """Shares of Up and of Down in this window, by the news."""
        up, down = self._held
        return up, down

    @property
    def live(self) -> tuple[Quote, ...]:
        """The orders it believes in, each with what it thinks is left of it."""
        return tuple(attrs.evolve(one.quote, size=one.left) for one in self._sent)

    def resting(self) -> dict[str, dict[int, int]]:
        """What truly rests, by side and price of Up's book."""
        own: dict[str, dict[int, int]] = {BUY: {}, SELL: {}}
        for order in self.hand.engine.live_orders(self.hand.owner):
            side, price = own[order.up_side], order.up_price
            side[price] = side.get(price, 0) + order.remaining
        return own

    def enter(self, market: Market) -> None:
        """A window begins, with nothing in it."""
        self._market, self._held = market, [0, 0]
        self._books[market.condition_id] = _Books()

    def advance(self, now_ms: int) -> None:
        """Let arrive what is due: orders at the venue, news here."""
        while self._news and self._news[0][0] <= now_ms:
            at_ms, _, arrive = heapq.heappop(self._news)
            arrive(at_ms)

    def leave(self, market: Market, now_ms: int, truth: Truth | None = None) -> None:
        """The window is over: whatever is on its way does not arrive any more. By the `truth` of
        the window its profit will be split.
        """
        self._books[market.condition_id].truth = truth
        self.hand.leave(market, now_ms)
        self._sent, self._by_id, self._market = [], {}, None

    # --- orders -----------------------------------------------------------------------------------

    def want(self, quotes: Sequence[Quote], now_ms: int) -> None:
        """Send the difference between these and what is believed to rest."""
        wanted = [quote for quote in map(self._rounded, quotes) if quote is not None]
        missing = [quote for quote in wanted if not quote.immediate]
        takes = [quote for quote in wanted if quote.immediate]
        kept: list[_Sent] = []
        cancelled: list[_Sent] = []
        for one in self._sent:
            twin = next((each for each in missing if _same(each, one)), None)
            if twin is None:
                cancelled.append(one)
            else:
                missing.remove(twin)
                kept.append(one)
        placed = [_Sent(quote, quote.size) for quote in missing]
        self._sent = kept + placed
        if cancelled or placed or takes:
            market = self._market
            self._later(now_ms, lambda at_ms: self._arrive(market, cancelled, placed, takes, at_ms))

    def _rounded(self, quote: Quote) -> Quote | None:
        assert self._market is not None, "quotes are for a window under way"
        tick = self._market.tick
        down = quote.price // tick * tick
        price = down if quote.side == BUY else -(-quote.price // tick) * tick
        if not tick <= price <= ONE - tick:
            return None
        return quote if price == quote.price else attrs.evolve(quote, price=price)

    def _arrive(
        self, market: Market | None, cancelled: Sequence[_Sent], placed: Sequence[_Sent],
        takes: Sequence[Quote], at_ms: int,
    ) -> None:  # fmt: skip
        if market is None or market is not self._market:  # its window is over
            return
        for one in cancelled:
            if one.order is not None and alive(one.order):
                self.hand.pull(one.order, at_ms)
        for one in placed:
            self._place(market, one, at_ms)
        for take in takes:
            self.hand.take(
                market, market.tokens[take.outcome], BUY, take.price, take.size, at_ms,
                seen=take.price,
            )  # fmt: skip

    def _place(self, market: Market, one: _Sent, at_ms: int) -> None:
        quote = one.quote
        answer = self.hand.post(
            market, quote.outcome, quote.side, quote.price, quote.size, at_ms,
            post_only=quote.post_only,
        )  # fmt: skip
        if isinstance(answer, Order):
            one.order = answer
            self._by_id[answer.id] = one
        if isinstance(answer, Refused):
            self._later(at_ms, lambda _: self._forget(one))

    def _forget(self, one: _Sent) -> None:
        if one in self._sent:
            self._sent.remove(one)

    # --- news -------------------------------------------------------------------------------------

    def _later(self, now_ms: int, arrive: Callable[[int], None]) -> None:
        self._number += 1
        heapq.heappush(self._news, (now_ms + self._latency_ms, self._number, arrive))

    def _hear(self, event: Event) -> None:
        if isinstance(event, Traded):
            self._traded(event)
        elif isinstance(event, MarketResolved):
            self._resolved(event.market, event.at_ms)

    def _traded(self, event: Traded) -> None:
        trade, account = event.trade, self.hand.account
        taker = trade.taker
        for fill in trade.makers:
            if fill.order.account == account:
                cash = leg_cash(taker, fill.order, fill.shares)[0]
                self._fill(fill.order, fill.shares, cash, None, event.at_ms)
        if taker.account == account:
            cash = sum(leg_cash(taker, fill.order, fill.shares)[1] for fill in trade.makers)
            self._fill(taker, trade.shares, cash, trade.fee, event.at_ms)

    def _fill(self, order: Order, shares: int, cash: int, fee: int | None, at_ms: int) -> None:
        """Book a match at once and tell of it later. `fee` is None for a maker's."""
        market, sign = order.market, 1 if order.side == BUY else -1
        outcome, books = market.outcome_of(order.token), self._books[market.condition_id]
        rebate = 0
        if fee is None:
            price = cash * ONE // shares
            rebate = taker_fee(market, shares, price) * REBATE_PERCENT // 100
        fill = Fill(
            outcome, order.side, shares, -sign * cash - (fee or 0), fee or 0, rebate,
            maker=fee is None, matched_ms=at_ms,
        )  # fmt: skip
        books.shares[outcome] += sign * shares
        books.cash += fill.cash
        books.rebate += rebate
        books.fills.append(fill)
        self._later(at_ms, lambda _: self._told(market, order, fill))

    def _told(self, market: Market, order: Order, fill: Fill) -> None:
        if market is self._market:
            self._held[fill.outcome] += fill.shares if fill.side == BUY else -fill.shares
        one = self._by_id.get(order.id)
        if one is not None:
            one.left -= fill.shares
            if one.left <= 0:
                self._forget(one)
        self._on_fill(fill)

    def _resolved(self, market: Market, at_ms: int) -> None:
        books = self._books.pop(market.condition_id, None)
        if books is None:
            return
        assert market.winner is not None, "a resolved window has a winner"
        earned, fills = books.cash + books.shares[market.winner], books.fills
        parts = Sources() if books.truth is None else sources(fills, books.truth, earned)
        settled = Settled(
            market.slug, market.winner, earned + books.rebate, books.rebate,
            sum(fill.shares for fill in fills), len(fills), parts,
        )  # fmt: skip
        self.settled.append(settled)
        self._later(at_ms, lambda _: self._on_settled(settled))


def _same(quote: Quote, one: _Sent) -> bool:
    """Whether what is believed to rest may stay for this wish."""
    was = one.quote
    at = was.outcome, was.side, was.price, was.post_only
    return (
        at == (quote.outcome, quote.side, quote.price, quote.post_only) and one.left <= quote.size
    )
