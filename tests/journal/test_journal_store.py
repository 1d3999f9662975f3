"""The journal's file: what was appended is there after any death of the process."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import attrs
import pytest
from journal_kit import CONDITION, ONE_OF_EACH, OWNER, T0, intent, market, seen, trade

from polybot.domain.orders import Reject, Rejected, TradeStatus
from polybot.journal import entries as e, store as store_module
from polybot.journal.damage import aside_of, inode
from polybot.journal.store import JournalCorrupt, JournalFailed, Store, quarantine

OTHER = "0x" + "cd" * 32
POINTS = 1_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "wallet.sqlite3"


def reopened(path: Path) -> list[e.Entry]:
    store = Store.open(path, OWNER)
    try:
        return [stamped.entry for stamped in store.live()]
    finally:
        store.close()


def test_appended_is_read_back_in_order(path: Path) -> None:
    """Entries come back in the order of writing, stamped, after the file was closed."""
    store = Store.open(path, OWNER)
    written = ONE_OF_EACH[:-2]
    store.append([(T0 + n, entry) for n, entry in enumerate(written)])
    found = list(store.live())
    store.close()

    assert [stamped.entry for stamped in found] == list(written)
    assert [stamped.at_ms for stamped in found] == [T0 + n for n in range(len(found))]
    assert [stamped.seq for stamped in found] == sorted({stamped.seq for stamped in found})
    assert reopened(path) == list(written)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_folder_is_its_owners_alone(path: Path) -> None:
    """Also under a mask that takes nothing away, as of some containers: who may write there could
    put another journal in this one's place, or take the lock away that a second engine is to find.
    """
    before = os.umask(0)
    try:
        Store.open(path, OWNER).close()
    finally:
        os.umask(before)

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {one.stat().st_mode & 0o777 for one in path.parent.iterdir()} == {0o600}


def test_closing_a_market_retires_its_entries(path: Path) -> None:
    """A restart reads what is open: a closed market leaves its result, others stay whole."""
    store = Store.open(path, OWNER)
    other = intent(2, OTHER)
    store.append([(T0, e.Known(market())), (T0, intent()), (T0, other), (T0, e.Rearmed("me"))])
    store.append([(T0, e.Closed(CONDITION, 5, 2, 1))])

    assert [s.entry for s in store.live()] == [other, e.Rearmed("me"), e.Closed(CONDITION, 5, 2, 1)]
    store.close()


def test_a_sum_takes_the_place_of_its_parts(path: Path) -> None:
    """Sessions, payments and results give way to the wallet's sum; open markets and halts stay."""
    store = Store.open(path, OWNER)
    early: tuple[e.Entry, ...] = (
        e.Session("start", "1", "d"),
        e.Paid("deposit", 5, "x"),
        e.Closed(OTHER, 1, 0, 0),
    )
    store.append([(T0, entry) for entry in (*early, e.Halted("a", "b"), intent())])
    carried = e.Carried(5, 1, 0, 0, 0, 0, 7)
    store.append([(T0, e.Session("start", "2", "d")), (T0, carried)])
    store.append([(T0, e.Paid("rebate", 2, "y"))])

    kept = [e.Halted("a", "b"), intent(), carried, e.Paid("rebate", 2, "y")]
    assert [stamped.entry for stamped in store.live()] == kept
    store.close()


def test_of_what_is_told_whole_the_last_is_enough(path: Path) -> None:
    """How far trades were read is written twice a minute: a restart reads one of them."""
    store = Store.open(path, OWNER)
    store.append([(T0, intent()), (T0, e.TradesRead(1)), (T0, e.TradesRead(2))])
    store.append([(T0, e.Rearmed("me")), (T0, e.TradesRead(3))])
    store.append([(T0, e.Carried(5, 1, 0, 0, 0, 0, 7))])

    kept = [intent(), e.Rearmed("me"), e.TradesRead(3), e.Carried(5, 1, 0, 0, 0, 0, 7)]
    assert [stamped.entry for stamped in store.live()] == kept
    store.close()


