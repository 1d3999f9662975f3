"""Liquidity rewards: who scores, how much, when it is looked at and paid (clob.md 6.3)."""

from __future__ import annotations

from typing import Any

import pytest
from engine_kit import T0, Kit
from hypothesis import given, strategies as st

from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, DOWN, SELL, UP, Event, Order, Paid
from polybot.exchange.money import UNIT
from polybot.exchange.payday import DAY_MS, SETTLED_MS
from polybot.exchange.rewards import MINUTE_MS, Rewards
from polybot.exchange.scoring import RewardRule, midpoint2, q_min, scores

RULE = RewardRule(50 * UNIT, 450, 30_000)
DAY = T0 // DAY_MS
PAYMENT_MS = (DAY + 1) * DAY_MS + SETTLED_MS
POOL = 100 * UNIT


class Program(Kit):
    """The engine's kit with a reward program."""

    def __init__(self, *, pool: int = POOL, seed: str = "7", **market: Any) -> None:
        super().__init__(**market)
        self.rewards = Rewards(self.engine, RULE, pool, seed, T0)
        self.paid: list[Paid] = []
        self.engine.listeners.append(self._note)

    def _note(self, event: Event) -> None:
        if isinstance(event, Paid):
            self.paid.append(event)

    def quote(self, who: str, low: float, high: float, shares: float = 100) -> None:
        self.place(who, BUY, UP, low, shares)
        self.place(who, SELL, UP, high, shares)

    def pass_ms(self, ms: int) -> None:
        """Time goes by as the exchange moves it: step by step through what is due."""
        end_ms = self.now + ms
        while (due := self.rewards.next_due_ms()) is not None and due <= end_ms:
            self.engine.advance(due)
            self.rewards.advance(due)
        self.now = end_ms
        self.engine.advance(end_ms)
        check(self.engine)

    def of_day(self, who: str) -> int:
        return self.rewards.of_day(DAY, who).get(self.market.condition_id, 0)

    def q(self) -> dict[str, int]:
        bids, asks = self.engine.levels(self.market.tokens[UP])
        mid2 = midpoint2(bids, asks, RULE.min_size)
        return q_min(self.engine.resting_orders(self.market), mid2, RULE, self.now)


# --- scores ------------------------------------------------------------------------------


@pytest.mark.conforms("clob-5.1-scoring-rule")
def test_an_order_scores_when_large_near_and_old_enough() -> None:
    """Each condition alone is enough to fail (clob.md 6.3)."""
    kit = Program()
    near = kit.place("ann", BUY, UP, 48, 50)
    small = kit.place("ann", BUY, UP, 48, 49)
    edge = kit.place("ann", BUY, UP, 45.5 - 0.5, 60)
    far = kit.place("ann", BUY, UP, 44, 60)
    kit.place("bob", SELL, UP, 51, 60)
    assert not kit.rewards.scores(near, T0 + 29_999)
    then = T0 + 30_000
    assert [kit.rewards.scores(order, then) for order in (near, small, edge, far)] == [
        True, False, True, False,
    ]  # fmt: skip
    kit.engine.cancel(near.id, near.owner, T0)
    assert not kit.rewards.scores(near, then)


def test_dust_does_not_move_the_midpoint() -> None:
    """The midpoint is that of levels of the least size (clob.md 6.3)."""
    bids, asks = [(4_000, 50 * UNIT), (4_900, 5 * UNIT)], [(6_000, 80 * UNIT)]
    assert midpoint2(bids, asks, 50 * UNIT) == 10_000
    assert midpoint2(bids, [], 50 * UNIT) is None
    assert midpoint2([(4_000, 49 * UNIT)], asks, 50 * UNIT) is None


@pytest.mark.conforms("clob-6.3-score")
def test_the_score_falls_with_the_square_of_the_distance() -> None:
    """((v − s)/v)² by size: 2 ¢ of 4.5 away score (2.5/4.5)² as much as at 0 (clob.md 6.3)."""
    kit = Program()
    kit.quote("ann", 48, 52, 90)
    kit.quote("bob", 49, 51, 90)
    kit.advance(30_000)
    found = kit.q()
    assert found["ann"] * 350**2 == found["bob"] * 250**2
    bigger = Program()
    bigger.quote("ann", 49, 51, 90)
    bigger.quote("bob", 49, 51, 180)
    bigger.advance(30_000)
    assert bigger.q()["ann"] * 2 == bigger.q()["bob"]


@pytest.mark.conforms("clob-6.3-two-sided")
def test_one_side_counts_a_third_and_nothing_at_the_edge() -> None:
    """Q_min: the smaller side, or a third of the larger; near 0 and 1 both are needed (6.3)."""
    kit = Program()
    kit.quote("ann", 49, 51)
    kit.place("bob", BUY, UP, 49, 100)
    kit.advance(30_000)
    assert kit.q()["ann"] == 3 * kit.q()["bob"]
    edge = Program(auto_tick=False)
    edge.quote("ann", 5, 8)
    edge.place("bob", BUY, UP, 5, 100)
    edge.advance(30_000)
    assert list(edge.q()) == ["ann"]


