"""Mirrored liquidity: our orders' queue positions in it, their fills, and nothing counted twice."""

from __future__ import annotations

import pytest
from engine_kit import Kit
from hypothesis import given, settings, strategies as st

from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, DOWN, SELL, UP, Order, OrderEvent, Status, Traded
from polybot.exchange.money import ONE, UNIT
from polybot.exchange.outside import Outside
from polybot.exchange.outside_book import OutsideBook
from polybot.exchange.queue_models import (
    AHEAD_FIRST,
    PESSIMISTIC,
    PROPORTIONAL,
    TOUCH,
    TRADE_THROUGH,
    QueueModel,
    probabilistic,
)

Side = dict[int, float]


class Mirror(Kit):
    """A kit whose market mirrors somewhere else. Cents and shares throughout, Up terms."""

    def __init__(self, model: QueueModel = AHEAD_FIRST) -> None:
        super().__init__(auto_tick=False)
        self.outside = Outside(self.engine)
        self.mirror = OutsideBook(self.outside, self.market, model)
        self.show({50: 100, 49: 40}, {51: 80, 53: 200})

    def show(self, bids: Side, asks: Side) -> None:
        self.mirror.replace(
            {p * 100: round(s * UNIT) for p, s in bids.items()},
            {p * 100: round(s * UNIT) for p, s in asks.items()},
            self.now,
        )
        check(self.engine)

    def update(self, side: str, cents: int, shares: float) -> None:
        self.mirror.change([(side, cents * 100, round(shares * UNIT))], self.now)
        check(self.engine)

    def prints(self, side: str, cents: int, shares: float, outcome: int = UP) -> None:
        """In the terms of the taker's own token."""
        token = self.market.tokens[outcome]
        self.mirror.traded(token, side, cents * 100, round(shares * UNIT), self.now)
        check(self.engine)

    def bid(self, cents: int = 50, shares: float = 10) -> Order:
        """Ours, old enough to be reached by prints from now on."""
        order = self.place("ann", BUY, UP, cents, shares)
        self.advance(100)
        return order

    def filled(self, order: Order) -> float:
        return order.matched / UNIT

    def sold(self, shares: float, left: float, cents: int = 50) -> None:
        """A trade as the venue tells it: the level first, the print 80 ms later."""
        self.update(BUY, cents, left)
        self.advance(80)
        self.prints(SELL, cents, shares)


def test_the_book_is_the_outsides_to_the_micro_share() -> None:
    """Sizes under the minimum or with six decimals are shown as they are (feeds.md 2.3)."""
    kit = Mirror()
    kit.show({50: 0.000001, 49: 3.2}, {51: 80.123456})
    assert kit.up_book() == ([(49, 3.2), (50, 0.000001)], [(51, 80.123456)])


def test_ours_stand_behind_what_was_there() -> None:
    """Trades consume the queue ahead of us first and then us (strategy.md 17)."""
    kit = Mirror()
    ours = kit.bid()
    kit.sold(95, left=5)
    assert kit.filled(ours) == 0
    kit.sold(5, left=0)
    assert kit.filled(ours) == 0
    assert kit.up_book()[0] == [(49, 40), (50, 10)]
    kit.prints(SELL, 50, 4)
    assert kit.filled(ours) == 4


def test_later_volume_is_behind_us() -> None:
    """A level that grows grows behind us; the trade that eats the queue ahead reaches us."""
    kit = Mirror()
    ours = kit.bid()
    kit.update(BUY, 50, 160)
    kit.sold(107, left=53)
    assert kit.filled(ours) == 7
    assert dict(kit.up_book()[0])[50] == 53 + 3


def test_a_decrease_without_a_print_moves_us_ahead() -> None:
    """Level decreases consume the queue ahead of us first, and fill nothing (strategy.md 17)."""
    kit = Mirror()
    ours = kit.bid()
    kit.update(BUY, 50, 30)
    kit.update(BUY, 50, 90)
    kit.advance(2_000)
    kit.sold(35, left=55)
    assert kit.filled(ours) == 5


