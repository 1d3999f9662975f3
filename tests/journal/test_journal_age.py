"""A journal of months: a start's time depends on what is open, not on how long we have traded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from journal_kit import OWNER, T0, trade

from polybot.journal import entries as e
from polybot.journal.store import Store

DAY_MS = 86_400_000
READS: dict[str, Callable[[Store], object]] = {
    "what is open": lambda store: list(store.live()),
    "the day's transactions": lambda store: store.submitted(T0 - DAY_MS),
    "the last trades": lambda store: store.trades(T0 - DAY_MS),
}


def aged(path: Path, markets: int) -> Store:
    """A journal with so many closed markets of long ago, and one of today."""
    store = Store.open(path, OWNER)
    for number in range(markets + 1):
        at_ms = T0 - 2 * DAY_MS if number < markets else T0
        market = f"0x{number:064x}"
        told = [
            e.Told(market, attrs.evolve(trade(number=4 * number + n), condition_id=market))
            for n in range(4)
        ]
        moved = e.Moved(market, "merge", "asked", f"polybot-{number}.0", 5)
        lived: list[e.Entry] = [*told, moved, e.Closed(market, 5, 2, 1)]
        store.append([(at_ms, entry) for entry in lived])
    store.append([(T0, e.Carried(0, 0, 0, 0, 0, 0, T0 // 1000))])
    return store


def steps(store: Store, read: Callable[[Store], object]) -> int:
    """What SQLite does for a reading, in its machine's instructions."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    store._database.set_progress_handler(count, 1)
    read(store)
    store._database.set_progress_handler(None, 0)
    return counted


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_start_does_not_look_at_all_that_was(
    tmp_path: Path, read: Callable[[Store], object]
) -> None:
    """Ten times the past is no more work. It was a look at every page: seconds of each start, in
    which the loop stood still, and in the end the minute after which its service manager ends it.
    """
    young, old = aged(tmp_path / "young", 20), aged(tmp_path / "old", 200)

    assert steps(old, read) <= 1.5 * steps(young, read)
    young.close()
    old.close()


def test_an_older_journal_is_read_as_fast_once_it_is_opened(tmp_path: Path) -> None:
    """One that was written before trades had an index gets it at its next opening."""
    path = tmp_path / "old"
    store = aged(path, 200)
    before = store.trades(T0 - 3 * DAY_MS)
    store._database.execute("DROP INDEX told_trades")
    slow = steps(store, READS["the last trades"])
    store.close()

    again = Store.open(path, OWNER)
    assert 10 * steps(again, READS["the last trades"]) < slow
    assert again.trades(T0 - 3 * DAY_MS) == before
    again.close()
