"""Trades on their way to the chain: statuses, times, failures undone exactly."""

from __future__ import annotations

import random
from collections import Counter
from statistics import median, quantiles

import pytest
from engine_kit import CASH, PAIRS, T0, Kit, resolved

from polybot.exchange.agenda import Agenda
from polybot.exchange.engine import GRACE_MS
from polybot.exchange.model import (
    BUY,
    DOWN,
    SELL,
    UP,
    Event,
    Refused,
    Status,
    Trade,
    TradeUpdated,
)  # fmt: skip
from polybot.exchange.money import UNIT
from polybot.exchange.settlement import ClearingPolicy, schedule

ALWAYS = 1_000_000


def only_trade(kit: Kit) -> Trade:
    (trade,) = kit.engine.trades.values()
    return trade


def statuses(kit: Kit) -> list[str]:
    """The statuses told, each with the balances' truth of its time checked by the kit."""
    return [event.trade.status for event in kit.events if isinstance(event, TradeUpdated)]


def through_all(kit: Kit) -> list[str]:
    """Step to each due time in turn; the statuses in order."""
    kit.told()
    seen: list[str] = []
    while (due := kit.engine.next_due_ms()) is not None:
        kit.advance(due - kit.now)
        seen += statuses(kit)
        kit.told()
    return seen


@pytest.mark.conforms("feeds-12.3-trade-delays")
def test_times_to_the_block_look_like_the_chain() -> None:
    """Median 2.2 s, p90 about 3 s, never outside 0.65–5 s (feeds.md 4.5)."""
    rng, delays = random.Random(1), ClearingPolicy()
    drawn = [delays.block_ms(rng) for _ in range(4_000)]
    assert median(drawn) == pytest.approx(2_200, rel=0.03)
    assert quantiles(drawn, n=10)[-1] == pytest.approx(3_000, rel=0.03)
    assert 650 <= min(drawn) <= max(drawn) <= 5_000


def test_the_schedule_goes_wrong_as_often_as_told() -> None:
    """Odds are per million of trades; without any, everything is confirmed (F31, F32, F38)."""
    rng = random.Random(1)
    policy = ClearingPolicy(fail_ppm=100_000, retry_ppm=200_000, reorg_ppm=50_000)
    paths = Counter(tuple(word for word, _ in schedule(policy, rng)) for _ in range(4_000))
    assert paths["RETRYING", "FAILED"] == pytest.approx(400, rel=0.2)
    assert paths["RETRYING", "MINED", "CONFIRMED"] == pytest.approx(684, rel=0.2)
    assert paths["MINED", "CONFIRMED", "FAILED"] == pytest.approx(144, rel=0.25)
    assert {schedule(ClearingPolicy(), rng)[-1][0] for _ in range(100)} == {"CONFIRMED"}


def test_a_failure_may_come_at_any_time() -> None:
    """FAILED after 0.1 s has no RETRYING before it; after ten minutes it has (F31)."""
    rng = random.Random(1)
    assert schedule(ClearingPolicy(fail_ppm=ALWAYS, fail_ms=(100, 100)), rng) == (("FAILED", 100),)
    late = schedule(ClearingPolicy(fail_ppm=ALWAYS, fail_ms=(600_000, 600_000)), rng)
    assert [word for word, _ in late] == ["RETRYING", "FAILED"]
    assert sum(ms for _, ms in late) == 600_000


def test_the_policy_can_be_changed_while_trades_are_on_their_way() -> None:
    """A knob counts for the trades matched after it was turned, and for no other."""
    kit = Kit()
    kit.place("ann", SELL, UP, 50, 200)
    kit.place("bob", BUY, UP, 50, 100)
    kit.engine.clearing_policy.fail_ppm = ALWAYS
    kit.place("bob", BUY, UP, 50, 100)
    kit.engine.clearing_policy.fail_ppm = 0
    kit.advance(60_000)
    assert [trade.status for trade in kit.engine.trades.values()] == ["CONFIRMED", "FAILED"]
    assert kit.share_change("bob", UP) == 100 * UNIT


