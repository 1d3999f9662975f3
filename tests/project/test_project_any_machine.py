"""What is true of the tests themselves: no verdict of theirs is how fast the machine is, nor which
tests were run before.
"""

from __future__ import annotations

import contextlib
import io

from hypothesis import HealthCheck, given, settings, strategies as st
from loguru import logger


@given(st.integers())
def an_example(_: int) -> None:
    """A property like any other, with settings of nobody."""


def test_an_example_has_no_deadline() -> None:
    """A core that is shared may be away for longer than the 200 ms that Hypothesis allows: three of
    four hundred properties failed so where their process was stopped for moments.
    """
    used = an_example._hypothesis_internal_use_settings  # type: ignore[attr-defined]

    assert used.deadline is None
    assert HealthCheck.too_slow in used.suppress_health_check


def test_a_property_with_settings_of_its_own_has_none_either() -> None:
    """What says only how many examples it wants has the rest from here."""
    assert settings(max_examples=3).deadline is None


def test_the_log_is_not_what_a_command_says() -> None:
    """Two tests of the suite failed where no other of their worker had ended the log before."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        logger.warning("a bot's")

    assert not said.getvalue()
