from __future__ import annotations

import pytest
from shell_kit import RATE

from polybot.patient_clock import PatientClock


@pytest.fixture
def fast_clock() -> PatientClock:
    """The clock of every scene: pytest-trio runs a test that asks for a clock on it."""
    return PatientClock(RATE)
