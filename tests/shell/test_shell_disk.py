"""The disk fails under a bot that trades: no new orders, cancels go on, exit code 4 (F66)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from shell_kit import playing

from polybot.journal.entries import Entry, Intent
from polybot.journal.store import JournalFailed, Store
from polybot.launch import EXIT_STORAGE
from polybot.patient_clock import PatientClock

FAILURES = {"full disk": "max_page_count = 1", "read-only": "query_only = 1"}


@pytest.mark.parametrize("failure", [*FAILURES, "I/O error"])
async def test_the_journal_fails_while_quoting(
    failure: str, fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the failure on no order reaches the venue, all that rest are cancelled, and whoever
    started the program is told by its exit code.
    """
    async with playing() as it:
        store = it.bot.ctx.account.journal.store
        if failure in FAILURES:
            store._database.execute(f"PRAGMA {FAILURES[failure]}")
            if failure == "full disk":
                store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            monkeypatch.setattr(Store, "append", _broken)
        await it.until(lambda: it.bot.ctx.account.journal.failed, "the failure is noticed")
        placed = len(it.venue.placed())
        summary = await it.ending()

        assert len(it.venue.placed()) == placed
        assert it.code == EXIT_STORAGE
        assert summary.live_orders_at_exit == 0
        assert summary.exit_reason.startswith("the journal failed")
        known = {s.entry.order_id for s in store.live() if isinstance(s.entry, Intent)}
        assert {event.order.id for event in it.venue.placed()} <= known


def _broken(_store: Store, _entries: Sequence[tuple[int, Entry]]) -> None:
    raise JournalFailed("the journal could not be written: disk I/O error")