def test_a_print_before_its_decrease() -> None:
    """The order of the two does not matter: the decrease is not consumed a second time."""
    kit = Mirror()
    ours = kit.bid()
    kit.prints(SELL, 50, 60)
    assert dict(kit.up_book()[0])[50] == 100 + 10
    kit.update(BUY, 50, 40)
    assert kit.filled(ours) == 0
    kit.update(BUY, 50, 100)
    kit.sold(42, left=58)
    assert kit.filled(ours) == 2


def test_a_cancel_between_trade_and_print() -> None:
    """The print finds the decrease of its own size, not the cancel before it (feeds.md 3)."""
    kit = Mirror()
    ours = kit.bid()
    kit.update(BUY, 50, 110)
    kit.update(BUY, 50, 20)
    kit.sold(17, left=3)
    assert kit.filled(ours) == 7


def test_a_trade_through_us_fills_us_at_our_price() -> None:
    """A print strictly through our price would have met us first (strategy.md 17)."""
    kit = Mirror()
    ours = kit.bid()
    kit.prints(SELL, 49, 6)
    [event] = [e for e in kit.events if isinstance(e, Traded)]
    assert (kit.filled(ours), event.trade.price) == (6, 5000)
    kit.prints(SELL, 49, 9)
    assert kit.filled(ours) == 10
    sizes = [(e.trade.price, e.trade.shares / UNIT) for e in kit.events if isinstance(e, Traded)]
    assert sizes == [(5000, 6), (5000, 4), (4900, 5)]


def test_the_down_tape_reaches_us_too() -> None:
    """A taker who buys Down at 0.50 hits bids for Up at 0.50: one merged book (strategy.md 17)."""
    kit = Mirror()
    ours = kit.bid()
    kit.prints(BUY, 50, 104, outcome=DOWN)
    assert kit.filled(ours) == 4
    assert kit.share_change("ann", UP) == 4 * UNIT


def test_an_ask_of_ours_is_the_same_thing_mirrored() -> None:
    """Our SELL Up and our BUY Down stand in the same queue and fill in their order of time."""
    kit = Mirror()
    first = kit.place("ann", SELL, UP, 51, 10)
    second = kit.place("bob", BUY, DOWN, 49, 10)
    kit.advance(100)
    kit.prints(BUY, 51, 95)
    assert (kit.filled(first), kit.filled(second)) == (10, 5)


def test_an_order_younger_than_the_match_is_not_filled_by_its_print() -> None:
    """The print comes 70–90 ms after the match: who came later was not met (feeds.md 3)."""
    kit = Mirror()
    kit.update(BUY, 50, 0)
    young = kit.place("ann", BUY, UP, 50, 10)
    kit.advance(80)
    kit.prints(SELL, 50, 100)
    kit.prints(SELL, 49, 100)
    assert kit.filled(young) == 0


def test_a_crossing_level_meets_us_once() -> None:
    """An ask at or through our bid trades with us for its size, and its repetition does not."""
    kit = Mirror()
    ours = kit.bid(shares=150)
    kit.show({48: 10}, {49: 60, 53: 200})
    assert kit.filled(ours) == 60
    kit.show({48: 10}, {49: 60, 53: 200})
    kit.update(SELL, 49, 75)
    assert kit.filled(ours) == 75
    kit.update(SELL, 49, 20)
    assert kit.filled(ours) == 75
    kit.update(SELL, 49, 200)
    assert ours.status is Status.MATCHED
    assert kit.up_book() == ([(48, 10)], [(53, 200), (49, 105)])


def test_what_we_take_is_gone_until_the_level_changes() -> None:
    """Our taker orders take outside levels; an unchanged level is no new liquidity."""
    kit = Mirror()
    kit.place("bob", BUY, UP, 51, 30)
    kit.show({50: 100, 49: 40}, {51: 80, 53: 200})
    assert kit.up_book()[1][-1] == (51, 50)
    kit.update(SELL, 51, 81)
    assert kit.up_book()[1][-1] == (51, 81)


