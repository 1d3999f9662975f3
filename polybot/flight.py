"""The flight recorder: when trading is halted or we break, one file with all that happened.

For somebody elsewhere, who has nothing but it: `python -m polybot replay FLIGHT.zip` makes the
decisions again, `tape cat` shows what was heard, the journal can be read, and `flight.json` tells
cause, settings, versions, ledger and summary. No secrets: tape and journal have none, and keys are
no settings. It is written while the halt stands or the process ends, in a worker thread, and never
in the way of a cancel; that it could not be written is told, and is no fault of its own.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

import attrs
import orjson
import trio
from loguru import logger

from polybot.context import Context
from polybot.domain.market import Outcome
from polybot.journal.disk import InThread
from polybot.journal.recorder import Flushed, Recorder
from polybot.summary import Summary, text

FOLDER = "flights"
KEPT = 20
ALL_MOST = 8_000_000_000  # bytes of all flights, but for the newest: each has the journal in it
ROOM_LEFT = 200_000_000  # bytes of the disk that are not ours: who writes the last has no journal
TAPES_MOST = 512_000_000  # bytes of tape in one flight: then the first parts are left out
PIECE = 1 << 20  # bytes of tape read at once
WAIT_S = 10.0  # for the disk, at the end of the process
STALE_S = 600.0  # how old a file must be that nobody finishes writing any more


@attrs.define(eq=False)
class FlightRecorder:
    """`told` gives the summary when it is asked for."""

    ctx: Context
    told: Callable[[], Summary]
    written: list[Path] = attrs.field(factory=list)
    _halted: trio.Event = attrs.field(factory=trio.Event)
    _cause: str = ""

    def halted(self, name: str, why: str) -> None:
        """Trading has stopped until an operator looks: the first cause is told."""
        self._cause = self._cause or f"{name}: {why}"
        self._halted.set()

    async def run(self) -> None:
        """Write one for the first halt: what follows from it is on the tape of the end."""
        await self._halted.wait()
        await self.write(self._cause)

    async def write(self, cause: str) -> Path | None:
        """Write a flight now; where it lies, or None when it could not be written."""
        place = self.ctx.account.journal.store.path.parent / FOLDER
        path = place / f"flight-{self.ctx.clock.now_ms()}-{len(self.written)}.zip"
        try:
            with trio.move_on_after(WAIT_S, shield=True) as patience:
                tapes, whole = await self._tapes()
                facts, told = self._facts(cause, tapes, whole=whole), self.told()
                journal = self.ctx.account.journal.store.path
                write = partial(_write, path, facts, told, journal, tapes)
                if isinstance(self.ctx.account.journal.disk, InThread):
                    await trio.to_thread.run_sync(write, abandon_on_cancel=True)
                else:  # a clock that would run on meanwhile
                    write()
                    await trio.lowlevel.checkpoint()
        except (OSError, sqlite3.Error) as error:
            logger.error("no flight record: {}", error)
            return None
        except Exception as error:  # noqa: BLE001 - what has broken us may break the summary, too
            logger.opt(exception=error).error("no flight record, by a fault of our own")
            return None
        if patience.cancelled_caught:
            logger.error("no flight record within {:g} s", WAIT_S)
            return None
        self.written.append(path)
        self.ctx.tell(f"flight record: {path}")
        logger.info("flight record: {}", path)
        return path

    async def _tapes(self) -> tuple[list[Flushed], bool]:
        """This run's tape so far, flushed, and whether it is all of it: the oldest parts are left
        out where it is too long.
        """
        tape = self.ctx.tape
        if not isinstance(tape, Recorder):
            return [], False
        files, chosen = await tape.so_far(), list[Flushed]()
        room = TAPES_MOST
        for file in reversed(files):
            room -= file.size
            if room < 0:
                break
            chosen.insert(0, file)
        return chosen, len(chosen) == len(files)

    def _facts(self, cause: str, tapes: Sequence[Flushed], *, whole: bool) -> dict[str, Any]:
        ctx, ledger = self.ctx, self.ctx.account.ledger
        return {
            "cause": cause,
            "at_ms": ctx.clock.now_ms(),
            "config_hash": ctx.config.digest,
            "settings": attrs.asdict(ctx.config, filter=lambda field, _: field.name != "keys"),
            "versions": ctx.tape.header.versions if isinstance(ctx.tape, Recorder) else {},
            "tapes": [file.path.name for file in tapes],
            "tape_whole": whole,
            "troubles": dict(ctx.health.troubles),
            "halts": dict(ctx.health.halted),
            "ledger": {
                "cash": ledger.cash,
                "equity": ledger.equity,
                "markets": {
                    books.market.slug: {
                        outcome.value: books.shares(outcome, final=False) for outcome in Outcome
                    }
                    for books in ledger.books.values()
                },
            },
        }


def _write(
    path: Path, facts: dict[str, Any], told: Summary, journal: Path, tapes: Sequence[Flushed]
) -> None:
    facts["summary"] = orjson.Fragment(text(told))  # long, of a long run: no loop waits for it
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_room(path.parent, journal, tapes)
    part = path.with_suffix(".part")
    copy = path.with_suffix(".sqlite3")
    try:
        part.touch(mode=0o600)
        # Tapes are compressed already.
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("flight.json", orjson.dumps(facts, option=orjson.OPT_INDENT_2))
            copy.touch(mode=0o600)
            _copy_journal(journal, copy)
            archive.write(copy, "journal.sqlite3")
            for tape in tapes:
                with archive.open(f"tapes/{tape.path.name}", "w") as there:
                    _copy_tape(tape, there)
        part.replace(path)
    finally:
        for left in (part, copy):
            left.unlink(missing_ok=True)
    _prune(path)


def _check_room(folder: Path, journal: Path, tapes: Sequence[Flushed]) -> None:
    """Raises OSError where a flight would take what the journal needs, which stops all trading."""
    files = (journal, journal.with_name(f"{journal.name}-wal"))
    copied = sum(one.stat().st_size for one in files if one.exists())  # and once more into the zip
    need = 2 * copied + sum(tape.size for tape in tapes) + ROOM_LEFT
    if shutil.disk_usage(folder).free < need:
        raise OSError(errno.ENOSPC, f"less than {need // 1_000_000} MB are free", str(folder))


def _prune(written: Path) -> None:
    """Remove all but the newest few, as far as there is room for them. Their names go by venues'
    clocks, which may be set back and on paper are of any year, so age is the disk's word, and what
    was written just now is the newest. What a killed process has left half written goes, too;
    another may be writing now.
    """
    at: dict[Path, float] = {}
    size: dict[Path, int] = {}
    for one in written.parent.glob("flight-*"):
        with suppress(FileNotFoundError):  # another run prunes, too
            status = one.stat()
            at[one], size[one] = status.st_mtime, status.st_size
    whole = sorted((p for p in at if p.suffix == ".zip"), key=lambda p: (p == written, at[p], p))
    behind = accumulate(size[p] for p in reversed(whole))  # each with all that are newer
    fit = sum(total <= ALL_MOST for total in behind)
    left = [p for p in at if p.suffix != ".zip" and at[p] < at[written] - STALE_S]
    for old in (*whole[: -max(1, min(KEPT, fit))], *left):
        with suppress(OSError):
            old.unlink()


def _copy_tape(tape: Flushed, there: IO[bytes]) -> None:
    """As far as it was flushed, and no further: what is written meanwhile may be half a block."""
    left = tape.size
    with tape.path.open("rb") as here:
        while left and (piece := here.read(min(left, PIECE))):
            left -= there.write(piece)
    there.write(tape.end)


def _copy_journal(journal: Path, copy: Path) -> None:
    """As it stands, by a connection of our own: the writer's is not waited for."""
    address = f"{journal.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(address, uri=True)) as there,
        closing(sqlite3.connect(copy)) as here,
    ):
        there.backup(here)
