"""`rearm`, and the doctor, where the system knows little of who asks."""

from __future__ import annotations

import getpass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from polybot.journal import spare
from polybot.journal.entries import Halted, Rearmed
from polybot.journal.store import Store
from polybot.operator.access import Access
from polybot.operator.doctor import CHECK_S, in_turn
from polybot.operator.findings import Check, Finding, Grade, ok
from polybot.operator.patient import Patient
from polybot.operator.rearm import EXIT_CLEAN, EXIT_STORAGE, main as rearm

T0 = 1_795_201_110_000


@pytest.mark.parametrize("error", [KeyError("uid not found: 1000"), OSError("No username set")])
def test_a_user_without_a_name(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container a number may be all that there is of a user: the command broke, and the wallet
    could not be re-armed.
    """
    access: Any = SimpleNamespace(journal=tmp_path / "one.sqlite3", owner="0x1")
    store = Store.open(access.journal, access.owner)
    store.append([(T0, Halted("ledger drift", "a cent"))])
    store.close()
    monkeypatch.setattr(Access, "of", lambda _said: access)

    def nobody() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr("polybot.operator.rearm.os.getuid", lambda: 1000)

    assert rearm([]) == EXIT_CLEAN
    store = Store.open(access.journal, access.owner)
    last = list(store.live())[-1].entry
    store.close()
    assert last == Rearmed("user 1000")


@pytest.mark.parametrize("words", [[], ["--show"]])
def test_a_wallet_without_a_journal(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With another configuration than the engine's there is none at that place: that nothing is
    halted was told all the same, and a journal begun.
    """
    access: Any = SimpleNamespace(journal=tmp_path / "none" / "one.sqlite3", owner="0x1")
    monkeypatch.setattr(Access, "of", lambda _said: access)

    assert rearm(words) == EXIT_STORAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert f"no journal at {access.journal}" in said.err
    assert "--config" in said.err
    assert not access.journal.parent.exists()


def test_a_wallet_whose_folder_is_another_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether there is a journal cannot be seen from outside: it is no wallet without one."""
    access: Any = SimpleNamespace(journal=tmp_path / "one.sqlite3", owner="0x1")
    monkeypatch.setattr(Access, "of", lambda _said: access)

    def barred(_path: Path, *_how: object, **_more: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", barred)
    monkeypatch.setattr(Path, "mkdir", barred)

    assert rearm(["--show"]) == EXIT_STORAGE
    said = capsys.readouterr().err
    assert "Permission denied; run this as the user who runs the bot" in said


def test_a_halt_beside_a_journal_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever was killed as a damaged journal was put aside has left its halt, and no journal."""
    access: Any = SimpleNamespace(journal=tmp_path / "one.sqlite3", owner="0x1")
    spare.keep(access.journal, [(T0, Halted("ledger drift", "a cent"))])
    monkeypatch.setattr(Access, "of", lambda _said: access)

    assert rearm(["--show"]) == EXIT_CLEAN
    assert "halted: ledger drift: a cent" in capsys.readouterr().out


async def test_a_check_that_may_not_look(autojump_clock: MockClock) -> None:
    """A folder of another user is a failed check like any other, with its remedy; the others are
    run all the same, and one that takes too long is given up.
    """

    async def barred(_patient: Patient) -> Finding:
        raise PermissionError(13, "Permission denied", "/srv/polybot/journal")

    async def well(_patient: Patient) -> Finding:
        return ok("it is")

    async def slow(_patient: Patient) -> Finding:
        await trio.sleep(CHECK_S + 1)
        return ok("at last")

    nobody: Any = None
    checks = [Check("journal", barred), Check("clock", well), Check("node", slow)]
    found = dict(await in_turn(nobody, checks))

    assert [one.grade for one in found.values()] == [Grade.FAILED, Grade.OK, Grade.FAILED]
    assert "/srv/polybot/journal" in found["journal"].found
    assert not found["journal"].passing
    assert found["node"].passing
