"""A halt outlives the journal that could not take it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import trio
from journal_kit import CONDITION, OWNER, T0, intent, market

from polybot.clock import Clock
from polybot.journal import spare
from polybot.journal.entries import Ended, Entry, Halted, Known, Rearmed
from polybot.journal.recovery import Recovered, recover
from polybot.journal.store import JournalFailed, Store
from polybot.journal.writer import Journal

DRIFT, FOREIGN = Halted("ledger drift", "a cent"), Halted("foreign orders", "one of nobody's")


def recovered(path: Path) -> Recovered:
    """What the next start reads."""
    store = Store.open(path, OWNER)
    found = recover(store.live())
    store.close()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wallet.sqlite3"


def entries(path: Path) -> list[Entry]:
    store = Store.open(path, OWNER)
    found = [stamped.entry for stamped in store.live()]
    store.close()
    return found


class FullStore(Store):
    """One whose disk has no room left from the beginning."""

    def append(self, entries: object) -> None:
        raise JournalFailed("the disk is full")


async def fails(path: Path, *told: Entry) -> Journal:
    """A run whose journal takes nothing of what it is told."""
    store = Store.open(path, OWNER)
    assert store._lock is not None
    journal = Journal(FullStore(store._database, store._lock, path), Clock.starting_at(T0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        with pytest.raises(JournalFailed):
            await journal.append(intent(1))
        journal.note(*told)
        with pytest.raises(JournalFailed):
            await journal.append(*told[:1])
        nursery.cancel_scope.cancel()
    journal.store.close()
    return journal


async def test_a_halt_stands_though_the_journal_failed_before_it(path: Path) -> None:
    """Brief seed 156: the disk failed as somebody else's order was found, and the next start
    traded. Now the journal has the halt, once, when it is opened again (S12).
    """
    await fails(path, FOREIGN, intent(2), DRIFT)

    found = entries(path)
    assert found[:2] == [FOREIGN, DRIFT]
    assert recovered(path).halts.keys() == {DRIFT.name, FOREIGN.name}
    assert not spare.spare_of(path).exists()


async def test_a_halt_that_was_on_its_way_to_the_disk_stands(path: Path) -> None:
    """It was handed over together with what the disk did not take."""
    store = Store.open(path, OWNER)
    assert store._lock is not None
    journal = Journal(FullStore(store._database, store._lock, path), Clock.starting_at(T0))
    journal.note(intent(1), DRIFT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        nursery.cancel_scope.cancel()
    store.close()

    assert entries(path) == [DRIFT]


def test_what_an_operator_has_looked_at_does_not_come_again(path: Path) -> None:
    """The journal has taken it in before `rearm` ends it."""
    spare.keep(path, [(T0, DRIFT)])
    store = Store.open(path, OWNER)
    store.append([(T0 + 1, Rearmed("somebody"))])
    store.close()

    assert recovered(path).halts == {}


@pytest.mark.parametrize("length", [0, 1, 15, 30, 60])
def test_half_a_line_is_a_halt(path: Path, length: int) -> None:
    """The disk took only a part of it: that trading was halted is known, not why."""
    spare.keep(path, [(T0, FOREIGN)])
    file = spare.spare_of(path)
    file.write_bytes(file.read_bytes()[:length])

    assert entries(path) == [spare.UNREADABLE]


def test_a_journal_that_begins_anew_knows_of_no_halt(path: Path) -> None:
    """As it knows of no order: a paper run's venue is another one each time."""
    spare.keep(path, [(T0, FOREIGN)])
    Store.open(path, OWNER, fresh=True).close()

    assert entries(path) == []


async def test_a_halt_that_no_file_takes_is_told(path: Path) -> None:
    """The log is what is left; here something lies where the file would be."""
    spare.spare_of(path).mkdir(parents=True)
    journal = Journal(None, Clock.starting_at(T0))  # type: ignore[arg-type]  # never asked
    journal.store = type("Nowhere", (), {"path": path})()
    journal.failed = "the disk is gone"
    journal.note(DRIFT, intent(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        nursery.cancel_scope.cancel()

    assert journal.unkept == [DRIFT]
    with pytest.raises(JournalFailed, match="cannot be taken in"):
        Store.open(path, OWNER)


def test_a_halt_is_for_the_owner_alone(path: Path) -> None:
    """It tells what the wallet holds; the journal and the tape are no others' either."""
    before = os.umask(0o022)
    try:
        spare.keep(path, [(T0, DRIFT)])
    finally:
        os.umask(before)

    assert stat.S_IMODE(spare.spare_of(path).stat().st_mode) == 0o600


def test_a_halt_of_no_time_makes_no_order_doubtful(path: Path) -> None:
    """A full disk took the file's name alone. As of the year 1970 it was the journal's last word:
    every order of the open markets, thousands of them, was looked up as if its end were not known.
    """
    store = Store.open(path, OWNER)
    store.append([(T0, Known(market())), (T0 + 1, intent(1)), (T0 + 2, intent(2))])
    store.append([(T0 + 3, Ended(CONDITION, intent(1).order_id, "cancelled"))])
    store.close()
    spare.keep(path, [])

    found = recovered(path)
    assert found.last_ms == T0 + 3
    assert found.doubtful == [intent(2)]
    assert found.halts


def test_a_line_with_a_time_that_cannot_be(path: Path) -> None:
    """The start ends in words, with the file left for the operator to read."""
    spare.keep(path, [(10**30, DRIFT)])

    with pytest.raises(JournalFailed, match="cannot be taken in"):
        Store.open(path, OWNER)
    assert spare.spare_of(path).exists()
    spare.drop(path)
    Store.open(path, OWNER).close()