def test_retrying_for_minutes_then_mined_with_another_hash() -> None:
    """RETRYING changes nothing but the hash (feeds.md 4.5, F32)."""
    kit = Kit()
    kit.engine.clearing_policy.retry_ppm = ALWAYS
    kit.engine.clearing_policy.retry_ms = (300_000, 300_000)
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    trade = only_trade(kit)
    kit.advance(200_000)
    retried = trade.tx_hash
    assert (trade.status, kit.share_change("bob", UP)) == ("RETRYING", 100 * UNIT)
    assert kit.engine.settled_shares("bob", trade.taker.token) == PAIRS
    kit.advance(200_000)
    assert trade.status == "CONFIRMED"
    assert trade.tx_hash != retried


def test_a_confirmed_trade_can_be_undone_by_a_reorganised_chain() -> None:
    """CONFIRMED then FAILED reverses as any failure; what was built upon stays (F38)."""
    kit = Kit()
    kit.engine.clearing_policy.reorg_ppm = ALWAYS
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    assert through_all(kit) == ["MINED", "CONFIRMED", "FAILED"]
    assert (kit.share_change("bob", UP), kit.cash_change("bob")) == (0, 0)

    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    kit.advance(11_000)
    kit.engine.clearing_policy.reorg_ppm = 0
    kit.engine.merge("bob", kit.market, PAIRS, kit.now)
    kit.place("bob", SELL, UP, 60, 100)
    kit.place("cy", BUY, UP, 60, 100)
    assert through_all(kit)[-1] == "CONFIRMED"
    assert kit.share_change("cy", UP) == 100 * UNIT


def test_what_is_only_matched_cannot_be_given_back() -> None:
    """A confirmed trade whose shares have gone on stays, although as many are on their way: the
    chain has none of them yet (F38; a soak's seed 659).
    """
    kit = Kit()
    policy = kit.engine.clearing_policy
    policy.reorg_ppm, policy.reorg_ms = ALWAYS, (60_000, 60_000)
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    first = only_trade(kit)
    kit.advance(11_000)
    policy.reorg_ppm = 0
    kit.engine.merge("bob", kit.market, PAIRS, kit.now)
    kit.place("bob", SELL, UP, 60, 100)
    kit.place("cy", BUY, UP, 60, 100)
    kit.advance(11_000)
    policy.shortest_ms = policy.longest_ms = 200_000
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    kit.advance(60_000)

    assert first.status == "CONFIRMED"
    assert kit.engine.settled_shares("bob", first.taker.token) == 0


def test_what_the_chain_has_follows_the_block() -> None:
    """Settled balances leave out what no block holds: both sides, cash and shares (F34)."""
    kit = Kit()
    up = kit.market.tokens[UP]
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    engine = kit.engine
    assert (engine.accounts.shares("bob", up), engine.settled_shares("bob", up)) == (
        PAIRS + 100 * UNIT,
        PAIRS,
    )
    assert engine.settled_shares("ann", up) == PAIRS
    assert engine.settled_cash("ann") == engine.settled_cash("bob") == CASH
    kit.advance(5_000)
    assert engine.settled_shares("bob", up) == PAIRS + 100 * UNIT
    assert engine.settled_cash("ann") == CASH + 50 * UNIT


def test_a_failed_trade_never_was_on_chain() -> None:
    """Settled balances stand still through MATCHED, RETRYING and FAILED."""
    kit = Kit(fail_ppm=ALWAYS)
    up = kit.market.tokens[UP]
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    while (due := kit.engine.next_due_ms()) is not None:
        assert kit.engine.settled_shares("bob", up) == PAIRS
        assert kit.engine.settled_cash("ann") == CASH
        kit.advance(due - kit.now)
    assert kit.engine.settled_shares("bob", up) == PAIRS


