"""The journal among tasks: durable when it says so, in order, many entries to one write."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from journal_kit import OWNER, T0, intent

from polybot.clock import Clock
from polybot.journal.disk import InLoop, InThread
from polybot.journal.entries import Entry, Paid, Rearmed
from polybot.journal.store import JournalFailed, Store
from polybot.journal.writer import Journal


class SpyStore(Store):
    """A store that remembers its appends and can be told to fail."""

    def __init__(self, real: Store) -> None:
        assert real._lock is not None
        super().__init__(real._database, real._lock, real.path)
        self.appends: list[list[Entry]] = []
        self.broken = ""

    def append(self, entries: object) -> None:
        if self.broken:
            raise JournalFailed(self.broken)
        super().append(entries)  # type: ignore[arg-type]  # as its own signature says
        self.appends.append([entry for _, entry in entries])  # type: ignore[attr-defined]


@asynccontextmanager
async def journal(tmp_path: Path, *, inline: bool) -> AsyncGenerator[tuple[Journal, SpyStore]]:
    store = SpyStore(Store.open(tmp_path / "j", OWNER))
    made = Journal(store, Clock.starting_at(T0), disk=InLoop() if inline else InThread())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        yield made, store
        nursery.cancel_scope.cancel()
    store.close()


both = pytest.mark.parametrize("inline", [True, False], ids=["inline", "thread"])


@both
async def test_append_returns_when_durable(tmp_path: Path, *, inline: bool) -> None:
    """After `append` another connection to the file would find the entry."""
    async with journal(tmp_path, inline=inline) as (made, store):
        await made.append(intent(1))
        assert [s.entry for s in store.live()] == [intent(1)]

        await made.append(intent(2), intent(3))
        assert [s.entry for s in store.live()] == [intent(1), intent(2), intent(3)]
        assert made.written == 3


@both
async def test_handed_over_together_is_written_together(tmp_path: Path, *, inline: bool) -> None:
    """Entries that wait share one write, and keep the order in which they came."""
    async with journal(tmp_path, inline=inline) as (made, store):
        made.note(intent(1))
        async with trio.open_nursery() as nursery:
            for number in range(2, 30):
                made.note(intent(number))
            nursery.start_soon(made.flush)

        assert [s.entry for s in store.live()] == [intent(n) for n in range(1, 30)]
        assert len(store.appends) <= 2


@both
async def test_a_failure_is_for_good_and_heard_once(tmp_path: Path, *, inline: bool) -> None:
    """Whoever waits, and whoever comes later, is told; the reason is reported one time (F66)."""
    async with journal(tmp_path, inline=inline) as (made, store):
        heard: list[str] = []
        made.on_failure = heard.append
        await made.append(intent(1))
        store.broken = "the disk is full"
        for number in (2, 3):
            with pytest.raises(JournalFailed, match="disk is full"):
                await made.append(intent(number))
        store.broken = ""
        with pytest.raises(JournalFailed):
            await made.flush()

        assert heard == ["the disk is full"]
        assert made.failed == "the disk is full"
        assert [s.entry for s in store.live()] == [intent(1)]


@both
async def test_an_entry_that_cannot_be_encoded(tmp_path: Path, *, inline: bool) -> None:
    """Who waits for it does not take it for written, who comes later does not wait for ever, and
    the program is told to stop: an order left unwritten, while the writer was dead.
    """
    async with journal(tmp_path, inline=inline) as (made, store):
        heard: list[str] = []
        made.on_failure = heard.append
        with pytest.raises(JournalFailed, match="64-bit"):
            await made.append(intent(1), Paid("deposit", 10**20, "a start"))
        with trio.fail_after(1), pytest.raises(JournalFailed):
            await made.append(intent(2))

        assert len(heard) == 1
        assert list(store.live()) == []


@both
async def test_cancelled_waiting_is_written_all_the_same(tmp_path: Path, *, inline: bool) -> None:
    """The caller may be cancelled; its entry is on its way and arrives."""
    async with journal(tmp_path, inline=inline) as (made, store):
        with trio.CancelScope() as scope:
            scope.cancel()
            await made.append(Rearmed("cancelled"))
        assert scope.cancelled_caught
        await made.flush()

        assert [s.entry for s in store.live()] == [Rearmed("cancelled")]


@both
async def test_what_is_noted_in_the_step_of_the_end_is_written(
    tmp_path: Path, *, inline: bool
) -> None:
    """The writer is awake already when it is cancelled, and has the entries in its hands."""
    async with journal(tmp_path, inline=inline) as (made, _):
        await made.append(intent(1))
        await trio.testing.wait_all_tasks_blocked()
        made.note(Rearmed("last words"))

    store = Store.open(tmp_path / "j", OWNER)
    assert [s.entry for s in store.live()] == [intent(1), Rearmed("last words")]
    store.close()


@both
async def test_the_last_entries_are_written_at_the_end(tmp_path: Path, *, inline: bool) -> None:
    """What was noted before the journal's task is cancelled is on the disk after it."""
    async with journal(tmp_path, inline=inline) as (made, _):
        made.note(Rearmed("last words"))

    store = Store.open(tmp_path / "j", OWNER)
    assert [s.entry for s in store.live()] == [Rearmed("last words")]
    store.close()
