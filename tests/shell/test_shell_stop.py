"""`stop --now` after the engine's end: orders that got no answer may come yet (F18)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from desk_kit import MARKET
from shell_kit import HOUR_MS, SERIES, scene
from trio.testing import MockClock

from polybot.discovery import current_market
from polybot.domain.halts import Halt
from polybot.domain.market import Market, Outcome, Side
from polybot.domain.orders import (
    EDGE_S,
    CancelResult,
    Failure,
    NewOrder,
    OrderRow,
    OrderSeen,
    TimeInForce,
)
from polybot.domain.units import SHARE
from polybot.far_order import far_order
from polybot.journal.entries import Ended, Entry, Halted, Intent, Resolved
from polybot.journal.lock_file import holder
from polybot.journal.recovery import recover
from polybot.journal.store import JournalFailed, Stamped, Store
from polybot.operator.access import Access
from polybot.operator.rearm import main as rearm
from polybot.operator.stop import (
    EXIT_STORAGE,
    PATIENCE_S,
    Outcome as Told,
    _empty_by,
    _unanswered,
    halt,
    outwait,
)
from polybot.patient_clock import PatientClock
from polybot.venue.clob import ClobClient

T0 = 1_795_201_110_000


@attrs.define(eq=False)
class Venue:
    """Takes an order at `comes_s`, holds it for `held_s` before it rests, and cancels what rests
    when it is asked to.
    """

    comes_s: float
    cancelled_s: float | None = None
    fails: bool = False
    held_s: float = 0.0
    began: float = attrs.field(factory=trio.current_time)

    @property
    def _now(self) -> float:
        return trio.current_time() - self.began

    @property
    def _rests(self) -> bool:
        return self._now >= self.comes_s + self.held_s and self.cancelled_s is None

    async def order(self, order_id: str) -> OrderRow | Failure | None:
        await trio.sleep(0.01)
        if self.fails:
            return Failure("nobody there")
        if self._now < self.comes_s:
            return None
        kind = OrderSeen.Kind.LIVE if self._rests else OrderSeen.Kind.DEAD
        if self._now < self.comes_s + self.held_s:
            kind = OrderSeen.Kind.DELAYED
        return OrderRow(
            order_id, MARKET.condition_id, MARKET.up_token, Side.BUY, 4800, SHARE, 0, kind, ""
        )

    async def open_orders(self) -> list[OrderRow] | Failure:
        row = await self.order("late")
        if isinstance(row, Failure):
            return row
        return [row] if row is not None and row.kind is OrderSeen.Kind.LIVE else []

    async def cancel_all(self) -> CancelResult:
        await trio.sleep(0.01)
        if self._rests:
            self.cancelled_s = self._now
        return CancelResult(frozenset(), {})


async def watched(venue: Any, *orders: str) -> tuple[Told, float]:
    told, began = Told(), trio.current_time()
    with trio.move_on_after(EDGE_S + PATIENCE_S):
        await outwait(venue, orders, told)
    return told, trio.current_time() - began


async def test_what_comes_late_is_withdrawn(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine was ended while the edge held an order: it comes 25 s later, to nobody else."""
    venue = Venue(comes_s=25)
    told, took_s = await watched(venue, "late")

    assert told.empty
    assert venue.cancelled_s is not None
    assert venue.cancelled_s - 25 < 3
    assert took_s < 35, "its end is known, nothing more is waited for"
    assert "1 orders got no answer" in capsys.readouterr().out


async def test_what_is_held_has_not_ended(autojump_clock: MockClock) -> None:
    """A taker delay lets no list show it, and it may rest when that is over (clob.md 3.9): it was
    taken for an order whose end is known, and left behind.
    """
    venue = Venue(comes_s=1, held_s=4)
    told, _ = await watched(venue, "late")

    assert told.empty
    assert venue.cancelled_s is not None


async def test_what_never_comes_is_waited_for(autojump_clock: MockClock) -> None:
    """As long as the edge may hold it, and no longer."""
    told, took_s = await watched(Venue(comes_s=1_000), "late")

    assert told.empty
    assert EDGE_S < took_s < EDGE_S + 5


