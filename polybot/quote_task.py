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

from polybot.channels import Bell
from polybot.clock import NS
from polybot.console.snapshot import LostLine, MarketSnapshot, QuoteLine
from polybot.context import Context
from polybot.core_tape import Stepped
from polybot.domain.ledger import Holdings, MarketBooks
from polybot.domain.market import DOWN, UP, Market, Outcome, Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import NewOrder, TimeInForce
from polybot.domain.units import ONE, SHARE
from polybot.execution.lifecycle import State
from polybot.execution.params import OrderParams
from polybot.execution.wish import Desired
from polybot.health import Fault
from polybot.market_feed import MarketFeed
from polybot.market_times import cutoff_ms
from polybot.orders_task import OrdersTask
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.quoting.asks import NEVER, too_late
from polybot.quoting.books import market_now
from polybot.quoting.completion import Take
from polybot.quoting.decide import decide
from polybot.quoting.ladder import grid_floor
from polybot.quoting.model import BookView, Decision, QuoteInputs, Stock
from polybot.quoting.orders import OrderMaker
from polybot.quoting.params import QuoteParams
from polybot.risk.timetable import Known, MarketMachine
from polybot.scoring_watch import ScoringWatch
from polybot.signal.regime import DEPTH_WITHIN
from polybot.signal.texts import words
from polybot.signal_ears import SignalEars
from polybot.venue.book_state import BookState
from polybot.venue.site import GTD_EARLY_S, GTD_LEAD_S

BOOK_LEVELS = 5
BLIND_MS = (
    10_000  # a stale oracle withdraws quotes at once; after this long the scope starts afresh
)
RESTING = (State.LIVE, State.CANCELLING)
LOST_SHOWN = 3  # reasons of a side, on the screen
REWARD_PAUSE_MS = 60_000  # after a refusal: by then holdings and limits have moved