def test_a_second_engine_is_refused(path: Path) -> None:
    """One engine per wallet (F76): the second is told who has the journal."""
    store = Store.open(path, OWNER)
    with pytest.raises(JournalFailed, match=r"in use by process \d+"):
        Store.open(path, OWNER)
    store.close()

    Store.open(path, OWNER).close()


def test_a_killed_process_leaves_no_lock(path: Path) -> None:
    """kill −9: what it had appended is there, and nothing needs cleaning up."""
    program = (
        "import os, pathlib, signal, sys\n"
        "from polybot.journal.store import Store\n"
        "from polybot.journal.entries import Rearmed\n"
        f"store = Store.open(pathlib.Path(sys.argv[1]), {OWNER!r})\n"
        "store.append([(1, Rearmed('before the kill'))])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)  # noqa: S603

    assert done.returncode == -9
    assert reopened(path) == [e.Rearmed("before the kill")]


def test_the_wrong_wallet_is_refused(path: Path) -> None:
    """A journal answers to one wallet at one venue."""
    Store.open(path, OWNER).close()
    with pytest.raises(JournalFailed, match="belongs to"):
        Store.open(path, "0xsomebody else")

    Store.open(path, OWNER).close()  # and the refusal has let the lock go


def test_a_downgrade_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older program may not read what a newer one wrote (F77); a newer one may read the old."""
    monkeypatch.setattr(store_module, "SCHEMA", 2)
    Store.open(path, OWNER).close()
    monkeypatch.setattr(store_module, "SCHEMA", 1)
    with pytest.raises(JournalFailed, match="newer polybot"):
        Store.open(path, OWNER)
    monkeypatch.setattr(store_module, "SCHEMA", 3)

    Store.open(path, OWNER).close()


def test_a_damaged_file_is_refused_and_put_aside(path: Path) -> None:
    """Flipped bytes are noticed at the start; the file is kept for whoever wants to look (F67)."""
    store = Store.open(path, OWNER)
    store.append([(T0, intent(n)) for n in range(200)])
    store.close()
    raw = bytearray(path.read_bytes())
    rng = random.Random(1)
    for _ in range(400):
        raw[rng.randrange(len(raw))] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(JournalCorrupt):
        Store.open(path, OWNER)

    aside = aside_of(path, T0)
    quarantine(path, aside, inode(path), [])

    assert aside.exists()
    assert reopened(path) == []


def test_no_journal_at_all(tmp_path: Path) -> None:
    """A folder that cannot be made: the reason, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalFailed, match="cannot be opened"):
        Store.open(tmp_path / "file" / "journal", OWNER)


def test_a_full_disk(path: Path) -> None:
    """An append that fails says so and leaves nothing half written (F66)."""
    store = Store.open(path, OWNER)
    store.append([(T0, e.Rearmed("before"))])
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(JournalFailed, match="could not be written"):
        store.append([(T0, intent(n)) for n in range(500)])

    assert [s.entry for s in store.live()] == [e.Rearmed("before")]
    store.close()


def test_every_cut_of_the_file_is_a_prefix(path: Path, tmp_path: Path) -> None:
    """Crash points: the log cut at any byte opens, and holds whole appends from the first on."""
    store = Store.open(path, OWNER)
    appends = [[(T0 + n, intent(2 * n)), (T0 + n, intent(2 * n + 1))] for n in range(60)]
    for append in appends:
        store.append(append)
    written = [entry for append in appends for _, entry in append]
    log = path.with_name(path.name + "-wal")
    raw, rng, longest = log.read_bytes(), random.Random(2), 0
    assert len(raw) > 100_000
    for point in range(POINTS):
        cut = tmp_path / f"cut{point}" / path.name
        cut.parent.mkdir()
        shutil.copy(path, cut)
        cut.with_name(log.name).write_bytes(raw[: rng.randrange(len(raw) + 1)])
        found = reopened(cut)
        assert found == written[: len(found)], f"cut {point} is no prefix"
        assert len(found) % 2 == 0, f"cut {point} has half an append"
        longest = max(longest, len(found))
        shutil.rmtree(cut.parent)
    store.close()

    assert longest > 100


