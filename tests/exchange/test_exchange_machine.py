"""Random lives of the exchange: every invariant after every step, and a slow twin beside it."""

from __future__ import annotations

import random
from itertools import count

import pytest
from engine_kit import PAIRS, T0, make_market
from exchange_slow_book import Resting, SlowBook, in_up_terms
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from polybot.exchange.engine import GRACE_MS, Engine
from polybot.exchange.invariants import check
from polybot.exchange.model import (
    BUY,
    DOWN,
    SELL,
    UP,
    Accepted,
    Event,
    Kind,
    LevelChanged,
    Market,
    Order,
    Phase,
    Refused,
    Status,
    Traded,
)
from polybot.exchange.money import UNIT
from polybot.exchange.settlement import ClearingPolicy

WHO = ("ann", "bob", "cy")
sides, outcomes, accounts = (
    st.sampled_from((BUY, SELL)),
    st.sampled_from((UP, DOWN)),
    (st.sampled_from(WHO)),
)
prices, lots = st.integers(1, 99).map(lambda n: n * 100), st.integers(500, 30_000)
kinds = st.sampled_from((Kind.GTC, Kind.GTC, Kind.GTC, Kind.GTD, Kind.FOK, Kind.FAK))


class Lives(RuleBasedStateMachine):
    """Three accounts of little money do anything at all; one market in five trades fails."""

    def __init__(self) -> None:
        super().__init__()
        policy = ClearingPolicy(fail_ppm=200_000, retry_ppm=200_000, reorg_ppm=200_000)
        self.engine = Engine(rng=random.Random(3), policy=policy)
        self.now, self.ids, self.windows = T0, count(), count()
        self.answered: dict[str, int] = {}
        self.sent: list[str] = []
        self.levels: dict[tuple[str, int], int] = {}
        self.engine.listeners.append(self._hear)
        for account in WHO:
            self.engine.accounts.deposit(account, 700 * UNIT)
        self._open()

    def _open(self) -> None:
        self.market: Market = make_market(f"w{next(self.windows)}", taker_delay_ms=150)
        self.levels.clear()
        self.engine.list_market(self.market, self.now)
        self.engine.open_market(self.market, self.now)
        for account in WHO:
            self.engine.split(account, self.market, 100 * UNIT, self.now)

    def _hear(self, event: Event) -> None:
        if isinstance(event, LevelChanged):
            for _, side, price, total in event.changes:
                self.levels[side, price] = total

    def _send(self, order: Order) -> None:
        def done(_: Accepted | Refused) -> None:
            self.answered[order.id] = self.answered.get(order.id, 0) + 1

        self.sent.append(order.id)
        self.engine.place(order, self.now, done)

    @rule(who=accounts, side=sides, outcome=outcomes, price=prices, lots=lots, kind=kinds)
    def place(self, who: str, side: str, outcome: int, price: int, lots: int, kind: Kind) -> None:
        expiration = self.now // 1000 + 200 if kind is Kind.GTD else 0
        self._send(self._order(who, side, outcome, price, lots * 10_000, kind, expiration))

    @rule(who=accounts, outcome=outcomes, price=prices, cents=st.integers(100, 20_000))
    def spend(self, who: str, outcome: int, price: int, cents: int) -> None:
        dollars = cents * 10_000
        size = dollars * 10_000 // price // 100 * 100
        order = self._order(who, BUY, outcome, price, size, Kind.FAK, 0)
        order.dollars = dollars
        self._send(order)

    def _order(
        self, who: str, side: str, outcome: int, price: int, size: int, kind: Kind, until: int
    ) -> Order:
        market = self.market
        return Order(
            id=f"0x{next(self.ids)}",
            owner=f"key-{who}",
            account=who,
            market=market,
            token=market.tokens[outcome],
            side=side,
            price=price,
            size=size,
            kind=kind,
            expiration_s=until,
        )

    @rule(who=accounts, which=st.integers(0, 50))
    def cancel(self, who: str, which: int) -> None:
        live = self.engine.live_orders(f"key-{who}")
        if live:
            order = live[which % len(live)]
            assert self.engine.cancel(order.id, order.owner, self.now) is None

    @rule(who=accounts)
    def cancel_all(self, who: str) -> None:
        self.engine.cancel_where(f"key-{who}", self.now)
        assert self.engine.live_orders(f"key-{who}") == []

    @rule(ms=st.sampled_from((1, 100, 150, 2_000, 140_000)))
    def wait(self, ms: int) -> None:
        self.now += ms
        self.engine.advance(self.now)

    @rule(who=accounts, shares=st.integers(1, 80_000_000))
    def split(self, who: str, shares: int) -> None:
        self.engine.split(who, self.market, shares, self.now)

    @rule(who=accounts, shares=st.integers(1, 80_000_000))
    def merge(self, who: str, shares: int) -> None:
        self.engine.merge(who, self.market, shares, self.now)

    @rule(tick=st.sampled_from((10, 100)))
    def change_tick(self, tick: int) -> None:
        self.engine.change_tick(self.market, tick, self.now)

    @precondition(lambda self: self.market.phase is Phase.OPEN)
    @rule()
    def close(self) -> None:
        self.engine.close_market(self.market, self.now)

    @rule(winner=st.sampled_from((UP, DOWN, None)), redeemer=accounts)
    def resolve(self, winner: int | None, redeemer: str) -> None:
        old = self.market
        self.engine.resolve_market(old, winner, self.now)
        assert not any(self.levels.values())
        self.engine.redeem(redeemer, old, self.now)
        self.now += GRACE_MS
        self.engine.advance(self.now)
        self.engine.forget(old)
        assert not self.engine.orders
        self._open()

    @invariant()
    def everything_holds(self) -> None:
        check(self.engine)

    @invariant()
    def levels_told_are_levels_there(self) -> None:
        bids, asks = self.engine.levels(self.market.tokens[UP])
        told = {key: total for key, total in self.levels.items() if total}
        there = {(BUY, p): n for p, n in bids} | {(SELL, p): n for p, n in asks}
        assert told == there

    @invariant()
    def every_order_is_answered_once_and_only_held_ones_wait(self) -> None:
        waiting = [key for key in self.sent if key not in self.answered]
        assert set(waiting) == set(self.engine.desk.held)
        assert set(self.answered.values()) <= {1}

    @invariant()
    def no_worth_is_made(self) -> None:
        worth = sum(self.engine.equity(account) for account in WHO)
        assert worth + self.engine.accounts.fees <= self.engine.accounts.deposited


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_the_fast_book_does_what_the_slow_one_does(seed: int) -> None:
    """On random orders both fill the same makers by the same amounts and keep the same levels."""
    rng, slow = random.Random(seed), SlowBook()
    engine = Engine(rng=random.Random(0), auto_tick=False)
    market = make_market(taker_delay_ms=0)
    engine.list_market(market, T0)
    engine.open_market(market, T0)
    for account in WHO:
        engine.accounts.deposit(account, 100 * PAIRS)
        engine.split(account, market, 20 * PAIRS, T0)
    fills: list[tuple[str, int]] = []
    engine.listeners.append(
        lambda event: (
            fills.extend((fill.order.id, fill.shares) for fill in event.trade.makers)
            if isinstance(event, Traded)
            else None
        )
    )
    for serial in range(500):
        if rng.random() < 0.3 and slow.resting:
            gone = rng.choice(slow.resting)
            order = engine.orders[gone.id]
            assert engine.cancel(gone.id, order.owner, T0) is None
            slow.resting.remove(gone)
            continue
        order = _random_order(rng, market, serial)
        down = order.token == market.tokens[DOWN]
        bid, price = in_up_terms(order.side, order.price, down=down)
        engine.place(order, T0, lambda _: None)
        expected = slow.match(
            down=down, bid=bid, price=price, shares=order.size, dollars=order.dollars
        )

        assert fills == expected
        fills.clear()
        if order.status is Status.LIVE:
            left = order.size - sum(shares for _, shares in expected)
            slow.resting.append(Resting(order.id, down, bid, price, order.price, left))
        assert engine.levels(market.tokens[UP]) == (slow.levels(bids=True), slow.levels(bids=False))
    check(engine)


def _random_order(rng: random.Random, market: Market, serial: int) -> Order:
    """Anything valid near 0.50 that the accounts can pay."""
    account, side, kind = rng.choice(WHO), rng.choice((BUY, SELL)), Kind.GTC
    price, size, dollars = rng.randint(42, 58) * 100, rng.randint(500, 3_000) * 10_000, None
    if rng.random() < 0.2:
        kind = Kind.FAK
        if side == BUY:
            dollars = rng.randint(300, 2_000) * 10_000
            size = dollars * 10_000 // price // 100 * 100
    return Order(
        id=f"0x{serial}",
        owner=f"key-{account}",
        account=account,
        market=market,
        token=rng.choice(market.tokens),
        side=side,
        price=price,
        size=size,
        kind=kind,
        dollars=dollars,
    )
