"""Income that no block holds yet pays for nothing, whatever is spent beside it (clob.md 3.8).

balance ≥ active orders + matched orders + the amount, where the balance is the chain's and matched
is all that trades have spent: what others of them bring is no part of it.
"""

from __future__ import annotations

from engine_kit import CASH, PAIRS, Kit

from polybot.exchange.balance_cache import BalanceCache
from polybot.exchange.model import BUY, DOWN, SELL, UP, Refused
from polybot.exchange.money import UNIT

FREE = CASH // UNIT - 200  # dollars of bob's that are neither spent nor on their way


def judged(lag_ms: int = 2_000) -> tuple[Kit, BalanceCache]:
    """An engine that judges orders by the chain, read at most `lag_ms` ago."""
    kit = Kit()
    cache = BalanceCache(kit.engine, lag_ms)
    kit.engine.desk.known, kit.engine.desk.incoming = cache.known, cache.incoming
    return kit, cache


def sell_up(kit: Kit) -> None:
    """300 dollars come to bob."""
    kit.place("bob", SELL, UP, 50, 600)
    kit.place("ann", BUY, UP, 50, 600)


def buy_down(kit: Kit) -> None:
    """200 dollars of bob's go."""
    kit.place("bob", BUY, DOWN, 50, 400)
    kit.place("cy", SELL, DOWN, 50, 400)


def buy_600_and_sell_400(kit: Kit) -> None:
    kit.place("bob", BUY, UP, 50, 600)
    kit.place("ann", SELL, UP, 50, 600)
    kit.place("bob", SELL, UP, 60, 400)
    kit.place("cy", BUY, UP, 60, 400)


def test_dollars_of_an_unmined_sale_do_not_pay_for_the_next_order() -> None:
    """Netted, the sale would have hidden what the purchase beside it had spent."""
    kit, _ = judged()
    sell_up(kit)
    buy_down(kit)
    assert kit.engine.settled_cash("bob") == CASH

    refusal = kit.refused("bob", BUY, UP, 20, (FREE + 1) * 5)
    assert f"balance: {CASH}, sum of matched orders: {200 * UNIT}, " in refusal
    kit.place("bob", BUY, UP, 20, FREE * 5)


def test_dollars_of_a_sale_count_from_their_block_on() -> None:
    """What was on its way is there then, and nothing of it is counted twice."""
    kit, cache = judged()
    sell_up(kit)
    buy_down(kit)
    kit.advance(5_000)
    cache.refresh("bob", None)

    assert kit.engine.desk.clearing.incoming("bob", None) == 0
    kit.place("bob", BUY, UP, 20, (FREE + 300) * 5)


def test_shares_of_an_unmined_purchase_are_not_sold_in_place_of_those_given_away() -> None:
    """The same for what is sold: the fill must not rest on shares that may never come."""
    kit, _ = judged()
    buy_600_and_sell_400(kit)
    assert kit.engine.settled_shares("bob", kit.market.tokens[UP]) == PAIRS

    assert "sum of matched orders" in kit.refused("bob", SELL, UP, 70, PAIRS // UNIT - 399)
    kit.place("bob", SELL, UP, 70, PAIRS // UNIT - 400)


def test_shares_given_away_by_a_trade_on_its_way_are_not_merged() -> None:
    """A transaction moves what is settled and not given away (onchain.md 6.1)."""
    kit, _ = judged()
    buy_600_and_sell_400(kit)

    merged = kit.engine.merge("bob", kit.market, PAIRS - 399 * UNIT, kit.now)
    assert isinstance(merged, Refused), merged
    assert kit.engine.merge("bob", kit.market, PAIRS - 400 * UNIT, kit.now) == PAIRS - 400 * UNIT


def test_a_figure_from_before_the_block_does_not_hide_what_was_spent() -> None:
    """Spent and mined, the figure still the one of before, and income that is not mined."""
    kit, cache = judged(lag_ms=60_000)
    buy_down(kit)
    assert cache.read("bob", None) == CASH
    kit.advance(6_000)
    assert kit.engine.settled_cash("bob") == CASH - 200 * UNIT
    sell_up(kit)

    kit.refused("bob", BUY, UP, 20, (FREE + 1) * 5)
    kit.place("bob", BUY, UP, 20, FREE * 5)


def test_the_crowd_spends_what_it_is_owed() -> None:
    """Whoever is no client of the venue is not kept waiting by its chain."""
    kit, _ = judged()
    kit.engine.unread.add("key-bob")
    sell_up(kit)

    kit.place("bob", BUY, UP, 20, (CASH // UNIT + 300) * 5)
