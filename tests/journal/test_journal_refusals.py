"""A journal that cannot be opened is refused in words, whoever opens it, and let go of."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from journal_kit import OWNER, T0, intent

from polybot.journal.repair import kept_journal
from polybot.journal.store import JournalCorrupt, JournalFailed, Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "wallet.sqlite3"
    store = Store.open(found, OWNER)
    store.append([(T0, intent())])
    store.close()
    return found


def test_a_file_of_another_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that a group may write and only its owner may close to others. The exit code was that of
    a fault of our own, and `stop --now` said nothing of a halt that is not there.
    """

    def no(_path: Path, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "chmod", no)
        with pytest.raises(JournalFailed, match="Operation not permitted"):
            Store.open(path, OWNER)

    Store.open(path, OWNER).close()


def test_a_folder_of_another_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`stop --now` by somebody else than the service's user: whom to give it as is told. What no
    other user would help with says nothing of one.
    """

    def barred(_path: Path, **_how: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    def full(_path: Path, **_how: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", barred)
    with pytest.raises(JournalFailed, match="run this as the user who runs the bot"):
        Store.open(path, OWNER)
    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(JournalFailed, match=r"device$"):
        Store.open(path, OWNER)


def test_a_journal_of_another_venue_says_what_to_do(path: Path) -> None:
    """A rehearsal's exchange was started again: it is another venue, and knows nothing of it."""
    with pytest.raises(JournalFailed, match="move it away, or name another folder"):
        Store.open(path, "0x1 on http://127.0.0.1:2")


def test_a_schema_that_is_no_number(path: Path) -> None:
    """It is damaged like one whose pages are: put aside, and its wallet halted."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE meta SET value = '8x' WHERE key = 'schema'")
    with pytest.raises(JournalCorrupt):
        Store.open(path, OWNER)

    kept = kept_journal(path, OWNER, T0)
    kept.store.close()
    assert kept.aside is not None


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    """Nothing of it is touched."""
    place = tmp_path / "wallet.sqlite3"
    place.mkdir(mode=0o755)
    with pytest.raises(JournalFailed):
        Store.open(place, OWNER)

    assert place.stat().st_mode & 0o777 == 0o755
