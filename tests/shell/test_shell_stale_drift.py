"""A difference that was seen some seconds ago, and books that say by now what was there."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import attrs
import pytest
import trio
from test_shell_balances import LATER, Scene as Books, bought
from test_shell_look import Scene
from trio.testing import MockClock

from polybot.domain.halts import Halt
from polybot.domain.units import SHARE, USD
from polybot.execution.reconcile import LISTED_MS
from polybot.journal.entries import Paid
from polybot.reconciler import PROOF_S


@attrs.define(eq=False)
class Slow(Scene):
    """Ten dollars are gone. Why is learnt `told_s` after the chain was asked, by a disk that takes
    `disk_s`; the chain itself finds nothing.
    """

    cash: int = 90 * USD
    told_s: float = 1.0
    disk_s: float = 0.01
    gone: int = 10 * USD  # what is learnt

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.it.moved_again = self.explained

    async def append(self, *_: object) -> None:
        await trio.sleep(self.disk_s)

    async def explained(self, _: AbstractSet[str] = frozenset()) -> bool:
        await trio.sleep(self.told_s)
        await self.account.learn(Paid("deposit", -self.gone, "a test"))
        return False

    async def compared(self) -> list[str]:
        """What has halted once the difference has lasted, and the chain was asked."""
        for _ in range(7):
            assert await self.it.reconcile()
            await trio.sleep(1)
            if self.account.ledger.cash != 100 * USD:
                break
        return [*self.health.halted]


@pytest.mark.parametrize(
    ("told_s", "disk_s"), [(1.0, 0.01), (PROOF_S - 1, 3.0)], ids=["told", "being written"]
)
async def test_what_is_explained_while_the_chain_is_asked_is_no_theft(
    autojump_clock: MockClock, told_s: float, disk_s: float
) -> None:
    """By a trade that was told, or by the chain itself, whose word was being written down when the
    time for it ran out. It halted for good by a difference of before, and the books were right.
    """
    scene = Slow(told_s=told_s, disk_s=disk_s)
    assert await scene.compared() == []
    assert scene.account.ledger.cash == 90 * USD, "told by now"
    assert await scene.it.reconcile()
    assert scene.health.halted == {}


async def test_what_is_not_explained_by_it_halts(autojump_clock: MockClock) -> None:
    """News of other dollars are no reason to wait."""
    assert await Slow(gone=4 * USD).compared() == [Halt.LEDGER_DRIFT.value]


@pytest.mark.parametrize(("more", "halts"), [(3, False), (2, True)])
async def test_shares_that_are_told_before_it_is_halted_for_them(more: int, *, halts: bool) -> None:
    """Each balance is one read of many: its trade may be told while the others are read."""
    books = Books()
    books.there["333"] = 13 * SHARE
    assert await books.balances.compare() == []
    books.now += LISTED_MS + 1
    (drift,) = await books.balances.compare()
    books.ledger.book(bought(LATER, more, "t2"))
    assert books.balances.halt(drift) is halts
