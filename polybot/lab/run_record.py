"""A run as it can be compared with another: what rested, what was filled, what was not heard.

Read from a tape, whoever made it, or from JSON, for runs of which there is none. Every order is
told as the bid that it stands for (`as_bid`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import attrs
import cattrs
import msgpack
import orjson

from polybot.core_tape import (
    INPUTS,
    Applied,
    Learnt,
    Restarted,
    ScopeBegan,
    ScopeEnded,
)
from polybot.domain.market import Market, Outcome, Side, taker_fee
from polybot.domain.orders import (
    OrderSeen,
    Rejected,
    TradeSeen,
    TradeStatus,
    as_bid,
)
from polybot.domain.units import ONE, SHARE
from polybot.journal.entries import Known, Resolved, Told
from polybot.journal.tape import Event, Kind
from polybot.lab.places import put
from polybot.lab.tape import Tapes, tapes
from polybot.order_messages import CancelAnswered, Posted

GAP_MS = 5_000  # a book of which nothing is heard for so long is not looked at
REST = "REST"  # the source of a trade that was looked up
_OVER = (OrderSeen.Kind.DEAD, OrderSeen.Kind.MATCHED)


@attrs.frozen
class Filled:
    """A fill as the bid that it stands for: price 10⁻⁴, shares and dollars 10⁻⁶. `fee` was paid
    as a taker, `rebate` is due as a maker.
    """

    at_ms: int
    toward: Outcome
    price: int
    shares: int
    fee: int = 0
    rebate: int = 0

    def profit(self, up_payout: int) -> int:
        """What it came to, 10⁻¹² dollars, when one Up share paid `up_payout` (10⁻⁶): exact, so that
        the parts of a fill add up to it.
        """
        payout = up_payout if self.toward is Outcome.UP else SHARE - up_payout
        paid = self.rebate - self.fee
        return self.shares * (payout - self.price * (SHARE // ONE)) + paid * SHARE

    def split(self, shares: int) -> tuple[Filled, Filled | None]:
        """So many shares of it, and the rest; fee and rebate go with them."""
        if shares == self.shares:
            return self, None
        fee, rebate = self.fee * shares // self.shares, self.rebate * shares // self.shares
        rest = attrs.evolve(
            self, shares=self.shares - shares, fee=self.fee - fee, rebate=self.rebate - rebate
        )
        return attrs.evolve(self, shares=shares, fee=fee, rebate=rebate), rest


@attrs.frozen
class Span:
    """An order from when it could be matched until it could not."""

    toward: Outcome
    price: int
    size: int
    from_ms: int
    to_ms: int


@attrs.define
class MarketRun:
    """One window. `up_payout` None: not resolved in this run. `gaps`: times without news of it."""

    slug: str
    start_ms: int
    end_ms: int
    up_payout: int | None = None
    fills: list[Filled] = attrs.field(factory=list)
    spans: list[Span] = attrs.field(factory=list)
    gaps: list[tuple[int, int]] = attrs.field(factory=list)


@attrs.define
class Run:
    """`from_ms` to `to_ms`: when the run could have quoted at all. `whole`: nothing of what it was
    played on could not be read, which a file of it says as its tape would.
    """

    name: str
    from_ms: int = 0
    to_ms: int = 0
    markets: dict[str, MarketRun] = attrs.field(factory=dict)  # by slug
    whole: bool = True


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_NO_RUN = (cattrs.BaseValidationError, TypeError, AttributeError)  # the latter two of no object


def save(run: Run, path: Path) -> None:
    """Write a run as JSON."""
    put(path, orjson.dumps(_CONVERTER.unstructure(run)))


def read(path: Path) -> tuple[Run, bool]:
    """A run from its JSON, its tape, a folder of tapes or a flight record, and whether that was
    whole. Raises ValueError, TapeError or OSError.
    """
    if path.suffix == ".json":
        try:
            run = _CONVERTER.structure(orjson.loads(path.read_bytes()), Run)
        except (*_NO_RUN, orjson.JSONDecodeError) as error:
            raise ValueError(
                f"{path}: not a run: give a file of `backtest --runs`, or a tape"
            ) from error
        if not run.whole:
            sys.stderr.write(f"{path}: a part of what it was played on could not be read\n")
        return run, run.whole
    with tapes(path) as files:
        found = Tapes(files, gapless=True)
        run = of_tape(path.name, found.events())
    return run, found.whole


def joined(name: str, runs: Iterable[Run]) -> Run:
    """Runs over different markets as one, from the first of them to the last."""
    whole = Run(name)
    for run in runs:
        whole.markets |= run.markets
        whole.from_ms = min(whole.from_ms or run.from_ms, run.from_ms)
        whole.to_ms = max(whole.to_ms, run.to_ms)
    return whole


def of_tape(name: str, events: Iterable[Event]) -> Run:
    """A run from the events of its tape. Raises ValueError for a tape of another version."""
    reader = RunMaker(Run(name))
    for event in events:
        reader.take(event)
    return reader.done()


@attrs.define(eq=False)
class _Order:
    slug: str
    span: Span


@attrs.define(eq=False)
class RunMaker:
    """Makes a run of what happens in it: a tape's events (`take`), or, where there is no tape, what
    a backtest's desks send and hear. `done` ends what still rests.
    """

    run: Run
    _markets: dict[str, Market] = attrs.field(factory=dict)  # by condition id
    _orders: dict[str, _Order] = attrs.field(factory=dict)  # that may be matched, by id
    _legs: dict[tuple[str, str], tuple[MarketRun, Filled]] = attrs.field(factory=dict)
    _heard_ms: dict[str, int] = attrs.field(factory=dict)  # by slug

    def take(self, event: Event) -> None:
        at_ms = event.at_ns // 1_000_000
        self.lasts(at_ms)
        if event.kind is Kind.HEARD and event.stream.startswith("market "):
            self._heard(event.stream.removeprefix("market "), at_ms)
        elif event.kind is Kind.FED:
            self._fed(INPUTS.unpack(event.body), at_ms)
        elif event.kind is Kind.DECIDED and event.stream.startswith("orders "):
            self._posts(event.stream.removeprefix("orders "), event.body, at_ms)

    def lasts(self, at_ms: int) -> None:
        """The run is under way at this time."""
        self.run.from_ms = self.run.from_ms or at_ms
        self.run.to_ms = max(self.run.to_ms, at_ms)

    def done(self) -> Run:
        self._end([*self._orders], self.run.to_ms)
        for slug in list(self._heard_ms):
            self._silent(slug, self.run.to_ms)
        return self.run

    def _fed(self, value: object, at_ms: int) -> None:
        match value:
            case Learnt(facts):
                for fact in facts:
                    self._fact(fact, at_ms)
            case ScopeBegan(market, _):
                self.know(market)
                self._heard_ms[market.slug] = at_ms
            case ScopeEnded(slug):
                self._end([key for key, one in self._orders.items() if one.slug == slug], at_ms)
                self._silent(slug, at_ms)
                self._heard_ms.pop(slug, None)
            case Restarted(stream):
                self._silent(stream.removeprefix("market "), at_ms)
            case Applied(_, message):
                self.applied(message, at_ms)

    def know(self, market: Market) -> MarketRun:
        """A market that was traded, or could be."""
        self._markets[market.condition_id] = market
        fresh = MarketRun(market.slug, market.start_ms, market.end_ms)
        return self.run.markets.setdefault(market.slug, fresh)

    # --- what was not heard ---------------------------------------------------------------------

    def _heard(self, slug: str, at_ms: int) -> None:
        self._silent(slug, at_ms)
        if slug in self._heard_ms:
            self._heard_ms[slug] = at_ms

    def _silent(self, slug: str, at_ms: int) -> None:
        since_ms = self._heard_ms.get(slug)
        if since_ms is not None and at_ms - since_ms > GAP_MS:
            self.run.markets[slug].gaps.append((since_ms, at_ms))
            self._heard_ms[slug] = at_ms

    # --- what rested ----------------------------------------------------------------------------

    def _posts(self, slug: str, body: bytes, at_ms: int) -> None:
        for action in msgpack.unpackb(body):
            for order_id, outcome, side, price, size, *_ in (
                action[1:] if action[0] == "post" else ()
            ):
                toward, bid = as_bid(Outcome(outcome), Side(side), price)
                self.posted(slug, order_id, Span(toward, bid, size, at_ms, at_ms))

    def posted(self, slug: str, order_id: str, span: Span) -> None:
        """An order leaves at the beginning of its span; the end is not known yet."""
        self._orders[order_id] = _Order(slug, span)

    def applied(self, message: object, at_ms: int) -> None:
        """What a desk has heard of its orders."""
        match message:
            case Posted(results):
                for result in results:
                    if isinstance(result, Rejected):
                        self._orders.pop(result.order_id, None)
                    elif result.order_id in self._orders:
                        order = self._orders[result.order_id]
                        order.span = attrs.evolve(order.span, from_ms=at_ms)
            case CancelAnswered(_, result):
                self._end([*result.cancelled], at_ms)
            case OrderSeen(order_id, kind) if kind in _OVER:
                self._end([order_id], at_ms)

    def _end(self, ids: list[str], at_ms: int) -> None:
        for order_id in ids:
            order = self._orders.pop(order_id, None)
            if order is not None and order.slug in self.run.markets:
                span = attrs.evolve(order.span, to_ms=at_ms)
                self.run.markets[order.slug].spans.append(span)

    # --- what was filled ------------------------------------------------------------------------

    def _fact(self, fact: object, at_ms: int) -> None:
        match fact:
            case Known(market):
                self.know(market)
            case Told(_, TradeSeen() as trade) if trade.condition_id in self._markets:
                self.traded(trade, at_ms)
            case Resolved(condition_id, up_payout) if condition_id in self._markets:
                self.resolved(condition_id, up_payout)

    def resolved(self, condition_id: str, up_payout: int) -> None:
        self.run.markets[self._markets[condition_id].slug].up_payout = up_payout

    def traded(self, trade: TradeSeen, at_ms: int) -> None:
        """Each leg once, and not at all when its trade has failed."""
        market = self._markets[trade.condition_id]
        for leg in trade.legs:
            key = (trade.trade_id, leg.order_id)
            known = self._legs.get(key)
            if known is None and trade.status is not TradeStatus.FAILED:
                toward, price = as_bid(market.outcome_of(leg.token), leg.side, leg.price)
                fee = taker_fee(market.fees, leg.price, leg.shares)
                rebate = fee * market.fees.rebate_ppm // 1_000_000
                paid = (0, rebate) if leg.maker else (fee, 0)
                place = self.run.markets[market.slug]
                fill = Filled(_traded_ms(trade, at_ms, place), toward, price, leg.shares, *paid)
                self._legs[key] = (place, fill)
                place.fills.append(fill)
            elif known is not None and trade.status is TradeStatus.FAILED:
                known[0].fills.remove(known[1])
                del self._legs[key]


def _traded_ms(trade: TradeSeen, heard_ms: int, market: MarketRun) -> int:
    """When it was heard, by the clock of the orders' times. What the stream missed is found much
    later: then by the venue's clock. Found after the window, it was within.
    """
    at_ms = min(heard_ms, trade.at_ms) if trade.source == REST else heard_ms
    return min(at_ms, market.end_ms)
