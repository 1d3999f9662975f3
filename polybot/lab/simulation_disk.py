"""The disk under a simulated bot: its journal and its tape are real files, and their troubles real
ones.

Every write of the journal takes its time on the virtual clock, milliseconds where nothing is wrong:
what is read before a write and acted upon after it may be another by then. A slow one takes longer.
A disk that takes no byte, or only the beginning of a write, is the kernel's own limit on the size
of files, lowered for the length of one write: the short count and the error come from `write(2)`,
and SQLite meets them where it would meet those of a device. A full one is SQLite's page limit,
which gives its ENOSPC. Rejected: raising an exception in the place of a write, which leaves the
file as sound as it was.
"""

from __future__ import annotations

import fcntl
import random
import resource
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import trio

from polybot.journal.entries import Entry, Intent, Rearmed, decode
from polybot.journal.recorder import Recorder
from polybot.journal.store import FORGOTTEN_FOR_ONE, Store
from polybot.lab.simulation_case import Ail, DiskTrouble
from polybot.lab.simulation_clock import WrongClock

PACE_MOST_S = 1.0


class WitnessedStore(Store):
    """A journal of which the judge knows what it has confirmed: by order, how many milliseconds its
    intent has waited for that; and what it has forgotten since, of closed markets.
    """

    clock: WrongClock
    confirmed: dict[str, int]
    forgotten: set[str] | None = None
    on_intents: Callable[[], None] | None = None  # what is to happen in the step of the next ones

    def append(self, entries: Sequence[tuple[int, Entry]]) -> None:
        super().append(entries)
        written = [(at_ms, entry) for at_ms, entry in entries if isinstance(entry, Intent)]
        intents = {it.order_id: int(self.clock.passed_s(at_ms) * 1000) for at_ms, it in written}
        self.confirmed |= intents
        if intents and self.on_intents is not None:
            self.on_intents()

    def _forget(self, before_ms: int, written: int) -> None:
        most = written * FORGOTTEN_FOR_ONE  # what was among so many stays among them if it stays
        there = self._oldest_intents(before_ms, most)
        super()._forget(before_ms, written)
        if there and self.forgotten is not None:
            self.forgotten |= there - self._oldest_intents(before_ms, most)

    def _oldest_intents(self, before_ms: int, most: int) -> set[str]:
        """The first orders of closed markets, of those from before then."""
        rows = self._database.execute(
            "SELECT json_extract(body, '$.order_id') FROM entries "
            "WHERE live = -1 AND kind = 'Intent' AND at_ms < ? ORDER BY at_ms, seq LIMIT ?",
            (before_ms, most),
        )
        return {order_id for (order_id,) in rows}

    def fill_up(self) -> None:
        """No page more than there is: what would grow the file fails as on a full disk."""
        (pages,) = self._database.execute("PRAGMA page_count").fetchone()
        self._database.execute(f"PRAGMA max_page_count = {pages}")

    def begin_log(self) -> None:
        """Take the write-ahead log into the file: the next append is at the log's beginning."""
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def let_go(self) -> None:
        """Its process is dead, and holds the journal no more; the tasks of it that still run do."""
        if self._lock is not None:  # it may have ended by itself in this very step
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def make_room(self) -> None:
        """Undo `fill_up`."""
        self._database.execute("PRAGMA max_page_count = 4294967294")


def paced(name: str, mean_ms: int) -> Callable[[], float]:
    """How long each write takes, drawn by this name: none longer than a second."""
    rng = random.Random(name)
    return lambda: min(rng.expovariate(1000 / mean_ms), PACE_MOST_S) if mean_ms else 0.0


@attrs.define(eq=False)
class SickDisk:
    """One file's disk, as `journal.disk.Disk`. `met` counts the troubles that a write has met;
    `pace` says how long the next write takes, in seconds, if nothing is wrong.
    """

    troubles: tuple[DiskTrouble, ...]
    now_s: Callable[[], float]
    met: Counter[str]
    store: WitnessedStore | None = None  # where the file is a journal …
    size: Callable[[], int] = lambda: 0  # … and of the last file, where it is a tape
    pace: Callable[[], float] = lambda: 0.0
    _known: set[DiskTrouble] = attrs.field(factory=set)

    async def run(self, work: Callable[[], None]) -> None:
        trouble = self._trouble()
        if trouble is not None and trouble not in self._known:
            self._known.add(trouble)
            self.met[f"disk {trouble.file} {trouble.ail.value}"] += 1
        takes_s = self.pace()
        if trouble is not None and trouble.ail is Ail.SLOW:
            takes_s, trouble = trouble.wait_s, None
        if takes_s:
            with trio.CancelScope(shield=True):
                await trio.sleep(takes_s)
        self._work(work, trouble)
        await trio.lowlevel.checkpoint()

    def _trouble(self) -> DiskTrouble | None:
        now_s = self.now_s()
        return next((t for t in self.troubles if t.at_s <= now_s < t.at_s + t.for_s), None)

    def _work(self, work: Callable[[], None], trouble: DiskTrouble | None) -> None:
        if trouble is None:
            work()
        elif self.store is not None and trouble.ail is Ail.FULL:
            self.store.fill_up()
            try:
                work()
            finally:
                self.store.make_room()
        else:
            with files_of(self._room(trouble)):
                work()

    def _room(self, trouble: DiskTrouble) -> int:
        """How far this disk lets a file grow."""
        if trouble.ail is Ail.BROKEN:
            return 0
        if self.store is not None:
            self.store.begin_log()
            return trouble.bytes
        return self.size() + (trouble.bytes if trouble.ail is Ail.SHORT else 0)


@contextmanager
def files_of(most: int) -> Iterator[None]:
    """While the body runs no file of this process may grow past `most` bytes, nor be written
    there. Python has the signal of it ignored, so that the write itself fails.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def tape_size(tape: Recorder) -> int:
    """Bytes of a tape's last file."""
    files = tape.files()
    return files[-1].stat().st_size if files else 0


def rearm(journal: Path, at_ms: int) -> None:
    """An operator has looked at a halt, and lets the next start trade."""
    store = Store.open(journal, "simulation")
    store.append([(at_ms, Rearmed("simulation"))])
    store.close()


def intents_in(journal: Path) -> set[str]:
    """The ids of all orders in a journal's file, those of closed markets too."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT kind, body FROM entries WHERE kind = 'Intent'")
        found = (decode(kind, body) for kind, body in rows)
        return {entry.order_id for entry in found if isinstance(entry, Intent)}
