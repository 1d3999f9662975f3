"""One market of a backtest: what feed, quote and orders task of a market scope do, as plain calls.

The production book, machine, signals, quoter, wish, desk, firewall and ledger, in the production
order: news change the book or the orders, a bell rings, the quoter looks at most every
`requote_min_ms`, a changed wish lets the desk act, its actions leave and come back. What is not
here is what only sockets have: connections that fall silent, hashes that do not fit, answers that
never come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from polybot.config import Config
from polybot.domain.book import Book
from polybot.domain.ledger import Holdings
from polybot.domain.market import Market, Outcome, Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import CancelResult, NewOrder, PostResult, PrivateEvent, TradeSeen
from polybot.domain.units import ONE, SHARE
from polybot.exchange.model import BUY
from polybot.execution.desk import Action, Cancel, Desk, Post
from polybot.execution.doubts import LookUp, Survey, Surveyed
from polybot.execution.lifecycle import State
from polybot.execution.wish import Desired
from polybot.lab.backtest_time import Outlet, Timeline, Ways
from polybot.lab.backtest_venue import Venue
from polybot.lab.backtest_wallet import Wallet
from polybot.lab.run_record import RunMaker, Span
from polybot.order_messages import CancelAnswered, Posted
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.quote_task import BOOK_LEVELS, taking_order, wish
from polybot.quoting.asks import NEVER, too_late
from polybot.quoting.decide import decide
from polybot.quoting.model import BookView, Decision, QuoteInputs, Stock
from polybot.quoting.orders import OrderMaker
from polybot.risk.timetable import Known, MarketMachine
from polybot.signal.regime import DEPTH_WITHIN
from polybot.signal_ears import SignalEars
from polybot.venue.market_messages import LastTrade

_OVER = (MarketState.CUTOFF, MarketState.FIXING, MarketState.ENDED)
Changes = Sequence[tuple[str, int, int]]  # (side, Up price, new total)


@attrs.define(eq=False)
class Stage:
    """`desk.market` and `market` follow the tick. Everything is called with the time it happens."""

    config: Config
    board: PriceBoard
    wallet: Wallet
    venue: Venue
    timeline: Timeline
    ways: Ways
    outlet: Outlet
    market: Market
    machine: MarketMachine
    desk: Desk
    ears: SignalEars
    record: RunMaker
    book: Book = attrs.field(factory=Book)
    book_ms: int = 0
    fair: Fair | NoFair = NoFair(WhyNoFair.SPOT_STALE)
    decision: Decision = Decision((), ())
    decisions: int = 0
    _open: bool = False
    _last: Desired | None = None
    _maker: OrderMaker = attrs.field(factory=OrderMaker)
    _takes: int = 0
    _take_at_ms: int = 0
    _rung: bool = True
    _turn: int = 0  # of the quoter: an older turn's timer has nothing to say
    _stepped_ms: int = 0
    _due: int = 0  # of the desk, likewise

    def open(self, now_ms: int, levels: Changes) -> None:
        """The scope begins, with the book as it stands."""
        self._open, self.book_ms = True, now_ms
        self._apply(levels)
        self._step(now_ms)
        self._act(now_ms)

    def close(self, now_ms: int) -> None:
        """The window is over: no more quotes, and what rests is cancelled."""
        self._open = False
        self.desk.closing = True
        self._act(now_ms)
        self.ears.board.ended()

    # --- what is heard -----------------------------------------------------------------------

    def changed(self, changes: Changes, stamp_ms: int, now_ms: int) -> None:
        """Levels of Up's book have new totals."""
        self._apply(changes)
        self.book_ms = stamp_ms
        self.ring(now_ms)

    def _apply(self, changes: Changes) -> None:
        for side, price, total in changes:
            self.book.set(Side.BUY if side == BUY else Side.SELL, price, total)

    def printed(self, trade: LastTrade, now_ms: int) -> None:
        self.ears.printed(trade, now_ms)

    def retick(self, tick: int, _now_ms: int) -> None:
        """A tick change makes a new market for everything that rounds."""
        self.market = attrs.evolve(self.market, tick=tick)
        self.desk.market = self.desk.firewall.market = self.market

    def heard(self, event: PrivateEvent, now_ms: int) -> None:
        """A private event: into the books first, then to those whom it concerns."""
        if isinstance(event, TradeSeen):
            if not self.wallet.book(event):
                return
            self.record.traded(event, now_ms)
            self.ring(now_ms)
        self.record.applied(event, now_ms)
        self.ears.told(event, self.desk.table, now_ms)
        self.desk.heard(event, now_ms)
        self._act(now_ms)

    def ring(self, now_ms: int) -> None:
        """Something changed: look again, but not sooner than the pace allows. Where nothing may be
        quoted any more and nothing rests, the usual look is soon enough.
        """
        if self._rung or not self._open:
            return
        if self.machine.state in _OVER and not len(self.desk.table.open()):
            return
        self._rung = True
        soonest_ms = self._stepped_ms + self.config.orders.requote_min_ms
        self._look_at(max(now_ms, soonest_ms))

    def _look_at(self, when_ms: int) -> None:
        self._turn += 1
        turn = self._turn

        def look(now_ms: int) -> None:
            if turn == self._turn and self._open:
                self._step(now_ms)

        self.timeline.at(when_ms, look)

    # --- the quoter (quote_task.py) --------------------------------------------------------------

    def _step(self, now_ms: int) -> None:
        self._stepped_ms, self._rung = now_ms, False
        self._look_at(now_ms + self.config.orders.requote_max_ms)
        self.decisions += 1
        config, params = self.config, self.config.quote
        self.fair = self.board.fair(self.market, now_ms)
        known = Known(True, self.board.strike(self.market) is not None, len(self.desk.table.open()))
        self.machine.learn(known, now_ms)
        self.decision = decide(self._inputs(now_ms), params, config.completion, config.rewards)
        self.ears.decided(self.decision, now_ms)
        percent = config.orders.hysteresis_percent
        wanted = wish(self.market, self.decision, params, now_ms, percent, self._maker)
        desired = self._with_take(wanted, now_ms)
        if desired != self._last:
            self._last = self.desk.desired = desired
            self._act(now_ms)

    def _with_take(self, desired: Desired, now_ms: int) -> Desired:
        take = self.decision.take
        if take is None or now_ms < self._take_at_ms:
            return desired
        self._takes += 1
        self._take_at_ms = now_ms + int(self.config.completion.every_s * 1000)
        return attrs.evolve(desired, take=taking_order(self.market, take), take_number=self._takes)

    def _inputs(self, now_ms: int) -> QuoteInputs:
        held, own = self.holdings(), self._own()
        up, down = self._views()
        advice = self.ears.look(self.fair, {Outcome.UP: up, Outcome.DOWN: down}, own, now_ms)
        return QuoteInputs(
            market=self.market,
            now_ms=now_ms,
            fair=self.fair,
            up=up,
            down=down,
            tick=self.market.tick,
            held_up=held.up,
            held_down=held.down,
            own=own,
            net_limit=self.config.risk.max_net_shares * SHARE,
            state=self.machine.state,
            table=self.machine.table,
            advice=advice,
            book_age_s=max(0, now_ms - self.book_ms) / 1000,
            apart_since_ms=self.decision.apart_since_ms,
            stock=self._stock(held, now_ms),
            net_confirmed=held.up_confirmed - held.down_confirmed,
            taking=self.machine.state is MarketState.REDUCE and self.desk.taking,
            post_only=self.desk.post_only(now_ms),
        )

    def holdings(self) -> Holdings:
        return self.wallet.ledger.books[self.market.condition_id].holdings()

    def _stock(self, held: Holdings, now_ms: int) -> Stock | None:
        if self.config.quote.sell_held == NEVER or not (held.up or held.down):
            return None
        return Stock(
            held.up, held.down, self.wallet.standing(self.market.condition_id), self.config.risk,
            too_late(self.machine.table, now_ms),
            any(tracked.order.selling for tracked in self.desk.table.open()),
        )  # fmt: skip

    def _views(self) -> tuple[BookView, BookView]:
        """Both outcomes' books: they mirror each other (feeds.md 2.3)."""
        within = max(BOOK_LEVELS, DEPTH_WITHIN // self.market.tick + 1)
        bids, asks = self.book.levels(Side.BUY, within), self.book.levels(Side.SELL, within)
        return (
            BookView(tuple(bids), tuple(asks)),
            BookView(
                tuple((ONE - price, size) for price, size in asks),
                tuple((ONE - price, size) for price, size in bids),
            ),
        )

    def _own(self) -> dict[tuple[Outcome, int], int]:
        own: dict[tuple[Outcome, int], int] = {}
        for tracked in self.desk.table.open():
            if tracked.state is State.LIVE or tracked.state is State.CANCELLING:
                key = (tracked.order.toward, tracked.order.bid_price)
                own[key] = own.get(key, 0) + tracked.remaining
        return own

    # --- the desk (orders_task.py) ---------------------------------------------------------------

    def _act(self, now_ms: int) -> None:
        desk, key = self.desk, self.market.condition_id
        for action in desk.act(now_ms, self.wallet.standing(key)):
            self._perform(action, now_ms)
        self.wallet.acted()
        self._due += 1
        due = self._due

        def again(at_ms: int) -> None:
            if due == self._due:
                self._act(at_ms)

        if self._open or len(desk.table.open()):
            self.timeline.at(desk.next_due_ms(now_ms), again)

    def _perform(self, action: Action, now_ms: int) -> None:
        match action:
            case Post(orders):
                for signed in orders:
                    self.record.posted(self.market.slug, signed.id, _span(signed.order, now_ms))
                self._send(now_ms, lambda at_ms: self.venue.post(orders, at_ms, self._posted))
            case Cancel(ids):
                self._ask(now_ms, lambda at_ms: self._cancelled(ids, self.venue.cancel(ids, at_ms)))
            case LookUp(order_id):
                self._ask(now_ms, lambda _: self._looked_up(order_id))
            case Survey(since_ms):
                self._ask(now_ms, lambda at_ms: self._surveyed(since_ms, at_ms))
            case _:
                pass  # the venue's cache of balances never lags here

    def _send(self, now_ms: int, arrive: Callable[[int], None]) -> None:
        due_ms = self.ways.request(now_ms)
        self.timeline.at(due_ms, lambda at_ms: self.outlet.asked(at_ms, arrive))

    def _ask(self, now_ms: int, read: Callable[[int], Callable[[int], None]]) -> None:
        """`read` at the venue what is to be heard here when its answer is back."""

        def arrive(at_ms: int) -> None:
            self._answer(at_ms, read(at_ms))

        self._send(now_ms, arrive)

    def _answer(self, at_ms: int, hear: Callable[[int], None]) -> None:
        def back(now_ms: int) -> None:
            hear(now_ms)
            self._act(now_ms)

        self.timeline.at(self.ways.answer(at_ms), back)

    def _posted(self, results: Sequence[PostResult], at_ms: int) -> None:
        def hear(now_ms: int) -> None:
            self.record.applied(Posted(tuple(results)), now_ms)
            self.desk.posted(results, now_ms)

        self._answer(at_ms, hear)

    def _cancelled(self, ids: Sequence[str], result: CancelResult) -> Callable[[int], None]:
        def hear(now_ms: int) -> None:
            self.record.applied(CancelAnswered(tuple(ids), result), now_ms)
            self.desk.cancelled(ids, result, now_ms)

        return hear

    def _looked_up(self, order_id: str) -> Callable[[int], None]:
        row = self.venue.order(order_id)
        return lambda now_ms: self.desk.looked_up(order_id, row, now_ms)

    def _surveyed(self, since_ms: int, at_ms: int) -> Callable[[int], None]:
        trades = self.venue.trades(since_ms)
        rows = self.venue.open_orders(self.market.condition_id)

        def hear(now_ms: int) -> None:
            for trade in trades:
                self.heard(trade, now_ms)
            self.desk.surveyed(Surveyed(at_ms, rows, trades=True), now_ms)

        return hear


def _span(order: NewOrder, at_ms: int) -> Span:
    """An order as it leaves; its end is not known yet."""
    return Span(order.toward, order.bid_price, order.size, at_ms, at_ms)
