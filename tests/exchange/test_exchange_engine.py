"""The engine around the match: events, time in force, holds, cancels, phases, ticks, positions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from engine_kit import CASH, PAIRS, T0, Kit, make_market, resolved

from polybot.exchange.engine import GRACE_MS
from polybot.exchange.invariants import check
from polybot.exchange.model import (
    BUY,
    DOWN,
    SELL,
    UP,
    Accepted,
    Event,
    Kind,
    OrderEvent,
    Phase,
    Refused,
    Status,
    TickChanged,
    Traded,
    TradeUpdated,
)
from polybot.exchange.money import UNIT
from polybot.exchange.resting import TickRule
from polybot.exchange.rules import DELAYED, NO_BALANCE, NOT_CANCELABLE

S = T0 // 1000

# --- events --------------------------------------------------------------------------


def test_a_resting_order_tells_its_level_then_itself() -> None:
    """Levels come in Up's terms, whatever token the order names."""
    kit = Kit()
    kit.place("ann", BUY, DOWN, 40, 10)
    assert kit.told() == ["levels SELL6000=10000000", "0x01 PLACEMENT LIVE 0"]
    kit.place("ann", BUY, UP, 59, 10)
    kit.told()
    kit.engine.cancel("0x01", "key-ann", kit.now)
    assert kit.told() == ["levels SELL6000=0", "0x01 CANCELLATION CANCELED 0"]


def test_a_match_tells_levels_once_then_trades_then_orders() -> None:
    """One event for all touched levels, the taker's own rest included; then trades; then orders."""
    kit = Kit()
    kit.place("ann", SELL, UP, 52, 10)
    kit.place("bob", SELL, UP, 53, 30)
    kit.told()
    kit.place("cy", BUY, UP, 52, 15)
    assert kit.told() == [
        "levels SELL5200=0 BUY5200=5000000",
        "trade 5200 10000000",
        "0x03 PLACEMENT LIVE 0",
        "0x01 UPDATE MATCHED 10000000",
        "0x03 UPDATE LIVE 10000000",
    ]
    kit.place("cy", BUY, UP, 53, 25, kind=Kind.FAK)
    assert kit.told() == [
        "levels SELL5300=5000000",
        "trade 5300 25000000",
        "0x04 PLACEMENT LIVE 0",
        "0x02 UPDATE LIVE 25000000",
        "0x04 UPDATE MATCHED 25000000",
    ]
    kit.place("cy", BUY, UP, 53, 25, kind=Kind.FAK)
    assert kit.told()[-2:] == [
        "0x05 UPDATE LIVE 5000000",
        "0x05 CANCELLATION CANCELED 5000000",
    ]


def test_events_of_a_reaction_follow_what_it_reacted_to() -> None:
    """A listener may trade on what it hears; every listener still hears acts whole, in order."""
    kit = Kit()
    heard: list[Event] = []

    def react(event: Event) -> None:
        if isinstance(event, OrderEvent) and event.order.id == "0xa" and event.kind == "PLACEMENT":
            kit.engine.place(kit.order("bob", SELL, UP, 50, 10), kit.now, lambda _: None)

    kit.engine.listeners[:] = [react, heard.append]
    kit.place("ann", BUY, UP, 50, 10, id="0xa")
    assert [type(event).__name__ for event in heard] == [
        "LevelChanged",
        "OrderEvent",
        "LevelChanged",
        "Traded",
        "OrderEvent",
        "OrderEvent",
        "OrderEvent",
    ]


def test_who_names_kinds_hears_only_those_and_in_turn() -> None:
    """Listeners are told in the order of their coming, whichever way they came."""
    kit = Kit()
    heard: list[tuple[str, str]] = []

    def ear(name: str) -> Callable[[Event], None]:
        return lambda event: heard.append((name, type(event).__name__))

    everything, late = ear("all"), ear("late")
    kit.engine.listen(ear("orders"), OrderEvent)
    kit.engine.listeners.append(everything)
    kit.engine.listen(ear("trades"), Traded, TradeUpdated)
    kit.place("ann", BUY, UP, 48, 10)
    assert heard == [("all", "LevelChanged"), ("orders", "OrderEvent"), ("all", "OrderEvent")]
    heard.clear()
    kit.engine.listeners.remove(everything)
    kit.engine.listeners.append(late)
    kit.place("bob", SELL, UP, 48, 10)
    told = [name for name, kind in heard if kind == "Traded"]
    assert told == ["trades", "late"]
    assert "all" not in dict(heard)


