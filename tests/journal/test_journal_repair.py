"""A damaged journal is put aside and its wallet halted; other trouble is left for the operator."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from journal_kit import CONDITION, OWNER, T0, intent, market

from polybot.journal.damage import aside_of, inode
from polybot.journal.entries import Entry, Halted, Known, Moved, Paid, Resolved, market_of
from polybot.journal.recovery import recover
from polybot.journal.repair import DAMAGED, kept_journal
from polybot.journal.store import JournalFailed, JournalInUse, Store, quarantine

WRITTEN: tuple[Entry, ...] = (Known(market()), *(intent(n) for n in range(1, 40)))
FLIPS = 150


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of an earlier run."""
    place = tmp_path / "wallet.sqlite3"
    store = Store.open(place, OWNER)
    store.append([(T0, entry) for entry in WRITTEN])
    store.close()
    return place


def halts(path: Path) -> dict[str, str]:
    kept = kept_journal(path, OWNER, T0 + 1)
    found = recover(kept.store.live()).halts
    kept.store.close()
    return found


def test_a_sound_journal_is_only_opened(path: Path) -> None:
    """Nothing is put aside, nothing halted, nothing lost."""
    kept = kept_journal(path, OWNER, T0 + 1)

    assert kept.aside is None
    assert [stamped.entry for stamped in kept.store.live()] == list(WRITTEN)
    kept.store.close()
    assert halts(path) == {}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "header": lambda raw: b"no database at all" + raw[18:],
    "cut in half": lambda raw: raw[: len(raw) // 2],
    "a zeroed page": lambda raw: raw[:4096] + bytes(4096) + raw[8192:],
    "an entry's text": lambda raw: raw.replace(b'"order_id":', b'"order_xx":', 1),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_journal_is_put_aside(path: Path, damage: Callable[[bytes], bytes]) -> None:
    """The wallet is halted with the reason and the name of the old file, which keeps its bytes; and
    the halt stands at the next start as well (F67).
    """
    spoilt = damage(path.read_bytes())
    path.write_bytes(spoilt)
    kept = kept_journal(path, OWNER, T0 + 1)
    (only,) = [stamped.entry for stamped in kept.store.live()]
    kept.store.close()

    assert isinstance(only, Halted)
    assert kept.aside is not None
    assert only.name == DAMAGED
    assert kept.aside.name in only.why
    assert kept.aside.read_bytes() == spoilt
    assert halts(path) == {DAMAGED: only.why}


CONTRADICTIONS: dict[str, Entry] = {
    "a result of no market": Resolved("0xgone", 1_000_000, "chain"),
    "more merged than held": Moved(CONDITION, "merge", "done", "1", 10, evidence="0x1"),
    "redeemed before its result": Moved(CONDITION, "redeem", "done", "1", 0, evidence="0x1"),
    "paid by nobody": Paid("gift", 1, "0x1"),
}


@pytest.mark.parametrize("written", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_journal_that_contradicts_itself_is_put_aside(path: Path, written: Entry) -> None:
    """What the books cannot take now no later start could take: the wallet is halted with the
    reason, and starts, instead of ending in the same fault for ever.
    """
    store = Store.open(path, OWNER)
    store.append([(T0, written)])
    store.close()
    kept = kept_journal(path, OWNER, T0 + 1)
    (only,) = [stamped.entry for stamped in kept.store.live()]
    kept.store.close()

    assert isinstance(only, Halted)
    assert only.name == DAMAGED
    assert f"({type(written).__name__}) contradicts those before it" in only.why
    assert f" of market {market_of(written)}" in only.why or not market_of(written)
    assert kept.aside is not None
    assert halts(path) == {DAMAGED: only.why}


def test_flipped_bytes_never_pass_for_the_truth_unseen(path: Path) -> None:
    """A bit flipped anywhere: the journal opens and reads, or it is put aside and halted; no start
    ever fails with anything but a refusal in words. What SQLite does not checksum – a digit inside
    an entry – is what the look-ups at the venue are for.
    """
    raw, rng = path.read_bytes(), random.Random(1)
    aside = 0
    for _ in range(FLIPS):
        at = rng.randrange(len(raw))
        for old in path.parent.glob("*"):
            old.unlink()
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :])
        try:
            kept = kept_journal(path, OWNER, T0 + 1)
        except JournalFailed:
            continue
        found = recover(kept.store.live())
        kept.store.close()
        assert (kept.aside is not None) == (DAMAGED in found.halts)
        aside += kept.aside is not None

    assert aside > 0


