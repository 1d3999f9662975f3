"""A relayer that retries blindly does a merge twice: the books find out which one it was (F33)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from polybot.domain.market_books import Holdings
from polybot.domain.settling import Settling
from polybot.domain.units import SHARE
from polybot.execution.reconcile import STALE_MS
from polybot.journal.entries import Moved
from polybot.move_proof import MOVES_KEPT, MoveProof
from polybot.restart import Restart

PAIRS = 100 * SHARE


def done(number: int, shares: int) -> Moved:
    return Moved("0xc0", "merge", "done", f"polybot-{number}", shares, shares, "0xabc")


class Wallet:
    """A market's books and its chain, a hundred pairs in both. `bought` is on its way: shares of Up
    by trade, which the books have and the chain perhaps not.
    """

    def __init__(self, *bought: int) -> None:
        self.booked, self.there, self.bought, self.come = PAIRS, PAIRS, bought, 0
        self.learned: list[Moved] = []
        market = SimpleNamespace(up_token="up", down_token="down")
        books = SimpleNamespace(market=market, holdings=self._holdings)
        ledger = SimpleNamespace(books={"0xc0": books}, settling=self._settling)
        self.now_ms = 0
        clock = SimpleNamespace(now_ms=lambda: self.now_ms)
        account: Any = SimpleNamespace(
            ledger=ledger,
            learn_as=self._learn_as,
            moving=set(),
            clock=clock,
            before_booking=[],
            unclear={},
        )
        chain: Any = SimpleNamespace(shares=self._shares)
        self.proof = MoveProof(account, chain)

    @property
    def unclear(self) -> set[str]:
        return set(self.proof.account.unclear)

    def _holdings(self) -> Holdings:
        up = self.booked + sum(self.bought)
        return Holdings(up, self.booked, self.booked, self.booked)

    def _settling(self, _kind: object, _key: str, token: str) -> Settling:
        return Settling(self.booked, self.bought if token == "up" else ())

    async def _shares(self, _: object) -> tuple[int, int]:
        return self.there + self.come, self.there

    async def _learn_as(self, decide: Callable[[], tuple[Moved, ...]]) -> tuple[Moved, ...]:
        facts = decide()
        await trio.lowlevel.checkpoint()  # the journal's disk
        for moved in facts:
            self.proof.remember(self.now_ms)
            self.learned.append(moved)
            self.booked -= moved.shares if moved.kind == "merge" else -moved.shares
        return facts

    def confirm(self, shares: int) -> None:
        """Of both outcomes so many are ours, says the venue."""
        self.proof.remember(self.now_ms)
        self.booked += shares

    def split(self, shares: int) -> None:
        self.proof.remember(self.now_ms)
        self.booked += shares
        self.there += shares
        self.proof.moved(Moved("0xc0", "split", "done", "polybot-s", shares, -shares, "0xabc"))

    def merge(self, *sizes: int) -> None:
        for number, shares in enumerate(sizes):
            self.proof.remember(self.now_ms)
            self.booked -= shares
            self.there -= shares
            self.proof.moved(done(number, shares))


async def test_a_merge_done_again_need_not_be_the_last() -> None:
    """Seed 731: ten pairs were merged again after twenty-six more had been, and as only the last
    one was looked at, trading halted for a drift of ten shares of both.
    """
    wallet = Wallet()
    wallet.merge(10 * SHARE, 26 * SHARE)
    wallet.there -= 10 * SHARE

    assert await wallet.proof.moved_again()

    assert [(one.operation_id, one.shares) for one in wallet.learned] == [
        ("polybot-0 again", 10 * SHARE)
    ]
    assert wallet.booked == wallet.there
    assert not await wallet.proof.moved_again()


async def test_a_split_done_again() -> None:
    """Twice as many dollars are pairs as were asked for."""
    wallet = Wallet()
    wallet.split(20 * SHARE)
    wallet.merge(30 * SHARE)
    wallet.there += 20 * SHARE

    assert await wallet.proof.moved_again()
    assert [(one.kind, one.shares, one.paid) for one in wallet.learned] == [
        ("split", 20 * SHARE, -20 * SHARE)
    ]
    assert wallet.booked == wallet.there
    assert not await wallet.proof.moved_again()


async def test_a_split_and_the_merge_after_it_done_again() -> None:
    """Seed 892: ten pairs fewer than booked are neither the one nor the other, but both."""
    wallet = Wallet()
    wallet.split(20 * SHARE)
    wallet.merge(30 * SHARE)
    wallet.there += 20 * SHARE - 30 * SHARE

    assert await wallet.proof.moved_again()
    assert sorted(one.kind for one in wallet.learned) == ["merge", "split"]
    assert wallet.booked == wallet.there


@pytest.mark.parametrize("last", ["merge", "split"])
async def test_a_node_that_is_behind_proves_no_repetition(last: str) -> None:
    """Twenty pairs were split and as many merged, one after the other. A node that does not know of
    the last one yet shows what a repetition of the first would leave; a figure of half a minute ago
    is no evidence, and one that stays is (F33, F34).
    """
    wallet = Wallet()
    moves = [partial(wallet.split, 20 * SHARE), partial(wallet.merge, 20 * SHARE)]
    for move in moves if last == "merge" else moves[::-1]:
        before, wallet.now_ms = wallet.there, wallet.now_ms + 60_000
        move()
    now, wallet.there = wallet.there, before
    wallet.now_ms += STALE_MS

    assert not await wallet.proof.moved_again()
    wallet.there = now
    assert not await wallet.proof.moved_again()
    wallet.there, wallet.now_ms = before, wallet.now_ms + 1
    assert await wallet.proof.moved_again()
    assert [one.kind for one in wallet.learned] == [{"merge": "split", "split": "merge"}[last]]


async def test_a_node_that_is_behind_by_two() -> None:
    """Both of the last two moves are missing in what it shows."""
    wallet = Wallet()
    wallet.split(20 * SHARE)
    wallet.now_ms += 60_000
    before = wallet.there
    wallet.merge(5 * SHARE)
    wallet.merge(15 * SHARE)
    wallet.there = before

    assert not await wallet.proof.moved_again()


async def test_trades_that_a_node_does_not_know_of_are_no_merge() -> None:
    """Seed 1364, an hour: ten pairs were merged, ten more bought since and confirmed (there half
    of them were still on their way). A node that does not show those yet shows what a repetition of
    the merge would leave.
    """
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.now_ms += 60_000
    wallet.confirm(10 * SHARE)
    wallet.now_ms += STALE_MS

    assert not await wallet.proof.moved_again()
    wallet.now_ms += 1
    assert await wallet.proof.moved_again(), "it lasts, and no node is that far behind"


async def test_a_merge_that_a_node_knows_of_before_the_books_do() -> None:
    """Seed 1364 again: ten pairs were merged, ten more bought and confirmed, twelve merged. The
    node showed the twelve, which were mined long before they were booked, and not the ten that were
    bought; that the books had never said, and the first ten were booked for merged again.
    """
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.now_ms += 60_000
    wallet.confirm(10 * SHARE)
    wallet.merge(12 * SHARE)
    assert wallet.there == wallet.booked - 10 * SHARE
    wallet.now_ms += STALE_MS

    assert not await wallet.proof.moved_again()
    wallet.now_ms += 1
    assert await wallet.proof.moved_again(), "it lasts, and no node is that far behind"


async def test_what_is_left_open_is_told() -> None:
    """For the next merge of the market: it waits while a node may be behind, and not after it, be
    it that the node has caught up or that the first merge was done again.
    """
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.now_ms += 60_000
    wallet.confirm(10 * SHARE)
    wallet.now_ms += STALE_MS

    assert not await wallet.proof.moved_again()
    assert wallet.unclear == {"0xc0"}
    wallet.there += 10 * SHARE
    assert not await wallet.proof.moved_again()
    assert wallet.unclear == set()
    wallet.there -= 10 * SHARE
    assert not await wallet.proof.moved_again()
    assert wallet.unclear == {"0xc0"}
    wallet.now_ms += 1
    assert await wallet.proof.moved_again()
    assert wallet.unclear == set()


async def test_two_sizes_that_would_explain_it_are_left_open() -> None:
    """A trade on its way hides which of two merges was done again. Its coming shows it."""
    wallet = Wallet(3 * SHARE)
    wallet.merge(10 * SHARE, 13 * SHARE)
    both = Settling(wallet.booked, (3 * SHARE,))
    wallet.proof.account.ledger.settling = lambda *_: both  # type: ignore[method-assign]
    wallet.there -= 10 * SHARE

    assert not await wallet.proof.moved_again()
    assert wallet.unclear == {"0xc0"}
    both = Settling(wallet.booked, ())
    assert await wallet.proof.moved_again()
    assert [one.shares for one in wallet.learned] == [10 * SHARE]


async def test_a_market_that_is_closed_is_clear() -> None:
    """Nobody looks at it again, and nothing of it may hold up the cash's comparison."""
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.now_ms += 60_000
    wallet.confirm(10 * SHARE)

    assert not await wallet.proof.moved_again()
    assert wallet.unclear == {"0xc0"}
    wallet.proof.forget("0xc0")
    assert wallet.unclear == set()


