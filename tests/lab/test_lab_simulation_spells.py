"""One token of a market falls silent, and the chain's node lags: lives under either are sound."""

from __future__ import annotations

from typing import Any
from unittest import mock

import attrs
import pytest
from simulation_kit import calm, found_with, sound

from polybot.exchange.faults import plan
from polybot.lab.simulation_case import Case
from polybot.lab.simulation_plan import Spell
from polybot.market_feed import MarketFeed

MERGING = (("quote", "sell_held", "always"), ("inventory", "merge_shares", 5))
SILENT = Spell("token_silent", 10.0, 25.0, 35.0)


def half_deaf(case: Case) -> Case:
    """From the start of a window on."""
    return attrs.evolve(calm(case.seed, length_s=90.0), later_s=-90, silence=SILENT)


@pytest.mark.parametrize("seed", [1, 2])
def test_one_token_is_silent(seed: int) -> None:
    """Its book is not what the other one says: nothing is quoted by it for long, and quotes come
    again (S10, F01).
    """
    found = sound(half_deaf(calm(seed)))

    assert found.struck["token_silent"] > 100
    assert found.seen["PLACEMENT"] > 20


def waiting_for_both() -> Any:
    """S10: a book that has not followed its twin will do so in time."""
    return mock.patch.object(MarketFeed, "_left_behind", return_value=None)


def test_quoting_with_one_ear_is_found() -> None:
    """The stream brings something all the time, and of one token nothing."""
    found_with(waiting_for_both, half_deaf, "S10")


@pytest.mark.parametrize(("seed", "lag_ms"), [(1, 20_000), (8, 20_000), (19, 2_000)])
def test_a_node_is_behind(seed: int, lag_ms: int) -> None:
    """Pairs that were merged are still shown, and those that were split are not yet: nothing is
    merged twice, sold twice, or taken for a theft (S8, G25, F33).
    """
    node = Spell("node_behind", 5.0, 110.0, 600.0, {"lag_ms": (lag_ms, lag_ms)})
    found = sound(attrs.evolve(calm(seed, length_s=120.0), sniped=0.9, settings=MERGING, node=node))

    assert found.struck["node_behind"] > 0


@pytest.mark.parametrize(("seed", "lag_ms"), [(2, 30_000), (4, 8_000)])
def test_trades_are_listed_late(seed: int, lag_ms: int) -> None:
    """While the user stream stands still fills are in the balances alone: trading waits for their
    trades, and does not halt for them (F29, G25).
    """
    muted = plan.read(
        {"fault": [{"fault": "stall", "at": "user_ws", "from_s": 15, "for_s": 8, "every_s": 40}]}
    )
    listing = Spell("trades_lag", 0.0, 90.0, 1_000.0, {"lag_ms": (lag_ms, lag_ms)})
    case = attrs.evolve(calm(seed, length_s=90.0), sniped=0.9, plan=muted, listing=listing)

    found = sound(case)

    assert found.struck["trades_lag"] > 5
    assert found.seen["TRADE"] > 20
