"""Maker rebates: pools, parts, days and the dollar below which nothing is paid (clob.md 6.2)."""

from __future__ import annotations

from typing import Any

import pytest
from engine_kit import T0, Kit
from hypothesis import given, settings, strategies as st

from polybot.exchange.fees import taker_fee
from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, DOWN, SELL, UP, Event, Paid
from polybot.exchange.payday import DAY_MS, LEAST, SETTLED_MS
from polybot.exchange.rebates import Rebates

DAY = T0 // DAY_MS
PAYMENT_MS = (DAY + 1) * DAY_MS + SETTLED_MS


class Program(Kit):
    """The engine's kit with rebates on it."""

    def __init__(self, *, percent: int = 20, **kit: Any) -> None:
        super().__init__(**kit)
        self.rebates = Rebates(self.engine, percent, T0)
        self.paid: list[Paid] = []
        self.engine.listeners.append(self._note)

    def _note(self, event: Event) -> None:
        if isinstance(event, Paid):
            self.paid.append(event)

    def of_day(self, wallet: str, day: int = DAY) -> int:
        return self.rebates.of_day(day, wallet).get(self.market.condition_id, 0)

    def pass_to(self, now_ms: int) -> None:
        self.now = now_ms
        self.engine.advance(now_ms)
        self.rebates.advance(now_ms)
        check(self.engine)


def sell_to(kit: Program, maker: str, taker: str, cents: float, shares: float) -> None:
    """`maker` bids, `taker` sells into it."""
    kit.place(maker, BUY, UP, cents, shares)
    kit.place(taker, SELL, UP, cents, shares)


@pytest.mark.conforms("clob-6.2-rebate-pool")
def test_a_maker_alone_gets_the_share_of_what_his_takers_paid() -> None:
    """20 % of the fees of that market and day: 0.35 ¢ a share at 0.50 (clob.md 6.2)."""
    kit = Program()
    sell_to(kit, "ann", "bob", 50, 100)
    assert kit.engine.accounts.fees == 1_750_000
    assert kit.of_day("ann") == 350_000
    assert kit.rebates.accrued("ann") == 350_000
    assert kit.of_day("bob") == 0


@pytest.mark.conforms("clob-6.2-rebate-shares")
def test_parts_go_by_fee_equivalent() -> None:
    """A fill at 0.50 weighs more than one at 0.10, size counts, the sum is the pool (6.2)."""
    kit = Program()
    sell_to(kit, "ann", "cy", 50, 100)
    sell_to(kit, "bob", "cy", 10, 100)
    pool = kit.engine.accounts.fees * 20 // 100
    ann, bob = kit.of_day("ann"), kit.of_day("bob")
    assert ann * 9 == pytest.approx(bob * 25, abs=50)
    assert pool - 2 < ann + bob <= pool


def test_the_complement_weighs_the_same() -> None:
    """A maker matched by a mint is no worse off: p(1−p) is that of his own token (6.2)."""
    kit = Program()
    kit.place("ann", BUY, UP, 30, 100)
    kit.place("bob", BUY, DOWN, 70, 100)
    assert kit.of_day("ann") == kit.engine.accounts.fees * 20 // 100 > 0


@pytest.mark.conforms("clob-6.2-rebate-minimum")
def test_a_day_is_paid_after_it_ended_and_settled() -> None:
    """In pUSD to the maker's wallet, out of the collected fees, once (clob.md 6.2)."""
    kit = Program()
    sell_to(kit, "ann", "bob", 50, 400)
    kit.pass_to(PAYMENT_MS - 1)
    assert (kit.paid, kit.rebates.next_due_ms()) == ([], PAYMENT_MS)
    before = kit.engine.accounts.cash("ann")
    kit.pass_to(PAYMENT_MS)
    assert kit.paid == [Paid("MAKER_REBATE", "ann", 1_400_000, PAYMENT_MS)]
    assert kit.engine.accounts.cash("ann") == before + 1_400_000
    assert kit.engine.accounts.fees == 7_000_000 - 1_400_000
    assert kit.engine.accounts.rebated == 1_400_000
    assert (kit.rebates.accrued("ann"), kit.rebates.paid["ann"]) == (0, 1_400_000)
    kit.pass_to(PAYMENT_MS + 3 * DAY_MS)
    assert len(kit.paid) == 1
    assert kit.of_day("ann") == 1_400_000, "it can still be asked for"


