"""`stop --now` while a service manager is about to start the engine again."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from test_shell_stop_engine import PID, Venue, Wallet
from trio.testing import MockClock

from polybot.domain.halts import Halt
from polybot.domain.orders import CancelResult
from polybot.journal.store import Store
from polybot.operator import stop
from polybot.operator.stop import EXIT_CLEAN, EXIT_STORAGE, PATIENCE_S, ROUNDS, stop_now


@attrs.define(eq=False)
class Coming:
    """So many engines, each of which takes the journal a moment after the command has looked for
    one, and lets go of it when it is told.
    """

    wallet: Wallet
    left: int
    venue: Venue
    pid: int = PID
    store: Store | None = None
    told: list[int] = attrs.field(factory=list)
    asked: int = 0  # how often the venue was to cancel: each emptying is two times

    def kill(self, pid: int, _number: signal.Signals) -> None:
        self.told.append(pid)
        if pid == self.pid:
            self.leave()

    def leave(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None

    def holder(self, _journal: Path) -> int | None:
        return self.pid if self.store is not None else None

    async def cancel_all(self) -> CancelResult:
        self.asked += 1
        if self.asked % 2 == 0 and self.store is None and self.left:
            self.left -= 1
            self.pid += 1
            self.store = Store.open(self.wallet.journal, self.wallet.owner)
        return await self.venue.cancel_all()


def beside(wallet: Wallet, monkeypatch: pytest.MonkeyPatch, engines: int) -> Coming:
    """Engines that come as the venue is asked to cancel."""
    Store.open(wallet.journal, wallet.owner).close()
    engine = Coming(wallet, engines, wallet.venue)
    venue: Any = SimpleNamespace(cancel_all=engine.cancel_all, open_orders=wallet.venue.open_orders)
    wallet.venue = venue
    monkeypatch.setattr(stop, "holder", engine.holder)
    monkeypatch.setattr(stop, "os", SimpleNamespace(kill=engine.kill))
    return engine


async def test_an_engine_that_starts_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """It is told like one that ran before, and its wallet is halted: whoever says `stop --now`
    means whatever trades.
    """
    wallet: Any = Wallet(tmp_path / "one.sqlite3")
    engine = beside(wallet, monkeypatch, engines=1)

    assert await stop_now(wallet) == EXIT_CLEAN
    assert engine.told == [PID + 1]
    assert wallet.halted == [Halt.STOPPED.value]
    assert trio.current_time() < PATIENCE_S


async def test_engines_that_start_without_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command ends all the same and says that it could not halt; the next start is halted."""
    wallet: Any = Wallet(tmp_path / "one.sqlite3")
    engine = beside(wallet, monkeypatch, engines=100)

    assert await stop_now(wallet) == EXIT_STORAGE
    assert engine.told == [PID + 1 + n for n in range(ROUNDS - 1)]
    assert "not halted" in capsys.readouterr().err
    engine.leave()
    assert wallet.halted == [Halt.STOPPED.value]
