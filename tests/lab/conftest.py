"""A laboratory's command writes no log: a bot that is troubled on purpose has much to say."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def logged() -> None:
    """In place of the log of all tests: it takes a fortieth of a simulated life."""
