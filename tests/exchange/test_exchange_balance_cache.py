"""Balances as the venue believes them: late, until it is asked to look."""

from __future__ import annotations

import pytest
from engine_kit import CASH, PAIRS, Kit

from polybot.exchange.balance_cache import KEPT, BalanceCache
from polybot.exchange.model import BUY, SELL, UP
from polybot.exchange.money import UNIT


def traded() -> Kit:
    """bob has just bought 100 Up of ann; two seconds of real life before the block."""
    kit = Kit()
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    return kit


@pytest.mark.conforms("clob-5.1-balance-cache")
def test_a_balance_read_is_stale_for_the_lag() -> None:
    """What was read is shown until it is older than the lag, whatever the chain has (F34)."""
    kit = traded()
    cache, up = BalanceCache(kit.engine, 30_000), kit.market.tokens[UP]
    assert (cache.read("bob", up), cache.read("bob", None)) == (PAIRS, CASH)
    kit.advance(29_999)
    assert cache.read("bob", up) == PAIRS
    kit.advance(1)
    assert cache.read("bob", up) == PAIRS + 100 * UNIT


def test_an_update_reads_the_chain_and_not_the_book() -> None:
    """`/update` helps when the block is there, not before (clob.md 5.1)."""
    kit = traded()
    cache, up = BalanceCache(kit.engine, 30_000), kit.market.tokens[UP]
    cache.refresh("bob", up)
    assert cache.read("bob", up) == PAIRS
    kit.advance(5_000)
    assert cache.read("bob", up) == PAIRS
    cache.refresh("bob", up)
    assert cache.read("bob", up) == PAIRS + 100 * UNIT


def test_what_was_bought_is_sold_once_its_block_is_known() -> None:
    """Orders are judged by the same figure that is read: refused until the block, and then until
    the figure is old or `/update` has it read anew (clob.md 5.1; reliability.md F34).
    """
    kit = traded()
    cache, up = BalanceCache(kit.engine, 30_000), kit.market.tokens[UP]
    kit.engine.desk.known = cache.known
    all_of_it = (PAIRS // UNIT) + 100
    assert "is not enough" in kit.refused("bob", SELL, UP, 60, all_of_it)
    kit.advance(5_000)
    assert f"balance: {PAIRS}, " in kit.refused("bob", SELL, UP, 60, all_of_it)
    assert cache.read("bob", up) == PAIRS
    cache.refresh("bob", up)
    kit.place("bob", SELL, UP, 60, all_of_it)


def test_what_was_sold_is_gone_at_once() -> None:
    """A figure that is too high gives nobody anything: what trades have spent is known."""
    kit = traded()
    kit.engine.desk.known = BalanceCache(kit.engine, 30_000).known
    left = (PAIRS // UNIT) - 100

    assert "sum of matched orders: 100000000, " in kit.refused("ann", SELL, UP, 60, left + 1)
    kit.place("ann", SELL, UP, 60, left)


def test_the_crowd_goes_by_its_own_books() -> None:
    """Whoever is no client of the venue is not kept waiting by its cache."""
    kit = traded()
    kit.engine.desk.known = BalanceCache(kit.engine, 30_000).known
    kit.engine.unread.add("key-bob")

    kit.place("bob", SELL, UP, 60, (PAIRS // UNIT) + 100)


def test_the_lag_can_be_changed_while_running() -> None:
    """A stale-balance fault makes it long and then short again."""
    kit = traded()
    cache, up = BalanceCache(kit.engine, 0), kit.market.tokens[UP]
    cache.read("bob", up)
    cache.lag_ms = 60_000
    kit.advance(5_000)
    assert cache.read("bob", up) == PAIRS
    cache.lag_ms = 0
    assert cache.read("bob", up) == PAIRS + 100 * UNIT


def test_the_cache_is_bounded() -> None:
    """Foreign wallets cannot fill the memory; what was read last is kept."""
    kit = traded()
    cache = BalanceCache(kit.engine, 60_000)
    cache.read("bob", kit.market.tokens[UP])
    for number in range(KEPT):
        cache.read(f"0x{number}", None)
    assert len(cache._figures) == KEPT
    assert ("bob", kit.market.tokens[UP]) not in cache._figures


def test_orders_judged_by_less_than_the_chain_shows_are_counted() -> None:
    """Who is refused then could not have known (six-minute seeds 5421, 5428)."""
    kit = traded()
    cache, up = BalanceCache(kit.engine, 60_000), kit.market.tokens[UP]
    kit.engine.desk.known = cache.known
    cache.read("bob", up)
    kit.advance(5_000)
    assert kit.refused("bob", SELL, UP, 60, (PAIRS // UNIT) + 100)
    assert cache.behind == 1
    cache.refresh("bob", up)
    kit.place("bob", SELL, UP, 60, (PAIRS // UNIT) + 100)
    assert cache.behind == 1


def test_a_venue_may_not_see_what_the_chain_did_until_it_is_asked_to_look() -> None:
    """Splits and merges stay unseen by a cache that does not follow, however old it gets; trades do
    not (clob.md 5.1).
    """
    kit = Kit()
    cache, up = BalanceCache(kit.engine, 1_000, follow=False), kit.market.tokens[UP]
    kit.engine.merge("bob", kit.market, 10 * UNIT, kit.engine.now_ms)
    kit.place("ann", SELL, UP, 50, 100)
    kit.place("bob", BUY, UP, 50, 100)
    kit.advance(60_000)
    assert cache.read("bob", up) == PAIRS + 100 * UNIT
    assert cache.read("bob", None) == kit.engine.settled_cash("bob") - 10 * UNIT

    cache.refresh("bob", None)
    assert cache.read("bob", None) == kit.engine.settled_cash("bob")
    assert cache.read("bob", up) == PAIRS + 100 * UNIT
    cache.refresh("bob", up)
    assert cache.read("bob", up) == PAIRS + 90 * UNIT
