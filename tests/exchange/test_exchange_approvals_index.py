"""The Data API's index of approvals, which is behind the chain (onchain.md 4)."""

from __future__ import annotations

import orjson
import pytest
import trio
from trio.testing import MockClock
from world_kit import START_MS

from polybot.clock import Clock
from polybot.exchange import contracts
from polybot.exchange.abi import address_word, selector, word
from polybot.exchange.approvals import UNLIMITED
from polybot.exchange.calendar import SERIES
from polybot.exchange.chain_contract import Call
from polybot.exchange.crowd import SyntheticWorld
from polybot.exchange.request import Request
from polybot.exchange.server import Exchange

WALLET = "0x" + "5" * 40


class Indexed:
    """An exchange, and a wallet whose index nobody has asked for yet."""

    def __init__(self) -> None:
        world = SyntheticWorld(1, START_MS, [SERIES["btc-5m"]], 0.1)
        self.exchange = Exchange(world, Clock.starting_at(START_MS), 1)

    def approve(self, amount: int) -> None:
        """In a block of now."""
        arguments = address_word(contracts.EXCHANGE) + word(amount)
        call = Call(contracts.COLLATERAL, selector("approve(address,uint256)") + arguments)
        now_ms = self.exchange.clock.now_ms()
        assert self.exchange.chain.chain.execute(WALLET, [call], now_ms).reverted is None

    def shown(self, wallet: str = WALLET) -> list[str]:
        """The spenders that `/v2/approvals` shows as allowed, past its cache."""
        query = {"user": wallet, "_": str(self.exchange.clock.now_ms())}
        request = Request("GET", "/v2/approvals", query, {}, b"")
        body = orjson.loads(self.exchange.data.answer(request).body)
        return [row["spender"] for row in body["data"]["contracts"] if row["approved"]]


@pytest.mark.conforms("feeds-12.8-approvals")
async def test_an_approval_is_not_in_the_index_with_its_block(autojump_clock: MockClock) -> None:
    """`get_trading_approvals_state()` reads the index and may ask for what is given already; what
    counts is asked of the node (onchain.md 4).
    """
    indexed = Indexed()
    indexed.approve(UNLIMITED)
    assert indexed.shown() == []
    await trio.sleep(2.9)
    assert indexed.shown() == []
    await trio.sleep(0.2)
    assert indexed.shown() == [contracts.EXCHANGE]


async def test_the_index_shows_one_change_after_the_other(autojump_clock: MockClock) -> None:
    """Given and taken back within the lag: both are seen, three seconds late each."""
    indexed = Indexed()
    indexed.approve(UNLIMITED)
    await trio.sleep(1)
    indexed.approve(0)
    assert indexed.shown() == []
    await trio.sleep(2.5)
    assert indexed.shown() == [contracts.EXCHANGE]
    await trio.sleep(1)
    assert indexed.shown() == []


async def test_what_a_wallet_begins_with_is_in_the_index_at_once(
    autojump_clock: MockClock,
) -> None:
    """The demo wallet was there before the first second (exchange.md): a bot that asks the index
    at its start must not be told to approve anything.
    """
    indexed = Indexed()
    assert len(indexed.shown(indexed.exchange.wallet.address)) == 17
