"""The tape as tasks see it: hand an event over, and forget it.

One task writes, in a worker thread, at the latest `FLUSH_S` after the first event it has not
written, or when `FLUSH_EVENTS` have gathered. The tape is evidence, not truth: when the disk fails,
recording ends, is told as a fault, and the bot trades on (its journal is another matter). What the
disk is too slow for is dropped, counted, and said on the tape itself.

Files are bounded: a new one is begun when one is full, and the oldest of a folder are removed when
all together are too large. A file of another running process is never the oldest: it is written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import trio
from attrs.validators import and_, ge, le
from loguru import logger

from polybot.clock import Clock
from polybot.journal.disk import Disk, InThread
from polybot.journal.tape import Header, Kind, Writer

FLUSH_EVENTS = 1000
FLUSH_S = 0.25
WAITING_MOST = 200_000  # events not yet written; a minute of the busiest hour ever seen
SUFFIX = ".tape"
CORE = "core"  # the stream of what the core is fed


@attrs.frozen
class TapeParams:
    """`[tape]`: the record of everything heard, decided and sent."""

    folder: str = "tapes"
    """Folder of the tapes, within that of the journals; empty: no tape."""

    file_mb: int = attrs.field(default=128, validator=and_(ge(1), le(4096)))
    """Size at which a new file is begun; a busy market hour takes about 100."""

    keep_mb: int = attrs.field(default=4096, validator=and_(ge(2), le(1_000_000)))
    """Size of all tapes of the folder together, from which the oldest are removed."""

    def __attrs_post_init__(self) -> None:
        """Refuse a bound that one file would break; raises ValueError."""
        if self.file_mb > self.keep_mb:
            raise ValueError("'file_mb' must not be above 'keep_mb'")


Row = tuple[int, int, str, bytes]


def by_part(path: Path) -> tuple[int, str]:
    """The order of one run's files: from the ten thousandth on the number has a digit more."""
    return len(path.name), path.name


@attrs.frozen
class Flushed:
    """A file as it stood at a flush: `size` bytes of whole blocks, and what would end it there; a
    file that is written no more has its own end among them.
    """

    path: Path
    size: int
    end: bytes = b""


@attrs.define(eq=False)
class Recorder:
    """`on_failure` hears once, with the reason."""

    clock: Clock
    params: TapeParams
    folder: Path
    header: Header
    on_failure: Callable[[str], None] = lambda _: None
    disk: Disk = attrs.field(factory=InThread)
    failed: str | None = None
    written: int = 0
    dropped: int = 0
    _rows: list[Row] = attrs.field(factory=list)
    _unsaid: int = 0  # of the dropped
    _due: trio.Event = attrs.field(factory=trio.Event)
    _writer: Writer | None = None
    _writing: trio.Lock = attrs.field(factory=trio.Lock)  # a flight record flushes as well
    _part: int = 0

    @property
    def on(self) -> bool:
        """Whether events are kept."""
        return self.failed is None

    def note(self, kind: Kind, stream: str, body: bytes, at_ns: int) -> None:
        """Put an event on the tape."""
        if not self.on:
            return
        if len(self._rows) >= WAITING_MOST:
            self.dropped += 1
            self._unsaid += 1
            return
        self._rows.append((at_ns, kind, stream, body))
        if len(self._rows) == 1 or len(self._rows) == FLUSH_EVENTS:
            self._due.set()

    def heard(self, stream: str, body: bytes, at_ns: int) -> None:
        self.note(Kind.HEARD, stream, body, at_ns)

    def sent(self, stream: str, body: bytes) -> None:
        self.note(Kind.SENT, stream, body, self.clock.now_ns())

    def fed(self, body: bytes, at_ns: int) -> None:
        self.note(Kind.FED, CORE, body, at_ns)

    def decided(self, stream: str, body: bytes, at_ns: int) -> None:
        self.note(Kind.DECIDED, stream, body, at_ns)

    async def run(self) -> None:
        """Write until cancelled; what was handed over before that is written first."""
        try:
            while self.on:
                await self._due.wait()
                self._due = trio.Event()
                if len(self._rows) < FLUSH_EVENTS:
                    with trio.move_on_after(FLUSH_S):
                        await self._due.wait()
                await self.flush()
        finally:
            with trio.CancelScope(shield=True):
                await self.flush()
                self._close()

    def files(self) -> list[Path]:
        """This run's files so far, first to last, as far as they are still there."""
        return sorted(self.folder.glob(f"{self.header.run}-*{SUFFIX}"), key=by_part)

    async def flush(self) -> None:
        """Hand everything noted so far to the operating system."""
        async with self._writing:
            await self._flush()

    async def so_far(self) -> list[Flushed]:
        """Flush, and tell how the files stand. Raises OSError."""
        async with self._writing:
            await self._flush()
            return [self._stands(path) for path in self.files()]

    def _stands(self, path: Path) -> Flushed:
        if self._writer is not None and path == self._writer.path:
            return Flushed(path, self._writer.bytes, self._writer.end)
        return Flushed(path, path.stat().st_size)

    async def _flush(self) -> None:
        rows, self._rows = self._rows, []
        self._due = trio.Event()
        if not rows or not self.on:
            return
        if self._unsaid:
            said, self._unsaid = self._unsaid, 0
            rows.append((self.clock.now_ns(), Kind.TOLD, "tape", b"%d events dropped" % said))
        try:
            await self.disk.run(partial(self._write, rows))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends no more than a disk's does
            if not isinstance(error, OSError):
                logger.opt(exception=error).error("the tape broke by a fault of our own")
            self._fails(error)
        else:
            self.written += len(rows)

    def _fails(self, error: Exception) -> None:
        said = error.strerror if isinstance(error, OSError) else repr(error)
        self.failed = f"{self.folder}: {said or error}"
        self._rows = []
        self.on_failure(self.failed)

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if not self.on:
            writer.abandon()
            return
        try:
            writer.close()
        except OSError as error:
            self._fails(error)

    def _write(self, rows: list[Row]) -> None:
        if self._writer is None or self._writer.bytes >= self.params.file_mb * 1_000_000:
            self._next_file()
        assert self._writer is not None
        for begin in range(0, len(rows), FLUSH_EVENTS):
            self._writer.write(rows[begin : begin + FLUSH_EVENTS])

    def _next_file(self) -> None:
        if self._writer is not None:
            self._writer.close(goes_on=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            name = f"{self.header.run}-{self._part:04d}{SUFFIX}"
            header = attrs.evolve(self.header, part=self._part)
            self._part += 1
            try:
                self._writer = Writer(self.folder / name, header)
            except FileExistsError:  # a run that began in the same millisecond
                continue
            break
        prune(self.folder, self.params.keep_mb * 1_000_000, self._writer.path)


def prune(folder: Path, most_bytes: int, keep: Path) -> list[Path]:
    """Remove the oldest tapes until all together fit; `keep` stays. Returns what went."""
    files = []
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            status = path.stat()
        except OSError:  # another run prunes, too
            continue
        files.append((status.st_mtime_ns, path, status.st_size))
    total = sum(size for _, _, size in files)
    gone = []
    for _, path, size in sorted(files):
        if total <= most_bytes:
            break
        if path == keep:
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError:  # another user's, or a folder: it is no reason to end our own
            continue
        gone.append(path)
        total -= size
    return gone