async def test_a_repetition_that_could_not_be_booked_is_left_open() -> None:
    """A trade was told while the journal was waited for: the next look decides."""
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.there -= 10 * SHARE
    learn_as = wallet.proof.account.learn_as

    async def late(decide: Any) -> Any:
        wallet.confirm(2 * SHARE)
        return await learn_as(decide)

    wallet.proof.account.learn_as = late  # type: ignore[method-assign]
    assert not await wallet.proof.moved_again()
    assert wallet.unclear == {"0xc0"}


async def test_one_explains_before_two_do() -> None:
    """Thirty pairs are missing: the merge of thirty, not those of ten and of twenty."""
    wallet = Wallet()
    wallet.merge(10 * SHARE, 20 * SHARE, 30 * SHARE)
    wallet.there -= 30 * SHARE

    assert await wallet.proof.moved_again()
    assert [one.operation_id for one in wallet.learned] == ["polybot-2 again"]


async def test_two_who_look_at_once_book_it_once() -> None:
    """The reconciler and an operation that waits for its proof."""
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.there -= 10 * SHARE

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wallet.proof.moved_again)
        nursery.start_soon(wallet.proof.moved_again)

    assert len(wallet.learned) == 1
    assert wallet.booked == wallet.there


async def test_of_two_alike_each_is_believed_once_more() -> None:
    """And what was done a third time, too."""
    wallet = Wallet()
    wallet.merge(10 * SHARE, 10 * SHARE)
    for _ in range(3):
        wallet.there -= 10 * SHARE
        assert await wallet.proof.moved_again()

    assert wallet.booked == wallet.there == 50 * SHARE
    assert len({one.operation_id for one in wallet.learned}) == 3


