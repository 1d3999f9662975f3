from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from shell_kit import RATE, SceneClock

from polybot.patient_clock import PatientClock


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> PatientClock:
    """The clock of every scene: pytest-trio runs a test that asks for a clock on it."""
    clock = SceneClock(RATE)
    monkeypatch.setattr(trio.to_thread, "run_sync", clock.waiting(trio.to_thread.run_sync))
    return clock


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[socket.socket]:
    """What a service manager hears with."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield ear