# --- time in force -------------------------------------------------------------------


@pytest.mark.conforms("clob-3.8-gtd-early", "clob-3.8-gtd-end")
def test_gtd_dies_a_minute_before_its_expiration() -> None:
    """Stated three minutes ahead it lives two, and dies as a cancellation at its own due time."""
    kit = Kit()
    order = kit.place("ann", BUY, UP, 50, 10, kind=Kind.GTD, expiration_s=S + 180)
    assert kit.engine.next_due_ms() == T0 + 120_000
    kit.advance(119_999)
    assert kit.engine.live_orders("key-ann") == [order]

    kit.engine.advance(T0 + 500_000)
    assert order.status is Status.CANCELED_EXPIRED_ORDER
    assert isinstance(last := kit.events[-1], OrderEvent)
    assert (last.kind, last.status) == ("CANCELLATION", "CANCELED_EXPIRED_ORDER")
    assert last.at_ms == T0 + 120_000
    assert kit.engine.accounts.available("ann") == CASH


def test_what_is_due_happens_before_the_next_act() -> None:
    """An order that expired before another arrives cannot trade with it, advanced or not."""
    kit = Kit()
    order = kit.place("ann", BUY, UP, 50, 10, kind=Kind.GTD, expiration_s=S + 180)
    kit.now += 120_000
    kit.place("bob", SELL, UP, 50, 10)
    assert (order.status, order.matched) == (Status.CANCELED_EXPIRED_ORDER, 0)


def test_a_gtd_order_that_ended_otherwise_does_not_expire() -> None:
    """Its expiry finds nothing to do."""
    kit = Kit()
    order = kit.place("ann", BUY, UP, 50, 10, kind=Kind.GTD, expiration_s=S + 180)
    kit.place("bob", SELL, UP, 50, 10)
    kit.advance(200_000)
    assert order.status is Status.MATCHED


# --- the taker delay -----------------------------------------------------------------


@pytest.mark.conforms(
    "clob-3.9-hold",
    "clob-3.9-hold-reserves",
    "clob-3.9-hold-uncancellable",
    "clob-3.9-hold-duplicate",
)
def test_a_marketable_order_is_held_then_matched() -> None:
    """It waits out the delay with its funds reserved, uncancellable, and cannot be sent again."""
    kit = Kit(taker_delay_ms=150)
    kit.place("ann", SELL, UP, 50, 100)
    taker = kit.place("bob", BUY, UP, 50, 100)

    assert (taker.status, len(kit.replies)) == (Status.DELAYED, 1)
    assert kit.engine.next_due_ms() == T0 + 150
    assert kit.engine.accounts.available("bob") == CASH - 51_750_000
    assert kit.engine.cancel(taker.id, "key-bob", kit.now) == DELAYED
    assert kit.engine.cancel_where("key-bob", kit.now) == []
    assert kit.refused("bob", BUY, UP, 50, 100, id=taker.id).endswith("Duplicated.")

    kit.advance(150)
    assert isinstance(reply := kit.replies[-1], Accepted)
    assert (reply.status, reply.order, taker.status) == ("matched", taker, Status.MATCHED)
    assert kit.engine.trades[reply.trades[0]].matched_ms == T0 + 150


@pytest.mark.conforms("clob-3.9-makers-immediate")
def test_makers_may_leave_during_the_hold() -> None:
    """Cancels act at once: the delay is the maker's protection, and the taker then rests."""
    kit = Kit(taker_delay_ms=150)
    maker = kit.place("ann", SELL, UP, 50, 100)
    taker = kit.place("bob", BUY, UP, 50, 100)
    assert kit.engine.cancel(maker.id, "key-ann", kit.now) is None

    kit.advance(150)
    assert isinstance(reply := kit.replies[-1], Accepted)
    assert (reply.status, taker.status) == ("live", Status.LIVE)
    assert kit.up_book() == ([(50, 100)], [])