def test_a_merge_right_after_a_fill_finds_only_what_is_settled() -> None:
    """The pair is not on chain before the block is: reverted, then possible (onchain.md 6.4)."""
    kit = Kit()
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("ann", SELL, DOWN, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    kit.place("bob", BUY, DOWN, 50, 100)
    more = PAIRS + 100 * UNIT
    refusal = kit.engine.merge("bob", kit.market, more, kit.now)
    assert isinstance(refusal, Refused)
    assert kit.engine.merge("ann", kit.market, PAIRS, kit.now) == refusal  # given away already
    kit.advance(5_000)
    assert kit.engine.merge("bob", kit.market, more, kit.now) == more


def test_what_a_match_brought_cannot_be_split_before_it_is_settled() -> None:
    """Proceeds are cash of the books at once, and of the chain with the block."""
    kit = Kit()
    kit.place("bob", BUY, UP, 50, 100)
    kit.place("ann", SELL, UP, 50, 100)
    assert isinstance(kit.engine.split("ann", kit.market, CASH + UNIT, kit.now), Refused)
    kit.advance(5_000)
    assert kit.engine.split("ann", kit.market, CASH + UNIT, kit.now) == CASH + UNIT


def test_matched_mined_confirmed() -> None:
    """Balances move at MATCHED; a hash appears with the block; each status has its own time."""
    kit = Kit()
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    trade = only_trade(kit)
    assert (trade.status, trade.tx_hash, trade.matched_ms) == ("MATCHED", "", T0)
    assert kit.share_change("bob", UP) == 100 * UNIT
    assert len(trade.id) == 36

    kit.advance(5_000)
    assert trade.status == "MINED"
    assert (len(trade.tx_hash), trade.tx_hash[:2]) == (66, "0x")
    assert 650 <= trade.updated_ms - T0 <= 5_000
    mined, mined_hash = trade.updated_ms, trade.tx_hash
    kit.advance(6_000)
    assert (trade.status, trade.tx_hash) == ("CONFIRMED", mined_hash)
    assert 2_000 <= trade.updated_ms - mined <= 6_000
    assert kit.engine.next_due_ms() is None


@pytest.mark.conforms("feeds-12.3-trade-failed")
@pytest.mark.parametrize(
    ("maker", "taker"),
    [
        ((SELL, UP, 52), (BUY, UP, 55)),
        ((BUY, DOWN, 33), (BUY, UP, 67)),
        ((SELL, DOWN, 33), (SELL, UP, 67)),
    ],
    ids=["complementary", "mint", "merge"],
)
def test_a_failed_trade_is_undone_exactly(
    maker: tuple[str, int, float], taker: tuple[str, int, float]
) -> None:
    """After RETRYING → FAILED shares, cash, fees and collateral are as before the match."""
    kit = Kit(fail_ppm=ALWAYS)
    kit.place("ann", *maker, 77.77)
    order = kit.place("bob", *taker, 77.77)
    assert kit.engine.accounts.fees > 0

    assert through_all(kit) == ["RETRYING", "FAILED"]
    for who in ("ann", "bob"):
        assert (kit.cash_change(who), kit.share_change(who, UP)) == (0, 0)
        assert kit.share_change(who, DOWN) == 0
    assert kit.engine.accounts.fees == 0
    assert kit.engine.accounts.collateral == {kit.market.condition_id: 3 * PAIRS}
    assert order.status is Status.MATCHED  # orders do not come back


def test_a_reversal_cancels_what_was_built_on_it() -> None:
    """Cash that came from the failed trade and is promised to a live order is taken back."""
    kit = Kit(fail_ppm=ALWAYS)
    kit.place("bob", BUY, UP, 50, 100)
    kit.place("ann", SELL, UP, 50, 100)
    built = kit.place("ann", BUY, UP, 40, 25_050)  # 10,020 of 10,000 + 50 - fee
    assert through_all(kit) == ["RETRYING", "FAILED"]
    assert built.status is Status.CANCELED_NOT_ENOUGH_BALANCE


def test_nobody_can_hit_an_order_that_the_reversal_left_without_funds() -> None:
    """A listener that trades on the news of a failure finds the parties' orders already gone."""
    kit = Kit(fail_ppm=ALWAYS)
    kit.place("bob", BUY, UP, 50, 1_000)
    kit.place("ann", SELL, UP, 50, 1_000)
    built = kit.place("bob", SELL, UP, 60, 2_000)
    kit.told()

    def react(event: Event) -> None:
        if isinstance(event, TradeUpdated) and event.trade.status == "FAILED":
            kit.engine.place(kit.order("cy", BUY, UP, 60, 1_500), kit.now, lambda _: None)

    kit.engine.listeners.append(react)
    kit.advance(60_000)
    assert (built.status, built.matched) == (Status.CANCELED_NOT_ENOUGH_BALANCE, 0)
    told = kit.told()
    assert told[1:4] == [
        "FAILED",
        "levels SELL6000=0",
        f"{built.id} CANCELLATION CANCELED_NOT_ENOUGH_BALANCE 0",
    ]
    assert kit.up_book() == ([(60, 1_500)], [])


def test_a_trade_whose_shares_are_sold_on_settles_after_all() -> None:
    """What has left the wallet cannot be taken back: the retry succeeds, nobody goes negative."""
    kit = Kit(fail_ppm=ALWAYS)
    kit.engine.merge("bob", kit.market, PAIRS, kit.now)
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    kit.engine.clearing_policy.fail_ppm = 0
    kit.place("cy", BUY, UP, 60, 100)
    kit.place("bob", SELL, UP, 60, 100)
    assert "FAILED" not in through_all(kit)
    assert kit.share_change("cy", UP) == 100 * UNIT
    assert kit.engine.accounts.shares("bob", kit.market.tokens[UP]) == 0


def test_a_trade_may_fail_after_the_resolution() -> None:
    """Shares of a trade that no block holds cannot be redeemed; they go back (F31)."""
    kit = Kit(fail_ppm=ALWAYS)
    kit.place("ann", BUY, DOWN, 40, 100)
    kit.place("bob", BUY, UP, 60, 100)
    resolved(kit, UP)
    assert kit.engine.redeem("bob", kit.market, kit.now) == PAIRS
    assert through_all(kit) == ["RETRYING", "FAILED"]
    assert kit.engine.redeem("bob", kit.market, kit.now) == 0


def test_redeeming_before_the_last_fill_is_settled_leaves_it_for_later() -> None:
    """Only what the chain has is burnt; the rest is paid when its block is there."""
    kit = Kit()
    kit.place("ann", SELL, UP, 60, 100)
    kit.place("bob", BUY, UP, 60, 100)
    resolved(kit, UP)
    assert kit.engine.redeem("bob", kit.market, kit.now) == PAIRS
    kit.advance(5_000)
    assert kit.engine.redeem("bob", kit.market, kit.now) == 100 * UNIT


@pytest.mark.conforms("clob-8-last-fill-settles")
def test_a_fill_of_the_last_moment_settles_after_the_close() -> None:
    """Or fails: the chain goes on after the market is over (clob.md 8)."""
    for fail_ppm, end in ((0, "CONFIRMED"), (ALWAYS, "FAILED")):
        kit = Kit(fail_ppm=fail_ppm)
        kit.place("ann", SELL, UP, 60, 100)
        kit.place("bob", BUY, UP, 60, 100)
        resolved(kit, UP)
        assert through_all(kit)[-1] == end


def test_a_market_keeps_trades_that_are_not_settled() -> None:
    """A trade RETRYING beyond the grace is dropped when it is over, not before (F32)."""
    kit = Kit()
    kit.engine.clearing_policy.retry_ppm = ALWAYS
    kit.engine.clearing_policy.retry_ms = (2 * GRACE_MS, 2 * GRACE_MS)
    kit.place("ann", SELL, UP, 60, 100)
    kit.place("bob", BUY, UP, 60, 100)
    resolved(kit, UP)
    kit.advance(GRACE_MS)
    kit.engine.forget(kit.market)
    assert only_trade(kit).status == "RETRYING"
    kit.advance(2 * GRACE_MS)
    assert not kit.engine.trades


def test_the_same_seed_gives_the_same_ids_and_times() -> None:
    """Everything random comes from the generator passed in."""
    runs = []
    for _ in range(2):
        kit = Kit(fail_ppm=300_000)
        for cents in range(40, 60):
            kit.place("ann", SELL, UP, cents, 10)
            kit.place("bob", BUY, UP, cents, 10)
        kit.advance(60_000)
        runs.append([(t.id, t.tx_hash, t.updated_ms, t.status) for t in kit.engine.trades.values()])
    assert runs[0] == runs[1]


def test_agenda_runs_in_order_of_time_then_of_entry() -> None:
    """Things due together keep their order; what they add is run too when it is due."""
    agenda, done = Agenda(), list[tuple[str, int]]()
    agenda.add(20, lambda at: done.append(("b", at)))
    agenda.add(10, lambda at: agenda.add(at + 5, lambda at: done.append(("added", at))))
    agenda.add(20, lambda at: done.append(("c", at)))
    agenda.add(30, lambda at: done.append(("later", at)))
    assert agenda.next_due_ms() == 10
    agenda.run(29)
    assert done == [("added", 15), ("b", 20), ("c", 20)]
    assert agenda.next_due_ms() == 30
