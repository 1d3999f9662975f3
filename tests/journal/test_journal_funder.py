"""One key may sign for several wallets: a journal is of one of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from polybot.journal.store import JournalFailed, Store, live_journal_place
from polybot.launch import live_journal

KEY, SAFE = "0x" + "Ab" * 20, "0x" + "Cd" * 20


def test_the_money_of_another_address_is_refused(tmp_path: Path) -> None:
    """Who changes `funder` has another wallet, with other dollars and shares: they were booked as
    found beside those of the first, and its halts, losses and payments counted as this one's.
    """
    live_journal(tmp_path, KEY, KEY).close()
    live_journal(tmp_path, KEY, KEY.lower()).close()

    with pytest.raises(
        JournalFailed, match=f"of the money at {KEY.lower()}, not at {SAFE.lower()}"
    ):
        live_journal(tmp_path, KEY, SAFE)
    live_journal(tmp_path, KEY, KEY).close()  # and nobody has it open


def test_a_journal_that_does_not_say_belongs_to_who_opens_it_first(tmp_path: Path) -> None:
    """One of before, or one that only an operator's command has opened."""
    Store.open(*live_journal_place(tmp_path, KEY)).close()

    live_journal(tmp_path, KEY, SAFE).close()
    with pytest.raises(JournalFailed):
        live_journal(tmp_path, KEY, KEY)


def test_it_is_the_wallet_s_for_every_older_program(tmp_path: Path) -> None:
    """The owner and the schema stay: a version of before reads on."""
    live_journal(tmp_path, KEY, SAFE).close()
    path, owner = live_journal_place(tmp_path, KEY)

    with closing(sqlite3.connect(path)) as there:
        assert dict(there.execute("SELECT key, value FROM meta"))["owner"] == owner
    Store.open(path, owner).close()


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A disk that takes no word of it."""
    store = Store.open(*live_journal_place(tmp_path, KEY))
    store._database.execute("PRAGMA query_only = 1")

    with pytest.raises(JournalFailed, match="could not be written"):
        store.keep_funder(KEY)
    store.close()