def test_a_held_fak_finds_nothing_any_more() -> None:
    """What could be matched before the hold and not after it is killed."""
    kit = Kit(taker_delay_ms=150)
    maker = kit.place("ann", SELL, UP, 50, 100)
    taker = kit.place("bob", BUY, UP, 50, 100, kind=Kind.FAK)
    kit.engine.cancel(maker.id, "key-ann", kit.now)
    kit.advance(150)
    assert isinstance(kit.replies[-1], Refused)
    assert taker.status is Status.CANCELED


@pytest.mark.conforms("clob-3.9-hold-market-closed", "clob-3.9-hold-revalidates")
def test_a_market_that_closes_during_the_hold_rejects() -> None:
    """The second validation sees the closed market (clob.md 8)."""
    kit = Kit(taker_delay_ms=150)
    kit.place("ann", SELL, UP, 50, 100)
    taker = kit.place("bob", BUY, UP, 50, 100)
    kit.engine.close_market(kit.market, kit.now + 100)
    kit.advance(150)
    assert isinstance(reply := kit.replies[-1], Refused)
    assert reply.error == "the orderbook m-up does not exist"
    assert taker.status is Status.INVALID
    assert kit.told()[-1] == f"{taker.id} CANCELLATION INVALID 0"
    assert kit.engine.accounts.available("bob") == CASH


@pytest.mark.conforms("clob-3.9-hold-revalidates")
def test_a_tick_that_changes_during_the_hold_rejects() -> None:
    """The second validation sees the grid of its own moment."""
    kit = Kit(taker_delay_ms=150, tick=10)
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50.5, 100)
    kit.engine.change_tick(kit.market, 100, kit.now)
    kit.advance(150)
    assert isinstance(reply := kit.replies[-1], Refused)
    assert "minimum tick size" in reply.error


def test_orders_that_do_not_cross_are_not_held() -> None:
    """Makers are not delayed; neither are refusals."""
    kit = Kit(taker_delay_ms=150)
    kit.place("ann", SELL, UP, 50, 100)
    assert kit.place("bob", BUY, UP, 49, 100, post_only=True).status is Status.LIVE
    assert kit.refused("bob", BUY, UP, 50, 100, post_only=True)


def test_a_held_order_queues_behind_what_came_during_the_hold() -> None:
    """Time priority begins with the end of the hold."""
    kit = Kit(taker_delay_ms=150)
    maker = kit.place("ann", SELL, UP, 50, 100)
    late = kit.place("bob", BUY, UP, 50, 10)
    kit.engine.cancel(maker.id, "key-ann", kit.now)
    early = kit.place("cy", BUY, UP, 50, 10)
    kit.advance(150)
    kit.place("ann", SELL, UP, 50, 10)
    kit.advance(150)
    assert (early.matched, late.matched) == (10 * UNIT, 0)


# --- cancelling ----------------------------------------------------------------------


def test_cancel_says_why_not() -> None:
    """Unknown, finished and foreign orders get the same text: it can mean filled."""
    kit = Kit()
    order = kit.place("ann", BUY, UP, 50, 10)
    assert kit.engine.cancel("0xnone", "key-ann", kit.now) == NOT_CANCELABLE
    assert kit.engine.cancel(order.id, "key-bob", kit.now) == NOT_CANCELABLE
    assert kit.engine.cancel(order.id, "key-ann", kit.now) is None
    assert kit.engine.cancel(order.id, "key-ann", kit.now) == NOT_CANCELABLE


