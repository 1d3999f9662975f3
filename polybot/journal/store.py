"""The journal's file: an append-only SQLite table that survives the death of the process.

WAL with `synchronous=FULL`: an append that has returned is on the disk, also after a power cut
(NORMAL may lose the last commits, reliability.md 1.6). One writer: a lock file beside the database
is held for the life of the process, so that two engines on one wallet are refused at the start
(F76) and a killed one leaves nothing to clean up.

A market's entries stay `live` until its books are closed; a restart reads only live ones, so its
time depends on what is open, not on how long we have traded. They are thousands, and orders of
other markets wait while they are marked: closing a market notes up to where, which is all that a
restart goes by, and they are marked a few with each append. Of a closed market what is about money
stays as evidence. How its orders lived – signed, answered, seen, ended: ninety-nine bytes of a
hundred – goes after `keep_orders_ms`, a few with each append; the pages are used again, so the file
stops growing. Rejected: to keep them for ever, which is gigabytes a day, and opening looks
at every page; and VACUUM, which writes the whole file anew while orders wait.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from polybot.domain.baseline import Baseline
from polybot.domain.earned import Earned
from polybot.domain.orders import TradeSeen
from polybot.journal import funder, lock_file, spare
from polybot.journal.damage import inode, judge
from polybot.journal.entries import (
    Carried,
    Closed,
    Entry,
    Halted,
    Moved,
    Told,
    TradesRead,
    decode,
    encode,
    market_of,
)

SCHEMA = 9  # raised with every change of the table, and of what an entry may be

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    market TEXT NOT NULL,
    live INTEGER NOT NULL DEFAULT 1,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS closing (market TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS live_entries ON entries (seq) WHERE live = 1;
CREATE INDEX IF NOT EXISTS market_entries ON entries (market) WHERE live = 1;
CREATE INDEX IF NOT EXISTS passing_entries ON entries (at_ms) WHERE live = -1;
CREATE INDEX IF NOT EXISTS moved_entries ON entries (at_ms) WHERE kind = 'Moved';
CREATE INDEX IF NOT EXISTS told_trades ON entries (at_ms)
    WHERE kind = 'Told' AND instr(body, 'TradeSeen') > 0;
"""
# What is read by its age is ordered by `+seq`: for `seq` alone SQLite goes through all there is.
# The index of trades reads no JSON: a byte that a disk has turned must not end another's writing.

# `live`: 1 what a restart reads, 0 evidence for good, -1 how an order of a closed market lived.
_LIVED = """CASE WHEN kind IN ('Intent', 'Answered', 'Ended')
    OR kind = 'Told' AND json_extract(body, '$.event.is') = 'OrderSeen' THEN -1 ELSE 0 END"""
# Of a market in `closing` nothing up to `last` is live any more, whatever its mark, but results.
_LIVE = """live = 1 AND (kind = 'Closed' OR NOT EXISTS
    (SELECT 1 FROM closing WHERE closing.market = entries.market AND seq <= last))"""
# What was still told of closed markets, once a sum takes the place of their results; but where a
# start has something to go on with: books that are opened again, an order, a transaction.
_LATE = """INSERT OR REPLACE INTO closing SELECT market, max(seq) FROM entries
    WHERE live = 1 AND market != '' GROUP BY market
    HAVING coalesce(max(seq) FILTER (WHERE kind IN ('Known', 'Intent', 'Moved')), 0)
        < max(seq) FILTER (WHERE kind = 'Closed')"""
HOUR_MS = 3_600_000
RETIRED_AT_ONCE = 250  # entries of closed markets that are marked with an append: milliseconds
FORGOTTEN_FOR_ONE = 4  # old entries that go for each new one: no order waits for a great cleaning


class JournalFailed(Exception):
    """The journal cannot be used; the text says why and what to do."""


class JournalInUse(JournalFailed):
    """Another process has it."""


class JournalCorrupt(JournalFailed):
    """The file is damaged, or contradicts itself: see `repair`."""


@attrs.frozen
class Stamped:
    """An entry and when it was written, in the order of writing."""

    seq: int
    at_ms: int
    entry: Entry