@attrs.define(eq=False)
class QuoteTask:
    ctx: Context
    feed: MarketFeed
    orders: OrdersTask
    bell: Bell
    machine: MarketMachine
    ears: SignalEars
    scoring: ScoringWatch | None = None  # of a market with a pool
    market: Market = attrs.field(init=False)
    fair: Fair | NoFair = NoFair(WhyNoFair.SPOT_STALE)
    decision: Decision = Decision((), ())
    _last: Desired | None = None
    _maker: OrderMaker = attrs.field(factory=OrderMaker)
    _blind_since_ms: int | None = None
    _takes: int = 0
    _take_at_ms: int = 0
    _reward_again_ms: int = 0

    def __attrs_post_init__(self) -> None:
        self.market = self.feed.market

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
        core, ctx, slug = self.ctx.core, self.ctx, self.market.slug
        key, closed_because = self.market.condition_id, ctx.admission.closed_because
        core.outside(ctx.account.outside(key, slug, closed_because), at_ns)
        core.fed(Stepped(slug), at_ns)
        self.feed.book.judge()
        self.step(at_ns // NS)
        core.quoted(slug, self.fair, self.decision, at_ns)

    def step(self, now_ms: int) -> None:
        """Decide once, tell the orders task if the wish changed, and keep the time account."""
        self._follow_tick()
        self.fair = self.ctx.board.fair(self.market, now_ms)
        self._watch_oracle(now_ms)
        self._learn(now_ms)
        params = self.ctx.config.quote
        if self.feed.late(now_ms):
            self.ctx.records.note_bad("market stream: changes read late, book held back")
        inputs = self._inputs(now_ms)
        config = self.ctx.config
        self.decision = decide(inputs, params, config.completion, config.rewards)
        self.ears.decided(self.decision, now_ms)
        self._sample(inputs)
        percent = config.orders.hysteresis_percent
        desired = wish(self.market, self.decision, params, now_ms, percent, self._maker)
        desired = self._with_take(desired, now_ms)
        record = self.ctx.records.of(self.market)
        if desired != self._last:
            self._last = desired
            record.quotes += bool(desired.orders)
            self.orders.wish(desired)
        if self.feed.book.valid:
            top = self.feed.book.book(UP)
            record.book_read = True
            record.book_two_sided |= top.best_bid is not None and top.best_ask is not None
        live = self._live_sides()
        ms = record.time(now_ms, bids_up=UP in live, bids_down=DOWN in live)
        record.why.add(ms, self.decision, live, self.orders.desk.refused)
        if strike := self.ctx.board.strike(self.market):
            record.strike = strike.value

    def _sample(self, inputs: QuoteInputs) -> None:
        """Keep what is thought at fixed times, to be scored when the result is known."""
        sampler = self.ctx.records.of(self.market).sampler
        left_s = (self.market.end_ms - inputs.now_ms) / 1000
        if left_s > self.market.length_s or not sampler.due(left_s):
            return
        if isinstance(self.fair, Fair):
            market = market_now(inputs, self.ctx.config.quote.market_depth_shares)
            mid = None if market is None else market.q
            sampler.take(left_s, self.fair, mid, self.decision.fair)

    def _with_take(self, desired: Desired, now_ms: int) -> Desired:
        """Each try has a number of its own, so that one wish is never carried out twice."""
        take = self.decision.take
        if take is None or now_ms < self._take_at_ms:
            return desired
        self._takes += 1
        self._take_at_ms = now_ms + int(self.ctx.config.completion.every_s * 1000)
        return attrs.evolve(desired, take=taking_order(self.market, take), take_number=self._takes)

    def _follow_tick(self) -> None:
        """A tick change makes a new market for everything that rounds."""
        tick = self.feed.book.tick
        if tick != self.market.tick:
            self.market = attrs.evolve(self.market, tick=tick)
            self.orders.desk.market = self.orders.desk.firewall.market = self.market

    def _learn(self, now_ms: int) -> None:
        """Move the market's machine on by what is known now."""
        known = self.machine.known
        self.machine.learn(
            Known(
                book=known.book or self.feed.book.valid,
                strike=self.ctx.board.strike(self.market) is not None,
                open_orders=len(self.orders.desk.table.open()),
            ),
            now_ms,
        )

    def _watch_oracle(self, now_ms: int) -> None:
        stale = isinstance(self.fair, NoFair) and self.fair.why in (
            WhyNoFair.ORACLE_STALE,
            WhyNoFair.SPOT_STALE,
            WhyNoFair.FROZEN,
        )
        if not stale:
            self._blind_since_ms = None
            return
        self._blind_since_ms = self._blind_since_ms or now_ms
        if now_ms - self._blind_since_ms > BLIND_MS:
            self.ctx.health.halts["prices stale"] += 1
            raise Fault("prices stale")

    def _inputs(self, now_ms: int) -> QuoteInputs:
        held, own = self.holdings(), self._own()
        late = self.feed.late(now_ms)
        views = {outcome: None if late else self._view(outcome) for outcome in Outcome}
        advice = self.ears.look(self.fair, views, own, now_ms)
        return QuoteInputs(
            self.market,
            now_ms,
            self.fair,
            views[UP],
            views[DOWN],
            self.market.tick,
            held.up,
            held.down,
            own,
            self.ctx.config.risk.max_net_shares * SHARE,
            self.machine.state,
            self.machine.table,
            advice=advice,
            book_age_s=max(0, now_ms - max(map(self.feed.book.stamp_ms, Outcome))) / 1000,
            apart_since_ms=self.decision.apart_since_ms,
            stock=self._stock(held, now_ms),
            net_confirmed=held.up_confirmed - held.down_confirmed,
            # Only a completion asks, and the answer takes a look at every order of the window.
            taking=self.machine.state is MarketState.REDUCE and self.orders.desk.taking,
            post_only=self.orders.desk.post_only(now_ms),
            scoring=1.0 if self.scoring is None else self.scoring.share,
            unscored=() if self.scoring is None else self.scoring.unscored,
            reward_refused=self._reward_refused(now_ms),
            rewarded=self.decision.rewards is not None,
        )

    def _stock(self, held: Holdings, now_ms: int) -> Stock | None:
        """What might be sold. Most of the time nothing is held, and nothing need be looked up."""
        if self.ctx.config.quote.sell_held == NEVER or not (held.up or held.down):
            return None
        account, key = self.ctx.account, self.market.condition_id
        return Stock(
            held.up,
            held.down,
            account.standing(key),
            self.ctx.config.risk,
            account.unmergeable.get(key) or too_late(self.machine.table, now_ms),
            any(tracked.order.selling for tracked in self.orders.desk.table.open()),
        )

    def _reward_refused(self, now_ms: int) -> bool:
        """Whether the firewall has of late refused what we asked for with rewards in mind: an order
        of their least size may pass a limit that our usual one does not.
        """
        if self.decision.rewards is not None and self.orders.desk.refused:
            self._reward_again_ms = now_ms + REWARD_PAUSE_MS
        return now_ms < self._reward_again_ms

    def holdings(self) -> Holdings:
        books = self.ctx.account.ledger.books.get(self.market.condition_id)
        return books.holdings() if books is not None else Holdings()

    def _view(self, outcome: Outcome) -> BookView | None:
        if self.feed.book.state(outcome) is not BookState.VALID:
            return None
        book = self.feed.book.book(outcome)
        pool = self.market.rewards
        within = max(DEPTH_WITHIN, pool.max_spread if pool is not None else 0)
        levels = max(BOOK_LEVELS, within // self.market.tick + 1)
        return BookView(tuple(book.levels(Side.BUY, levels)), tuple(book.levels(Side.SELL, levels)))

    def _own(self) -> dict[tuple[Outcome, int], int]:
        """What rests of ours, as bids: the books show an ask where its bid would be."""
        own: dict[tuple[Outcome, int], int] = {}
        for tracked in self.orders.desk.table.open():
            if tracked.state in RESTING:
                key = (tracked.order.toward, tracked.order.bid_price)
                own[key] = own.get(key, 0) + tracked.remaining
        return own

    def _live_sides(self) -> set[Outcome]:
        table = self.orders.desk.table
        return {t.order.toward for t in table.open() if t.state is State.LIVE}

    # --- for the operator ---------------------------------------------------------------------

    def snapshot(self, state: str) -> MarketSnapshot:
        now_ms = self.ctx.clock.now_ms()
        fair = self.fair if isinstance(self.fair, Fair) else None
        strike = self.ctx.board.strike(self.market)
        books = self.ctx.account.ledger.books.get(self.market.condition_id)
        held = self.holdings()
        up = self.feed.book.book(UP)
        return MarketSnapshot(
            slug=self.market.slug,
            state=state or self.machine.at(now_ms).value,
            start_ms=self.market.start_ms,
            end_ms=self.market.end_ms,
            spot=fair.spot if fair else None,
            strike=strike.value if strike else None,
            fair=self.decision.fair or (fair.q if fair else None),
            bid=up.best_bid,
            ask=up.best_ask,
            up_quotes=self._lines(UP),
            down_quotes=self._lines(DOWN),
            up=held.up,
            down=held.down,
            fills=books.fills if books else 0,
            realised=books.realised if books else 0,
            unrealised=_unrealised(books, fair),
            unrealised_worst=books.worst_value - held.cost if books else 0,
            signals=words(self.ears.board.readings),
            reasons=tuple(reason.text() for reason in self.decision.reasons),
            lost=self._lost(now_ms),
            rewards=self._rewards(),
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

    def _rewards(self) -> str:
        terms = self.decision.rewards
        if terms is None or self.scoring is None:
            return ""
        said = f"{self.scoring.scored} of {self.scoring.asked} orders asked about scored"
        return f"rewards: {terms.reward:.2f} an hour expected, {terms.cost:.2f} in costs; {said}"

    def _lost(self, now_ms: int) -> tuple[LostLine, ...]:
        """What took most of each side's time in this window so far."""
        record = self.ctx.records.of(self.market)
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


def wish(
    market: Market,
    decision: Decision,
    params: QuoteParams,
    now_ms: int,
    hold_percent: int = 0,
    maker: OrderMaker | None = None,
) -> Desired:
    """A decision as orders: caps are rounded down to the tick, exactly as the ladder did. A bid
    keeps its place within `hold_percent` of the edge. One `maker` gives the same orders for the
    same quotes, so that two wishes are told apart at a glance.
    """
    if decision.fair is None or not (decision.quotes or decision.take):
        cause = decision.reasons[0].why.value if decision.reasons else "no quote"
        return Desired(cause=cause)
    tif, expires_s = _backstop(market.end_ms - cutoff_ms(market, params), now_ms)
    maker, tick = maker or OrderMaker(), market.tick
    return Desired(
        maker.orders(market, decision.quotes, tif, expires_s),
        grid_floor(decision.cap_up or 0, tick),
        grid_floor(decision.cap_down or 0, tick),
        params.target_total,
        round(decision.fair * ONE),
        hold=grid_floor((decision.edge or 0) * hold_percent / 100, tick),
    )


def _backstop(last_ms: int, now_ms: int) -> tuple[TimeInForce, int]:
    """How an order dies at the cutoff by the venue's own hand, while GTD still reaches that far.

    The venue kills a GTD order `GTD_EARLY_S` before its stated expiration and takes none closer
    than `GTD_LEAD_S`: a backstop for the case that we are gone, not a tool for the last minutes.
    """
    expires_s = last_ms // 1000 + GTD_EARLY_S.value
    if expires_s * 1000 >= now_ms + (GTD_LEAD_S.value + 5) * 1000:
        return TimeInForce.GTD, expires_s
    return TimeInForce.GTC, 0


def taking_order(market: Market, take: Take) -> NewOrder:
    """A completion as an order that is filled at once, or not at all."""
    return NewOrder(
        market,
        take.outcome,
        Side.BUY,
        take.price,
        take.size,
        take.tif,
        post_only=False,
        cause=f"completion: {take.stage.value}",
    )


def _unrealised(books: MarketBooks | None, fair: Fair | None) -> int | None:
    if books is None or fair is None:
        return None
    return books.marked(round(fair.q * ONE)) - books.holdings().cost