def test_the_complement_is_the_other_side() -> None:
    """A bid on Down is an ask on Up: two bids make a two-sided maker (clob.md 6.3)."""
    kit = Program()
    kit.quote("ann", 49, 51)
    kit.place("bob", BUY, UP, 49, 100)
    kit.place("bob", BUY, DOWN, 49, 100)
    kit.advance(30_000)
    assert kit.q()["ann"] == kit.q()["bob"]


def test_whose_quotes_are_lopsided_gets_the_better_of_both_rules() -> None:
    """max(min(Q1, Q2), max(Q1, Q2)/3) inside 0.10 to 0.90 (clob.md 6.3)."""
    kit = Program()
    kit.place("ann", BUY, UP, 49, 600)
    kit.place("ann", SELL, UP, 51, 100)
    kit.advance(30_000)
    assert kit.q()["ann"] == 600 * UNIT * (2 * 350) ** 2


@given(st.integers(0, 9_999), st.integers(0, 20_000), st.integers(0, 10**9), st.integers(0, 10**5))
def test_whoever_scores_has_a_place_and_nobody_else(
    price: int, mid2: int, size: int, age_ms: int
) -> None:
    """`scores` and `q_min` are one rule: what does not score adds nothing (clob.md 6.3)."""
    market = Program().market
    order = Order("0x1", "k", "ann", market, market.tokens[UP], BUY, price, size,
                  kind=Program().order("ann", BUY, UP, 50, 5).kind, created_ms=T0)  # fmt: skip
    now_ms = T0 + age_ms
    counted = bool(q_min([order], mid2, RULE, now_ms))
    assert not counted or scores(order, mid2, RULE, now_ms)


# --- samples -----------------------------------------------------------------------------


@pytest.mark.conforms("clob-6.3-minute-sample")
def test_one_random_sample_a_minute() -> None:
    """One in each minute of the clock, at moments that look like nothing (clob.md 6.3)."""
    kit = Program()
    moments = []
    for _ in range(1_440):
        due = kit.rewards.next_due_ms()
        assert due is not None
        moments.append(due)
        kit.rewards.advance(due)
    minutes = [moment // MINUTE_MS for moment in moments]
    payment = PAYMENT_MS // MINUTE_MS
    sampled = [m for m in minutes if m != payment]
    assert sampled == sorted(sampled)
    offsets = {moment % MINUTE_MS for moment in moments}
    assert len(offsets) > 1_000
    again = Program(seed="8").rewards.next_due_ms()
    assert again != Program().rewards.next_due_ms() == Program().rewards.next_due_ms()


def test_a_day_is_shared_by_the_sum_of_the_samples() -> None:
    """Each sample weighs the same, whoever was there (clob.md 6.3)."""
    kit = Program(end_ms=T0 + DAY_MS)
    kit.quote("ann", 49, 51)
    kit.pass_ms(10 * MINUTE_MS)
    kit.quote("bob", 49, 51)
    kit.pass_ms(10 * MINUTE_MS)
    ann, bob = kit.of_day("ann"), kit.of_day("bob")
    assert POOL - 2 <= ann + bob <= POOL
    assert 0.2 < bob / POOL < 0.3, "half of about half the samples"


@pytest.mark.conforms("clob-6.3-reward-minimum")
def test_a_day_is_paid_from_a_dollar_up() -> None:
    """To the maker's wallet; less than a dollar is lost (clob.md 6.3)."""
    kit = Program(pool=100 * UNIT, end_ms=T0 + 2 * DAY_MS)
    kit.quote("ann", 49, 51, 900)
    kit.quote("bob", 46, 54, 60)
    kit.pass_ms(5 * MINUTE_MS)
    assert 0 < kit.of_day("bob") < UNIT < kit.of_day("ann")
    for order in kit.engine.resting_orders(kit.market):
        kit.engine.cancel(order.id, order.owner, kit.now)
    ann, before = kit.of_day("ann"), kit.engine.accounts.cash("ann")
    kit.pass_ms(PAYMENT_MS - kit.now)
    assert kit.paid == [Paid("REWARD", "ann", ann, PAYMENT_MS)]
    assert kit.engine.accounts.cash("ann") == before + ann
    kit.pass_ms(DAY_MS)
    assert len(kit.paid) == 1


def test_without_a_pool_nothing_is_looked_at() -> None:
    """Today's up/down markets have none: no sample, no cost (feeds.md 4.7)."""
    kit = Program(pool=0)
    kit.quote("ann", 49, 51)
    assert kit.rewards.next_due_ms() is None
    kit.rewards.advance(T0 + 10 * DAY_MS)
    assert kit.rewards.latest_markets("ann") == []


def test_minutes_without_makers_do_not_dilute() -> None:
    """A pool goes to those who were there, however few minutes (clob.md 6.3)."""
    kit = Program(end_ms=T0 + DAY_MS)
    kit.pass_ms(30 * MINUTE_MS)
    kit.quote("ann", 49, 51)
    kit.pass_ms(3 * MINUTE_MS)
    assert kit.of_day("ann") == POOL
