"""The quote task of a market scope: book, prices and inventory in; the orders we want, or reasons,
out.

Woken by any of the three, at most once per `requote_min_ms` and at least once per `requote_max_ms`:
the same quote need not be derived twice, and time itself moves the fair price. The decision is a
plain call.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio
from loguru import logger

from polybot.channels import Bell
from polybot.clock import NS
from polybot.console.snapshot import LostLine, MarketSnapshot, QuoteLine
from polybot.context import Context
from polybot.core_tape import Stepped
from polybot.domain.market import DOWN, UP, Outcome, Side
from polybot.domain.market_books import MarketBooks
from polybot.domain.units import ONE
from polybot.execution.lifecycle import State
from polybot.execution.params import OrderParams
from polybot.health import Fault
from polybot.market_feed import MarketFeed
from polybot.orders_task import OrdersTask
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.quoter import Quoter
from polybot.quoting.books import market_now
from polybot.quoting.model import BookView, Decision
from polybot.records import IntervalRecord
from polybot.scoring_watch import ScoringWatch
from polybot.signal.texts import words
from polybot.signal_ears import SignalEars
from polybot.venue.book_state import BookState

BLIND_MS = (
    10_000  # a stale oracle withdraws quotes at once; after this long the scope starts afresh
)
_BLIND = (WhyNoFair.ORACLE_STALE, WhyNoFair.SPOT_STALE, WhyNoFair.FROZEN)
RESTING = (State.LIVE, State.CANCELLING)
LOST_SHOWN = 3  # reasons of a side, on the screen


@attrs.define(eq=False)
class QuoteTask:
    ctx: Context
    feed: MarketFeed
    orders: OrdersTask
    bell: Bell
    ears: SignalEars
    scoring: ScoringWatch | None = None  # of a market with a pool
    quoter: Quoter = attrs.field(init=False)
    record: IntervalRecord = attrs.field(init=False)
    _stepped: Stepped = attrs.field(init=False)
    _late: bool = False  # as of the last turn
    _blind_since_ms: int | None = None
    _views: dict[Outcome, tuple[object, int, BookView]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        ctx, market = self.ctx, self.feed.market
        desk = self.orders.desk
        self.quoter = Quoter(ctx.config, ctx.board, ctx.account, desk, self.ears, self.scoring)
        self.record, self._stepped = ctx.records.of(market), Stepped(market.slug)

    async def run(self) -> None:
        self.ctx.on_price.append(self.bell.ring)
        try:
            await paced(
                lambda: self.turn(self.ctx.clock.now_ns()), self.bell, self.ctx.config.orders
            )
        finally:
            self.ctx.on_price.remove(self.bell.ring)

    def turn(self, at_ns: int) -> None:
        """A step, with what went into it and what came out on the tape."""
        core, ctx, market = self.ctx.core, self.ctx, self.quoter.market
        outside = ctx.account.outside(market.condition_id, ctx.admission.closed_because)
        core.outside(market.slug, outside, at_ns)
        core.fed(self._stepped, at_ns)
        self.step(at_ns // NS)
        core.quoted(market.slug, self.quoter.fair, self.quoter.decision, at_ns)

    def step(self, now_ms: int) -> None:
        """Decide once, tell the orders task if the wish changed, and keep the time account."""
        feed, quoter, record = self.feed, self.quoter, self.record
        if feed.book.tick != quoter.market.tick:
            quoter.retick(feed.book.tick)
        self._watch_oracle(quoter.price(now_ms), now_ms)
        valid, late = feed.book.valid, feed.lateness.late(now_ms)
        if late and not self._late:
            self.ctx.records.note_bad("market stream: changes read late, book held back")
            logger.warning("{}: changes are read late, its books held back", quoter.market.slug)
        self._late = late
        up = down = None
        if not late:
            up, down = self._view(UP, valid=valid), self._view(DOWN, valid=valid)
        book_ms = max(feed.book.stamp_ms(UP), feed.book.stamp_ms(DOWN))
        another = quoter.decide(up, down, book_ms, now_ms, book_known=valid)
        self._sample(now_ms)
        if (alarm := quoter.alarm(now_ms)) is not None:
            logger.warning("{}: {}", quoter.market.slug, alarm)
        if another and quoter.desired is not None:
            record.quotes += bool(quoter.desired.orders)
            self.orders.wish(quoter.desired)
        if valid:
            top = feed.book.book(UP)
            record.book_read = True
            record.book_two_sided |= top.best_bid is not None and top.best_ask is not None
        live = quoter.resting.live
        ms = record.time(now_ms, bids_up=UP in live, bids_down=DOWN in live)
        record.why.add(ms, quoter.decision, live, self.orders.desk.refused)
        if quoter.strike is not None:
            record.strike = quoter.strike.value

    def _sample(self, now_ms: int) -> None:
        """Keep what is thought at fixed times, to be scored when the result is known, where a log
        is to have it: nobody else takes it away again.
        """
        if not self.ctx.config.journal.calibration:
            return
        quoter, sampler = self.quoter, self.record.sampler
        left_s = (quoter.market.end_ms - now_ms) / 1000
        if not sampler.due(left_s) or left_s > quoter.market.length_s:
            return
        if isinstance(quoter.fair, Fair) and quoter.inputs is not None:
            market = market_now(quoter.inputs, self.ctx.config.quote.market_depth_shares)
            mid = None if market is None else market.q
            sampler.take(left_s, quoter.fair, mid, quoter.decision.fair)

    def _watch_oracle(self, fair: Fair | NoFair, now_ms: int) -> None:
        if not (isinstance(fair, NoFair) and fair.why in _BLIND):
            self._blind_since_ms = None
            return
        self._blind_since_ms = self._blind_since_ms or now_ms
        if now_ms - self._blind_since_ms > BLIND_MS:
            self.ctx.health.halts["prices stale"] += 1
            raise Fault("prices stale")

    def _view(self, outcome: Outcome, *, valid: bool) -> BookView | None:
        """A book's best levels while it is believed (`valid`: both are); those of the turn before
        where the venue has told nothing of it since.
        """
        book = self.feed.book
        if not valid and book.state(outcome) is not BookState.VALID:
            return None
        told, levels = book.told(outcome), self.quoter.levels
        seen = self._views.get(outcome)
        if seen is None or seen[0] is not told or seen[1] != levels:
            held = book.book(outcome)
            bids, asks = held.levels(Side.BUY, levels), held.levels(Side.SELL, levels)
            seen = self._views[outcome] = (told, levels, BookView(tuple(bids), tuple(asks)))
        return seen[2]

    # --- for the operator ---------------------------------------------------------------------

    def snapshot(self, state: str) -> MarketSnapshot:
        """`state` is the scope's own word, empty while its tasks run: else the last turn is of the
        past, and nothing of it is shown as if it were of now.
        """
        now_ms, turning = self.ctx.clock.now_ms(), not state
        quoter, market = self.quoter, self.quoter.market
        decision = quoter.decision if turning else Decision((), ())
        fair = quoter.fair if turning and isinstance(quoter.fair, Fair) else None
        strike = self.ctx.board.strike(market)
        books = self.ctx.account.ledger.books.get(market.condition_id)
        held = quoter.holdings()
        believed = turning and self.feed.book.judged_state(UP) is BookState.VALID
        up = self.feed.book.book(UP) if believed else None
        return MarketSnapshot(
            slug=market.slug,
            state=state or quoter.machine.state.value,
            start_ms=market.start_ms,
            end_ms=market.end_ms,
            spot=fair.spot if fair else None,
            strike=strike.value if strike else None,
            fair=decision.fair or (fair.q if fair else None),
            bid=None if up is None else up.best_bid,
            ask=None if up is None else up.best_ask,
            up_quotes=self._lines(UP),
            down_quotes=self._lines(DOWN),
            up=held.up,
            down=held.down,
            fills=books.fills if books else 0,
            realised=books.realised if books else 0,
            unrealised=_unrealised(books, fair),
            unrealised_worst=books.worst_gain if books else 0,
            signals=words(self.ears.board.readings) if turning else (),
            reasons=tuple(reason.text() for reason in decision.reasons),
            lost=self._lost(now_ms),
            ahead=quoter.machine.table.ahead,
            rewards=self._rewards(decision),
        )

    def _lines(self, outcome: Outcome) -> tuple[QuoteLine, ...]:
        """Our orders for one token as they rest: its bids from the best, then its asks."""
        sizes: dict[tuple[bool, int], int] = {}
        for tracked in self.orders.desk.table.open():
            order = tracked.order
            if tracked.state in RESTING and order.outcome is outcome:
                key = (order.selling, order.price)
                sizes[key] = sizes.get(key, 0) + tracked.remaining
        best_first = sorted(sizes, key=lambda key: (key[0], key[1] if key[0] else -key[1]))
        return tuple(QuoteLine(price, sizes[asks, price], asks) for asks, price in best_first)

    def _rewards(self, decision: Decision) -> str:
        terms = decision.rewards
        if terms is None or self.scoring is None:
            return ""
        said = f"{self.scoring.scored} of {self.scoring.asked} orders asked about scored"
        return f"rewards: {terms.reward:.2f} an hour expected, {terms.cost:.2f} in costs; {said}"

    def _lost(self, now_ms: int) -> tuple[LostLine, ...]:
        """What took most of each side's time in this window so far."""
        record = self.record
        quotable = max(1, record.quotable_ms(now_ms))
        return tuple(
            LostLine(side.value, text, lost.withheld_ms / quotable, lost.reduced_ms / quotable)
            for side in Outcome
            for text, lost in record.why.top(side, LOST_SHOWN)
        )


async def paced(step: Callable[[], None], bell: Bell, pace: OrderParams) -> None:
    """Step at once and then for ever: when the bell has rung, but not sooner than `requote_min_ms`
    after the step before, and after `requote_max_ms` without it. A ring too soon is not lost.
    """
    while True:
        step()
        await trio.sleep(pace.requote_min_ms / 1000)
        with trio.move_on_after((pace.requote_max_ms - pace.requote_min_ms) / 1000):
            await bell.wait()


def _unrealised(books: MarketBooks | None, fair: Fair | None) -> int | None:
    if books is None or fair is None:
        return None
    return books.marked(round(fair.q * ONE)) - books.holdings().cost
