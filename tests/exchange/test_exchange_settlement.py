"""Trades on their way to the chain: statuses, times, failures undone exactly."""

from __future__ import annotations

import random
from statistics import median, quantiles

import pytest
from engine_kit import CASH, PAIRS, T0, Kit, resolved

from polybot.exchange.agenda import Agenda
from polybot.exchange.model import BUY, DOWN, SELL, UP, Event, Status, Trade, TradeUpdated
from polybot.exchange.money import UNIT
from polybot.exchange.settlement import SettlementDelays, schedule

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
    rng, delays = random.Random(1), SettlementDelays()
    drawn = [delays.block_ms(rng) for _ in range(4_000)]
    assert median(drawn) == pytest.approx(2_200, rel=0.03)
    assert quantiles(drawn, n=10)[-1] == pytest.approx(3_000, rel=0.03)
    assert 650 <= min(drawn) <= max(drawn) <= 5_000


def test_the_schedule_fails_as_often_as_told() -> None:
    """`fail_ppm` is the share of trades that go RETRYING → FAILED."""
    rng, delays = random.Random(1), SettlementDelays(fail_ppm=100_000)
    ends = [schedule(delays, rng)[-1][0] for _ in range(2_000)]
    assert ends.count("FAILED") == pytest.approx(200, rel=0.2)
    assert {schedule(SettlementDelays(), rng)[-1][0] for _ in range(100)} == {"CONFIRMED"}


@pytest.mark.conforms("feeds-12.3-trade-matched")
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


def test_a_trade_whose_proceeds_are_gone_settles_after_all() -> None:
    """What has left the wallet cannot be taken back: the retry succeeds, nobody goes negative."""
    kit = Kit(fail_ppm=ALWAYS)
    kit.place("bob", BUY, UP, 50, 100)
    kit.place("ann", SELL, UP, 50, 100)
    assert kit.engine.split("ann", kit.market, CASH + 40 * UNIT, kit.now) == CASH + 40 * UNIT
    assert through_all(kit) == ["RETRYING", "MINED", "CONFIRMED"]
    assert kit.share_change("bob", UP) == 100 * UNIT


def test_a_trade_may_fail_after_the_resolution() -> None:
    """Unredeemed shares go back and the payouts stay backed; redeemed ones settle."""
    kit = Kit(fail_ppm=ALWAYS)
    kit.place("ann", BUY, DOWN, 40, 100)
    kit.place("bob", BUY, UP, 60, 100)
    resolved(kit, UP)
    assert through_all(kit) == ["RETRYING", "FAILED"]
    assert kit.engine.redeem("bob", kit.market, kit.now) == PAIRS

    kit = Kit(fail_ppm=ALWAYS)
    kit.place("ann", BUY, DOWN, 40, 100)
    kit.place("bob", BUY, UP, 60, 100)
    resolved(kit, UP)
    assert kit.engine.redeem("bob", kit.market, kit.now) == PAIRS + 100 * UNIT
    assert through_all(kit) == ["RETRYING", "MINED", "CONFIRMED"]


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
