"""A model that is cut off short of certainty does not contradict a market that is not."""

from __future__ import annotations

import pytest

from polybot.pricing import fair as models
from polybot.pricing.blend import BlendParams, MarketView, blend
from polybot.pricing.fair import Fair
from polybot.pricing.tails import Tails
from polybot.pricing.volatility import per_root_second

SIGMA = per_root_second(0.45)


@pytest.mark.parametrize(
    ("spot", "market"), [(100_800.0, 0.9985), (99_200.0, 0.0015), (100_600.0, 0.9985)]
)
def test_a_certainty_that_is_cut_off_is_no_disagreement(spot: float, market: float) -> None:
    """Six standard deviations from the strike the model says 0.995, for it may say no more; others
    say 0.9985. Nothing is wrong with either.
    """
    found = models.twap_before_window(spot, 100_000.0, SIGMA, 150.0, 60.0, Tails(0.2))
    assert isinstance(found, Fair)
    assert found.q in (0.995, pytest.approx(0.005))

    view = blend(found, MarketView(market, 0.0005), BlendParams(), 10_000, 0)

    assert view.disputed is None, view


def test_a_candle_in_its_last_minute() -> None:
    """Cut off at 0.98 then: others that say 0.993 are not apart from it."""
    found = models.candle(100_300.0, 100_000.0, SIGMA, 40.0, Tails(0.2))
    assert isinstance(found, Fair)
    assert found.q == 0.98

    view = blend(found, MarketView(0.993, 0.001), BlendParams(), 10_000, 0)

    assert view.disputed is None, view