def test_a_newer_journal_is_not_put_aside(path: Path) -> None:
    """A downgrade is refused, and the file stays where it is (F78)."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE meta SET value = '999' WHERE key = 'schema'")
    database.close()
    with pytest.raises(JournalFailed, match="newer polybot"):
        kept_journal(path, OWNER, T0 + 1)

    assert [one.name for one in path.parent.glob("*damaged*")] == []


def test_a_journal_in_use_is_not_put_aside(path: Path) -> None:
    """Two engines are refused before anybody judges the file (F76)."""
    first = Store.open(path, OWNER)
    with pytest.raises(JournalInUse):
        kept_journal(path, OWNER, T0 + 1)
    first.close()


@pytest.mark.parametrize("pragma", ["query_only = 1", "max_page_count = 1"])
def test_a_disk_that_cannot_be_written(path: Path, pragma: str) -> None:
    """Read-only or full: an append is refused in words, and what was there stays (F66)."""
    store = Store.open(path, OWNER)
    store._database.execute(f"PRAGMA {pragma}")
    with pytest.raises(JournalFailed, match="could not be written"):
        store.append([(T0, Halted("x" * 100_000, "y"))])

    assert [stamped.entry for stamped in store.live()] == list(WRITTEN)
    store.close()


def test_a_file_somebody_else_writes(path: Path) -> None:
    """A file locked by another process's transaction is refused after a wait, not waited for."""
    store = Store.open(path, OWNER)
    store._database.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalFailed, match="locked"):
        store.append([(T0, Halted("a", "b"))])
    other.close()
    store.append([(T0, Halted("a", "b"))])
    store.close()


class Killed(BaseException):
    """The process is gone in the middle of it."""


@pytest.mark.parametrize("step", [0, 1, 2], ids=["halt kept", "moved", "moved with its log"])
def test_a_kill_while_a_journal_is_put_aside(
    step: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it comes, the next start is halted: it found no journal, began a new one and traded,
    with nothing known of what the wallet holds (F67).
    """
    path.write_bytes(b"no database at all" + path.read_bytes()[18:])
    path.with_name(path.name + "-wal").write_bytes(b"a log")
    moved, rename = list[Path](), Path.rename

    def moves(old: Path, new: Path) -> Path:
        if len(moved) == step:
            raise Killed
        moved.append(new)
        return rename(old, new)

    opens = Store.open

    def begins(place: Path, owner: str) -> Store:
        if moved:
            raise Killed
        return opens(place, owner)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", moves)
        patch.setattr(Store, "open", begins)
        with pytest.raises(Killed):
            kept_journal(path, OWNER, T0 + 1)

    assert len(moved) == step
    assert list(halts(path)) == [DAMAGED]
    assert list(halts(path)) == [DAMAGED], "and the start after it"


@pytest.mark.parametrize("log", [b"", b"a log"], ids=["none", "a damaged one"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_kill_after_a_journal_was_put_aside(
    path: Path, tmp_path: Path, damage: Callable[[bytes], bytes], log: bytes
) -> None:
    """What the new one has been told is there, in its file and the log of that: nothing that has to
    do with the old file is closed, and takes that log for its own, when the new one has begun.
    """
    path.write_bytes(damage(path.read_bytes()))
    if log:
        path.with_name(path.name + "-wal").write_bytes(log)
    kept = kept_journal(path, OWNER, T0 + 1)
    kept.store.append([(T0 + 2, Halted("later", "a test"))])
    died = tmp_path / "died"
    died.mkdir()
    for tail in ("", "-wal"):
        shutil.copyfile(path.with_name(path.name + tail), died / (path.name + tail))
    kept.store.close()

    assert kept.aside is not None
    assert list(halts(died / path.name)) == [DAMAGED, "later"]


def test_a_journal_that_cannot_be_put_aside(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written is told in words."""

    def no(_old: Path, _new: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    path.write_bytes(b"no database at all" + path.read_bytes()[18:])
    monkeypatch.setattr(Path, "rename", no)

    with pytest.raises(JournalFailed, match="cannot be put aside"):
        kept_journal(path, OWNER, T0 + 1)


def test_a_journal_that_somebody_has_begun_meanwhile(path: Path) -> None:
    """Of two starts on a damaged journal the first puts it aside and has a new one: the second
    moved that, and the first wrote on where no later start would look.
    """
    store = Store.open(path, OWNER)
    with pytest.raises(JournalInUse):
        quarantine(path, aside_of(path, T0), inode(path), [])

    store.append([(T0, Known(market()))])
    store.close()
    assert path.exists()
    assert not aside_of(path, T0).exists()


def test_a_journal_that_somebody_has_begun_and_left_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that had judged the damaged file before another one put it aside, lived and ended
    moved the good journal of that one, with all it knew of orders and money.
    """
    path.write_bytes(b"no database at all" + path.read_bytes()[18:])
    opens = Store.open

    def slowly(place: Path, owner: str) -> Store:
        try:
            return opens(place, owner)
        except JournalFailed:
            monkeypatch.setattr(Store, "open", opens)
            first = kept_journal(place, owner, T0 + 1)
            first.store.append([(T0 + 1, Known(market()))])
            first.store.close()
            raise

    monkeypatch.setattr(Store, "open", slowly)
    with pytest.raises(JournalInUse, match="put aside by another start"):
        kept_journal(path, OWNER, T0 + 2)

    store = Store.open(path, OWNER)
    assert [type(stamped.entry) for stamped in store.live()] == [Halted, Known]
    store.close()
