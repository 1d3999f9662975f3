"""A loss limit that has been passed ends trading, and the judge sees where it does not (S12)."""

from __future__ import annotations

from typing import Any
from unittest import mock

import attrs
from simulation_kit import all_of, by_who_knows, calm, found_with, sound

from polybot.lab.simulation_case import Case
from polybot.lab.simulation_reach import LOST
from polybot.lab.simulation_settings import Means
from polybot.loss_watch import LossWatch

LOSING_SEED = 5  # in its first window Up wins
SETTINGS = (
    ("risk", "max_daily_loss_percent", 1),
    ("quote", "sell_held", "never"),
    ("completion", "enabled", False),
)


def looking_away() -> Any:
    """S12: nobody looks at what is lost."""
    return all_of(by_who_knows(), mock.patch.object(LossWatch, "look"))


def losing(_: Case) -> Case:
    """A small wallet with a low limit loses in its first window, which it begins in the middle of,
    and would trade in the next.
    """
    return attrs.evolve(
        calm(LOSING_SEED, length_s=280.0), later_s=90, quiet_s=0.0, sniped=0.9,
        means=Means(funds=120_000_000), settings=SETTINGS,
    )  # fmt: skip


def test_a_limit_that_nobody_heeds_is_found() -> None:
    """By what the ledger shows, whatever fair prices say."""
    found = found_with(looking_away, losing, "S12")

    assert "loss limit" in found.violations[0].what


def test_as_we_are() -> None:
    """In the same life the bot halts, and no rule is broken."""
    with by_who_knows():
        assert sound(losing(calm())).seen[LOST] == 1
