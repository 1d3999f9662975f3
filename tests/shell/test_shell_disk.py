"""The disk fails under a bot that trades: no new orders, cancels go on, exit code 4 (F66)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import pytest
import trio
from shell_kit import clean, playing, shell_config

from polybot.disk_watch import DISK, EVERY_S, SLOW_S
from polybot.execution.params import OrderParams
from polybot.journal.disk import Disk
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


@attrs.define
class _Stuck:
    """A disk that takes what it is given and does not come back before `answers` is set."""

    disk: Disk
    answers: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, work: Callable[[], None]) -> None:
        with trio.CancelScope(shield=True):
            await self.answers.wait()
        await self.disk.run(work)


async def test_a_disk_that_does_not_answer(fast_clock: PatientClock) -> None:
    """It fails at nothing, and what fills is told to nobody before it is written: so what rests is
    withdrawn within seconds, and nothing is placed until the disk answers. Then every fill is in
    the books, once.
    """
    still = attrs.evolve(shell_config(), orders=OrderParams(hysteresis_ticks=20))
    async with playing(config=still) as it:
        it.market.taker_delay_ms = 0  # or our cancels might be quicker than who hits us
        await it.answered()
        journal = it.bot.ctx.account.journal
        disk = journal.disk = _Stuck(journal.disk)
        fills, placed = it.venue.fills, len(it.venue.placed())
        it.venue.hit(it.venue.live[0])
        assert it.venue.fills > fills
        await it.until(lambda: not it.venue.live, "nothing rests", 2 * SLOW_S + EVERY_S)
        assert it.gate == f"{DISK}: does not answer"
        assert len(it.venue.placed()) == placed

        disk.answers.set()
        await it.requoting()
        report = await it.end()

    assert report.halts[f"{DISK}: does not answer"] == 1
    clean(report)


def _broken(_store: Store, _entries: Sequence[tuple[int, Entry]]) -> None:
    raise JournalFailed("the journal could not be written: disk I/O error")
