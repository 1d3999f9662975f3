"""What the books call for is decided when its turn has come: whoever has read them before waits
behind other facts for the disk, or for the chain, and they may be others then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from desk_kit import MARKET, START
from trio.testing import wait_all_tasks_blocked

from polybot.account import Account
from polybot.adrift import Adrift
from polybot.core_tape import CoreTape
from polybot.domain.ledger import Ledger
from polybot.domain.market import Side
from polybot.domain.market_books import MarketBooks
from polybot.domain.orders import Failure, FillLeg, TradeSeen, TradeStatus
from polybot.domain.units import SHARE, USD
from polybot.execution.inventory import InventoryParams
from polybot.execution.reconcile import STALE_MS
from polybot.in_flight import InFlight
from polybot.inventory import Inventory
from polybot.journal.entries import Closed, Entry, Known, Moved, Paid, Resolved, Told
from polybot.journal.recovery import recover
from polybot.journal.store import Stamped
from polybot.records import Records
from polybot.risk.limits import RiskParams
from polybot.venue import calls
from polybot.venue.relayer import Fate, Progress, Sent
from polybot.venue.tap import NOBODY

OTHER = attrs.evolve(MARKET, condition_id="0xd", slug="other", up_token="333", down_token="444")
KEY, PAIRS = MARKET.condition_id, 20 * SHARE
BOTH = (MARKET.up_token, MARKET.down_token)
AFTER = MARKET.end_ms + 60_000
BOUGHT, MATCHED, FAILED = TradeStatus.CONFIRMED, TradeStatus.MATCHED, TradeStatus.FAILED


class SlowDisk:
    """A journal that keeps what it is given, and makes everybody wait for it."""

    def __init__(self) -> None:
        self.kept: list[Entry] = []
        self.waited_for, self.answers = trio.Event(), trio.Event()

    def note(self, *entries: Entry) -> None:
        self.kept += entries

    async def append(self, *entries: Entry) -> None:
        self.kept += entries
        self.waited_for.set()
        await self.answers.wait()


WIDE = RiskParams(max_position_usd_per_token=1_000, max_position_usd_per_market=1_000)


class Wallet:
    """An account whose journal is slow, the inventory engine, and a slow chain: it shows `there`,
    no shares unless said otherwise.
    """

    there = (0, 0)

    def __init__(self, *known: Entry, at_ms: int = AFTER) -> None:
        self.disk, self.asked, self.shown = SlowDisk(), trio.Event(), trio.Event()
        nothing: Any = None
        clock: Any = SimpleNamespace(now_ms=lambda: at_ms, now_ns=lambda: at_ms * 10**6)
        disk: Any = self.disk
        self.account = Account(
            client=nothing, clock=clock, health=nothing, journal=disk,
            core=CoreTape(NOBODY, clock), ledger=Ledger(), began_ms=AFTER,
        )  # fmt: skip
        self.adrift = Adrift(self._venue(), clock, self.account)
        ctx: Any = SimpleNamespace(
            account=self.account, clock=clock, records=Records(), tell=lambda _: None,
            stopping=False, health=SimpleNamespace(halted={}),
            client=SimpleNamespace(refresh=self._none), config=SimpleNamespace(risk=WIDE),
            reconciler=SimpleNamespace(adrift=self.adrift),
        )  # fmt: skip
        hears = SimpleNamespace(silence=None)
        chain: Any = SimpleNamespace(shares=self._shares, up_payout=self._payout, reads=hears)
        self.inventory = Inventory(ctx, InventoryParams(), chain, None)
        self.learnt(Known(MARKET), Known(OTHER))
        self.inventory.watch(MARKET)
        self.learnt(Paid("deposit", 1_000 * USD, "a test"), *known)

    def _venue(self) -> Any:
        return SimpleNamespace(order=self._none)

    def learnt(self, *entries: Entry) -> None:
        """Facts of before: no node is that far behind."""
        self.disk.note(*entries)
        self.account.take(entries, self.account.clock.now_ms() - 60_000)

    async def _none(self, _: object) -> None:
        await trio.lowlevel.checkpoint()

    async def _shares(self, _: object) -> tuple[int, int]:
        self.asked.set()
        await self.shown.wait()
        return self.there

    async def _payout(self, _: object) -> int:
        await trio.lowlevel.checkpoint()
        return SHARE

    async def answered(self, progress: Progress) -> Progress:
        await trio.lowlevel.checkpoint()
        return progress

    async def behind(self, told: Entry, ask: Callable[[], Awaitable[object]]) -> None:
        """Ask for something while the disk writes down a trade that is not in the books yet."""
        self.shown.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.account.learn, told)
            await self.disk.waited_for.wait()
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            self.disk.answers.set()

    async def beside(self, ask: Callable[[], Awaitable[object]], *told: Entry) -> None:
        """Learn something while what was asked for reads the chain."""
        self.disk.answers.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await self.asked.wait()
            await self.account.learn(*told)
            self.shown.set()

    @property
    def books(self) -> MarketBooks:
        return self.account.ledger.books[KEY]

    def after_a_start(self) -> MarketBooks:
        """The same, as the next start reads them."""
        kept = enumerate(self.disk.kept)
        return recover(Stamped(n, AFTER, entry) for n, entry in kept).ledger.books[KEY]


def trade(name: str, side: Side, status: TradeStatus, *tokens: str) -> Told:
    legs = tuple(FillLeg("0x1", token, side, 5_000, PAIRS, maker=True) for token in tokens)
    return Told(KEY, TradeSeen(name, KEY, status, legs, START))


def merge(step: str, number: int) -> Moved:
    return Moved(KEY, "merge", step, f"polybot-{number}.0", PAIRS, PAIRS)


def under_way(wallet: Wallet, one: Moved) -> None:
    """An operation that was asked for, and of which nothing is heard."""
    wallet.inventory.under_way.flights.append(InFlight(one.submission, AFTER, [one], one.evidence))
    wallet.account.moving.add(one.condition_id)


async def test_no_books_are_closed_behind_a_late_fill() -> None:
    """A fill of before the end is read while its market, empty so far, is closed: the books stay
    open. The ledger refused to close them, after the disk had the close: that ended the program,
    and every start from then on.
    """
    wallet = Wallet(Resolved(KEY, SHARE, "chain"))
    fill = trade("t", Side.BUY, BOUGHT, MARKET.up_token)
    await wallet.behind(fill, lambda: wallet.inventory.round(final=True))

    assert wallet.books.holdings().up == wallet.after_a_start().holdings().up == PAIRS
    assert KEY in wallet.inventory.watched
    assert not any(isinstance(entry, Closed) for entry in wallet.disk.kept)
    assert wallet.inventory.ctx.records.of(MARKET).final is None


async def test_no_merge_is_booked_behind_a_sale_of_its_shares() -> None:
    """An ask is matched that the chain can no longer settle: the merge is booked when that sale has
    failed. It was booked at once, which the ledger refuses, with the end of the program.
    """
    wallet = Wallet(trade("t", Side.BUY, BOUGHT, *BOTH))
    under_way(wallet, merge("sent", 1))
    sale = trade("s", Side.SELL, MATCHED, MARKET.up_token)
    await wallet.behind(sale, wallet.inventory.resolve)
    assert wallet.books.merged == wallet.after_a_start().merged == 0
    assert wallet.inventory.under_way.flights

    await wallet.account.learn(trade("s", Side.SELL, FAILED, MARKET.up_token))
    assert await wallet.inventory.resolve()
    assert wallet.books.merged == wallet.after_a_start().merged == PAIRS
    assert wallet.account.moving == set()


async def test_no_repetition_is_booked_behind_a_sale_of_its_shares() -> None:
    """The same of a merge that a relayer has done twice (F33)."""
    wallet = Wallet(
        trade("t", Side.BUY, BOUGHT, *BOTH), trade("u", Side.BUY, BOUGHT, *BOTH), merge("done", 1)
    )
    wallet.inventory.proof.moved(merge("done", 1))
    sale = trade("s", Side.SELL, MATCHED, MARKET.up_token)
    await wallet.behind(sale, wallet.inventory.explained)
    assert wallet.books.merged == wallet.after_a_start().merged == PAIRS

    await wallet.account.learn(trade("s", Side.SELL, FAILED, MARKET.up_token))
    assert await wallet.inventory.explained()
    assert wallet.books.merged == wallet.after_a_start().merged == 2 * PAIRS


async def test_no_merge_is_booked_by_what_a_node_shows_of_before_a_fill() -> None:
    """Of a merge nothing is heard, and as many pairs have just been bought: a node that is behind
    shows what the merge would leave. It is believed when no node can be that far behind.
    """
    wallet = Wallet(trade("t", Side.BUY, BOUGHT, *BOTH))
    wallet.disk.answers.set()
    wallet.shown.set()
    wallet.there = (PAIRS, PAIRS)
    await wallet.account.learn(trade("u", Side.BUY, BOUGHT, *BOTH))
    under_way(wallet, merge("asked", 1))

    assert not await wallet.inventory.resolve()
    assert wallet.books.merged == 0
    clock: Any = wallet.account.clock
    clock.now_ms = lambda: AFTER + STALE_MS + 1
    assert await wallet.inventory.resolve()
    assert wallet.books.merged == PAIRS


async def test_no_redemption_is_booked_before_its_fills_are_final() -> None:
    """A fill is told after its market's redemption was asked for: burnt before it is final it left
    shares in the books that no sum showed, and the close was refused as above.
    """
    wallet = Wallet(Resolved(KEY, SHARE, "chain"), trade("t", Side.BUY, BOUGHT, MARKET.up_token))
    done = Progress(Fate.DONE, "0xabc")
    way: Any = SimpleNamespace(progress=lambda _: wallet.answered(done))
    wallet.inventory.way = way
    under_way(wallet, Moved(KEY, "redeem", "sent", "polybot-1.0", PAIRS, evidence="0xabc"))
    fill = trade("u", Side.BUY, MATCHED, MARKET.up_token)
    await wallet.behind(fill, wallet.inventory.resolve)
    assert wallet.books.redeemed == 0

    await wallet.account.learn(trade("u", Side.BUY, BOUGHT, MARKET.up_token))
    assert await wallet.inventory.resolve()
    assert wallet.books.redeemed == wallet.after_a_start().redeemed == 2 * PAIRS
    await wallet.inventory.round(final=True)
    assert any(isinstance(entry, Closed) for entry in wallet.disk.kept)


async def test_nothing_is_called_redeemed_behind_a_fill() -> None:
    """Of a fill that nobody knew of when the shares were looked at the chain has shown nothing."""
    wallet = Wallet(Resolved(KEY, SHARE, "chain"), trade("t", Side.BUY, BOUGHT, MARKET.up_token))
    fill = trade("u", Side.BUY, MATCHED, MARKET.up_token)
    await wallet.behind(fill, wallet.inventory.explained)
    assert wallet.books.redeemed == 0
    assert wallet.books.holdings().up == 2 * PAIRS

    await wallet.account.learn(trade("u", Side.BUY, BOUGHT, MARKET.up_token))
    assert await wallet.inventory.explained()
    assert wallet.books.redeemed == wallet.after_a_start().redeemed == 2 * PAIRS


class OpenWay:
    """A way onto the chain without an obstacle, that counts what is sent."""

    batches = True

    def __init__(self) -> None:
        self.sent = 0

    async def obstacle(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send(self, _name: str, calls: Sequence[object]) -> Sent:
        await trio.lowlevel.checkpoint()
        self.sent += len(calls)
        return Sent("0xabc")


@pytest.mark.parametrize("booked", [True, False], ids=["meanwhile", "never"])
async def test_no_merge_is_asked_for_behind_one_that_is_booked(
    booked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a merge leaves it is looked whether an earlier one was done twice; the pairs are gone
    when another has looked and booked it meanwhile. It was asked for all the same, reverted, and
    cost a submission.
    """
    wallet = Wallet(
        trade("t", Side.BUY, BOUGHT, *BOTH), trade("u", Side.BUY, BOUGHT, *BOTH), merge("done", 1),
        at_ms=START + 60_000,
    )  # fmt: skip
    inventory = wallet.inventory
    way: Any = OpenWay()
    inventory.way, inventory.params = way, InventoryParams(merge_equity_percent=0)
    inventory.proof.moved(merge("done", 1))
    monkeypatch.setattr(calls, "merge", lambda *_: ["a call"])
    if not booked:
        wallet.there = (PAIRS, PAIRS)
    await wallet.beside(inventory.round, *[merge("done", 2)] * booked)

    assert way.sent == (0 if booked else 1)
    assert len(inventory.under_way.flights) == way.sent


