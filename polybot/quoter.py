"""One market's quoter: what it sees, what it makes of it, and which orders it wants. Pure.

The quote task runs it on live books and a backtest on recorded ones, so that there is one turn and
not two that resemble each other. A turn is two calls: `price`, which whoever runs it may judge by
itself, and `decide`. Most of what a turn reads has not changed since the turn before, and is then
taken as it was found: our resting orders, the standing, the orders made of the same quotes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs
from msgspec.structs import replace

from polybot.config import Config
from polybot.domain.market import Market, Outcome, Side
from polybot.domain.market_books import Holdings
from polybot.domain.market_states import MarketState
from polybot.domain.orders import NewOrder, TimeInForce
from polybot.domain.units import ONE, SHARE
from polybot.execution.desk import Desk
from polybot.execution.lifecycle import State
from polybot.execution.wish import Desired
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.pricing.strikes import Strike
from polybot.quoting.asks import NEVER, too_late
from polybot.quoting.completion import Take
from polybot.quoting.decide import decide
from polybot.quoting.ladder import grid_floor
from polybot.quoting.model import BookView, Decision, Quote, QuoteInputs, Stock
from polybot.quoting.orders import OrderMaker
from polybot.quoting.reasons import withholds
from polybot.risk.checks import Over, Standing, over_losses
from polybot.risk.timetable import Known, MarketMachine
from polybot.signal.regime import DEPTH_WITHIN
from polybot.signal_ears import SignalEars
from polybot.venue.site import GTD_EARLY_S, GTD_LEAD_S
from polybot.wallet_standing import WalletStanding

BOOK_LEVELS = 5
# A book that is read again is believed within some seconds, half a minute at a slow link. What was
# apart before a longer darkness is no evidence after it.
APART_KEPT_MS = 60_000
REWARD_PAUSE_MS = 60_000  # after a refusal: by then holdings and limits have moved
NOTHING_HELD = Holdings()
REDUCE = MarketState.REDUCE
GTC, GTD = TimeInForce.GTC, TimeInForce.GTD
EARLY_S, LEAD_MS = GTD_EARLY_S.value, (GTD_LEAD_S.value + 5) * 1000


class Scoring(Protocol):
    """What the venue says of our orders and liquidity rewards."""

    unscored: tuple[Outcome, ...]

    @property
    def share(self) -> float: ...


@attrs.frozen(eq=False)
class Resting:
    """What rests of ours, while the table's count of changes stands: as bids by outcome and price
    (the books show an ask where its bid would be), the sides that are live, whether an ask is open.
    """

    changes: int = -1
    own: dict[tuple[Outcome, int], int] = attrs.field(factory=dict)
    live: frozenset[Outcome] = frozenset()
    asking: bool = False


@attrs.define(eq=False)
class Quoter:
    """`market` follows the tick; `desired` is the wish of the last turn, `inputs` what it saw."""

    config: Config
    board: PriceBoard
    wallet: WalletStanding
    desk: Desk
    ears: SignalEars
    scoring: Scoring | None = None  # of a market with a pool
    market: Market = attrs.field(init=False)
    machine: MarketMachine = attrs.field(init=False)
    fair: Fair | NoFair = NoFair(WhyNoFair.SPOT_STALE)
    strike: Strike | None = None
    decision: Decision = Decision((), ())
    desired: Desired | None = None
    inputs: QuoteInputs | None = None
    resting: Resting = Resting()
    _maker: OrderMaker = attrs.field(factory=OrderMaker)
    _takes: int = 0
    _take_at_ms: int = 0
    _reward_again_ms: int = 0
    _alarmed_ms: int | None = None  # when the disagreement began that has been told
    _compared_ms: int = 0  # when model and market were last held against each other
    _judged: tuple[Standing, Over | None] | None = None

    def __attrs_post_init__(self) -> None:
        self.market, self.machine = self.desk.market, self.desk.firewall.machine

    def retick(self, tick: int) -> None:
        """A tick change makes a new market for everything that rounds."""
        self.market = attrs.evolve(self.market, tick=tick)
        self.desk.market = self.desk.firewall.market = self.market

    @property
    def levels(self) -> int:
        """Levels of a side that a turn looks at: what signals and rewards reckon with."""
        pool = self.market.rewards
        within = max(DEPTH_WITHIN, pool.max_spread if pool is not None else 0)
        return max(BOOK_LEVELS, within // self.market.tick + 1)

    def price(self, now_ms: int) -> Fair | NoFair:
        """The fair price of now, or why there is none."""
        self.strike = self.board.strike(self.market)
        self.fair = self.board.fair(self.market, now_ms)
        return self.fair

    def decide(
        self,
        up: BookView | None,
        down: BookView | None,
        book_ms: int,
        now_ms: int,
        *,
        book_known: bool,
    ) -> bool:
        """Decide at the fair price of `price` and these books (None: not believed), which changed
        last at `book_ms`; `book_known`: both have been verified at some time. Returns whether
        another wish came of it, or the same once more.
        """
        config = self.config
        self._learn(now_ms, book=book_known)
        self._look_at_orders()
        self.inputs = inputs = self._inputs(up, down, book_ms, now_ms)
        self.decision = decide(inputs, config.quote, config.completion, config.rewards)
        if self.decision.market is not None:
            self._compared_ms = now_ms
        self.ears.decided(self.decision, now_ms)
        percent, last_ms = config.orders.hysteresis_percent, self.machine.table.cutoff_ms
        wanted = wish(self.market, self.decision, last_ms, now_ms, percent, self._maker)
        desired = self._with_take(wanted, now_ms)
        before, self.desired = self.desired, desired
        return desired != before

    def alarm(self, now_ms: int) -> str | None:
        """That model and market disagree, once for each time that they begin to: it is probably the
        model that is wrong (strategy.md 4), and its operator who can find out why.
        """
        since_ms, seen, fair = self.decision.apart_since_ms, self.decision.market, self.fair
        if since_ms is None or since_ms == self._alarmed_ms:
            return None
        lasting = now_ms - since_ms >= self.config.quote.disagree_s * 1000
        if not lasting or seen is None or isinstance(fair, NoFair):
            return None
        self._alarmed_ms = since_ms
        return f"model and market disagree: {fair.q:.3f} against {seen:.3f} for Up"

    def _learn(self, now_ms: int, *, book: bool) -> None:
        """Move the market's machine on by what is known now."""
        machine = self.machine
        known, strike = machine.known, self.strike is not None
        orders, book = len(self.desk.table.open()), known.book or book
        if known.book is not book or known.strike is not strike or known.open_orders != orders:
            known = Known(book, strike, orders)
        machine.learn(known, now_ms)

    def _look_at_orders(self) -> None:
        table = self.desk.table
        if self.resting.changes == table.changes:
            return
        own: dict[tuple[Outcome, int], int] = {}
        live: set[Outcome] = set()
        asking = False
        for tracked in table.open():
            order, state = tracked.order, tracked.state
            asking |= order.selling
            if state is State.LIVE:
                live.add(order.toward)
            if state is State.LIVE or state is State.CANCELLING:
                key = (order.toward, order.bid_price)
                own[key] = own.get(key, 0) + tracked.remaining
        self.resting = Resting(table.changes, own, frozenset(live), asking)

    def _inputs(
        self, up: BookView | None, down: BookView | None, book_ms: int, now_ms: int
    ) -> QuoteInputs:
        held, own, desk, scoring = self.holdings(), self.resting.own, self.desk, self.scoring
        # Most of the time nothing is held, and nothing need be looked up.
        standing = None
        if held.up or held.down:
            standing = self.wallet.standing(self.market.condition_id)
        state = self.machine.state
        return QuoteInputs(
            self.market,
            now_ms,
            self.fair,
            up,
            down,
            self.market.tick,
            held.up,
            held.down,
            own,
            self.config.risk.max_net_shares * SHARE,
            state,
            self.machine.table,
            advice=self.ears.look(self.fair, up, down, own, now_ms),
            book_age_s=max(0, now_ms - book_ms) / 1000,
            apart_since_ms=self._apart_since_ms(now_ms),
            stock=self._stock(held, standing, now_ms),
            net_confirmed=held.up_confirmed - held.down_confirmed,
            # Only who takes asks, and the answer takes a look at every order of the window.
            taking=(state is REDUCE or self._takes > 0) and desk.taking,
            post_only=desk.pauses.post_only(now_ms),
            scoring=1.0 if scoring is None else scoring.share,
            unscored=() if scoring is None else scoring.unscored,
            reward_refused=self._reward_refused(now_ms),
            rewarded=self.decision.rewards is not None,
            over=self._over(held, standing),
            paired=self._paired(held) if self.config.quote.has_pair_penalties else 0,
        )

    def _apart_since_ms(self, now_ms: int) -> int | None:
        known = now_ms - self._compared_ms <= APART_KEPT_MS
        return self.decision.apart_since_ms if known else None

    def holdings(self) -> Holdings:
        books = self.wallet.ledger.books.get(self.market.condition_id)
        return books.holdings() if books is not None else NOTHING_HELD

    def _stock(self, held: Holdings, standing: Standing | None, now_ms: int) -> Stock | None:
        """What might be sold."""
        if standing is None or self.config.quote.sell_held == NEVER:
            return None
        return Stock(
            held.up,
            held.down,
            standing,
            self.config.risk,
            self.wallet.unmergeable.get(self.market.condition_id)
            or too_late(self.machine.table, now_ms),
            self.resting.asking,
        )

    def _paired(self, held: Holdings) -> int:
        books = self.wallet.ledger.books.get(self.market.condition_id)
        return held.pairs + (books.merged if books is not None else 0)

    def _over(self, held: Holdings, standing: Standing | None) -> Over | None:
        """The limit on losses that is passed by what is held, judged once for each standing."""
        if standing is None or not held.net:
            return None
        if self._judged is None or self._judged[0] is not standing:
            self._judged = (standing, over_losses(standing, self.config.risk))
        return self._judged[1]

    def _reward_refused(self, now_ms: int) -> bool:
        """Whether the firewall has of late refused what we asked for with rewards in mind: an order
        of their least size may pass a limit that our usual one does not.
        """
        if self.decision.rewards is not None and self.desk.refused:
            self._reward_again_ms = now_ms + REWARD_PAUSE_MS
        return now_ms < self._reward_again_ms

    def _with_take(self, desired: Desired, now_ms: int) -> Desired:
        """Each try has a number of its own, so that one wish is never carried out twice. A clock
        that is set back makes no pause between two longer: the last seconds are few.
        """
        take, every_ms = self.decision.take, int(self.config.completion.every_s * 1000)
        if take is None or 0 < self._take_at_ms - now_ms <= every_ms:
            return desired
        self._takes += 1
        self._take_at_ms = now_ms + every_ms
        return replace(desired, take=taking_order(self.market, take), take_number=self._takes)


