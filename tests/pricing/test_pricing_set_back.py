"""A clock that was ahead and is set right makes no pause longer than it was to be."""

from __future__ import annotations

from polybot.pricing.asset import Asset
from polybot.pricing.params import PricingParams
from polybot.pricing.strikes import OPEN_PROVEN_MS, Strike, Strikes, Trust
from polybot.pricing.valuation import _strike_ill

NOW_MS = 1_790_000_400_000
AHEAD_MS = 1_200_000


def test_a_correction_of_a_clock_that_was_ahead_is_over() -> None:
    """Corrected while the clock was twenty minutes ahead: nothing was priced for twenty minutes."""
    strike = Strike(90_000.0, Trust.OFFICIAL, NOW_MS + AHEAD_MS)

    assert _strike_ill(strike, Asset(), PricingParams(), None, NOW_MS) is None


def test_a_contest_of_a_clock_that_was_ahead_ends() -> None:
    """Two opens of one candle: the second is told on for a minute after the clock was set right."""
    strikes, key = Strikes(), ("BTCUSDT", 0, NOW_MS)
    strikes.open_seen("BTCUSDT", 90_000.0, NOW_MS, NOW_MS + AHEAD_MS)
    strikes.open_seen("BTCUSDT", 90_100.0, NOW_MS, NOW_MS + AHEAD_MS + 2_000)
    assert strikes.of(key) is None
    for at_ms in range(0, 2 * OPEN_PROVEN_MS + 1, 2_000):
        strikes.open_seen("BTCUSDT", 90_100.0, NOW_MS, NOW_MS + at_ms)

    assert strikes.of(key) is not None