@pytest.mark.parametrize("halted", [{}, {"ledger drift": "cash"}], ids=["well", "halted"])
async def test_a_split_does_not_stand_in_its_own_way(
    halted: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it will take is withheld from the bids at once, and it is called for once more before it
    leaves, with most of the cash: the second time it found its own dollars gone. While trading is
    halted every window still took its pairs, which nobody would offer.
    """
    wallet = Wallet(at_ms=START - 60_000)
    way: Any = OpenWay()
    wallet.inventory.way, wallet.inventory.params = way, InventoryParams(seed_shares=600)
    monkeypatch.setattr(calls, "split", lambda *_: ["a call"])
    wallet.inventory.ctx.health.halted |= halted
    wallet.disk.answers.set()
    await wallet.inventory.round()

    assert way.sent == (not halted)


async def test_orders_are_forgotten_once_where_shares_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a way onto the chain what has won stays unpaid, and its books open: every round of
    the night wrote to the tape that its orders had been forgotten.
    """
    wallet = Wallet(Resolved(KEY, SHARE, "chain"), trade("t", Side.BUY, BOUGHT, MARKET.up_token))
    released: list[str] = []
    monkeypatch.setattr(Account, "release", lambda _, key: released.append(key))
    wallet.inventory.why = "no relayer key"
    for _ in range(3):
        await wallet.inventory.round()

    assert released == [KEY]
    assert wallet.inventory.waits == {KEY: "no relayer key"}


async def test_a_market_is_closed_while_others_are_looked_at() -> None:
    """Two windows have ended in the same second. While the chain is read for the shares of one, in
    search of what does not agree, the other is closed: to ask for its books ended the program.
    """
    wallet = Wallet(Resolved(KEY, SHARE, "chain"), trade("t", Side.BUY, BOUGHT, MARKET.up_token))
    closed = Closed(OTHER.condition_id, 0, 0, 0)
    await wallet.beside(wallet.inventory.explained, closed)

    assert OTHER.condition_id not in wallet.account.ledger.books
    assert wallet.books.redeemed == PAIRS, "and what was looked for is found"


async def test_a_market_is_closed_while_its_moves_are_looked_at() -> None:
    """The same of the market whose merges may have been done twice."""
    wallet = Wallet(trade("t", Side.BUY, BOUGHT, *BOTH), merge("done", 1))
    wallet.inventory.proof.moved(merge("done", 1))
    await wallet.beside(wallet.inventory.explained, Closed(KEY, 0, 0, 0))

    assert wallet.account.ledger.books.keys() == {OTHER.condition_id}


async def test_books_stay_open_while_a_transaction_is_under_way() -> None:
    """A split that no relayer has answered since before its window's end: the books are empty, and
    whoever follows it asks for them. It may bring pairs yet.
    """
    wallet = Wallet(Resolved(KEY, SHARE, "chain"))
    under_way(wallet, Moved(KEY, "split", "sent", "polybot-1.0", PAIRS))
    wallet.shown.set()
    wallet.disk.answers.set()
    for _ in range(2):
        await wallet.inventory.round(final=True)
    assert KEY in wallet.inventory.watched
    assert wallet.inventory.under_way.flights


async def test_a_venue_that_does_not_look_is_asked_for_one_balance_at_a_time() -> None:
    """While it answered nothing it was asked for all of them every two seconds: twenty-six requests
    in ten, where half of what it takes is twenty-five (seed 9313). Each gets its turn.
    """
    wallet, asked = Wallet(at_ms=START - 60_000), list[str | None]()
    away: set[str | None] = {None, "1", "2"}
    inventory: Any = wallet.inventory

    async def refresh(token: str | None) -> Failure | None:
        await trio.lowlevel.checkpoint()
        asked.append(token)
        return Failure("gone") if token in away else None

    inventory.ctx.client = SimpleNamespace(refresh=refresh)
    inventory.under_way.stale = dict.fromkeys((None, "1", "2"))
    for _ in range(4):
        await inventory.round()
    assert asked == [None, "1", "2", None]

    asked.clear()
    away.clear()
    away.add("2")
    for _ in range(3):
        await inventory.round()
    assert asked == ["1", "2", None, "2", "2"]

    away.clear()
    await inventory.round()
    assert not inventory.under_way.stale
