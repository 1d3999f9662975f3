"""What is true about one market while a play goes on (order_play.py), and what must be. Pure.

The toy venue has the truth; desk, order table and ledger have their belief of it. After every step
`check` holds the one against the other, by the numbers of reliability.md 3: S4 no orphan, S5 every
fill once, S6 conservation, S7 exposure against the truth, S8 no naked sale, S23 no way back, S24 no
pair of orders above the cap.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

import attrs

from polybot.domain.accounts import PAID, RESULTS, Kind as AccountKind
from polybot.domain.ledger import Ledger
from polybot.domain.market import DOWN, UP, FeeSchedule, Market, Outcome, Side, TwapPair, taker_fee
from polybot.domain.market_books import MarketBooks
from polybot.domain.orders import FillLeg, SignedOrder, TradeSeen, TradeStatus, as_bid
from polybot.domain.units import SHARE, notional
from polybot.execution.desk import Desk
from polybot.execution.lifecycle import OPEN, Event, State
from polybot.execution.params import OrderParams
from polybot.execution.promises import Promised
from polybot.execution.table import OrderTable
from polybot.execution.tracked import Tracked
from polybot.lab.toy_venue import ToyVenue
from polybot.risk.limits import RiskParams

START_MS = 1_790_000_100_000
CUTOFF_MS = START_MS + 240_000
MARKET = Market(
    "btc-5m",
    "btc-updown-5m",
    "0xc",
    "111",  # Up
    "222",  # Down
    START_MS,
    START_MS + 300_000,
    TwapPair("btcusd", 60),
    tick=100,
    min_size=5 * SHARE,
    fees=FeeSchedule(70_000, 1, 200_000),
)
PAIR_CAP = 9900
DEPOSIT = 100 * SHARE
LIMITS = RiskParams(
    max_open_orders_per_market=10,
    max_order_usd=20,
    max_position_usd_per_market=20,
    max_net_shares=20,  # as tight as the dollars, that both are met
    # The plays are about counting; that losses are bounded is another matter.
    max_market_loss_percent=100,
    max_cluster_loss_percent=100,
    max_total_loss_percent=100,
    shrink_to_percent=100,
    repeat_most=10_000,
)
LIMIT = LIMITS.max_position_usd_per_market * SHARE
PARAMS = OrderParams(routine_every_ms=0)
GRACE_MS = PARAMS.unknown_grace_s * 1000
_BACK = frozenset({State.ABSENT, State.REJECTED})  # ends that a sight of the order overrules


Possible = list[tuple[SignedOrder, int]]  # what may still match, and how much of it
_figures = attrgetter(*(field.name for field in attrs.fields(Promised)))


class Broken(AssertionError):
    """An invariant does not hold."""


def must(true: object, what: str) -> None:
    """Assert, also where Python does not (S1 to S24 stay on)."""
    if not true:
        raise Broken(what)


def moved_by(leg: FillLeg) -> tuple[int, int]:
    """What one leg brings: (shares of its token, dollars), 10⁻⁶, negative what it takes."""
    fee = 0 if leg.maker else taker_fee(MARKET.fees, leg.price, leg.shares)
    if leg.side is Side.BUY:
        return leg.shares, -leg.dollars - fee
    return -leg.shares, leg.dollars - fee


@attrs.define(eq=False)
class WatchedTable(OrderTable):
    """The order table, held to S23 at every move, and counting the rare ones."""

    rare: Counter[str] = attrs.field(factory=Counter)

    def move(self, tracked: Tracked, event: Event, now_ms: int) -> None:
        before = tracked.state
        super().move(tracked, event, now_ms)
        after = tracked.state
        if before is not after:
            self.rare[f"{before.value} → {after.value}"] += 1
        if before not in OPEN and after in OPEN:
            must(before in _BACK or event is Event.RESTS_STILL, f"S23: {before} → {after}")


@attrs.define(eq=False)
class Truth:
    """`told` is what any message has said of each leg, `failed` the parts of trades told to have
    failed; amounts 10⁻⁶.

    `strays` are thought to have ended, and yet they may fill: the edge held them (F18), or the
    venue's word was false. While their end is not proven they count all the same; what `orphans`
    do, those that count no more, nobody could have known.
    """

    venue: ToyVenue
    table: WatchedTable
    ledger: Ledger
    books: MarketBooks
    desk: Desk
    strays: set[str] = attrs.field(factory=set)
    orphans: set[str] = attrs.field(factory=set)
    told: dict[tuple[str, str], FillLeg] = attrs.field(factory=dict)
    failed: set[tuple[str, str]] = attrs.field(factory=set)
    merged: int = 0
    booked: bool = False  # since the last check

    def __attrs_post_init__(self) -> None:
        self.venue.holds = self.shares

    def book(self, trade: TradeSeen) -> None:
        """Into the ledger, and beside it into our own record of what was told."""
        parts = [self.books.trades.get((trade.trade_id, leg.order_id)) for leg in trade.legs]
        before = [part.status if part is not None else None for part in parts]
        self.booked = True
        self.ledger.book(trade)
        for leg, was in zip(trade.legs, before, strict=True):
            key = (trade.trade_id, leg.order_id)
            now = self.books.trades[key].status
            must(was is None or now >= was, "S23: a trade went back")
            self.told.setdefault(key, leg)
        if trade.status is TradeStatus.FAILED:
            # Of legs not told before, too: they are booked as failed from the start.
            for leg, was in zip(trade.legs, before, strict=True):
                self.table.rare["reversal"] += was is not None
                self.table.rare["sale reversed"] += was is not None and leg.side is Side.SELL
                self.failed.add((trade.trade_id, leg.order_id))

    def merge(self, shares: int) -> None:
        """Pairs that the chain has turned into dollars."""
        self.ledger.merge(MARKET.condition_id, shares, "a play")
        self.merged += shares
        self.table.rare["merge"] += 1

    # --- what is true -------------------------------------------------------------------------

    @property
    def something_failed(self) -> bool:
        return any(trade.status is TradeStatus.FAILED for trade in self.venue.trades.values())

    def _legs(self) -> list[FillLeg]:
        """Those of every trade that stands."""
        trades = self.venue.trades.values()
        stand = (trade for trade in trades if trade.status is not TradeStatus.FAILED)
        return [leg for trade in stand for leg in trade.legs]

    def shares(self, outcome: Outcome) -> int:
        """Shares in the wallet, as the venue has it."""
        token = MARKET.token(outcome)
        return sum(moved_by(leg)[0] for leg in self._legs() if leg.token == token) - self.merged

    def leaning(self, possible: Possible) -> dict[Outcome, int]:
        """How far the position leans to each side, and may come to with all that can still fill."""
        up = 0
        for leg in self._legs():
            side, _ = as_bid(MARKET.outcome_of(leg.token), leg.side, leg.price)
            up += leg.shares if side is UP else -leg.shares
        leans = {UP: up, DOWN: -up}
        for order, left in possible:
            leans[order.order.toward] += left
        return leans

    def _counted(self, possible: Possible) -> Possible:
        """Those of which anybody could know."""
        return [(order, left) for order, left in possible if order.id not in self.orphans]

    # --- what must be -------------------------------------------------------------------------

    def check(self) -> None:
        possible = self.venue.possible()
        dearest = self._no_orphan(possible)
        must(len(dearest) < 2 or sum(dearest.values()) <= PAIR_CAP, "S24: a pair above its cap")
        self._exposure(possible)
        self._balance(possible)
        self._none_naked(possible)
        if self.booked:
            self._conservation()
            self.booked = False

    def _no_orphan(self, possible: Possible) -> dict[Outcome, int]:
        """S4: what may match there counts here, with no less left; returns the dearest bids."""
        for each, left in possible:
            if each.id not in self.table:
                must(each.id in self.venue.late, f"S4: {each.id} is forgotten")
                self.strays.add(each.id)
                self.orphans.add(each.id)
                continue
            tracked = self.table[each.id]
            if tracked.state not in OPEN:
                excused = self.venue.late | self.venue.pretended
                must(each.id in excused, f"S4: {each.id} lives and is {tracked.state.value}")
                self.strays.add(each.id)
            if tracked.state in OPEN or tracked.id in self.table.unproven:
                must(tracked.remaining >= left, f"S4: more of {each.id} is left than we think")
            else:
                self.orphans.add(each.id)
        dearest: dict[Outcome, int] = {}
        for tracked in self.table.open():
            made = tracked.order
            if tracked.id not in self.strays and not made.taking:
                dearest[made.toward] = max(dearest.get(made.toward, 0), made.bid_price)
        return dearest

    def _exposure(self, possible: Possible) -> None:
        """S7, against the truth: what was matched there and what may still be, within the limit.
        What confirmed sales and merges have freed may be spent again; where something failed, their
        averages are those of another life.
        """
        bids = [(o.order.price, left) for o, left in self._counted(possible) if not o.order.selling]
        exposure = sum(notional(price, left) for price, left in bids)
        promised = Promised.of(self.desk.table)
        must(_figures(promised) == _figures(self.desk.promised), "a promise is out of date")
        must(self.desk.promised.reserved >= exposure, "S7: less reserved than may be spent")
        freed = self._freed()
        if freed and (self.orphans or self.something_failed):
            return
        bought = [leg for leg in self._legs() if leg.side is Side.BUY]
        spent = sum(-moved_by(leg)[1] for leg in bought if leg.order_id not in self.orphans)
        must(spent - freed + exposure <= LIMIT, "S7: the truth is above the limit")

    def _balance(self, possible: Possible) -> None:
        """S7: nor does the position come to lean farther to one side, whatever still fills."""
        if not (self.orphans or self.something_failed):
            leans = max(self.leaning(possible).values())
            must(leans <= LIMITS.max_net_shares * SHARE, "S7: the position leans too far")

    def _freed(self) -> int:
        """Cost of what is sold and confirmed, or merged, by the ledger."""
        if not self.merged and all(leg.side is Side.BUY for leg in self.told.values()):
            return 0
        bought = sum(
            -moved_by(leg)[1]
            for key, leg in self.told.items()
            if leg.side is Side.BUY and key not in self.failed
        )
        sales = self.books.sales()
        cost = self.books.of(AccountKind.COST)
        return bought - cost - sales.cost_up - sales.cost_down

    def _none_naked(self, possible: Possible) -> None:
        """S8: shares are bound for all that may still be sold, and in truth they are there. But for
        a sale that was told too late: what was offered meanwhile the venue refuses.
        """
        selling: Counter[Outcome] = Counter()
        for order, left in self._counted(possible):
            if order.order.selling:
                selling[order.order.outcome] += left
        excused = self.orphans or self.something_failed
        for outcome, shares in selling.items():
            must(self.table.pledged(outcome) >= shares, "S8: less is bound than may be sold")
            late = outcome in self.venue.sold_untold
            must(excused or late or shares <= self.shares(outcome), "S8: a naked sale")

    def _conservation(self) -> None:
        """S5, S6: the ledger has every leg told once, less the failed ones, and no other."""
        shares, dollars = dict.fromkeys(Outcome, -self.merged), self.merged
        for key, leg in self.told.items():
            if key not in self.failed:
                some, paid = moved_by(leg)
                shares[MARKET.outcome_of(leg.token)] += some
                dollars += paid
        for outcome, some in shares.items():
            must(self.books.shares(outcome) == some, f"S5: shares of {outcome.value}")
        must(self.ledger.cash == DEPOSIT + dollars, "S6: cash")
        results = self.books.of(*RESULTS, *PAID)
        must(self.ledger.cash + self.books.of(AccountKind.COST) + results == DEPOSIT, "S6: cost")

    def books_agree(self) -> None:
        """L2: to the unit, whatever was lost, repeated or reversed."""
        dollars = self.merged + sum(moved_by(leg)[1] for leg in self._legs())
        for outcome in Outcome:
            must(self.books.shares(outcome) == self.shares(outcome), "L2: shares")
        must(self.ledger.cash == DEPOSIT + dollars, "L2: cash")
