"""The doctor before a wallet that is too small for its limits."""

from __future__ import annotations

import pytest
from test_shell_doctor import patient
from venue_bent import Act, changed

from polybot.domain.units import USD
from polybot.operator.checks_venue import sizes
from polybot.operator.findings import Finding, Grade
from polybot.patient_clock import PatientClock


def _holding(dollars: int) -> Act:
    def change(body: dict[str, object]) -> None:
        body["balance"] = str(dollars * USD)

    return changed(change)


async def found_with(dollars: int) -> Finding:
    async with patient() as (it, one):
        it.venue.bend("GET", "/balance-allowance", act=_holding(dollars))
        return await sizes(one)


async def test_a_wallet_whose_smallest_bid_may_lose_too_much(fast_clock: PatientClock) -> None:
    """Three percent of twenty dollars are sixty cents, and five shares at even odds may lose 2.50:
    smaller quotes, or fewer series, would help nobody. It is told what would.
    """
    told = await found_with(20)

    assert told.grade is Grade.WARNING
    assert "may lose 0.6" in told.found
    assert "2.5" in told.found
    assert "up to 12 cents" in told.remedy
    assert "84 pUSD" in told.remedy


@pytest.mark.parametrize(("dollars", "limited"), [(83, True), (84, False)])
async def test_the_deposit_that_it_names_is_enough(
    dollars: int, limited: bool, fast_clock: PatientClock
) -> None:
    """To the dollar."""
    assert ("may lose" in (await found_with(dollars)).found) is limited
