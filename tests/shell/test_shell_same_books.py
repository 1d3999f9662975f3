"""The books after a restart are the books before it, whoever learns what beside whom."""

from __future__ import annotations

import random
from functools import partial

import attrs
import trio
from desk_kit import MARKET
from test_shell_turns import AFTER, BOTH, BOUGHT, KEY, PAIRS, Wallet, merge, trade

from polybot.domain.ledger import Ledger
from polybot.domain.market import Side
from polybot.domain.orders import TradeSeen, TradeStatus
from polybot.domain.units import SHARE
from polybot.journal.entries import Closed, Entry, Moved, Resolved
from polybot.journal.recovery import recover
from polybot.journal.store import Stamped

LIVES = 300
STEPS_MOST = 6  # of the scheduler, that an answer takes
MOVES = TradeStatus.MATCHED, TradeStatus.MINED, TradeStatus.CONFIRMED, TradeStatus.FAILED


@attrs.define
class UnsteadyDisk:
    """Keeps what it is given in that order, and answers after a while."""

    rng: random.Random
    kept: list[Entry] = attrs.field(factory=list)

    def note(self, *entries: Entry) -> None:
        self.kept += entries

    async def append(self, *entries: Entry) -> None:
        self.kept += entries
        await pause(self.rng)


async def pause(rng: random.Random) -> None:
    for _ in range(rng.randint(1, STEPS_MOST)):
        await trio.lowlevel.checkpoint()


def figures(ledger: Ledger) -> tuple[object, ...]:
    books = {key: (one.holdings(), one.fills, one.merged) for key, one in ledger.books.items()}
    return ledger.cash, ledger.realised, ledger.capital, ledger.unsettled(), books


def started_again(kept: list[Entry]) -> Ledger:
    """What the next start reads."""
    return recover(Stamped(n, AFTER, entry) for n, entry in enumerate(kept)).ledger


async def test_who_gives_up_waiting_has_learnt_it() -> None:
    """What is handed to the disk is written though nobody waits for it any more: a desk's last
    reading of trades, as its scope ends. The books lacked it, and were closed without it: the next
    start found a fill before the close, and ended.
    """
    wallet = Wallet(Resolved(KEY, SHARE, "chain"))
    fill = trade("t", Side.BUY, BOUGHT, MARKET.up_token)
    with trio.CancelScope() as reading:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wallet.account.learn, fill)
            await wallet.disk.waited_for.wait()
            reading.cancel()
    assert wallet.books.holdings().up == wallet.after_a_start().holdings().up == PAIRS

    wallet.disk.answers.set()
    await wallet.inventory.round(final=True)
    assert not any(isinstance(entry, Closed) for entry in wallet.disk.kept)


class Life:
    """A wallet whose fills are told by several at once, while its pairs are merged and its market
    is closed as soon as it may be.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.wallet = Wallet(Resolved(KEY, SHARE, "chain"), trade("t", Side.BUY, BOUGHT, *BOTH))
        self.disk = UnsteadyDisk(self.rng, self.wallet.disk.kept)
        self.account = self.wallet.account
        self.account.journal = self.disk  # type: ignore[assignment]
        self.left = 0
        self.given_up = 0

    async def tell(self, name: str) -> None:
        """One of the wires: some messages about a trade, in any order; who reads may give up."""
        side, token = self.rng.choice(((Side.BUY, BOTH[1]), (Side.SELL, BOTH[0])))
        for status in self.rng.sample(MOVES, self.rng.randint(1, 4)):
            await pause(self.rng)
            seen = trade(name, side, status, token).event
            assert isinstance(seen, TradeSeen)
            with trio.CancelScope() as reading:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.account.learn_of, [seen])
                    if self.rng.random() < 0.4:
                        await pause(self.rng)
                        reading.cancel()
            self.given_up += reading.cancelled_caught

    async def merge(self) -> None:
        for number in range(2):
            await pause(self.rng)
            await self.account.learn_as(partial(self._merged, number))

    def _merged(self, number: int) -> tuple[Moved, ...]:
        books = self.account.ledger.books.get(KEY)
        due = books is not None and books.holdings().mergeable >= PAIRS
        return (merge("done", number),) if due else ()

    async def close(self) -> None:
        for _ in range(4):
            await pause(self.rng)
            await self.wallet.inventory.round(final=True)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for name in "ab":
                nursery.start_soon(self.tell, name)
                nursery.start_soon(self.tell, name)
            nursery.start_soon(self.merge)
            nursery.start_soon(self.close)


async def test_random_lives_are_read_as_they_were_lived() -> None:
    """To the unit, with readers that give up, merges, and closes between any two facts."""
    closed = given_up = 0
    for seed in range(LIVES):
        life = Life(seed)
        await life.run()
        assert figures(started_again(life.disk.kept)) == figures(life.account.ledger), seed
        closed += KEY not in life.account.ledger.books
        given_up += life.given_up
    assert closed > LIVES / 20
    assert given_up > LIVES / 2