def test_fills_are_the_engines() -> None:
    """A maker's fill has its user events, its trade from MATCHED on, and the taker pays the fee."""
    kit = Mirror()
    ours = kit.bid()
    kit.events.clear()
    kit.prints(SELL, 50, 110)
    [event] = [e for e in kit.events if isinstance(e, Traded)]
    told = [e for e in kit.events if isinstance(e, OrderEvent) and e.order is ours]
    assert [(e.kind, e.status, e.matched) for e in told] == [("UPDATE", "MATCHED", 10 * UNIT)]
    assert (event.trade.shares, event.trade.taker.side) == (110 * UNIT, SELL)
    assert event.trade.fee > 0
    assert kit.cash_change("ann") == -5 * UNIT
    kit.advance(20_000)
    assert event.trade.status == "CONFIRMED"
    assert kit.market.last_trade_price == 5000


def test_a_lost_mirror_empties_the_book_but_for_ours() -> None:
    """Stale liquidity is not shown; ours keep their place, younger ones are last."""
    kit = Mirror()
    old = kit.bid(shares=20)
    kit.update(BUY, 50, 130)
    kit.mirror.clear(kit.now)
    check(kit.engine)
    assert kit.up_book() == ([(50, 20)], [])
    young = kit.bid()
    kit.show({50: 120, 49: 40}, {51: 80})
    assert kit.up_book() == ([(49, 40), (50, 150)], [(51, 80)])
    kit.sold(115, left=5)
    assert (kit.filled(old), kit.filled(young)) == (15, 0)


def test_a_market_that_has_closed_is_left_alone() -> None:
    """After the end nothing is laid and nothing trades here."""
    kit = Mirror()
    kit.engine.close_market(kit.market, kit.now)
    kit.update(BUY, 50, 7)
    kit.prints(SELL, 50, 7)
    assert kit.up_book()[0][-1] == (50, 100)
    kit.mirror.clear(kit.now)
    assert kit.up_book() == ([], [])


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (AHEAD_FIRST, 10),
        (PROPORTIONAL, 10),
        (probabilistic(3), 10),
        (PESSIMISTIC, 0),
        (TRADE_THROUGH, 0),
        (TOUCH, 10),
    ],
)
def test_the_models_differ_in_a_cancel(model: QueueModel, expected: float) -> None:
    """100 ahead, 100 behind, 60 cancelled, then 80 sold: who is reached (strategy.md 17)."""
    kit = Mirror(model)
    ours = kit.bid()
    kit.update(BUY, 50, 200)
    kit.update(BUY, 50, 140)
    kit.advance(2_000)
    kit.sold(80, left=60)
    assert kit.filled(ours) == expected


def test_a_trade_is_never_taken_for_a_cancel() -> None:
    """A decrease that turns out to be a trade was ahead, pessimistic model or not."""
    kit = Mirror(PESSIMISTIC)
    ours = kit.bid()
    kit.update(BUY, 50, 200)
    kit.sold(90, left=110)
    kit.sold(15, left=95)
    assert kit.filled(ours) == 5


# --- properties -----------------------------------------------------------------------------------

CENTS = st.integers(46, 54)
SHARES = st.integers(0, 60)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("update"), CENTS, SHARES),
        st.tuples(st.just("sold"), CENTS, SHARES),
        st.tuples(st.just("bought"), CENTS, SHARES),
        st.tuples(st.just("bid"), CENTS, st.integers(5, 40)),
        st.tuples(st.just("ask"), CENTS, st.integers(5, 40)),
        st.tuples(st.just("lost"), CENTS, SHARES),
        st.tuples(st.just("wait"), CENTS, SHARES),
    ),
    max_size=40,
)
MODELS = st.sampled_from(
    [AHEAD_FIRST, PESSIMISTIC, PROPORTIONAL, TOUCH, TRADE_THROUGH, probabilistic(2)]
)


