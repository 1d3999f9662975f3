"""A relayer that does everything twice, while merge follows merge and what is left is offered."""

from __future__ import annotations

import attrs
import pytest
from simulation_kit import calm, sound

from polybot.exchange.faults.plan import Entry, Plan

SETTINGS = (("quote", "sell_held", "always"), ("inventory", "merge_shares", 5))


@pytest.mark.parametrize("seed", [8, 19])
def test_what_was_done_twice_is_known_before_the_next_is_asked_for(seed: int) -> None:
    """A market with an operation under way is compared by nobody else. In one of these lives shares
    that a repetition had taken were offered for half a minute; in the other the first repetition
    made the next merge fail, whose own repetition did not, and nobody knew what to make of it.
    """
    case = attrs.evolve(
        calm(seed, length_s=120.0), sniped=0.9, settings=SETTINGS,
        plan=Plan((Entry("transaction_twice"),)),
    )  # fmt: skip
    found = sound(case)

    assert found.struck["transaction_twice"] > 1
