"""The flight record: what somebody elsewhere gets of a halt or a crash, and that it is enough."""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
import trio
from shell_kit import OWNER, Scene, playing, scene

from polybot import flight
from polybot.domain.units import SHARE
from polybot.journal.disk import InThread
from polybot.journal.store import JournalFailed, Store
from polybot.lab.replay import main as replay
from polybot.lab.tape import main as tape
from polybot.patient_clock import PatientClock
from polybot.quote_task import QuoteTask
from polybot.summary import Summary, text


def facts(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("flight.json"))
        return found


async def recorded(it: Scene) -> Path:
    """The one flight record of a scene."""
    await it.until(lambda: it.bot.flight.written, "a flight record", 60)
    (path,) = it.bot.flight.written
    return path


async def test_a_halt_is_recorded_and_replayed_elsewhere(
    fast_clock: PatientClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cash goes, trading halts: tape, journal, settings, versions and ledger are in one file, from
    which every decision is made again, where nothing of the run is left (issue E, 8).
    """
    async with playing(taped=True) as it:
        it.venue.engine.accounts.withdraw(it.venue.demo_wallets.deposit, 500 * SHARE)
        path = await recorded(it)
        key = it.venue.wallet.private_key
        elsewhere = tmp_path / path.name
        shutil.move(path, elsewhere)  # perhaps to another disk

    told = facts(elsewhere)
    assert told["cause"].startswith("ledger drift: cash")
    assert told["config_hash"] == it.bot.ctx.config.digest
    assert told["settings"]["bot"]["series"] == list(it.bot.series)
    assert {"polybot", "trio", "python"} <= set(told["versions"])
    assert told["tape_whole"]
    assert it.market.slug in told["ledger"]["markets"]
    assert told["summary"]["halts"]
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600
    assert key.removeprefix("0x").encode() not in elsewhere.read_bytes()

    with zipfile.ZipFile(elsewhere) as archive:
        archive.extract("journal.sqlite3", tmp_path)
    journal = Store.open(tmp_path / "journal.sqlite3", OWNER)
    kinds = {type(stamped.entry).__name__ for stamped in journal.live()}
    journal.close()
    assert {"Intent", "Halted"} <= kinds
    assert tape(["info", str(elsewhere)]) == 0
    assert await trio.to_thread.run_sync(replay, [str(elsewhere)]) == 0
    assert "no difference" in capsys.readouterr().out


async def test_a_crash_is_recorded_when_all_is_cancelled(fast_clock: PatientClock) -> None:
    """A bug of ours ends the process: the record is written after the orders are gone."""
    async with scene(taped=True) as it:
        broken = QuoteTask.step

        def step(self: QuoteTask, now_ms: int) -> None:
            if len(self.orders.desk.table.open()):
                raise ZeroDivisionError
            broken(self, now_ms)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(QuoteTask, "step", step)
            await it.run()
        path = await recorded(it)
        told = facts(path)

    assert told["cause"] == "stopped by a fault of our own: error: ZeroDivisionError"
    assert it.code == 1
    assert it.summary is not None
    assert it.summary.live_orders_at_exit == 0


async def test_without_a_tape_the_rest_is_recorded(fast_clock: PatientClock) -> None:
    """A run that keeps no tape has a record without one, which says so."""
    async with playing() as it:
        it.venue.engine.accounts.withdraw(it.venue.demo_wallets.deposit, 500 * SHARE)
        path = await recorded(it)
        assert not facts(path)["tape_whole"]
        assert replay([str(path)]) == 2


async def test_a_record_that_cannot_be_written_is_told_and_no_more(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full: the halt stands, the stop is as clean as ever."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flight, "_write", full)
    async with playing() as it:
        assert await it.bot.flight.write("a test") is None
        report = await it.end()

    assert report.live_orders_at_exit == 0
    assert it.code == 0


async def test_only_so_many_are_kept(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go."""
    monkeypatch.setattr(flight, "KEPT", 2)
    async with playing() as it:
        for cause in ("one", "two", "three"):
            assert await it.bot.flight.write(cause)
            await it.until(lambda: True, "a moment")
        kept = sorted(it.bot.flight.written[0].parent.glob("flight-*"))
        causes = [facts(path)["cause"] for path in kept]

    assert causes == ["two", "three"]


async def test_a_summary_that_breaks_takes_no_exit_code_with_it(fast_clock: PatientClock) -> None:
    """What has broken us may be what the summary is made by: that the wallet was proven empty, or
    was not, is told by the exit code all the same, and a halted bot goes on.
    """
    async with playing() as it:

        def broken() -> Summary:
            raise ZeroDivisionError

        it.bot.flight.told = broken
        assert await it.bot.flight.write("a test") is None
        it.venue.engine.accounts.withdraw(it.venue.demo_wallets.deposit, 500 * SHARE)
        await it.until(lambda: it.bot.ctx.health.halted, "it halts", 60)
        await trio.sleep(5)
        assert not it.bot.ctx.stopping
        await it.end()

    assert it.code == 0


def files(folder: Path, ages_s: dict[str, float]) -> None:
    """Files of these names, and how long ago each was written."""
    for name, age_s in ages_s.items():
        (folder / name).write_bytes(b"x")
        at = (folder / name).stat().st_mtime - age_s
        os.utime(folder / name, (at, at))


async def test_the_loop_writes_no_summary(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a month that of all its windows takes half a second to spell, just when a halt's
    cancels have their answers.
    """
    spelt: list[threading.Thread] = []

    def spelling(told: Summary) -> str:
        spelt.append(threading.current_thread())
        return text(told)

    monkeypatch.setattr(flight, "text", spelling)
    async with scene() as it:
        it.bot.ctx.account.journal.disk = InThread()
        path = await it.bot.flight.write("a test")
        assert path is not None
        assert facts(path)["summary"]["mode"] == "paper"

    assert spelt
    assert threading.main_thread() not in spelt


def test_the_newest_is_not_the_one_of_the_latest_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paper runs are of any year, and clocks are set back: a live record that was written just now
    was the first to go.
    """
    monkeypatch.setattr(flight, "KEPT", 2)
    now = tmp_path / "flight-1000-0.zip"
    files(tmp_path, {"flight-3000-0.zip": 20.0, "flight-2000-0.zip": 10.0, now.name: 0.0})

    flight._prune(now)

    assert sorted(path.name for path in tmp_path.iterdir()) == [now.name, "flight-2000-0.zip"]


@pytest.mark.parametrize(("most", "left"), [(3, "543"), (2, "54"), (1, "5"), (0, "5")])
def test_all_together_are_bounded(
    most: int, left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has the whole journal in it, of hundreds of megabytes a series: twenty would fill the
    disk, and a journal that cannot be written ends all trading. The newest stays.
    """
    monkeypatch.setattr(flight, "ALL_MOST", most)
    files(tmp_path, {f"flight-{n}000-0.zip": 10.0 * (5 - n) for n in range(1, 6)})

    flight._prune(tmp_path / "flight-5000-0.zip")

    assert {path.name[7] for path in tmp_path.iterdir()} == set(left)


async def test_a_record_takes_no_room_from_the_journal(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With little left it would be written to the last byte, and the journal of a halted bot, whose
    fills go on, could not be written any more.
    """
    usage = shutil.disk_usage
    async with playing() as it:
        with monkeypatch.context() as full:
            full.setattr(
                shutil, "disk_usage", lambda place: usage(place)._replace(free=flight.ROOM_LEFT)
            )
            assert await it.bot.flight.write("a test") is None
        assert list((it.journal.parent / flight.FOLDER).iterdir()) == []
        assert await it.bot.flight.write("another")
        await it.end()

    assert it.code == 0


def test_what_was_left_half_written_goes(tmp_path: Path) -> None:
    """A record and a copy of the journal are half a gigabyte. Who was killed in the middle of them
    left both for good, and a crash at every start filled the disk.
    """
    now = tmp_path / "flight-3000-0.zip"
    halves = {f"flight-1000-0{end}": flight.STALE_S + 1 for end in (".part", ".sqlite3")}
    young = {f"flight-2000-0{end}": flight.STALE_S - 1 for end in (".part", ".sqlite3")}
    files(tmp_path, halves | young | {now.name: 0.0, "notes.sqlite3": 9_999.0})

    flight._prune(now)

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*young, now.name, "notes.sqlite3"}


@pytest.mark.parametrize("name", ["a?mode=x", "50 %20", "one#two"])
def test_a_journal_whose_folder_has_any_name(name: str, tmp_path: Path) -> None:
    """It is opened by an address in which some characters mean something else."""
    journal, copy = tmp_path / name / "one.sqlite3", tmp_path / "copy.sqlite3"
    Store.open(journal, OWNER).close()

    flight._copy_journal(journal, copy)

    assert {path.name for path in tmp_path.iterdir()} == {name, copy.name}, "no other was made"
    with pytest.raises(JournalFailed, match=OWNER):
        Store.open(copy, "somebody else")


def test_what_is_no_flight_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken archive, or one without a tape: code 2, and why."""
    broken = tmp_path / "a.zip"
    broken.write_bytes(b"PK nothing")
    assert replay([str(broken)]) == 2
    assert "not a flight record" in capsys.readouterr().err

    empty = tmp_path / "b.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("flight.json", "{}")
    assert replay([str(empty)]) == 2
    assert "no tape in this flight record" in capsys.readouterr().err
