"""The real desk, order table and ledger against a toy venue that is the truth.

A play is a list of steps, each chosen by somebody else: Hypothesis, or a seeded loop. After every
step `check` holds what must be true (order_truth.py), and as orders leave S3 at most once. `finish`
lets the venue come to itself and asks for the end of every doubt (L1) and for books that agree to
the micro-dollar (L2).
"""

from __future__ import annotations

from collections import Counter
from itertools import count

import attrs
from msgspec.structs import replace

from polybot.domain.ledger import Ledger
from polybot.domain.market import Outcome, Side
from polybot.domain.market_books import MarketBooks
from polybot.domain.market_states import MarketState
from polybot.domain.orders import (
    Failure,
    NewOrder,
    OrderSeen,
    SignedOrder,
    TimeInForce,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import LOT, ONE, SHARE, floor_to
from polybot.execution.actions import Action, Cancel, Post, Refresh
from polybot.execution.desk import Desk
from polybot.execution.doubts import LookUp, Surveyed
from polybot.execution.firewall import Admission, Firewall
from polybot.execution.inventory import Place
from polybot.execution.lifecycle import State
from polybot.execution.reconcile import Kind, OurOrder, order_differences
from polybot.execution.throttle import Budget
from polybot.execution.wish import Desired
from polybot.lab.order_truth import (
    CUTOFF_MS,
    DEPOSIT,
    GRACE_MS,
    LIMIT,
    LIMITS,
    MARKET,
    PAIR_CAP,
    PARAMS,
    Truth,
    WatchedTable,
    must,
)
from polybot.lab.toy_venue import Asked, Cancelled, Fates, Found, Posted, Read, ToyVenue
from polybot.risk.breakers import ErrorRate, MarketBrakes
from polybot.risk.checks import Standing
from polybot.risk.exposure import Exposure
from polybot.risk.timetable import MarketMachine, Times, Timetable


@attrs.define(eq=False)
class Play:
    """One market's life. `claimed`: pairs that a merge wants (10⁻⁶), which no ask may take."""

    now: int = CUTOFF_MS - 240_000
    gate: Admission = attrs.field(factory=Admission)
    venue: ToyVenue = attrs.field(factory=ToyVenue)
    table: WatchedTable = attrs.field(factory=WatchedTable)
    ledger: Ledger = attrs.field(factory=Ledger)
    sent: Counter[str] = attrs.field(factory=Counter)
    claimed: int = 0
    desk: Desk = attrs.field(init=False)
    books: MarketBooks = attrs.field(init=False)
    truth: Truth = attrs.field(init=False)

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
        self.truth = Truth(self.venue, self.table, self.ledger, self.books, self.desk)

    def check(self) -> None:
        """The invariants, after every step."""
        self.truth.check()

    # --- what we do ---------------------------------------------------------------------------

    def wish(
        self, up: int, down: int, levels: int, shares: int, sells: frozenset[Outcome] = frozenset()
    ) -> None:
        """Two ladders whose dearest pair keeps the pair cap, as the quoter makes them; one that is
        toward an outcome of `sells` offers its twin instead, whether or not there is any.
        """
        down = min(down, PAIR_CAP - up)
        wanted = tuple(
            NewOrder(MARKET, outcome, Side.BUY, price - 100 * level, shares * SHARE, level=level)
            for outcome, price in ((Outcome.UP, up), (Outcome.DOWN, down))
            for level in range(levels)
        )
        wanted = tuple(_twin(bid) if bid.outcome in sells else bid for bid in wanted)
        caps = (up + 200, down + 200, PAIR_CAP, (up + PAIR_CAP - down) // 2)
        number = self.desk.desired.take_number
        wish = Desired(wanted, *caps) if wanted else Desired()
        self.desk.desired = replace(wish, take_number=number)

    def take(self, cents: int, percent: int, *, all_or_nothing: bool) -> None:
        """Ask for part of the missing side, or for more than is missing, and bid for it no more."""
        net = self.books.holdings().net
        tif = TimeInForce.FOK if all_or_nothing else TimeInForce.FAK
        missing = Outcome.DOWN if net > 0 else Outcome.UP
        size = floor_to(abs(net) * percent // 100, LOT)
        order = NewOrder(MARKET, missing, Side.BUY, 100 * cents, size, tif, post_only=False)
        wish = self.desk.desired
        others = tuple(each for each in wish.orders if each.toward is not missing)
        self.desk.desired = replace(
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
        self._hear_all()
        self.desk.desired = Desired()

    def begin_stocked(self, up: int, down: int) -> None:
        """Buy some of both, have it confirmed, and the cash gone: what is held is to be sold."""
        for outcome, shares in ((Outcome.UP, up), (Outcome.DOWN, down)):
            bid = NewOrder(MARKET, outcome, Side.BUY, 4500, shares * SHARE)
            self.desk.desired = Desired((bid,), 4500, 4500, PAIR_CAP, 5000)
            self.act(1)
            self.arrive(0, Fates())
            self.reply(0)
            self.fill(0, 1, 100 * shares)
            self._hear_all()
        for trade_id in list(self.venue.trades):
            self.venue.tell_trade(trade_id, TradeStatus.CONFIRMED)
        self._hear_all()
        self.desk.desired = Desired()

    def _hear_all(self) -> None:
        while self.venue.stream:
            self._hear(self.venue.stream.pop(0))

    def merge(self, percent: int) -> None:
        """A merge claims part of the confirmed pairs; once no ask binds them, the chain has it."""
        held = self.books.holdings()
        if not self.claimed:
            self.claimed = max(0, held.mergeable) * percent // 100
        up, down = (self.desk.promised.pledged(outcome) for outcome in (Outcome.UP, Outcome.DOWN))
        place = Place(MARKET.condition_id, held, pledged_up=up, pledged_down=down)
        if 0 < self.claimed <= place.free_pairs:
            self.truth.merge(self.claimed)
            self.claimed = 0
        elif self.claimed > held.mergeable:
            self.claimed = 0

    def _standing(self) -> Standing:
        held, sales, up, down = self.books.holdings(), self.books.sales(), Outcome.UP, Outcome.DOWN
        exposure = Exposure(
            max(0, self.books.cost(up)),
            max(0, self.books.cost(down)),
            max(0, held.up),
            max(0, held.down),
            back_up=max(0, sales.cost_up),
            back_down=max(0, sales.cost_down),
        )
        return Standing(
            self.ledger.cash - self.ledger.promised,
            self.ledger.equity,
            exposure,
            sellable_up=max(0, held.up_confirmed - self.claimed),
            sellable_down=max(0, held.down_confirmed - self.claimed),
        )

    def act(self, ms: int) -> None:
        self.now += ms
        self.venue.pass_time(self.now)
        for event in self.venue.overdue(self.now):
            self._hear(event)
        standing = self._standing()
        actions = self.desk.act(self.now, standing)
        self.table.rare["refresh"] += sum(isinstance(action, Refresh) for action in actions)
        wanted = [action for action in actions if not isinstance(action, Refresh)]
        self.venue.requests += [Asked(action, self.now) for action in wanted]
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
            if each.order.selling:
                self._covered(each.order.outcome, standing)
        if new:
            must(self.gate.closed_because is None, "placed behind a closed gate")
            must(self.now < CUTOFF_MS, "S1: placed past the cutoff")
            must(not self.desk.closing, "placed while closing")
            most = LIMITS.max_open_orders_per_market
            must(len(self.table.open()) <= most, "more orders than allowed")
            if any(not each.order.selling for each in new):
                at_risk = self.desk.promised.reserved + standing.held.at_risk
                must(at_risk <= LIMIT, "S7: more than the limit")
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
        if not (self.truth.orphans or self.truth.something_failed):
            leans = self.truth.leaning(self.venue.possible())[each.order.toward]
            must(leans <= 0, "a take turns the position around")

    def _covered(self, outcome: Outcome, standing: Standing) -> None:
        """S8: an ask leaves with confirmed shares behind it and behind every other, unclaimed."""
        self.table.rare["asks"] += 1
        must(self.table.pledged(outcome) <= standing.sellable(outcome), "S8: a naked ask")

    def _no_twin(self, each: SignedOrder) -> None:
        """One intent, one POST: nothing new into doubt, and nothing beside what already serves."""
        made = each.order
        for other in self.table.open():
            if other.id == each.id or other.order.toward is not made.toward:
                continue
            must(other.state is not State.UNKNOWN, "S3: placed into doubt")
            same = (other.order.side, other.order.price, other.order.size, other.order.level) == (
                made.side, made.price, made.size, made.level
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

    def fill_untold(self, n: int, lots: int) -> None:
        """Somebody takes some of an order, and it is told later; perhaps the venue withdraws the
        order then and there, and we hear of that at once.
        """
        live = [i for i, o in self.venue.orders.items() if o.kind is OrderSeen.Kind.LIVE]
        if not live:
            return
        chosen, ends = live[n % len(live)], n & 32 > 0
        end = self.venue.fill_untold(chosen, lots * 10_000, self.now, ends=ends)
        if end is not None:
            self._hear(end)

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
            self.truth.book(event)
        self.desk.heard(event, self.now)

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
            self._hear_all()
            self.reconcile(0)
            self.check()
            if not self.table.open() and not self.venue.possible():
                break
            # Only the edge holds something: nothing happens before it lets go.
            wait_ms = 400 if self.table.open() or not self.venue.edge else 10_000
        must(not self.table.open(), "L1: a doubt does not end")
        must(not self.venue.possible(), "L1: an order rests")
        must(not self.table.faults, f"outside the table: {dict(self.table.faults)}")
        self.truth.books_agree()


def _twin(bid: NewOrder) -> NewOrder:
    """The ask that has this bid's place."""
    return attrs.evolve(bid, outcome=bid.outcome.other, side=Side.SELL, price=ONE - bid.price)
