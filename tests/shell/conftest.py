from __future__ import annotations

import pytest
from patient_clock import PatientClock
from shell_kit import RATE


@pytest.fixture
def fast_clock() -> PatientClock:
    """The clock of every scene: pytest-trio runs a test that asks for a clock on it."""
    return PatientClock(RATE)