class Store:
    """One wallet's journal. Synchronous; used by one thread at a time."""

    def __init__(self, database: sqlite3.Connection, lock: int, path: Path) -> None:
        self.path = path
        self.keep_orders_ms = 6 * HOUR_MS
        self._database = database
        self._lock: int | None = lock

    @classmethod
    def open(cls, path: Path, owner: str, *, fresh: bool = False) -> Store:
        """Open or create the journal of `owner` (wallet and venue as one text). With `fresh`
        whatever is there is removed first: a venue that begins anew knows nothing of it.

        What an earlier run could only leave beside it is taken in (`spare`).

        Raises JournalFailed when another process has it, when it belongs to somebody else or was
        written by a newer version; JournalCorrupt when it is damaged.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _take_lock(path)
        except OSError as error:
            raise _shut(path, error) from error
        try:
            if fresh:
                _remove(path)
            database = _connect(path, owner)
        except sqlite3.DatabaseError as error:
            os.close(lock)
            kind = JournalFailed if isinstance(error, sqlite3.OperationalError) else JournalCorrupt
            raise kind(f"{path}: {error}") from error
        except OSError as error:  # another user's file
            os.close(lock)
            raise _shut(path, error) from error
        except JournalFailed:
            os.close(lock)
            raise
        store = cls(database, lock, path)
        try:
            store._take_spare()
        except (JournalFailed, OSError) as error:
            store.close()
            raise JournalFailed(f"{spare.spare_of(path)}: cannot be taken in: {error}") from error
        return store

    def _take_spare(self) -> None:
        """Halts that the journal could not take are its own from now on."""
        if halts := spare.kept(self.path):
            self._insert(halts)
            spare.drop(self.path)

    def append(self, entries: Sequence[tuple[int, Entry]]) -> None:
        """Write (at_ms, entry) pairs in one transaction; durable when this returns.

        Raises JournalFailed; then nothing of it was written.
        """
        self._insert(entries)

    def _insert(self, entries: Sequence[tuple[int, Entry]]) -> None:
        rows = [(at_ms, *encode(entry), market_of(entry)) for at_ms, entry in entries]
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(
                    "INSERT INTO entries (at_ms, kind, body, market) VALUES (?, ?, ?, ?)", rows
                )
                for _, entry in entries:
                    self._retire(entry)
                if entries:
                    self._retire_some()
                    self._forget(entries[-1][0] - self.keep_orders_ms, len(entries))
        except (sqlite3.Error, OSError, OverflowError) as error:
            raise JournalFailed(f"the journal could not be written: {error}") from error

    def _retire(self, entry: Entry) -> None:
        """What an entry makes mere evidence: a closed market's entries but for its result, by a sum
        of the wallet what has gone into it, and of what is told whole every one but the last.
        """
        if isinstance(entry, Closed):
            self._database.execute(
                "INSERT OR REPLACE INTO closing SELECT ?, max(seq) FROM entries",
                (entry.condition_id,),
            )
        elif isinstance(entry, Baseline | Earned | TradesRead):
            # Of no market, by an index: orders of those that are open may be ten thousands.
            self._database.execute(
                "UPDATE entries SET live = 0 WHERE live = 1 AND market = '' AND kind = :kind "
                "AND seq < (SELECT max(seq) FROM entries WHERE kind = :kind)",
                {"kind": type(entry).__name__},
            )
        elif isinstance(entry, Carried):
            self._database.execute(_LATE)
            self._database.execute(
                "UPDATE entries SET live = 0 WHERE live = 1 "
                "AND kind IN ('Session', 'Paid', 'Closed', 'Carried') "
                "AND seq < (SELECT max(seq) FROM entries WHERE kind = 'Carried')"
            )

    def _retire_some(self) -> None:
        """Mark some of what a closed market has left, the market that was closed first."""
        first = self._database.execute("SELECT market, last FROM closing ORDER BY last LIMIT 1")
        closing = first.fetchone()
        if closing is None:
            return
        marked = self._database.execute(
            f"UPDATE entries SET live = {_LIVED} "  # noqa: S608 - our own text
            "WHERE seq IN (SELECT seq FROM entries "
            "WHERE live = 1 AND market = ? AND seq <= ? AND kind != 'Closed' LIMIT ?)",
            (*closing, RETIRED_AT_ONCE),
        )
        if marked.rowcount < RETIRED_AT_ONCE:
            self._database.execute("DELETE FROM closing WHERE market = ?", closing[:1])

    def _forget(self, before_ms: int, written: int) -> None:
        """Remove how orders of closed markets lived, the oldest first."""
        self._database.execute(
            "DELETE FROM entries WHERE seq IN (SELECT seq FROM entries "
            "WHERE live = -1 AND at_ms < ? ORDER BY at_ms LIMIT ?)",
            (before_ms, written * FORGOTTEN_FOR_ONE),
        )

    def live(self) -> Iterator[Stamped]:
        """What a restart must know, oldest first. Raises JournalCorrupt for an unreadable entry."""
        try:
            rows = self._database.execute(
                "SELECT seq, at_ms, kind, body FROM entries "  # noqa: S608 - our own text
                f"WHERE {_LIVE} ORDER BY seq"
            )
            for seq, at_ms, kind, body in rows:
                yield Stamped(seq, at_ms, decode(kind, body))
        except ValueError as error:
            raise JournalCorrupt(f"an entry cannot be read: {error}") from error
        except sqlite3.Error as error:  # a page that the check at the opening let pass, too
            raise JournalCorrupt(f"the entries cannot be read: {error}") from error

    def submitted(self, since_ms: int) -> list[int]:
        """When transactions were asked for since then, one stamp for each submission; those of
        markets long closed, too. Raises JournalCorrupt.
        """
        try:
            rows = self._database.execute(
                "SELECT at_ms, body FROM entries WHERE kind = 'Moved' AND at_ms >= ? ORDER BY +seq",
                (since_ms,),
            ).fetchall()
            found = {}
            for at_ms, body in rows:
                entry = decode("Moved", body)
                if isinstance(entry, Moved) and entry.step == "asked":
                    found[entry.submission] = at_ms
        except (ValueError, sqlite3.Error) as error:
            raise JournalCorrupt(f"the operations cannot be read: {error}") from error
        return list(found.values())

    def trades(self, since_ms: int) -> list[tuple[int, TradeSeen]]:
        """What was told of trades since then, and when, in that order; of markets long closed, too.
        Raises JournalCorrupt.
        """
        try:
            rows = self._database.execute(
                "SELECT at_ms, body FROM entries WHERE kind = 'Told' AND at_ms >= ? "
                "AND instr(body, 'TradeSeen') > 0 ORDER BY +seq",
                (since_ms,),
            ).fetchall()
            told = [(at_ms, decode("Told", body)) for at_ms, body in rows]
        except (ValueError, sqlite3.Error) as error:
            raise JournalCorrupt(f"the trades cannot be read: {error}") from error
        return [
            (at_ms, entry.event)
            for at_ms, entry in told
            if isinstance(entry, Told) and isinstance(entry.event, TradeSeen)
        ]

    def keep_funder(self, address: str) -> None:
        """Be of the money at this address from now on (`funder`). Raises JournalFailed."""
        try:
            funder.keep(self._database, self.path, address)
        except (funder.AnotherFunder, sqlite3.Error) as error:
            what = "" if isinstance(error, funder.AnotherFunder) else "it could not be written: "
            raise JournalFailed(f"{what}{error}") from error

    def close(self) -> None:
        """Let the file and the lock go. Once is enough, more is no fault."""
        self._database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def live_journal_place(folder: Path, wallet: str) -> tuple[Path, str]:
    """A live wallet's journal: its file, and whose it is."""
    name = wallet.lower()
    return folder / f"{name}.sqlite3", f"{name} on Polymarket"