def test_stamped_is_frozen() -> None:
    """What was read is not changed."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        store_module.Stamped(1, T0, e.Rearmed("x")).seq = 2  # type: ignore[misc]


def test_submissions_are_counted_after_their_markets_are_closed(path: Path) -> None:
    """The relayer's quota of a day outlives markets and processes: one stamp for a batch, none for
    its later steps, none from before (onchain.md 7.4).
    """
    store = Store.open(path, OWNER)
    early = e.Moved(CONDITION, "merge", "asked", "polybot-0.0", 5)
    one, two = (e.Moved(CONDITION, "merge", "asked", f"polybot-1.{n}", 5) for n in range(2))
    store.append([(T0, early), (T0 + 5, one), (T0 + 5, two)])
    store.append(
        [(T0 + 6, attrs.evolve(one, step="sent")), (T0 + 7, attrs.evolve(one, step="done"))]
    )
    store.append([(T0 + 8, e.Closed(CONDITION, 5, 2, 1))])
    store.append([(T0 + 9, e.Moved(OTHER, "redeem", "asked", "polybot-2.0", 5))])

    assert store.submitted(T0 + 1) == [T0 + 5, T0 + 9]
    store.close()


def test_trades_are_told_after_their_markets_are_closed(path: Path) -> None:
    """Every word of one, with its time and in order; none of before, and no order's."""
    store = Store.open(path, OWNER)
    store.append([(T0, e.Told(CONDITION, trade())), (T0 + 1, e.Told(CONDITION, seen()))])
    failed, later = trade(TradeStatus.FAILED), trade(number=2)
    store.append([(T0 + 2, e.Told(CONDITION, failed)), (T0 + 3, e.Closed(CONDITION, 5, 2, 1))])
    store.append([(T0 + 4, e.Told(OTHER, later))])

    assert store.trades(T0 + 1) == [(T0 + 2, failed), (T0 + 4, later)]
    store.close()


# --- what is kept of a closed market --------------------------------------------------------------

HOUR = store_module.HOUR_MS
LIFE: tuple[e.Entry, ...] = (
    intent(),
    e.Answered(CONDITION, Rejected("0x1", Reject.TICK, "no")),
    e.Told(CONDITION, seen()),
    e.Ended(CONDITION, "0x1", "cancelled"),
)
MONEY: tuple[e.Entry, ...] = (
    e.Known(market()),
    e.Told(CONDITION, trade()),
    e.Moved(CONDITION, "merge", "asked", "polybot-1.0", 5),
    e.Resolved(CONDITION, 1_000_000, "the venue"),
)


def everything(path: Path) -> list[tuple[str, int]]:
    """Kind and liveness of whatever the file has, in order."""
    with closing(sqlite3.connect(path)) as database:
        return list(database.execute("SELECT kind, live FROM entries ORDER BY seq"))


def test_how_orders_lived_is_forgotten_later(path: Path) -> None:
    """It is there for as long as somebody may want to look after a halt, and goes while others are
    written; what is about money stays for good, and so does what is still open.
    """
    store = Store.open(path, OWNER)
    store.keep_orders_ms = 2 * HOUR
    store.append([(T0, entry) for entry in (*LIFE, *MONEY)])
    store.append([(T0 + 1, intent(2, OTHER)), (T0 + 2, e.Closed(CONDITION, 5, 2, 1))])
    store.append([(T0 + 2 * HOUR, intent(3, OTHER))])
    assert len(everything(path)) == len(LIFE) + len(MONEY) + 3

    store.append([(T0 + 2 * HOUR + 1, intent(4, OTHER))])

    open_ = ("Intent", 1)
    kept = [(type(entry).__name__, 0) for entry in MONEY]
    assert everything(path) == [*kept, open_, ("Closed", 1), open_, open_]
    assert next(stamped.entry for stamped in store.live()) == intent(2, OTHER)
    store.close()