@pytest.mark.conforms("clob-6.2-rebate-minimum")
def test_less_than_a_dollar_waits_for_more() -> None:
    """Minimum $1 accrued: two days of 70 cents are one payment of 1.40 (clob.md 6.2)."""
    kit = Program(end_ms=T0 + 3 * DAY_MS)
    sell_to(kit, "ann", "bob", 50, 200)
    kit.pass_to(PAYMENT_MS)
    assert (kit.paid, kit.rebates.accrued("ann")) == ([], 700_000)
    sell_to(kit, "ann", "bob", 50, 200)
    kit.pass_to(PAYMENT_MS + DAY_MS)
    assert [payment.amount for payment in kit.paid] == [1_400_000]


def test_a_trade_counts_for_the_day_it_was_matched() -> None:
    """The last millisecond of a day is that day's, whenever it settles (clob.md 6.2)."""
    kit = Program(end_ms=T0 + 3 * DAY_MS)
    kit.pass_to((DAY + 1) * DAY_MS - 1)
    sell_to(kit, "ann", "bob", 50, 100)
    kit.pass_to((DAY + 1) * DAY_MS)
    sell_to(kit, "ann", "bob", 50, 40)
    assert (kit.of_day("ann"), kit.of_day("ann", DAY + 1)) == (350_000, 140_000)


def test_a_failed_trade_earns_nothing() -> None:
    """Its fee is given back, so there is nothing to share (onchain.md 6.4)."""
    kit = Program(fail_ppm=1_000_000)
    sell_to(kit, "ann", "bob", 50, 1_000)
    assert kit.rebates.accrued("ann") == 3_500_000
    kit.pass_to(PAYMENT_MS)
    assert (kit.paid, kit.rebates.accrued("ann"), kit.engine.accounts.fees) == ([], 0, 0)


def test_a_free_market_has_no_pool() -> None:
    """Without a taker fee makers get nothing (clob.md 6.1)."""
    kit = Program(fee_rate_ppm=0)
    sell_to(kit, "ann", "bob", 50, 1_000)
    assert kit.rebates.accrued("ann") == 0


ROUNDS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cy"]), st.sampled_from(["ann", "bob", "cy"]),
        st.integers(1, 99), st.integers(5, 60),
    ),
    max_size=12,
)  # fmt: skip


@settings(deadline=None)
@given(ROUNDS, st.integers(0, 25))
def test_never_more_than_the_pool_and_never_a_cent_from_nowhere(
    rounds: list[tuple[str, str, int, int]], percent: int
) -> None:
    """Whoever trades with whom: parts fit into the pool, and money is conserved (clob.md 6.2)."""
    kit = Program(percent=percent, auto_tick=False)
    for maker, taker, cents, shares in rounds:
        sell_to(kit, maker, taker, cents, shares)
    fees = kit.engine.accounts.fees
    parts = [kit.of_day(who) for who in ("ann", "bob", "cy")]
    pool = fees * percent // 100
    assert sum(parts) <= pool
    if percent and fees:
        assert sum(parts) >= pool - 3
    kit.pass_to(PAYMENT_MS)
    assert sum(payment.amount for payment in kit.paid) == sum(p for p in parts if p >= LEAST)


@given(st.integers(1, 9_999), st.integers(5_000_000, 10**9))
def test_the_weight_is_the_fee_formula(price: int, shares: int) -> None:
    """Fee-equivalent = C·r·(p(1−p))^e, of which the rate cancels out (clob.md 6.2)."""
    kit = Kit()
    weight = shares * price * (10_000 - price)
    fee = taker_fee(kit.market, shares, price)
    assert fee == pytest.approx(weight * 7 / 100 / 10**8, abs=5)
