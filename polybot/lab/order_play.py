"""The real desk, order table and ledger against a toy venue that is the truth.

A play is a list of steps, each chosen by somebody else: Hypothesis, or a seeded loop. After every
step `check` holds what must be true, by the numbers of reliability.md 3: S3 at most once, S4 no
orphan, S5 every fill once, S6 conservation, S7 exposure against the truth, S23 no way back, S24 no
pair of bids above the cap. `finish` lets the venue come to itself and asks for the end of every
doubt (L1) and for books that agree to the micro-dollar (L2).
"""

from __future__ import annotations

from collections import Counter
from itertools import count

import attrs

from polybot.domain.accounts import Kind as AccountKind
from polybot.domain.ledger import Ledger, MarketBooks
from polybot.domain.market import FeeSchedule, Market, Outcome, Side, TwapPair, taker_fee
from polybot.domain.market_states import MarketState
from polybot.domain.orders import (
    Failure,
    FillLeg,
    NewOrder,
    OrderSeen,
    SignedOrder,
    TimeInForce,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import LOT, SHARE, floor_to
from polybot.execution.desk import Action, Budget, Cancel, Desk, Post
from polybot.execution.doubts import LookUp, Surveyed
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.lifecycle import OPEN, Event, State
from polybot.execution.params import OrderParams
from polybot.execution.reconcile import Kind, OurOrder, order_differences
from polybot.execution.table import OrderTable, Tracked
from polybot.execution.wish import Desired
from polybot.lab.toy_venue import Asked, Cancelled, Fates, Found, Posted, Read, ToyVenue
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.checks import Standing
from polybot.risk.exposure import Exposure
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import MarketMachine, Times, Timetable

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
    max_net_shares=1_000_000,
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


class Broken(AssertionError):
    """An invariant does not hold."""


def must(true: object, what: str) -> None:
    """Assert, also where Python does not (S1 to S24 stay on)."""
    if not true:
        raise Broken(what)


def spent_on(leg: FillLeg) -> int:
    """Dollars (10⁻⁶) of one leg, a taker's with its fee."""
    fee = 0 if leg.maker else taker_fee(MARKET.fees, leg.price, leg.shares)
    return leg.dollars + fee


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
class Play:
    """One market's life. Amounts 10⁻⁶; `told` is what any message has said of each leg."""

    now: int = CUTOFF_MS - 240_000
    gate: Admission = attrs.field(factory=Admission)
    venue: ToyVenue = attrs.field(factory=ToyVenue)
    table: WatchedTable = attrs.field(factory=WatchedTable)
    ledger: Ledger = attrs.field(factory=Ledger)
    sent: Counter[str] = attrs.field(factory=Counter)
    # Thought ended, and yet they may fill: the edge held them (F18), or the venue's word was false.
    orphans: set[str] = attrs.field(factory=set)
    told: dict[tuple[str, str], tuple[Outcome, int, int]] = attrs.field(factory=dict)
    failed: set[str] = attrs.field(factory=set)
    booked: bool = False  # since the last check
    desk: Desk = attrs.field(init=False)
    books: MarketBooks = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        ids = count(1)
        table = Timetable.of(MARKET, Times(MARKET.end_ms - CUTOFF_MS, MARKET.end_ms - CUTOFF_MS))
        machine = MarketMachine(MARKET, table, MarketState.QUOTING)
        brakes = MarketBrakes(LIMITS, ErrorRate(LIMITS))
        firewall = Firewall(MARKET, LIMITS, machine, self.gate, brakes)
        sign = lambda made: SignedOrder(f"0x{next(ids)}", made, b"")  # noqa: E731
        budget = Budget.from_params(PARAMS)
        self.desk = Desk(MARKET, PARAMS, firewall, budget, sign, self.table)
        self.books = self.ledger.open(MARKET)
        self.ledger.deposit(DEPOSIT, "a play")

    # --- what we do ---------------------------------------------------------------------------

    def wish(self, up: int, down: int, levels: int, shares: int) -> None:
        """Two ladders whose dearest pair keeps the pair cap, as the quoter makes them."""
        down = min(down, PAIR_CAP - up)
        wanted = tuple(
            NewOrder(MARKET, outcome, Side.BUY, price - 100 * level, shares * SHARE, level=level)
            for outcome, price in ((Outcome.UP, up), (Outcome.DOWN, down))
            for level in range(levels)
        )
        caps = (up + 200, down + 200, PAIR_CAP, (up + PAIR_CAP - down) // 2)
        number = self.desk.desired.take_number
        wish = Desired(wanted, *caps) if wanted else Desired()
        self.desk.desired = attrs.evolve(wish, take_number=number)

    def take(self, cents: int, percent: int, *, all_or_nothing: bool) -> None:
        """Ask for part of the missing side, or for more than is missing, and bid for it no more."""
        net = self.books.holdings().net
        tif = TimeInForce.FOK if all_or_nothing else TimeInForce.FAK
        missing = Outcome.DOWN if net > 0 else Outcome.UP
        size = floor_to(abs(net) * percent // 100, LOT)
        order = NewOrder(MARKET, missing, Side.BUY, 100 * cents, size, tif, post_only=False)
        wish = self.desk.desired
        others = tuple(each for each in wish.orders if each.outcome is not missing)
        self.desk.desired = attrs.evolve(
            wish, orders=others, take=order, take_number=wish.take_number + 1, fair_up=5000
        )

    def begin_unpaired(self, shares: int) -> None:
        """Buy Up and nothing else: a position that a completion can pair."""
        bid = NewOrder(MARKET, Outcome.UP, Side.BUY, 4500, shares * SHARE)
        self.desk.desired = Desired((bid,), 4500, 0, PAIR_CAP, 5000)
        self.act(1)
        self.arrive(0, Fates())
        self.reply(0)
        self.fill(0, 1, 100 * shares)
        while self.venue.stream:
            self._hear(self.venue.stream.pop(0))
        self.desk.desired = Desired()

    def act(self, ms: int) -> None:
        self.now += ms
        self.venue.pass_time(self.now)
        held = self.books.holdings()
        standing = Standing(
            self.ledger.cash,
            self.ledger.equity,
            Exposure(
                self.books.cost(Outcome.UP), self.books.cost(Outcome.DOWN), held.up, held.down
            ),
        )
        actions = self.desk.act(self.now, standing)
        self.venue.requests += [Asked(action, self.now) for action in actions]
        self._check_leaving(actions, standing)

    def _check_leaving(self, actions: list[Action], standing: Standing) -> None:
        """What may leave: each order once, none into doubt, none past a limit or a closed gate."""
        new = [each for action in actions if isinstance(action, Post) for each in action.orders]
        for each in new:
            self.sent[each.id] += 1
            must(self.sent[each.id] == 1, f"S3: {each.id} sent again")
            self._no_twin(each)
            if each.order.taking:
                self._only_pairs(each)
        if new:
            must(self.gate.closed_because is None, "placed behind a closed gate")
            must(self.now < CUTOFF_MS, "S1: placed past the cutoff")
            must(not self.desk.closing, "placed while closing")
            most = LIMITS.max_open_orders_per_market
            must(len(self.table.open()) <= most, "more orders than allowed")
            must(self.desk.reserved + standing.held.cost <= LIMIT, "S7: more than the limit")
        for action in actions:
            ids = action.ids if isinstance(action, Cancel) else ()
            ids = (action.order_id,) if isinstance(action, LookUp) else ids
            must(all(order_id in self.sent for order_id in ids), "asked for what was never sent")

    def _only_pairs(self, each: SignedOrder) -> None:
        """What takes is never more than is missing in truth, whatever else may still fill; but for
        what nobody could know: a trade that fails later, an order whose end was a false word.
        """
        self.table.rare["takes"] += 1
        must(sum(t.order.taking for t in self.table.open()) == 1, "two that take at once")
        trades = self.venue.trades.values()
        if self.orphans or any(trade.status is TradeStatus.FAILED for trade in trades):
            return
        token = each.order.token
        toward = sum(
            leg.shares if leg.token == token else -leg.shares
            for trade in trades
            for leg in trade.legs
        )
        coming = [left for o, left in self.venue.possible() if o.order.token == token]
        must(toward + sum(coming) <= 0, "a take turns the position around")

    def _no_twin(self, each: SignedOrder) -> None:
        """One intent, one POST: nothing new into doubt, and nothing beside what already serves."""
        made = each.order
        for other in self.table.open():
            if other.id == each.id or other.order.outcome is not made.outcome:
                continue
            must(other.state is not State.UNKNOWN, "S3: placed into doubt")
            same = (other.order.price, other.order.size, other.order.level) == (
                made.price, made.size, made.level
            )  # fmt: skip
            stands = other.state in (State.IN_FLIGHT, State.LIVE) and not other.late
            must(not (same and stands and made.size <= 2 * other.remaining), "S3: a twin")

    # --- what happens at the venue ------------------------------------------------------------

    def arrive(self, n: int, fates: Fates) -> None:
        if self.venue.requests:
            self.venue.take(n % len(self.venue.requests), self.now, fates)

    def fill(self, n: int, several: int, lots: int) -> None:
        """Somebody takes one to three of our orders in one trade."""
        live = [i for i, o in self.venue.orders.items() if o.kind is OrderSeen.Kind.LIVE]
        if live:
            first = n % len(live)
            chosen = live[first : first + several]
            in_flight = [i for i in chosen if self.table[i].state is State.IN_FLIGHT]
            self.table.rare["fill before ack"] += len(in_flight)
            self.venue.fill(chosen, lots * 10_000, self.now)

    def trade_moves(self, n: int, status: TradeStatus) -> None:
        """Statuses in any order; what has failed stays failed."""
        if self.venue.trades:
            self.venue.tell_trade(f"t{n % len(self.venue.trades)}", status)

    # --- what we hear -------------------------------------------------------------------------

    def reply(self, n: int) -> None:
        if not self.venue.replies:
            return
        match self.venue.replies.pop(n % len(self.venue.replies)):
            case Posted(results):
                self.desk.posted(results, self.now)
            case Cancelled(ids, result):
                self.desk.cancelled(ids, result, self.now)
            case Read(order_id, answer):
                if order_id in self.table:
                    self.desk.looked_up(order_id, answer, self.now)
            case Found(begun_ms, rows, trades):
                self._learn(trades)
                known = not isinstance(trades, Failure)
                self.desk.surveyed(Surveyed(begun_ms, rows, known), self.now)

    def message(self, n: int, *, again: bool, lost: bool) -> None:
        """Messages come in any order, twice, or not at all."""
        stream = self.venue.stream
        if not stream:
            return
        n %= len(stream)
        event = stream[n] if again else stream.pop(n)
        if again or not lost:
            self._hear(event)

    def _hear(self, event: OrderSeen | TradeSeen) -> None:
        if isinstance(event, TradeSeen):
            self._book(event)
        self.desk.heard(event, self.now)

    def _book(self, trade: TradeSeen) -> None:
        """Into the ledger, and beside it into our own record of what was told."""
        parts = [self.books.trades.get((trade.trade_id, leg.order_id)) for leg in trade.legs]
        before = [part.status if part is not None else None for part in parts]
        self.booked = True
        self.ledger.book(trade)
        for leg, was in zip(trade.legs, before, strict=True):
            key = (trade.trade_id, leg.order_id)
            now = self.books.trades[key].status
            must(was is None or now >= was, "S23: a trade went back")
            outcome = MARKET.outcome_of(leg.token)
            self.told.setdefault(key, (outcome, leg.shares, spent_on(leg)))
        if trade.status is TradeStatus.FAILED:
            # Of legs not told before, too: they are booked as failed from the start.
            self.table.rare["reversal"] += any(before)
            self.failed |= {f"{trade.trade_id} {leg.order_id}" for leg in trade.legs}

    def _learn(self, trades: list[TradeSeen] | Failure) -> None:
        for trade in trades if not isinstance(trades, Failure) else ():
            if not self.ledger.knows(trade):
                self._hear(trade)

    def reconcile(self, lag_ms: int) -> None:
        """What the reconciler does, with lists begun some time ago (reconciler.py)."""
        begun_ms = self.now - lag_ms
        self._learn(list(self.venue.trades.values()))
        rows = self.venue.open_orders(self.now)
        for row in rows:
            if row.order_id in self.table:
                seen = OrderSeen(row.order_id, row.kind, row.matched, row.text, self.now)
                self.desk.heard(seen, self.now)
        ours = [OurOrder.of(tracked) for tracked in self.table]
        for one in order_differences(ours, self.sent.__contains__, rows, begun_ms, GRACE_MS):
            must(one.kind not in (Kind.FOREIGN, Kind.PRICE), f"no {one.kind.value} here")
            if one.kind is Kind.MISSING_THERE:
                self.desk.missing(one.subject, begun_ms, self.now)
            elif one.kind is Kind.GHOST:
                self.desk.resting(one.subject, begun_ms, self.now)
            elif one.kind is Kind.MISSING_HERE:
                self.venue.requests.append(Asked(Cancel((one.subject,), "late"), self.now))

    # --- what must be true --------------------------------------------------------------------

    def check(self) -> None:
        """The invariants, after every step."""
        dearest = self._no_orphan()
        must(len(dearest) < 2 or sum(dearest.values()) <= PAIR_CAP, "S24: a pair above its cap")
        self._exposure()
        if self.booked:
            self._conservation()
            self.booked = False

    def _no_orphan(self) -> dict[Outcome, int]:
        """S4: what may match there is open here, with no less left; returns the dearest bids."""
        for each, left in self.venue.possible():
            if each.id not in self.table:
                must(each.id in self.venue.late, f"S4: {each.id} is forgotten")
                self.orphans.add(each.id)
                continue
            tracked = self.table[each.id]
            if tracked.state in OPEN:
                must(tracked.remaining >= left, f"S4: more of {each.id} is left than we think")
            else:
                excused = self.venue.late | self.venue.pretended
                must(each.id in excused, f"S4: {each.id} lives and is {tracked.state.value}")
                self.orphans.add(each.id)
        dearest: dict[Outcome, int] = {}
        for tracked in self.table.open():
            made = tracked.order
            if tracked.id not in self.orphans and not made.taking:
                dearest[made.outcome] = max(dearest.get(made.outcome, 0), made.price)
        return dearest

    def _exposure(self) -> None:
        """S7, against the truth: what was matched there and what may still be, within the limit."""
        exposure = self.venue.exposure(self.orphans)
        must(self.desk.reserved >= exposure, "S7: less reserved than may be spent")
        spent = sum(
            spent_on(leg)
            for trade in self.venue.trades.values()
            if trade.status is not TradeStatus.FAILED
            for leg in trade.legs
            if leg.order_id not in self.orphans
        )
        must(spent + exposure <= LIMIT, "S7: the truth is above the limit")

    def _conservation(self) -> None:
        """S5, S6: the ledger has every leg told once, less the failed ones, and no other."""
        shares, spent = dict.fromkeys(Outcome, 0), 0
        for (trade_id, order_id), (outcome, some, dollars) in self.told.items():
            if f"{trade_id} {order_id}" not in self.failed:
                shares[outcome] += some
                spent += dollars
        for outcome, some in shares.items():
            must(self.books.shares(outcome) == some, f"S5: shares of {outcome.value}")
        must(self.ledger.cash == DEPOSIT - spent, "S6: cash")
        must(self.books.of(AccountKind.COST) == spent, "S6: cost")

    def finish(self, rounds: int = 200) -> None:
        """Liveness: once the venue is itself again and we are closing, nothing stays open."""
        self.desk.closing = True
        wait_ms = 400
        for _ in range(rounds):
            self.act(wait_ms)
            while self.venue.requests:
                self.venue.take(0, self.now)
            while self.venue.replies:
                self.reply(0)
            while self.venue.stream:
                self._hear(self.venue.stream.pop(0))
            self.reconcile(0)
            self.check()
            if not self.table.open() and not self.venue.possible():
                break
            # Only the edge holds something: nothing happens before it lets go.
            wait_ms = 400 if self.table.open() or not self.venue.edge else 10_000
        must(not self.table.open(), "L1: a doubt does not end")
        must(not self.venue.possible(), "L1: an order rests")
        must(not self.table.faults, f"outside the table: {dict(self.table.faults)}")
        self._books_agree()

    def _books_agree(self) -> None:
        """L2: to the unit, whatever was lost, repeated or reversed."""
        shares, spent = dict.fromkeys(Outcome, 0), 0
        for trade in self.venue.trades.values():
            if trade.status is not TradeStatus.FAILED:
                for leg in trade.legs:
                    shares[MARKET.outcome_of(leg.token)] += leg.shares
                    spent += spent_on(leg)
        for outcome, some in shares.items():
            must(self.books.shares(outcome) == some, "L2: shares")
        must(self.ledger.cash == DEPOSIT - spent, "L2: cash")
