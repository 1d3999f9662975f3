"""The journal as tasks see it: hand entries over, wait until they are on the disk.

One task writes, in a worker thread, everything that has been handed over since its last write:
while one `fsync` runs the next batch gathers, so the price of durability is one disk write for
however many entries. A failure, whosever it is, is for good: nothing may be placed any more
(cancels need no journal), nobody waits any more, and the process ends with its own exit code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import attrs
import trio
from loguru import logger

from polybot.clock import Clock
from polybot.journal import spare
from polybot.journal.disk import Disk, InThread
from polybot.journal.entries import Entry, Halted
from polybot.journal.store import JournalFailed, Store


@attrs.define(eq=False)
class _Batch:
    entries: list[tuple[int, Entry]] = attrs.field(factory=list)
    written: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class Journal:
    """`on_failure` hears once, with the reason. `unkept` are the halts that no file has taken."""

    store: Store
    clock: Clock
    on_failure: Callable[[str], None] = lambda _: None
    disk: Disk = attrs.field(factory=InThread)
    failed: str | None = None
    unkept: list[Halted] = attrs.field(factory=list)
    written: int = 0  # entries on the disk
    asked_at: float = math.inf  # since when the disk has a batch in hand, Trio seconds
    _gathering: _Batch = attrs.field(factory=_Batch)
    _handed_over: trio.Event = attrs.field(factory=trio.Event)

    def note(self, *entries: Entry) -> None:
        """Hand entries over without waiting: they are written soon, and in order."""
        self._hand_over(entries)

    async def append(self, *entries: Entry) -> None:
        """Hand entries over and wait until they are durable. Raises JournalFailed.

        Cancelled while waiting, the entries are written all the same.
        """
        batch = self._hand_over(entries)
        await batch.written.wait()
        if self.failed is not None:
            raise JournalFailed(self.failed)

    async def flush(self) -> None:
        """Wait until everything handed over is durable. Raises JournalFailed."""
        await self.append()

    def _hand_over(self, entries: tuple[Entry, ...]) -> _Batch:
        now_ms = self.clock.now_ms()
        batch = self._gathering
        if self.failed is not None:
            batch.written.set()
            entries = tuple(entry for entry in entries if isinstance(entry, Halted))
        batch.entries += [(now_ms, entry) for entry in entries]
        self._handed_over.set()
        return batch

    async def run(self) -> None:
        """Write until cancelled; what was handed over before that is written first."""
        try:
            while True:
                await self._handed_over.wait()
                await self._write()
        finally:
            with trio.CancelScope(shield=True):
                if self._gathering.entries:
                    await self._write()

    async def _write(self) -> None:
        batch, self._gathering = self._gathering, _Batch()
        self._handed_over = trio.Event()
        try:
            if batch.entries and self.failed is None:
                self.asked_at = trio.current_time()
                await self.disk.run(partial(self.store.append, batch.entries))
                self.written += len(batch.entries)
        except Exception as error:  # noqa: BLE001 - a fault of ours has written nothing either
            self.failed = str(error) if isinstance(error, JournalFailed) else repr(error)
            if not isinstance(error, JournalFailed):
                logger.opt(exception=error).error("the journal broke by a fault of our own")
            self._gathering.written.set()
            self.on_failure(self.failed)
        finally:
            self.asked_at = math.inf
            batch.written.set()
        if self.failed is not None:
            halts = [(at_ms, it) for at_ms, it in batch.entries if isinstance(it, Halted)]
            await self._keep_halts(halts)

    async def _keep_halts(self, halts: list[tuple[int, Halted]]) -> None:
        """Nobody tells the next start of them (brief seed 156)."""
        try:
            if halts:
                await self.disk.run(partial(spare.keep, self.store.path, halts))
        except OSError:
            self.unkept += [halt for _, halt in halts]