def test_cancel_where_chooses_by_market_and_token() -> None:
    """Only the key's own orders go, in one act a market."""
    kit = Kit()
    other = make_market("n")
    kit.engine.list_market(other, kit.now)
    kit.engine.open_market(other, kit.now)
    mine = [kit.place("ann", BUY, UP, cents, 10) for cents in (10, 11)]
    down = kit.place("ann", BUY, DOWN, 12, 10)
    away = kit.place("ann", BUY, UP, 13, 10, market=other, token=other.tokens[UP])
    theirs = kit.place("bob", BUY, UP, 10, 10)
    up_token = kit.market.tokens[UP]
    kit.told()

    assert kit.engine.cancel_where("key-ann", kit.now, token=up_token) == [o.id for o in mine]
    assert kit.told()[0] == "levels BUY1000=10000000 BUY1100=0"
    market = kit.market.condition_id
    assert kit.engine.cancel_where("key-ann", kit.now, condition_id=market) == [down.id]
    assert kit.engine.live_orders("key-ann") == [away]
    assert kit.engine.cancel_where("key-ann", kit.now) == [away.id]
    assert kit.engine.live_orders("key-bob") == [theirs]
    assert kit.engine.live_orders("key-nobody") == []
    check(kit.engine)


# --- phases and ticks ----------------------------------------------------------------


@pytest.mark.conforms("clob-8-resolved-orders")
def test_a_closed_market_keeps_its_book_until_it_resolves() -> None:
    """No new orders, cancels work, the rest dies with the resolution."""
    kit = Kit()
    first, second = (kit.place("ann", BUY, UP, cents, 10) for cents in (40, 41))
    kit.engine.close_market(kit.market, kit.now)
    assert kit.engine.cancel(first.id, "key-ann", kit.now) is None
    kit.told()

    resolved(kit, DOWN)
    assert second.status is Status.CANCELED_MARKET_RESOLVED
    assert kit.told() == [
        "levels BUY4100=0",
        f"{second.id} CANCELLATION CANCELED_MARKET_RESOLVED 0",
        "MarketResolved",
    ]
    assert (kit.market.phase, kit.market.winner) == (Phase.RESOLVED, DOWN)
    assert kit.engine.accounts.available("ann") == CASH


@pytest.mark.conforms("clob-3.8-tick-resting")
@pytest.mark.parametrize(("bid", "ask", "fine"), [(95, 97, True), (3, 5, True), (94, 97, False)])
def test_the_tick_turns_fine_at_the_edge(bid: float, ask: float, fine: bool) -> None:
    """When Up's mid reaches 0.96 or 0.04 the tick goes to 0.001, once; orders stay."""
    kit = Kit()
    kit.place("ann", BUY, UP, bid, 10)
    kit.place("bob", SELL, UP, ask, 10)
    assert kit.market.tick == (10 if fine else 100)
    ticks = [event for event in kit.events if isinstance(event, TickChanged)]
    assert [(event.old, event.new) for event in ticks] == ([(100, 10)] if fine else [])
    assert kit.up_book() == ([(bid, 10)], [(ask, 10)])


@pytest.mark.parametrize(
    ("side", "cents", "fine"),
    [(BUY, 96, True), (BUY, 95, False), (SELL, 4, True), (SELL, 5, False), (SELL, 97, False)],
)
def test_one_side_may_be_enough_for_the_fine_tick(side: str, cents: float, fine: bool) -> None:
    """With nobody asking beyond a bid of 0.96 the price has come to the limit (clob.md 3.8); an
    offer far out says nothing, and an empty side does not make the tick coarse again.
    """
    kit = Kit()
    order = kit.place("bob" if side == SELL else "ann", side, UP, cents, 10)
    assert kit.market.tick == (10 if fine else 100)
    kit.engine.cancel(order.id, order.owner, kit.now)
    assert kit.market.tick == (10 if fine else 100)
    kit.place("bob" if side == SELL else "ann", side, UP, 50, 10)
    assert kit.market.tick == (10 if fine else 100)