async def test_what_the_venue_knows_is_not(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Most orders of the last minute have been cancelled a moment ago: nobody is kept waiting."""
    told, took_s = await watched(Venue(comes_s=0, cancelled_s=0.0), "one", "another")

    assert told.empty
    assert took_s < 2
    assert not capsys.readouterr().out


async def test_a_venue_that_does_not_answer_proves_nothing(autojump_clock: MockClock) -> None:
    """The exit code says so."""
    told, _ = await watched(Venue(comes_s=0, fails=True), "late")

    assert not told.empty


@pytest.mark.parametrize("off_s", [-400, 400])
async def test_on_a_machine_whose_clock_is_off(
    off_s: int, fast_clock: PatientClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine sets its clock and trades on; what is to stop it then is refused for the time that
    it signs with. So it goes by the venue's as well (F49).
    """
    async with scene(at_ms=HOUR_MS + 60_000) as it:
        ctx = it.bot.ctx
        market = await current_market(ctx.client, ctx.gamma, SERIES, ctx.clock.now_ms())
        assert isinstance(market, Market)
        order = await far_order(ctx.client, market)
        assert isinstance(order, NewOrder)
        await ctx.client.place([ctx.sign(order)])
        assert it.venue.live
        clock, told = ctx.clock.copy(), Told()
        clock.set_right(off_s * 1000)
        client = ClobClient(
            it.http, ctx.site, ctx.credentials, clock, funder=ctx.funder,
            signature_type=ctx.signature_type,
        )  # fmt: skip
        with trio.move_on_after(PATIENCE_S):
            await _empty_by(client, told)
        assert not it.venue.live
        assert abs(clock.now_ms() - ctx.clock.now_ms()) < 1_500

    assert told.empty
    assert f"{off_s:+d} s off" in capsys.readouterr().out


def test_a_journal_that_is_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody has been told to stop, then: it is said, and the code is none of success. The halt
    stands all the same.
    """
    access: Any = SimpleNamespace(journal=tmp_path / "new.sqlite3", owner="0x1")

    assert halt(access, T0) == (EXIT_STORAGE, [])
    said = capsys.readouterr()
    assert "no engine was told" in said.err
    assert "halted" in said.out
    assert halt(access, T0) == (0, [])
    assert not capsys.readouterr().err


@pytest.fixture
def contradictory(tmp_path: Path) -> Any:
    """The access to a wallet whose journal no books can take."""
    access = SimpleNamespace(journal=tmp_path / "one.sqlite3", owner="0x1")
    store = Store.open(access.journal, access.owner)
    store.append([(T0, Resolved("0xgone", 1_000_000, "chain"))])
    store.close()
    return access


def test_a_journal_that_contradicts_itself_is_halted(
    contradictory: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The halt is on record all the same, and the code says that something is wrong."""
    assert halt(contradictory, T0) == (EXIT_STORAGE, [])

    assert "contradicts" in capsys.readouterr().err
    store = Store.open(contradictory.journal, contradictory.owner)
    last = list(store.live())[-1].entry
    store.close()
    assert isinstance(last, Halted)
    assert last.name == Halt.STOPPED.value


def test_a_halt_that_cannot_be_written(
    contradictory: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the journal is let go."""

    def full(_store: Store, _entries: object) -> None:
        raise JournalFailed("the disk is full")

    monkeypatch.setattr(Store, "append", full)

    assert halt(contradictory, T0) == (EXIT_STORAGE, [])
    assert "not halted: the disk is full" in capsys.readouterr().err
    assert holder(contradictory.journal) is None


def test_no_rearming_of_a_journal_that_contradicts_itself(
    contradictory: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator is told why, in words; the next start puts it aside."""
    monkeypatch.setattr(Access, "of", lambda _said: contradictory)

    assert rearm([]) == EXIT_STORAGE
    assert "contradicts" in capsys.readouterr().err


def noted(number: int, at_s: float, entry: Entry) -> Stamped:
    return Stamped(number, T0 + int(at_s * 1000), entry)


def intent(order_id: str) -> Intent:
    return Intent(
        order_id, MARKET.condition_id, Outcome.UP, Side.BUY, 4800, 10 * SHARE, TimeInForce.GTC,
        expires_s=0, post_only=True, level=0, cause="a test", body=b"",
    )  # fmt: skip


@pytest.mark.parametrize("off_s", [-3_600, 3_600])
def test_a_second_stop_watches_for_the_same(off_s: int) -> None:
    """The first was left with Ctrl-C, and has written its halt by this machine's clock: an hour
    ahead nothing was of the last minute any more, an hour behind everything was.
    """
    entries = [
        noted(1, 10, intent("old")), noted(2, 90, intent("young")),
        noted(3, 95, intent("ended")), noted(4, 99, Ended(MARKET.condition_id, "ended", "matched")),
        noted(5, 100, intent("youngest")),
        noted(6, 101 + off_s, Halted(Halt.STOPPED.value, "python -m polybot stop --now")),
    ]  # fmt: skip

    assert _unanswered(entries) == ["young", "youngest"]
    assert [one.order_id for one in recover(entries).doubtful] == ["old", "young", "youngest"]


def test_whose_end_is_not_known() -> None:
    """Those of the journal's last minute, by its own time, which need not be this machine's."""
    entries = [
        noted(1, 10, intent("old")), noted(2, 60, intent("ended")), noted(3, 90, intent("young")),
        noted(4, 100, Ended(MARKET.condition_id, "ended", "cancelled")),
    ]  # fmt: skip

    assert _unanswered(entries) == ["young"]
    assert _unanswered([]) == []