def test_the_oldest_go_first_and_a_few_at_once(path: Path) -> None:
    """An order that is about to be sent waits for the disk: no more than four go for each."""
    store = Store.open(path, OWNER)
    store.append([(T0 + n, intent(n)) for n in range(7)])
    store.append([(T0 + 9, e.Closed(CONDITION, 0, 0, 0))])
    store.keep_orders_ms = 0
    store.append([(T0 + 9, e.Rearmed("a"))])
    assert [kind for kind, _ in everything(path)] == ["Intent"] * 3 + ["Closed", "Rearmed"]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT min(at_ms) FROM entries").fetchone() == (T0 + 4,)

    store.append([(T0 + 9, e.Rearmed("a"))])
    assert [kind for kind, _ in everything(path)] == ["Closed", "Rearmed", "Rearmed"]
    store.close()


def test_the_room_is_used_again(path: Path) -> None:
    """A file that has had a hundred markets is about as large as one that has had ten."""
    sizes = []
    store = Store.open(path, OWNER)
    store.keep_orders_ms = HOUR
    for number in range(100):
        condition, at_ms = f"0x{number:064x}", T0 + number * HOUR // 4
        store.append([(at_ms, intent(n, condition)) for n in range(200)])
        store.append([(at_ms, e.Closed(condition, 0, 0, 0))])
        if number in (9, 99):
            store.close()
            sizes.append(path.stat().st_size)
            store = Store.open(path, OWNER)
            store.keep_orders_ms = HOUR
    store.close()

    assert sizes[1] < 1.2 * sizes[0]


def test_an_older_journal_forgets_as_well(path: Path) -> None:
    """Before schema 7 all of a closed market was evidence: it is sorted when it is opened."""
    store = Store.open(path, OWNER)
    store.append([(T0, entry) for entry in (*LIFE, *MONEY)])
    store.append([(T0, e.Closed(CONDITION, 5, 2, 1))])
    store.close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE entries SET live = 0 WHERE live = -1")
        database.execute("UPDATE meta SET value = '6' WHERE key = 'schema'")

    store = Store.open(path, OWNER)
    store.append([(T0 + 7 * HOUR, e.Closed(OTHER, 0, 0, 0))])
    store.close()

    kinds = [kind for kind, _ in everything(path)]
    assert kinds == [type(entry).__name__ for entry in MONEY] + ["Closed", "Closed"]


# --- a few with each append -----------------------------------------------------------------------


def unmarked(path: Path) -> int:
    """Entries of a closed market that are still marked as live."""
    return sum(live == 1 for kind, live in everything(path) if kind in ("Intent", "Told"))


def test_no_append_waits_for_a_whole_market(path: Path) -> None:
    """An order that is written beside a closing, or after it, waits for a few marks and not for
    thousands, also where two markets are closed at once.
    """
    few, store = store_module.RETIRED_AT_ONCE, Store.open(path, OWNER)
    for condition in (CONDITION, OTHER):
        store.append([(T0, intent(n, condition)) for n in range(3 * few)])
    changes, left = [store._database.total_changes], []
    closed: list[tuple[int, e.Entry]]
    closed = [(T0, e.Closed(condition, 5, 2, 1)) for condition in (CONDITION, OTHER)]
    later: list[tuple[int, e.Entry]] = [(T0, e.Rearmed("me"))]
    for append in (closed, *[later] * 7):
        store.append(append)
        changes.append(store._database.total_changes)
        left.append(unmarked(path))
    store.close()

    assert max(after - before for before, after in pairwise(changes)) <= few + 4
    assert left == [few * n for n in (5, 4, 3, 3, 2, 1, 0, 0)]