@pytest.mark.conforms("clob-3.8-tick-back")
def test_the_tick_turns_coarse_again_near_the_middle() -> None:
    """At a mid of 0.90 or less, not before; what rests off the coarse grid stays (clob.md 3.8)."""
    kit = Kit()
    first = kit.place("ann", BUY, UP, 95, 10)
    kit.place("bob", SELL, UP, 97, 10)
    odd = kit.place("ann", BUY, UP, 81.3, 10)
    kit.engine.cancel(first.id, "key-ann", kit.now)
    assert kit.market.tick == 100  # (81.3 + 97) / 2 is below 0.90
    assert odd.status is Status.LIVE
    assert kit.refused("ann", BUY, UP, 81.4, 10).endswith("tick size rule: 0.01")
    kit.place("cy", SELL, UP, 82, 10)
    ticks = [(e.old, e.new) for e in kit.events if isinstance(e, TickChanged)]
    assert ticks == [(100, 10), (10, 100)]


@pytest.mark.parametrize(("second", "tick"), [(94.9, 10), (83.1, 10), (83, 100), (50, 100)])
def test_a_price_that_hovers_does_not_flicker(second: float, tick: int) -> None:
    """Between the thresholds the tick stays as it is (clob.md 3.8)."""
    kit = Kit()
    first = kit.place("ann", BUY, UP, 95, 10)
    kit.place("bob", SELL, UP, 97, 10)
    kit.place("ann", BUY, UP, second, 10)
    kit.engine.cancel(first.id, "key-ann", kit.now)
    assert kit.market.tick == tick


def test_a_tick_set_by_hand_stays() -> None:
    """The rule turns back only what it turned itself (clob.md 3.8: thresholds are terms)."""
    kit = Kit(tick_rule=TickRule(fine=9_000, coarse=6_000))
    kit.engine.change_tick(kit.market, 10, kit.now)
    kit.place("ann", BUY, UP, 50, 10)
    kit.place("bob", SELL, UP, 52, 10)
    assert kit.market.tick == 10


def test_ticks_stay_when_told_to() -> None:
    """`auto_tick` off leaves ticks to `change_tick`, as a recording's replay needs."""
    kit = Kit(auto_tick=False)
    kit.place("ann", BUY, UP, 97, 10)
    kit.place("bob", SELL, UP, 98, 10)
    assert kit.market.tick == 100


# --- positions -----------------------------------------------------------------------


def test_split_and_merge_exchange_pairs_for_dollars() -> None:
    """A pair is a dollar, either way, and more than there is cannot be moved."""
    kit = Kit()
    assert kit.engine.split("ann", kit.market, 5 * UNIT, kit.now) == 5 * UNIT
    assert (kit.cash_change("ann"), kit.share_change("ann", DOWN)) == (-5 * UNIT, 5 * UNIT)
    assert kit.engine.merge("ann", kit.market, 10 * UNIT, kit.now) == 10 * UNIT
    assert (kit.cash_change("ann"), kit.share_change("ann", UP)) == (5 * UNIT, -5 * UNIT)

    assert isinstance(kit.engine.split("ann", kit.market, 2 * CASH, kit.now), Refused)
    assert isinstance(kit.engine.merge("ann", kit.market, 2 * PAIRS, kit.now), Refused)
    check(kit.engine)


@pytest.mark.conforms("onchain-6.4-merge-cancels", "onchain-4-resting-cancelled")
def test_a_merge_cancels_the_sells_it_leaves_uncovered() -> None:
    """Newest first, and only as many as needed (onchain.md 6.4)."""
    kit = Kit()
    old, new, other = (
        kit.place("ann", SELL, outcome, cents, shares)
        for outcome, cents, shares in ((UP, 60, 400), (UP, 61, 500), (DOWN, 62, 300))
    )
    kit.engine.merge("ann", kit.market, 600 * UNIT, kit.now)
    check(kit.engine)
    assert new.status is Status.CANCELED_NOT_ENOUGH_BALANCE
    assert (old.status, other.status) == (Status.LIVE, Status.LIVE)
    assert kit.told()[-1] == f"{new.id} CANCELLATION CANCELED_NOT_ENOUGH_BALANCE 0"


