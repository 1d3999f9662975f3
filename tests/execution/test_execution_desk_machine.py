"""The real desk against a venue that loses, delays, repeats and lies: safety after every step."""

from __future__ import annotations

from collections import Counter

from execution_kit import CUTOFF, DOWN, UP, cancels, desk, look_ups, order, posts
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from toy_venue import CancelFate, Cancelled, Fates, Posted, PostFate, Read, ReadFate, ToyVenue

from polybot.domain.market import Outcome
from polybot.domain.orders import OrderSeen, SignedOrder, TradeSeen, TradeStatus
from polybot.domain.units import SHARE, notional
from polybot.execution.desk import Action, Desired
from polybot.execution.firewall import Admission, Standing
from polybot.execution.lifecycle import OPEN, State
from polybot.risk.limits import RiskParams

PAIR_CAP = 9900
LIMITS = RiskParams(max_open_orders_per_market=10, max_order_usd=20, max_position_usd_per_market=20)

picks = st.integers(0, 10**6)
fates = st.builds(
    Fates,
    st.lists(st.sampled_from(PostFate), min_size=1, max_size=4).map(tuple),
    st.sampled_from(CancelFate),
    st.sampled_from(ReadFate),
)
ladder = st.integers(30, 65).map(lambda cents: cents * 100)


