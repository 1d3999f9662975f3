"""Death as a bot's venue and disk see it: from one step on nothing leaves, nothing is written.

`kill -9` cannot be sent to a task, so a death here is an exception that nothing in the bot catches,
raised in the step it is to happen in; what the bot's clean-up still tries meets the same exception.
The journal is copied as it lies on the disk at that step, with its write-ahead log and without the
tidy close that a killed process never does; the next bot starts from the copy.

The relayer's client works in a thread, out of the exception's reach. So every life has a door of
its own to the relayer, which dies with it: a submission that has passed it is executed, as one that
was on the wire when the process died, and whatever the thread of a dead bot still tries is not.
"""

from __future__ import annotations

import enum
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import attrs
import httpx

from polybot.exchange.request import Request, Response
from polybot.journal.entries import Entry
from polybot.journal.store import Store
from polybot.lab.stage import Handler

TAILS = ("", "-wal")
ORDER_PATHS = ("/order", "/orders", "/cancel-all", "/cancel-market-orders")


class Killed(BaseException):
    """The process is no more. Not an Exception: nobody may handle it."""


class Where(enum.Enum):
    """Which of its steps are counted, and where in the last of them it dies."""

    BEFORE_APPEND = "before an append"
    TORN = "in the middle of an append"
    AFTER_APPEND = "appended, nobody knows"
    SENDING = "a request is about to leave"
    ANSWERED = "a request was answered, nobody knows"
    SUBMITTING = "a transaction is about to leave"
    SUBMITTED = "the relayer has a transaction, nobody knows"


RELAYED = (Where.SUBMITTING, Where.SUBMITTED)
APPENDS = (Where.BEFORE_APPEND, Where.TORN, Where.AFTER_APPEND)


@attrs.define(eq=False)
class Fate:
    """One life of a bot: it ends in the `step`-th step of the kind `where`."""

    where: Where
    step: int
    journal: Path
    image: Path  # where the journal's copy will be
    rng: random.Random
    dead: bool = False
    appends: int = 0
    _steps: int = 0

    def comes(self) -> bool:
        self._steps += 1
        return self._steps == self.step

    def strike(self, torn_from: int | None = None) -> None:
        """Die here and now. Raises Killed."""
        self.dead = True
        take_image(self.journal, self.image)
        if torn_from is not None:
            self._tear(torn_from)
        raise Killed

    def _tear(self, from_size: int) -> None:
        """Cut the copy's log somewhere within what the last append has written to it."""
        log = self.image.with_name(f"{self.image.name}-wal")
        size = log.stat().st_size
        if size > from_size:
            with log.open("r+b") as file:
                file.truncate(self.rng.randrange(from_size, size))

    # --- where it listens: the bot's side of the wire ---------------------------------------

    async def sending(self, request: httpx.Request) -> None:
        if self.dead:
            raise Killed
        if self.where is Where.SENDING and request.url.path in ORDER_PATHS and self.comes():
            self.strike()

    async def answered(self, request: httpx.Request) -> None:
        if self.dead:
            raise Killed
        if self.where is Where.ANSWERED and request.url.path in ORDER_PATHS and self.comes():
            self.strike()

    # --- and the door to the relayer ----------------------------------------------------------

    async def relayed(self, request: Request, handle: Handler) -> Response:
        """Pass one request of this life on to the relayer. Raises Killed."""
        if self.dead:
            raise Killed
        mine = self.where in RELAYED and request.path == "/submit" and self.comes()
        if mine and self.where is Where.SUBMITTING:
            self.strike()
        answer = await handle(request)
        if mine:
            self.strike()
        return answer


class MortalStore(Store):
    """A journal whose process may die in any of its appends."""

    fate: Fate

    @classmethod
    def under(cls, fate: Fate, owner: str) -> MortalStore:
        store = cls.open(fate.journal, owner)
        assert isinstance(store, cls)
        store.fate = fate
        return store

    def append(self, entries: Sequence[tuple[int, Entry]]) -> None:
        fate = self.fate
        if fate.dead:
            raise Killed
        mine = fate.where in APPENDS and fate.comes()
        if mine and fate.where is Where.BEFORE_APPEND:
            fate.strike()
        log = fate.journal.with_name(f"{fate.journal.name}-wal")
        before = log.stat().st_size if log.exists() else 0
        super().append(entries)
        fate.appends += 1
        if mine:
            fate.strike(before if fate.where is Where.TORN else None)


def take_image(journal: Path, image: Path) -> None:
    """Copy a journal as it lies on the disk."""
    image.parent.mkdir(parents=True, exist_ok=True)
    for tail in TAILS:
        part = journal.with_name(journal.name + tail)
        if part.exists():
            shutil.copyfile(part, image.with_name(image.name + tail))