@pytest.mark.parametrize("short", [0, 9 * SHARE, 36 * SHARE, -10 * SHARE])
async def test_another_shortage_is_not_explained(short: int) -> None:
    """Whoever has moved it: not one of these merges."""
    wallet = Wallet()
    wallet.merge(10 * SHARE, 26 * SHARE)
    wallet.there -= short

    assert not await wallet.proof.moved_again()
    assert not wallet.learned


@pytest.mark.parametrize("come", [0, 7 * SHARE, 12 * SHARE, 19 * SHARE])
async def test_trades_on_their_way_hide_no_merge(come: int) -> None:
    """Whichever of them have come: the other token is short as well, and by as much."""
    wallet = Wallet(7 * SHARE, 12 * SHARE)
    wallet.merge(10 * SHARE, 26 * SHARE)
    wallet.there -= 10 * SHARE
    wallet.come = come

    assert await wallet.proof.moved_again()
    assert [one.operation_id for one in wallet.learned] == ["polybot-0 again"]


async def test_trades_on_their_way_are_no_merge() -> None:
    """What has not come yet looks short, of one token."""
    wallet = Wallet(10 * SHARE)
    wallet.merge(10 * SHARE)

    assert not await wallet.proof.moved_again()
    wallet.come = 10 * SHARE
    assert not await wallet.proof.moved_again()


async def test_a_merge_under_way_is_not_an_earlier_one_again() -> None:
    """The chain has it and the books do not yet, and it is as large as the last one: whoever asks
    for another market's sake would book it twice. Who follows it may ask for its market.
    """
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.there -= 10 * SHARE
    wallet.proof.account.moving.add("0xc0")

    assert not await wallet.proof.moved_again()
    assert await wallet.proof.moved_again(under_way(30 * SHARE))