class Desks(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = CUTOFF
        self.gate = Admission()
        self.desk = desk(limits=LIMITS, admission=self.gate)
        self.venue = ToyVenue()
        self.sent: Counter[str] = Counter()
        self.orphans: set[str] = set()  # declared absent, and yet they may come (F18)
        self.spent: dict[str, int] = {}  # by trade: what the ledger would say holdings cost

    # --- what we do ----------------------------------------------------------------------

    @initialize(left_ms=st.sampled_from((240_000, 5_000)))
    def start(self, left_ms: int) -> None:
        self.now = CUTOFF - left_ms

    @rule(up=ladder, down=ladder, levels=st.integers(0, 2), shares=st.integers(5, 12))
    def wish(self, up: int, down: int, levels: int, shares: int) -> None:
        """Two ladders whose dearest pair keeps the pair cap, as the quoter makes them."""
        down = min(down, PAIR_CAP - up)
        wanted = [
            order(outcome, price - 100 * level, shares, level=level)
            for outcome, price in ((UP, up), (DOWN, down))
            for level in range(levels)
        ]
        caps = (up + 200, down + 200, PAIR_CAP, 10**12, (up + PAIR_CAP - down) // 2)
        self.desk.desired = Desired(tuple(wanted), *caps) if wanted else Desired()

    @rule(ms=st.sampled_from((0, 1, 50, 200, 1000, 2500)))
    def act(self, ms: int) -> None:
        self.now += ms
        self.venue.pass_time(self.now)
        standing = Standing(100 * SHARE, sum(self.spent.values()), 0)
        actions = self.desk.act(self.now, standing)
        self.venue.requests += actions
        self._check(actions, standing)

    def _check(self, actions: list[Action], standing: Standing) -> None:
        """What may leave: each order once, none into doubt, none past a limit or a closed gate."""
        new = posts(actions)
        table = self.desk.table
        for each in new:
            self.sent[each.id] += 1
            self._no_twin(each)
            outcome = each.order.outcome
            doubts = [t for t in table.open() if t.state is State.UNKNOWN]
            assert all(t.order.outcome is not outcome for t in doubts)
        if new:
            assert self.gate.closed_because is None
            assert self.now < CUTOFF
            assert not self.desk.closing
            assert len(table.open()) <= LIMITS.max_open_orders_per_market
            limit = LIMITS.max_position_usd_per_market * SHARE
            assert self.desk.reserved + standing.position_cost <= limit
        assert set(cancels(actions)) | set(look_ups(actions)) <= set(self.sent)

    def _no_twin(self, each: SignedOrder) -> None:
        """One intent, one POST: nothing that stands already serves what the new order is for."""
        for other in self.desk.table.open():
            serves = each.order.size <= 2 * other.remaining
            if other.id != each.id and other.state in (State.IN_FLIGHT, State.LIVE) and serves:
                same = other.order.price == each.order.price and other.order.size == each.order.size
                level = other.order.level == each.order.level
                assert not (same and level and other.order.outcome is each.order.outcome)

    @rule(trouble=st.sampled_from((None, None, "user stream: closed")))
    def gate_moves(self, trouble: str | None) -> None:
        self.gate.set(trouble)

    # --- what happens at the venue -------------------------------------------------------

    @precondition(lambda self: self.venue.requests)
    @rule(n=picks, fates=fates)
    def request_arrives(self, n: int, fates: Fates) -> None:
        self.venue.take(n % len(self.venue.requests), self.now, fates)

    @rule(n=picks, lots=st.integers(1, 1200))
    def fill(self, n: int, lots: int) -> None:
        live = [i for i, o in self.venue.orders.items() if o.kind is OrderSeen.Kind.LIVE]
        if live:
            self.venue.fill(live[n % len(live)], lots * 10_000, self.now)

    @precondition(lambda self: self.venue.trades)
    @rule(n=picks, status=st.sampled_from(TradeStatus))
    def trade_moves(self, n: int, status: TradeStatus) -> None:
        """Statuses in any order; one that failed has failed for us from its first message on."""
        self.venue.tell_trade(f"t{n % len(self.venue.trades)}", status)

    # --- what we hear --------------------------------------------------------------------

    @precondition(lambda self: self.venue.replies)
    @rule(n=picks)
    def reply_arrives(self, n: int) -> None:
        self._hear_reply(n % len(self.venue.replies))

    def _hear_reply(self, n: int) -> None:
        match self.venue.replies.pop(n):
            case Posted(results):
                self.desk.posted(results, self.now)
            case Cancelled(ids, result):
                self.desk.cancelled(ids, result, self.now)
            case Read(order_id, answer):
                self.desk.looked_up(order_id, answer, self.now)

    @precondition(lambda self: self.venue.stream)
    @rule(n=picks, again=st.booleans(), lost=st.booleans())
    def message_arrives(self, n: int, again: bool, lost: bool) -> None:
        """Messages come in any order, twice, or (order messages) not at all."""
        stream = self.venue.stream
        event = stream[n % len(stream)]
        if not again:
            stream.remove(event)
        if lost and not again and isinstance(event, OrderSeen):
            return
        self._hear(event)

    def _hear(self, event: OrderSeen | TradeSeen) -> None:
        if isinstance(event, TradeSeen):
            for leg in event.legs:
                self.spent.setdefault(event.trade_id, notional(leg.price, leg.shares))
            if event.status is TradeStatus.FAILED:
                self.spent[event.trade_id] = 0
        self.desk.heard(event, self.now)

    @rule(lag_ms=st.sampled_from((0, 500, 2000)))
    def reconcile(self, lag_ms: int) -> None:
        """A list of open orders read some time ago arrives now."""
        rows = {row.order_id: row for row in self.venue.open_orders()}
        for row in rows.values():
            seen = OrderSeen(row.order_id, row.kind, row.matched, row.text, self.now)
            self.desk.heard(seen, self.now)
        for order_id in [t.id for t in self.desk.table.open() if t.id not in rows]:
            self.desk.missing(order_id, self.now - lag_ms, self.now)

    # --- what must be true ---------------------------------------------------------------

    @invariant()
    def no_order_is_sent_twice(self) -> None:
        """S3: the venue gets each hash once."""
        assert all(times == 1 for times in self.sent.values())

    @invariant()
    def nothing_at_the_venue_is_unknown_to_us(self) -> None:
        """S4: what may match there is open here, with no less left; but for what the edge held."""
        table = self.desk.table
        for each, left in self.venue.possible():
            tracked = table[each.id]
            if tracked.state is State.ABSENT:
                assert each.id in self.venue.late
                self.orphans.add(each.id)
            else:
                assert tracked.state in OPEN
                assert tracked.remaining >= left
        assert self.desk.reserved >= self.venue.exposure(self.orphans)

    @invariant()
    def a_pair_of_bids_never_costs_more_than_the_cap(self) -> None:
        """S24: over every bid that may still fill, whatever its state."""
        dearest: dict[Outcome, int] = {}
        for tracked in self.desk.table.open():
            if tracked.id not in self.orphans:
                made = tracked.order
                dearest[made.outcome] = max(dearest.get(made.outcome, 0), made.price)
        assert len(dearest) < 2 or sum(dearest.values()) <= PAIR_CAP

    @invariant()
    def open_means_open(self) -> None:
        """The table's index of open orders is what their states say."""
        table = self.desk.table
        assert [t.id for t in table.open() if t.state not in OPEN] == []
        kept = [i for i in self.sent if i in table and table[i].state in OPEN]
        assert set(kept) == {t.id for t in table.open()}

    def teardown(self) -> None:
        """Liveness: once the venue is itself again and we are closing, nothing stays open (L1)."""
        self.desk.closing = True
        for _ in range(200):
            self.act(200)
            while self.venue.requests:
                self.venue.take(0, self.now)
            while self.venue.replies:
                self._hear_reply(0)
            while self.venue.stream:
                self._hear(self.venue.stream.pop(0))
            self.reconcile(0)
            self.nothing_at_the_venue_is_unknown_to_us()
        assert not self.desk.table.open()
        assert not self.venue.possible()
        assert not self.desk.table.faults


TestDesks = Desks.TestCase
TestDesks.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
