"""`stop --now` beside an engine: it is told, waited for, and no reason to leave orders behind."""

from __future__ import annotations

import errno
import signal
import sys
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from polybot.domain.halts import Halt
from polybot.domain.orders import CancelResult, Failure, OrderRow
from polybot.journal.recovery import recover
from polybot.journal.store import Store
from polybot.operator import stop
from polybot.operator.access import Access
from polybot.operator.stop import (
    EXIT_CLEAN,
    EXIT_ORDERS_LIVE,
    EXIT_STORAGE,
    LEAVES_S,
    POLITE_S,
    halt,
    stop_now,
)

PID, T0 = 4711, 1_795_201_110_000


@attrs.define(eq=False)
class Venue:
    """Nothing rests once it has been asked to cancel."""

    cancelled: int = 0

    async def cancel_all(self) -> CancelResult:
        await trio.lowlevel.checkpoint()
        self.cancelled += 1
        return CancelResult(frozenset(), {})

    async def open_orders(self) -> list[OrderRow]:
        await trio.lowlevel.checkpoint()
        return []


@attrs.define(eq=False)
class Wallet:
    """What the command has of a wallet: clients come as `tries` say, one after another."""

    journal: Path
    owner: str = "0x1"
    venue: Venue = attrs.field(factory=Venue)
    tries: deque[Failure] = attrs.field(factory=deque)

    async def client(self, _http: object, _timeout_s: float) -> Venue | Failure:
        await trio.lowlevel.checkpoint()
        return self.tries.popleft() if self.tries else self.venue

    @property
    def halted(self) -> list[str]:
        store = Store.open(self.journal, self.owner)
        try:
            return list(recover(store.live()).halts)
        finally:
            store.close()


@attrs.define(eq=False)
class Engine:
    """A process that has the journal, and lets go of it so long after it was told for the last of
    `words` times.
    """

    store: Store
    words: int
    leaves_s: float = 0.0
    told: list[float] = attrs.field(factory=list)

    def kill(self, pid: int, _number: int) -> None:
        assert pid == PID
        self.told.append(trio.current_time())

    def holder(self, _journal: Path) -> int | None:
        told = self.told[self.words - 1 :]
        if not told or trio.current_time() < told[0] + self.leaves_s:
            return PID
        self.store.close()
        return None


@pytest.fixture
def wallet(tmp_path: Path) -> Any:
    found = Wallet(tmp_path / "one.sqlite3")
    Store.open(found.journal, found.owner).close()
    return found


def beside(wallet: Wallet, monkeypatch: pytest.MonkeyPatch, **how: Any) -> Engine:
    """An engine that runs on this wallet."""
    engine = Engine(Store.open(wallet.journal, wallet.owner), **how)
    monkeypatch.setattr(stop, "holder", engine.holder)
    monkeypatch.setattr(stop, "os", SimpleNamespace(kill=engine.kill))
    return engine


async def test_an_engine_that_must_be_told_twice_is_halted(
    wallet: Any, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """It takes a moment to leave, with the journal in its hands: the halt was not written down, and
    whoever starts it again let it trade on.
    """
    engine = beside(wallet, monkeypatch, words=2, leaves_s=0.4)

    assert await stop_now(wallet) == EXIT_CLEAN
    assert engine.told == [0, pytest.approx(POLITE_S)]
    assert wallet.halted == [Halt.STOPPED.value]


async def test_an_engine_that_hangs_is_not_waited_for_for_ever(
    wallet: Any,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is told twice; that it is not halted is said, and is the exit code. Whoever ends it and
    starts it again, as a service manager does, starts a halted one.
    """
    engine = beside(wallet, monkeypatch, words=3)

    assert await stop_now(wallet) == EXIT_STORAGE
    assert len(engine.told) == 2
    assert trio.current_time() <= POLITE_S + LEAVES_S + 1
    said = capsys.readouterr().err
    assert "not halted" in said
    assert "the next start will be" in said
    engine.store.close()
    assert wallet.halted == [Halt.STOPPED.value]


async def test_an_engine_of_another_user(
    wallet: Any,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It cannot be told. The command ended there, with everything resting."""
    engine = beside(wallet, monkeypatch, words=1)

    def no(_pid: int, _number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(stop, "os", SimpleNamespace(kill=no))

    assert await stop_now(wallet) == EXIT_STORAGE
    assert wallet.venue.cancelled >= 2
    said = capsys.readouterr()
    assert "the engine was not told" in said.err
    assert "not halted" in said.err
    engine.store.close()


async def test_a_terminal_that_is_lost(
    wallet: Any, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Whoever is called at night may lose his connection: the first word to him ended the command,
    with everything resting and nothing halted.
    """
    beside(wallet, monkeypatch, words=1)
    with (tmp_path / "screen").open("w") as screen:

        class Lost:
            fileno = screen.fileno

            def write(self, _text: str) -> int:
                raise OSError(errno.EIO, "Input/output error")

        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, Lost())
        assert await stop_now(wallet) == EXIT_CLEAN

    assert wallet.venue.cancelled >= 2
    assert wallet.halted == [Halt.STOPPED.value]


def test_a_line_that_hangs_up(wallet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel then sends, and the shell as well, ends no stop."""
    before = signal.getsignal(signal.SIGHUP)
    monkeypatch.setattr(Access, "of", lambda _said: wallet)
    monkeypatch.setattr(trio, "run", lambda *_: signal.getsignal(signal.SIGHUP))
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert stop.main(["--now"]) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_credentials_that_do_not_come_at_once(wallet: Any, autojump_clock: MockClock) -> None:
    """One answer that was lost on its way, and every order was left to rest."""
    wallet.tries.extend([Failure("no API credentials within 30 s")] * 2)

    assert await stop_now(wallet) == EXIT_CLEAN
    assert wallet.venue.cancelled >= 2


async def test_credentials_that_never_come(
    wallet: Any, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends, says why, and halts the wallet all the same."""
    wallet.tries.extend([Failure("no API credentials: HTTP 401", refused=True)] * 1_000)

    assert await stop_now(wallet) == EXIT_ORDERS_LIVE
    assert "HTTP 401" in capsys.readouterr().err
    assert wallet.halted == [Halt.STOPPED.value]


def test_a_folder_that_may_not_be_entered(
    wallet: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That the wallet is not halted is said in words, and is the exit code."""

    def no(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", no)
    monkeypatch.setattr("polybot.operator.stop.spare.keep", lambda *_: no(wallet.journal))

    assert halt(wallet, T0) == (EXIT_STORAGE, [])
    said = capsys.readouterr().err
    assert "not halted: [Errno 13] Permission denied" in said
    assert "nor will the next start be: [Errno 13] Permission denied" in said