class Drive:
    """Random acts on a mirror; ours are post-only, so that every fill is a maker's."""

    def __init__(self, model: QueueModel) -> None:
        self.kit = Mirror(model)
        self.truth: dict[tuple[str, int], int] = {}
        self.ours: list[Order] = []
        self.printed: list[tuple[str, int, int]] = []  # (maker side, cents, shares)
        self.arrived: list[tuple[str, int, int]] = []  # levels that grew: (side, cents, by)
        for side, levels in ((BUY, {50: 100, 49: 40}), (SELL, {51: 80, 53: 200})):
            for cents, shares in levels.items():
                self.truth[side, cents] = shares

    def act(self, what: str, cents: int, shares: int) -> None:
        kit = self.kit
        if what == "update":
            self._update(BUY if cents <= 50 else SELL, cents, shares)
        elif what in {"sold", "bought"} and shares:
            self.printed.append((BUY if what == "sold" else SELL, cents, shares))
            kit.prints(SELL if what == "sold" else BUY, cents, shares)
        elif what in {"bid", "ask"}:
            side = BUY if what == "bid" else SELL
            order = kit.order("ann", side, UP, cents, shares, post_only=True)
            if kit.send(order) is not None and order.status is Status.LIVE:
                self.ours.append(order)
        elif what == "lost":
            kit.mirror.clear(kit.now)
            for (side, level), size in self.truth.items():
                self.arrived.append((side, level, size))
            sides: dict[str, Side] = {BUY: {}, SELL: {}}
            for (side, level), size in self.truth.items():
                sides[side][level] = size
            kit.show(sides[BUY], sides[SELL])
        kit.advance(50)

    def _update(self, side: str, cents: int, shares: int) -> None:
        before = self.truth.pop((side, cents), 0)
        if shares:
            self.truth[side, cents] = shares
        if shares > before:
            self.arrived.append((side, cents, shares - before))
        self.kit.update(side, cents, shares)

    def outside_shown(self) -> dict[tuple[str, int], int]:
        shown: dict[tuple[str, int], int] = {}
        for order in self.kit.engine.desk.resting.books[self.kit.market.condition_id].orders():
            if self.kit.outside.owns(order):
                key = (
                    (BUY, order.price) if order.token.endswith("up") else (SELL, ONE - order.price)
                )
                shown[key[0], key[1] // 100] = shown.get((key[0], key[1] // 100), 0) + (
                    order.remaining // UNIT
                )
        return shown


@settings(max_examples=150, deadline=None)
@given(MODELS, ACTS)
def test_nothing_is_counted_twice(model: QueueModel, acts: list[tuple[str, int, int]]) -> None:
    """Our fills never exceed what traded, or arrived, at or through our price; money is conserved.

    The shown outside is the true one, less what ours have taken of levels that crossed them.
    """
    drive = Drive(model)
    for one in acts:
        drive.act(*one)
    for side, other, sign in ((BUY, SELL, 1), (SELL, BUY, -1)):
        ours = [order for order in drive.ours if order.side == side]
        for limit in {order.price // 100 for order in ours}:
            # Orders at the limit or worse for us: what filled them came at or through the limit.
            filled = sum(o.matched for o in ours if sign * (o.price // 100 - limit) <= 0)
            traded = sum(n for s, c, n in drive.printed if s == side and sign * (c - limit) <= 0)
            came = sum(n for s, c, n in drive.arrived if s == other and sign * (c - limit) <= 0)
            assert filled <= (traded + came) * UNIT
    for key, size in drive.outside_shown().items():
        assert size <= drive.truth.get(key, 0)
    if not any(order.matched for order in drive.ours) and not _locked(drive.truth):
        assert drive.outside_shown() == drive.truth


def _locked(truth: dict[tuple[str, int], int]) -> bool:
    bids = [cents for side, cents in truth if side == BUY]
    asks = [cents for side, cents in truth if side == SELL]
    return bool(bids and asks and max(bids) >= min(asks))


@settings(max_examples=100, deadline=None)
@given(ACTS)
def test_no_fill_at_our_price_while_volume_is_ahead(acts: list[tuple[str, int, int]]) -> None:
    """A print at our own price that fills us leaves nothing of the outside ahead of us."""
    drive = Drive(AHEAD_FIRST)
    book = drive.kit.engine.desk.resting.books[drive.kit.market.condition_id]
    for what, cents, shares in acts:
        if what == "sold" and shares:
            key = (BUY, cents * 100)
            before = {order.id: order.matched for order in drive.ours}
            drive.act(what, cents, shares)
            for order in drive.ours:
                if order.price == key[1] and 0 < order.matched > before[order.id]:
                    queue = book.queue(*key)
                    ahead = queue[: queue.index(order)] if order in queue else []
                    assert not any(drive.kit.outside.owns(one) for one in ahead)
        else:
            drive.act(what, cents, shares)