def under_way(shares: int) -> Moved:
    return Moved("0xc0", "merge", "sent", "polybot-9", shares, 0, "0xdef")


@pytest.mark.parametrize("early", [True, False])
async def test_an_earlier_merge_done_again_beside_the_one_under_way(*, early: bool) -> None:
    """Ten pairs were merged again while twenty were under way, whose first transaction failed for
    it and whose repetition did not: the chain shows thirty fewer, and neither alone explains it.
    Before the twenty have come the ten are known by themselves.
    """
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.there -= 10 * SHARE + (0 if early else 20 * SHARE)
    wallet.proof.account.moving.add("0xc0")
    one = under_way(20 * SHARE)

    assert await wallet.proof.moved_again(one)

    assert [one.operation_id for one in wallet.learned] == ["polybot-0 again"]
    left = wallet.booked if early else wallet.proof.after(one)[0]
    assert wallet.there == left, "and the one under way is what is left to explain"
    assert not await wallet.proof.moved_again(one)


async def test_the_one_under_way_is_no_earlier_one_of_its_size() -> None:
    """Seed 1147: it was mined between two looks at the chain, and was booked as another's
    repetition and, when it had ended, as itself.
    """
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.there -= 10 * SHARE
    wallet.proof.account.moving.add("0xc0")

    assert not await wallet.proof.moved_again(under_way(10 * SHARE))


async def test_a_merge_that_is_asked_for_while_somebody_looks() -> None:
    """The answer may be of a time in which it was done: who follows it decides."""
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.there -= 10 * SHARE
    shares = wallet.proof.chain.shares

    async def slow(market: Any) -> Any:
        wallet.proof.account.moving.add("0xc0")
        return await shares(market)

    wallet.proof.chain.shares = slow  # type: ignore[method-assign]
    assert not await wallet.proof.moved_again()


async def test_a_merge_of_what_is_not_confirmed_is_not_booked() -> None:
    """The books could not say of which shares it was (the ledger would refuse it)."""
    wallet = Wallet()
    wallet.merge(60 * SHARE)
    wallet.there -= 60 * SHARE

    assert not await wallet.proof.moved_again()


async def test_a_long_window_keeps_its_newest_merges() -> None:
    """A bound; and a market that is closed is forgotten whole."""
    wallet = Wallet()
    wallet.merge(7 * SHARE, *[SHARE] * MOVES_KEPT)
    wallet.there -= 7 * SHARE

    assert not await wallet.proof.moved_again(), "forgotten"
    wallet.there += 6 * SHARE
    assert await wallet.proof.moved_again()

    wallet.proof.forget("0xc0")
    wallet.there -= SHARE
    assert not await wallet.proof.moved_again()


async def test_a_start_asks_before_it_judges_the_cash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dollars of a merge that was done twice while nobody was there are no deposit."""
    order: list[str] = []

    def step(name: str) -> Any:
        async def taken(*_: object) -> bool:
            order.append(name)
            return True

        return taken

    for name in ("_resolve_orders", "_catch_up", "_resolve_operations", "_agree_on_cash"):
        monkeypatch.setattr(Restart, name, step(name))
    for name in ("_take_over_orders", "_write_start"):
        monkeypatch.setattr(Restart, name, lambda *_: None)
    reconciler = SimpleNamespace(cancel_everything=step("cancel"), moved_again=step("moved again"))
    recovered = SimpleNamespace(markets={}, intents={})
    ctx: Any = SimpleNamespace(reconciler=reconciler, recovered=recovered)

    await Restart(ctx, step("resolve")).run()

    assert order[-3:] == ["_resolve_operations", "moved again", "_agree_on_cash"]


async def test_only_the_markets_that_are_asked_about() -> None:
    """Who has little time asks about those that differ before all others."""
    wallet = Wallet()
    wallet.merge(10 * SHARE)
    wallet.there -= 10 * SHARE
    assert not await wallet.proof.moved_again(markets={"0xc1"})
    assert await wallet.proof.moved_again(markets={"0xc0"})