def test_a_death_while_a_market_is_being_retired(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After whichever append the process dies: the next start reads the result, or the sum that it
    has gone into, and nothing else of the closed market, and marks what is left. Half of a market's
    trades would be another result.
    """
    monkeypatch.setattr(store_module, "RETIRED_AT_ONCE", 2)
    store = Store.open(path, OWNER)
    rest: list[e.Entry] = [e.Known(market(condition_id=OTHER)), intent(9, OTHER)]
    store.append([(T0, entry) for entry in (*MONEY, *rest, *LIFE)])
    result, total, halt = e.Closed(CONDITION, 5, 2, 1), e.Carried(5, 5, 2, 1, 0, 0, 7), "a halt"
    after: list[tuple[e.Entry, list[e.Entry]]] = [
        (result, [*rest, result]),
        (total, [*rest, total]),
        (e.Halted(halt, "b"), [*rest, total, e.Halted(halt, "b")]),
        (e.Rearmed("me"), [*rest, total, e.Halted(halt, "b"), e.Rearmed("me")]),
    ]
    left = []
    for number, (entry, known) in enumerate(after):
        store.append([(T0, entry)])
        dead = tmp_path / f"death{number}" / path.name
        dead.parent.mkdir()
        for tail in ("", "-wal"):
            shutil.copy(path.with_name(path.name + tail), dead.with_name(dead.name + tail))
        left.append(sum(live == 1 for _, live in everything(dead)) - len(known))

        heir = Store.open(dead, OWNER)
        assert [stamped.entry for stamped in heir.live()] == known
        for _ in range(4):
            heir.append([(T0, e.Certified(1))])
        heir.close()
        assert [live for kind, live in everything(dead)[:4]] == [0] * len(MONEY)
        assert [live for kind, live in everything(dead)[6:10]] == [-1] * len(LIFE)
    store.close()

    assert left == [6, 4, 2, 0]


def test_what_comes_after_a_closing_is_live(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A market that is opened again is read again, while what it left is still being marked."""
    monkeypatch.setattr(store_module, "RETIRED_AT_ONCE", 1)
    store = Store.open(path, OWNER)
    store.append([(T0, entry) for entry in (*MONEY, *LIFE)])
    store.append([(T0, e.Closed(CONDITION, 5, 2, 1))])
    store.append([(T0, e.Known(market()))])
    again = [e.Closed(CONDITION, 5, 2, 1), e.Known(market())]
    assert [stamped.entry for stamped in store.live()] == again
    for _ in range(9):
        store.append([(T0, e.Rearmed("me"))])

    assert [stamped.entry for stamped in store.live()][:2] == again
    assert unmarked(path) == 0
    store.close()


LATE = (e.Told(CONDITION, seen()), e.Ended(CONDITION, "0x1", "cancelled"))
TOTAL = e.Carried(5, 5, 2, 1, 0, 0, 7)


def test_what_was_told_after_a_closing_goes_with_the_next_sum(path: Path) -> None:
    """It was read by every start from then on."""
    store = Store.open(path, OWNER)
    store.append([(T0, entry) for entry in (*MONEY, *LIFE, e.Closed(CONDITION, 5, 2, 1))])
    store.append([(T0, entry) for entry in (*LATE, *LATE, TOTAL)])
    assert [stamped.entry for stamped in store.live()] == [TOTAL]
    store.append([(T0, e.Rearmed("me"))])
    assert unmarked(path) == 0
    store.close()


@pytest.mark.parametrize(
    "again", [e.Known(market()), intent(7), e.Moved(CONDITION, "redeem", "asked", "a.0", 5)]
)
def test_what_a_start_must_go_on_with_stays(path: Path, again: e.Entry) -> None:
    """A market that is opened again, an order that may live, a transaction under way."""
    store = Store.open(path, OWNER)
    store.append([(T0, entry) for entry in (*MONEY, *LIFE, e.Closed(CONDITION, 5, 2, 1))])
    left = [again, *LATE, TOTAL]
    store.append([(T0, entry) for entry in left])
    assert [stamped.entry for stamped in store.live()] == left
    store.close()
