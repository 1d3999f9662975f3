"""Settings of `[pricing]` that contradict their own text are refused; those accepted work."""

from __future__ import annotations

import math
import random

import attrs
import pytest
from market_kit import BTC_5M

from polybot.domain.market import Candle
from polybot.domain.prices import Feed
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Caution, Fair
from polybot.pricing.params import PricingParams
from polybot.pricing.volatility import Volatility

HOUR_MS = 3_600_000
HOUR = attrs.evolve(
    BTC_5M,
    series="btc-1h",
    rule=Candle("BTCUSDT", "1h"),
    start_ms=BTC_5M.start_ms - BTC_5M.start_ms % HOUR_MS,
    end_ms=BTC_5M.start_ms - BTC_5M.start_ms % HOUR_MS + HOUR_MS,
)


@pytest.mark.parametrize(("sample_s", "gap_s"), [(1.0, 10.0), (5.0, 10.0), (60.0, 120.0)])
def test_every_sampling_that_is_accepted_comes_to_a_volatility(
    sample_s: float, gap_s: float
) -> None:
    """Samples further apart than `vol_gap_s` are all left out: no volatility, no quote ever."""
    made = Volatility(PricingParams(vol_sample_s=sample_s, vol_gap_s=gap_s))
    rng, log = random.Random(1), math.log(1e5)
    for second in range(3_600):
        log += rng.gauss(0, 8e-5)
        made.observe(math.exp(log), 1_000 * second + rng.randrange(900))

    found = made.measured(3_600_000)
    assert found == pytest.approx(8e-5, rel=0.4)


def test_a_sampling_that_leaves_itself_out_is_refused() -> None:
    """It was accepted, and warming up for good."""
    with pytest.raises(ValueError, match="vol_gap_s no lower than twice vol_sample_s"):
        PricingParams(vol_sample_s=20.0)


def test_a_jump_is_a_caution_in_an_hourly_market_too() -> None:
    """`[quote] pair_jump` asks for a dearer pair "while single jumps move the price", in whatever
    market; `jump_share` is "told as a caution".
    """
    board, rng, log = PriceBoard(PricingParams()), random.Random(1), math.log(1e5)
    first_ms = HOUR.start_ms + 600_000
    board.official_strike(HOUR, 1e5, first_ms)
    five = attrs.evolve(BTC_5M, start_ms=first_ms, end_ms=first_ms + 600_000)
    board.official_strike(five, 1e5, first_ms)
    for second in range(304):
        log += rng.gauss(0, 8e-5) + (3e-3 if second == 300 else 0.0)
        at_ms = first_ms + 1_000 * second
        for feed, symbol in (
            (Feed.BINANCE, "BTCUSDT"),
            (Feed.CHAINLINK, "btcusd"),
            (Feed.TWAP60, "btcusd"),
        ):
            price = 1e5 if feed is Feed.TWAP60 else math.exp(log)
            board.on_tick(feed, symbol, price + second / 1e4, at_ms, at_ms)
    now_ms = first_ms + 303_000
    board.on_tick(Feed.TWAP60, "btcusd", 1e5, now_ms, now_ms)
    averaged, hourly = board.fair(five, now_ms), board.fair(HOUR, now_ms)
    assert isinstance(averaged, Fair), averaged
    assert isinstance(hourly, Fair), hourly

    assert Caution.JUMP in dict(averaged.quality.cautions), averaged.quality
    assert Caution.JUMP in dict(hourly.quality.cautions)


@pytest.mark.parametrize("prior", [0.01, 3.0])
def test_a_prior_beyond_the_bounds_that_hold_ever_is_refused(prior: float) -> None:
    """`vol_floor_annual`: lowest annual volatility ever used; `vol_cap_annual`: highest."""
    with pytest.raises(ValueError, match="vol_prior_annual between"):
        PricingParams(vol_prior_annual=prior, vol_cap_annual=1.5)


@pytest.mark.parametrize("prior", [0.15, 0.45, 1.5])
def test_a_prior_is_used_until_there_is_better(prior: float) -> None:
    """As it was told, per root second."""
    found = Volatility(PricingParams(vol_prior_annual=prior, vol_cap_annual=1.5)).sigma(0)

    assert found is not None
    assert found * math.sqrt(31_536_000.0) == pytest.approx(prior)
