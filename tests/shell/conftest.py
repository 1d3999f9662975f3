from __future__ import annotations

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
