"""Every order comes to an end that is known (L1), and the judge sees one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest import mock

import attrs
from simulation_kit import all_of, calm, found_with, sound

from polybot.domain.orders import CancelResult
from polybot.execution.tracked import Tracked
from polybot.lab.simulation_case import Case
from polybot.venue.clob import ClobClient


def forgetting_some() -> Any:
    """L1: of what is to be cancelled every fourth is left out of the request, looked up, found
    alive, and asked for again; and nobody counts for how long.
    """
    cancel = ClobClient.cancel

    async def forgetful(self: ClobClient, ids: Sequence[str]) -> CancelResult:
        return await cancel(self, [order_id for order_id in ids if int(order_id, 16) % 4])

    return all_of(
        mock.patch.object(ClobClient, "cancel", forgetful),
        mock.patch.object(Tracked, "unheeded_ms", return_value=0),
    )


def early_in_the_window(_: Case) -> Case:
    """Quotes go on while the quiet is judged, and a market's end does not withdraw them."""
    return attrs.evolve(calm(length_s=10.0), later_s=-90, quiet_s=90.0)


def test_a_cancel_that_goes_round_and_round_is_found() -> None:
    """Each look-up ends the doubt, and the next cancel begins another: no doubt lasts, and the
    order is never gone. Its like comes beside it (S3).
    """
    found = found_with(forgetting_some, early_in_the_window, "L1", "S3")

    assert "asked away" in found.violations[-1].what


def test_as_we_are() -> None:
    """In the same life many orders are cancelled, and each of them is gone in time."""
    found = sound(early_in_the_window(calm()))

    assert found.seen["CANCELLATION"] > 20
