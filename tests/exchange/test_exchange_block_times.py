"""Settlements happen in blocks, and what is told of them has the block's own time."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median, quantiles

import pytest
from chain_kit import T0, ChainKit

from polybot.exchange.blocks import Blocks
from polybot.exchange.model import BUY, SELL, Trade
from polybot.exchange.money import UNIT
from polybot.exchange.settlement import MILLION

BROADCAST_MS = 650


def traded(kit: ChainKit, number: int) -> Iterator[Trade]:
    """So many trades, seven seconds after each, at all phases of the two seconds of a block."""
    kit.engine.split(kit.ann, kit.plain, 900 * UNIT, T0)
    for phase in range(number):
        kit.advance(8_000 + 37 * phase % 2_000)
        known = set(kit.engine.trades)
        kit.place(kit.order(kit.ann, SELL, 50, 5))
        kit.place(kit.order(kit.bob, BUY, 50, 5))
        [trade_id] = set(kit.engine.trades) - known
        kit.advance(7_000)
        yield kit.engine.trades[trade_id]


def test_a_trade_is_in_a_block_of_after_it_was_sent_off() -> None:
    """No block holds what nobody had seen when it was made, and the time at which a trade is told
    to be mined is that of the block in its receipt (feeds.md 4.5): else a node read at that time
    would not have it.
    """
    kit = ChainKit()
    for trade in traded(kit, 60):
        block = kit.chain.blocks.receipts[trade.tx_hash].block
        assert kit.chain.blocks.at_ms(block) == trade.block_ms
        assert trade.block_ms > trade.matched_ms + BROADCAST_MS


def test_the_block_comes_about_two_seconds_after_the_match() -> None:
    """Match → block: median 2.2 s, p90 about 3 s by the block's own time (feeds.md 2.2, 4.5), for
    all that blocks are made every other second only.
    """
    delays = [(trade.block_ms or 0) - trade.matched_ms for trade in traded(ChainKit(), 150)]

    assert median(delays) == pytest.approx(2_200, abs=300)
    assert quantiles(delays, n=10)[8] == pytest.approx(3_000, abs=500)


def test_a_reverted_attempt_is_in_a_block_of_its_own() -> None:
    """What has to be retried was a transaction, too: its receipt is of after the match, and what
    succeeds comes in a later block (onchain.md 9.2).
    """
    kit = ChainKit()
    kit.engine.desk.clearing.policy.retry_ppm = MILLION
    kit.engine.desk.clearing.policy.retry_ms = (1_000, 1_000)
    for trade in traded(kit, 20):
        sent_ms = trade.matched_ms + BROADCAST_MS
        mine = list(kit.chain.blocks.receipts.values())[-2:]
        times = [kit.chain.blocks.at_ms(one.block) for one in mine]
        assert [one.ok for one in mine] == [False, True]
        assert sent_ms < times[0] < times[1] == trade.block_ms


def test_the_nearest_block_of_after_a_time() -> None:
    """Rounded to both sides, so that blocks delay nobody in the mean."""
    blocks = Blocks(2_000)
    even = blocks.at_ms(blocks.number(T0))

    assert blocks.nearest_ms(even + 2_900, even) == even + 2_000
    assert blocks.nearest_ms(even + 3_100, even) == even + 4_000
    assert blocks.nearest_ms(even + 900, even) == even + 2_000, "the one of that time is made"
