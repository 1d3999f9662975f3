"""What becomes of a damaged journal: it is put aside, and its wallet does not trade until somebody
has looked (F67). One whose entries contradict each other is damaged, whoever wrote it.

Nothing is read out of a damaged file: half of the truth about money is worse than none. The start
then finds out from the venue what it can tell – every open order is cancelled, cash is booked as
found, and markets in which the wallet holds shares that no journal explains are left alone – and
the halt stays until an operator has compared both and said `rearm`. The old file keeps all it had.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from polybot.domain.halts import Halt
from polybot.journal.damage import aside_of, inode
from polybot.journal.entries import Halted
from polybot.journal.recovery import recover
from polybot.journal.store import JournalCorrupt, JournalFailed, Store, quarantine

DAMAGED = Halt.JOURNAL_DAMAGED.value


@attrs.frozen
class Kept:
    """A journal that is kept from run to run. `aside` is where a damaged one lies now."""

    store: Store
    aside: Path | None = None


def kept_journal(path: Path, owner: str, at_ms: int) -> Kept:
    """Open the journal, or put it aside when it is damaged and begin a halted one.

    Raises JournalFailed for everything else that is wrong with it: a file that is locked, somebody
    else's, of a newer version, or on a disk that cannot be written is not made better by a new one.
    """
    judged = inode(path)
    try:
        return Kept(_readable(path, owner))
    except JournalCorrupt as damage:
        aside = aside_of(path, at_ms)
        why = f"{damage}; the damaged file is {aside.name}, and what it knew of orders, shares "
        why += "and their cost is lost to the program: compare the venue with it, then re-arm"
        try:
            quarantine(path, aside, judged, [(at_ms, Halted(DAMAGED, why))])
        except OSError as error:
            raise JournalFailed(f"{damage}; it cannot be put aside: {error}") from error
        return Kept(Store.open(path, owner), aside)


def _readable(path: Path, owner: str) -> Store:
    """The journal, proven readable to its last live entry, and taken by the books."""
    store = Store.open(path, owner)
    try:
        recover(store.live())
    except BaseException:
        store.close()
        raise
    return store
