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
from polybot.domain.market import Market, Side
from polybot.domain.market_states import MarketState
from polybot.domain.orders import CancelResult, NewOrder, PostResult, PrivateEvent, TradeSeen
from polybot.domain.units import ONE
from polybot.exchange.model import BUY
from polybot.execution.actions import Action, Cancel, Post
from polybot.execution.desk import Desk
from polybot.execution.doubts import LookUp, Survey, Surveyed
from polybot.lab.backtest_time import Act, Rank, Timeline, Ways
from polybot.lab.backtest_venue import Venue
from polybot.lab.backtest_wallet import Wallet
from polybot.lab.run_record import RunMaker, Span
from polybot.order_messages import CancelAnswered, Posted
from polybot.pricing.board import PriceBoard
from polybot.quoter import Quoter
from polybot.quoting.model import BookView
from polybot.risk.timetable import MarketMachine
from polybot.signal_ears import SignalEars
from polybot.venue.market_messages import LastTrade

_OVER = (MarketState.CUTOFF, MarketState.FIXING, MarketState.ENDED)
Changes = Sequence[tuple[str, int, int]]  # (side, Up price, new total)


@attrs.define(eq=False)
class Stage:
    """Everything is called with the time it happens."""

    config: Config
    board: PriceBoard
    wallet: Wallet
    venue: Venue
    timeline: Timeline
    ways: Ways
    desk: Desk
    ears: SignalEars
    record: RunMaker
    quoter: Quoter = attrs.field(init=False)
    book: Book = attrs.field(factory=Book)
    book_ms: int = 0
    decisions: int = 0
    _open: bool = False
    _seen: tuple[int, BookView, BookView] | None = None
    _tick: int = 0  # the venue's last word, 0 for none; the quoter follows at its turn
    _doubted: bool = False  # the book, since a change of the tick
    _rung: bool = True
    _turn: int = 0  # of the quoter: an older turn's timer has nothing to say
    _stepped_ms: int = 0
    _due: int = 0  # of the desk, likewise
    _inbox: list[Act] = attrs.field(factory=list)  # what the desk has not heard yet

    def __attrs_post_init__(self) -> None:
        self.quoter = Quoter(self.config, self.board, self.wallet, self.desk, self.ears)

    @property
    def market(self) -> Market:
        return self.quoter.market

    @property
    def machine(self) -> MarketMachine:
        return self.quoter.machine

    def open(self, now_ms: int, levels: Changes) -> None:
        """The scope begins, with the book as it stands."""
        self._open, self.book_ms = True, now_ms
        self._apply(levels)
        self._step(now_ms)
        self._act_at(now_ms)

    def close(self, now_ms: int) -> None:
        """The window is over: no more quotes, and what rests is cancelled."""
        self._open = False
        self.desk.closing = True
        self._act_at(now_ms)
        self.ears.board.ended()

    # --- what is heard -----------------------------------------------------------------------

    def changed(self, changes: Changes, stamp_ms: int, now_ms: int) -> None:
        """Levels of Up's book have new totals."""
        self._apply(changes)
        self.book_ms = stamp_ms
        self.ring(now_ms)

    def _apply(self, changes: Changes) -> None:
        self._seen = None
        for side, price, total in changes:
            self.book.set(Side.BUY if side == BUY else Side.SELL, price, total)

    def printed(self, trade: LastTrade, now_ms: int) -> None:
        self.ears.printed(trade, now_ms)

    def retick(self, tick: int, now_ms: int) -> None:
        """The bot trusts no book after a change of the tick until the next snapshot."""
        self._tick, self._doubted = tick, True
        self.ring(now_ms)

    def renewed(self, now_ms: int) -> None:
        """A snapshot came, as after every trade."""
        self._doubted = False
        self.ring(now_ms)

    def heard(self, event: PrivateEvent, now_ms: int) -> None:
        """A private event: into the books first, then to those whom it concerns."""
        if isinstance(event, TradeSeen):
            if not self.wallet.book(event):
                return
            self.record.traded(event, now_ms)
            self.ring(now_ms)
        self.record.applied(event, now_ms)
        self.ears.told(event, self.desk.table, now_ms)
        self._tell_desk(lambda at_ms: self.desk.heard(event, at_ms), now_ms)

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

        self.timeline.at(when_ms, look, Rank.QUOTES)

    # --- the quoter (quote_task.py) --------------------------------------------------------------

    def _step(self, now_ms: int) -> None:
        self._stepped_ms, self._rung = now_ms, False
        self._look_at(now_ms + self.config.orders.requote_max_ms)
        self.decisions += 1
        quoter = self.quoter
        if self._tick not in {0, quoter.market.tick}:
            quoter.retick(self._tick)
        quoter.price(now_ms)
        another = quoter.decide(*self._views(), self.book_ms, now_ms, book_known=True)
        if another and quoter.desired is not None:
            self.desk.desired = quoter.desired
            self._act_at(now_ms)

    def _views(self) -> tuple[BookView | None, BookView | None]:
        """Both outcomes' books: they mirror each other (feeds.md 2.3). Those of the turn before
        while no level has changed; None where they are in doubt.
        """
        if self._doubted:
            return None, None
        within = self.quoter.levels
        if self._seen is None or self._seen[0] != within:
            bids, asks = self.book.levels(Side.BUY, within), self.book.levels(Side.SELL, within)
            up = BookView(tuple(bids), tuple(asks))
            down = BookView(
                tuple([(ONE - price, size) for price, size in asks]),
                tuple([(ONE - price, size) for price, size in bids]),
            )
            self._seen = (within, up, down)
        return self._seen[1], self._seen[2]

    # --- the desk (orders_task.py) ---------------------------------------------------------------

    def _tell_desk(self, hear: Act, now_ms: int) -> None:
        self._inbox.append(hear)
        self._act_at(now_ms)

    def _act(self, now_ms: int) -> None:
        """A turn: what has come, then what is to leave."""
        desk, key = self.desk, self.market.condition_id
        inbox, self._inbox = self._inbox, []
        for hear in inbox:
            hear(now_ms)
        for action in desk.act(now_ms, self.wallet.standing(key)):
            self._perform(action, now_ms)
        self.wallet.acted()
        if self._open or len(desk.table.open()):
            self._act_at(desk.next_due_ms(now_ms))

    def _act_at(self, when_ms: int) -> None:
        """The desk's next turn: when its moment is all there, or earlier when something happens."""
        self._due += 1
        due = self._due

        def act(now_ms: int) -> None:
            if due == self._due:
                self._act(now_ms)

        self.timeline.at(when_ms, act, Rank.ORDERS)

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
        self.timeline.at(due_ms, arrive)

    def _ask(self, now_ms: int, read: Callable[[int], Callable[[int], None]]) -> None:
        """`read` at the venue what is to be heard here when its answer is back."""

        def arrive(at_ms: int) -> None:
            self._answer(at_ms, read(at_ms))

        self._send(now_ms, arrive)

    def _answer(self, at_ms: int, hear: Callable[[int], None]) -> None:
        def back(now_ms: int) -> None:
            self._tell_desk(hear, now_ms)

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