def wish(
    market: Market,
    decision: Decision,
    last_ms: int,
    now_ms: int,
    hold_percent: int = 0,
    maker: OrderMaker | None = None,
) -> Desired:
    """A decision as orders that rest until `last_ms` at most, and the caps that its bids were held
    to. A bid keeps its place within `hold_percent` of the edge, and while no pair with it costs
    more than the decision's. One `maker` gives the same orders for the same quotes, so that two
    wishes are told apart at a glance.
    """
    if decision.fair is None or not (decision.quotes or decision.take):
        told = [reason.why for reason in decision.reasons]
        cause = next(filter(withholds, told), told[0] if told else None)
        return Desired(cause="no quote" if cause is None else cause.value)
    tif, expires_s = _backstop(last_ms, now_ms)
    maker = maker or OrderMaker()
    return Desired(
        maker.orders(market, decision.quotes, tif, expires_s),
        decision.cap_up or 0,
        decision.cap_down or 0,
        decision.pair_cap,
        round(decision.fair * ONE),
        hold=grid_floor((decision.edge or 0) * hold_percent / 100, market.tick),
        spare=None if decision.to_pair is None else _spare(decision.quotes, decision.to_pair),
    )


def _spare(quotes: Sequence[Quote], to_pair: int) -> int:
    """By how much each of these may be larger, all of them together being what is to pair."""
    return (to_pair - sum(quote.size for quote in quotes)) // max(1, len(quotes))


def _backstop(last_ms: int, now_ms: int) -> tuple[TimeInForce, int]:
    """How an order dies at the cutoff by the venue's own hand, while GTD still reaches that far.

    The venue kills a GTD order `GTD_EARLY_S` before its stated expiration and takes none closer
    than `GTD_LEAD_S`: a backstop for the case that we are gone, not a tool for the last minutes.
    """
    expires_s = last_ms // 1000 + EARLY_S
    if expires_s * 1000 >= now_ms + LEAD_MS:
        return GTD, expires_s
    return GTC, 0


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