def quarantine(path: Path, aside: Path, judged: int, halts: Sequence[tuple[int, Halted]]) -> None:
    """Put a damaged journal aside, with its companions, and leave halts for the next one. Raises
    JournalInUse where somebody has it by now, or has had: the file is another than was `judged` (an
    inode, which the damaged one keeps where it lies aside); OSError.
    """
    lock = _take_lock(path)
    try:
        if inode(path) != judged:
            raise JournalInUse(f"{path} was put aside by another start meanwhile: start again")
        # Before anything is moved: who is killed on the way leaves no new journal without a halt.
        if halts:
            spare.keep(path, halts)
        for tail in ("", "-wal", "-shm"):
            part = path.with_name(path.name + tail)
            if part.exists():
                part.rename(aside.with_name(aside.name + tail))
    finally:
        os.close(lock)


def _remove(path: Path) -> None:
    spare.drop(path)
    for tail in ("", "-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)


def _shut(path: Path, error: OSError) -> JournalFailed:
    whose = "; run this as the user who runs the bot" if isinstance(error, PermissionError) else ""
    return JournalFailed(f"{path}: cannot be opened: {error.strerror}{whose}")


def _take_lock(path: Path) -> int:
    try:
        return lock_file.take(path)
    except lock_file.Held as by:
        text = f"{path} is in use by process {by}: one engine per wallet; stop the other first"
        raise JournalInUse(text) from None


def _connect(path: Path, owner: str) -> sqlite3.Connection:
    judge(path)
    # The limiter of `Journal` guarantees one user at a time; threads may differ (trio.md 12).
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2)
    try:
        path.chmod(0o600)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_TABLES)
        _check_owner(database, path, owner)
    except BaseException:
        database.close()
        raise
    return database


def _check_owner(database: sqlite3.Connection, path: Path, owner: str) -> None:
    meta = dict(database.execute("SELECT key, value FROM meta"))
    if not meta:
        # One statement: a file cut between two of them would belong to nobody.
        database.execute(
            "INSERT INTO meta VALUES ('schema', ?), ('owner', ?)", (str(SCHEMA), owner)
        )
        return
    if meta.get("owner") != owner:
        whose = f"{path} belongs to {meta.get('owner')}, not to {owner}"
        raise JournalFailed(f"{whose}; move it away, or name another folder: [journal]")
    try:
        written = int(meta.get("schema", "0"))
    except ValueError:
        raise JournalCorrupt(f"{path}: damaged: no schema has this name") from None
    if written > SCHEMA:
        raise JournalFailed(
            f"{path} was written by a newer polybot (schema {written}, ours is {SCHEMA}): "
            "run that version; a downgrade would misread it"
        )
    if written < 7:  # all of a closed market was evidence
        database.execute(f"UPDATE entries SET live = {_LIVED} WHERE live = 0")  # noqa: S608
    if written < SCHEMA:
        database.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(SCHEMA),))
