"""Lives on a network that no packet passes: who dials waits, and what waits may not leave late."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from unittest import mock

import attrs
import pytest
import trio
from simulation_kit import calm, found_with, sound

from polybot.domain.orders import SignedOrder
from polybot.lab.simulation_case import EVERY, Case, Harm, Trouble
from polybot.lab.simulation_reach import NEVER_LEFT
from polybot.orders_task import LEAVES_WITHIN_S, OrdersTask
from polybot.venue.leave import Leave

AT_S = 15.0


def dark(case: Case, port: str = "clob", for_s: float = 2.5) -> Case:
    """What is open is cut, and who dials anew hears nothing for a while."""
    first = Trouble(AT_S, "clob", Harm.CUT, 0.0)
    return attrs.evolve(case, troubles=(first,), dark=(Trouble(AT_S, port, Harm.DARK, for_s),))


@pytest.mark.parametrize("port", ["clob", "user_ws", EVERY])
@pytest.mark.parametrize("for_s", [0.5, 2.5, 12.0])
def test_a_dark_network(port: str, for_s: float) -> None:
    """Of one service, or of the whole machine, for a moment or until the switch does its work."""
    outcome = sound(dark(calm(length_s=60.0), port, for_s))

    assert outcome.seen["link dark"] == 1


def test_an_order_that_waits_for_its_connection_stays() -> None:
    """It waited for three seconds: until it was asked for again, and came about."""
    outcome = sound(dark(calm(length_s=60.0)))

    assert outcome.seen[NEVER_LEFT] >= 1


def leaving_whenever_it_can() -> AbstractContextManager[object]:
    """What was decided is sent, as soon as there is a connection to send it."""

    def take(leave: Leave) -> bool:
        leave.unsent = False
        return True

    return mock.patch.object(Leave, "take", take)


def test_an_order_that_leaves_behind_its_connection_is_found() -> None:
    """It was right when it was decided, seconds before."""
    found_with(leaving_whenever_it_can, dark, "S9")


def halted_meanwhile(case: Case) -> Case:
    """Somebody else's order is heard of while one of ours waits for its connection."""
    return attrs.evolve(
        case,
        foreign_s=30.0,
        troubles=(Trouble(29.8, "clob", Harm.CUT, 0.0),),
        dark=(Trouble(29.8, "clob", Harm.DARK, 0.9),),
    )


def asking_for_its_age_alone() -> AbstractContextManager[object]:
    """What was decided lately is sent, whatever has been heard since."""

    def young(_: OrdersTask, orders: Sequence[SignedOrder], asked: float, asked_ms: int) -> bool:
        return trio.current_time() - asked <= LEAVES_WITHIN_S

    return mock.patch.object(OrdersTask, "_may_leave", young)


def test_an_order_that_leaves_behind_a_halt_is_found() -> None:
    """S12 is judged on the wire: it was handed to its client before, and is two seconds old."""
    assert "PLACEMENT" in sound(halted_meanwhile(calm(length_s=60.0))).seen
    found_with(asking_for_its_age_alone, halted_meanwhile, "S12")
