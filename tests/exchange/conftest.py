from __future__ import annotations

import pytest
from trio.testing import MockClock


@pytest.fixture
def patient_jumps() -> MockClock:
    """Both ends of every socket are in this process: when nobody has had anything to do for a
    moment, what is waited for is the clock. A busy machine only takes longer.
    """
    return MockClock(autojump_threshold=0.01)