def test_a_split_cancels_the_buys_it_leaves_uncovered() -> None:
    """The chain knows nothing of reservations."""
    kit = Kit()
    order = kit.place("ann", BUY, UP, 50, 10_000)
    kit.engine.split("ann", kit.market, 6_000 * UNIT, kit.now)
    check(kit.engine)
    assert order.status is Status.CANCELED_NOT_ENOUGH_BALANCE


def test_a_merge_can_take_the_funds_of_a_held_order() -> None:
    """A held SELL without shares is rejected at once; its hold then ends without effect."""
    kit = Kit(taker_delay_ms=150)
    kit.place("ann", BUY, UP, 50, 100)
    taker = kit.place("bob", SELL, UP, 50, 100)
    kit.engine.merge("bob", kit.market, 950 * UNIT, kit.now)
    check(kit.engine)
    assert isinstance(reply := kit.replies[-1], Refused)
    assert (reply.error, taker.status) == (NO_BALANCE, Status.INVALID)
    kit.advance(150)
    assert len(kit.replies) == 2


def test_redeem_pays_the_winner_and_burns_the_loser() -> None:
    """Before the resolution it is refused; after it both balances go, and only once."""
    kit = Kit()
    kit.place("ann", SELL, UP, 60, 100)
    kit.place("bob", BUY, UP, 60, 100)
    assert isinstance(kit.engine.redeem("ann", kit.market, kit.now), Refused)
    resolved(kit, UP)
    assert isinstance(kit.engine.split("ann", kit.market, UNIT, kit.now), Refused)
    kit.advance(5_000)

    assert kit.engine.redeem("ann", kit.market, kit.now) == 900 * UNIT
    assert kit.engine.redeem("bob", kit.market, kit.now) == 1_100 * UNIT
    assert kit.engine.redeem("bob", kit.market, kit.now) == 0
    assert kit.engine.merge("cy", kit.market, 400 * UNIT, kit.now) == 400 * UNIT
    assert kit.engine.redeem("cy", kit.market, kit.now) == 600 * UNIT
    check(kit.engine)
    assert kit.engine.accounts.collateral == {}


def test_equity_counts_only_what_is_sure() -> None:
    """Cash and pairs while open; after the resolution winners at a dollar, losers at nothing."""
    kit = Kit()
    kit.place("ann", SELL, UP, 60, 100)
    kit.place("bob", BUY, UP, 60, 100)
    fee = kit.engine.accounts.fees
    total = CASH + PAIRS
    assert kit.engine.equity("ann") == total - 40 * UNIT  # 60 for a hundred of its pairs' Ups
    assert kit.engine.equity("bob") == total - 60 * UNIT - fee
    resolved(kit, UP)
    assert kit.engine.equity("ann") == total - 40 * UNIT
    assert kit.engine.equity("bob") == total + 40 * UNIT - fee
    resolved_worth = kit.engine.equity("bob")
    kit.advance(5_000)
    kit.engine.redeem("bob", kit.market, kit.now)
    assert kit.engine.equity("bob") == resolved_worth == kit.engine.accounts.cash("bob")


def test_forget_drops_what_is_over_and_old() -> None:
    """Within the grace all can still be read; after it only the market and its shares remain."""
    kit = Kit()
    kit.place("ann", SELL, UP, 60, 100)
    kit.place("bob", BUY, UP, 60, 100)
    other = make_market("n")
    kit.engine.list_market(other, kit.now)
    kit.engine.open_market(other, kit.now)
    stays = kit.place("ann", BUY, UP, 40, 10, market=other, token=other.tokens[UP])
    kit.engine.forget(kit.market)
    resolved(kit, UP)
    kit.engine.forget(kit.market)
    assert (len(kit.engine.orders), len(kit.engine.trades)) == (3, 1)

    kit.advance(GRACE_MS)
    kit.engine.forget(kit.market)
    kit.engine.forget(kit.market)
    assert (list(kit.engine.orders.values()), kit.engine.trades) == ([stays], {})
    assert kit.engine.redeem("bob", kit.market, kit.now) == 1_100 * UNIT
    check(kit.engine)
