"""What the crowd believes, against the published golden vectors and against what comes true."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import attrs
import pytest

from polybot.exchange.calendar import SERIES, market_for
from polybot.exchange.crowd_odds import LEAD_S, NOON_MS, MarketOdds, twap_variance_s
from polybot.exchange.model import Market
from polybot.exchange.synthetic import SyntheticSource

SIGMA = 8e-5  # the reference case of strategy.md 2
START_MS = 1_795_132_800_000
LEAD_MS = int(LEAD_S * 1000)


@attrs.define
class Path:
    """A source that follows one function of time; Binance is there the usual lead earlier."""

    price: Callable[[int], float]

    def chainlink(self, asset: str, at_ms: int) -> float:
        return self.price(at_ms)

    def binance(self, asset: str, at_ms: int) -> float:
        return self.price(at_ms + LEAD_MS)

    def sigma(self, asset: str, at_ms: int, ahead_s: float = 0.0) -> float:
        return SIGMA


def odds(market: Market, price: Callable[[int], float]) -> MarketOdds:
    return MarketOdds(market, Path(price))


@pytest.mark.parametrize(
    ("to_start", "to_end", "expected"),
    [
        (60, 360, 280.0),
        (30, 330, 277.5),
        (10, 310, 268.4),
        (0, 300, 260.0),
        (-60, 240, 200.0),
        (-240, 60, 20.0),
        (-270, 30, 2.5),
        (-300, 0, 0.0),
    ],
)
def test_remaining_variance(to_start: float, to_end: float, expected: float) -> None:
    """Before, at and after the start, and inside the last minute, as in strategy.md 2.2."""
    assert twap_variance_s(to_start, to_end) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("spot", "left_s", "expected"), [(100_100, 300, 0.7804), (100_050, 60, 0.9185)]
)
def test_twap_golden_vectors(spot: float, left_s: int, expected: float) -> None:
    """With the strike behind and the final average ahead, the published probabilities come out."""
    market = market_for(SERIES["btc-15m"], START_MS, 1)
    at_ms = market.end_ms - left_s * 1000 - LEAD_MS

    believed = odds(market, lambda t: 100_000 if t <= START_MS else spot).at(at_ms).up

    assert believed == pytest.approx(expected, abs=2e-3)


def test_inside_the_last_minute_the_printed_samples_count() -> None:
    """Half of the average is fixed above the strike: worth more than the spot alone says."""
    market = market_for(SERIES["btc-15m"], START_MS, 1)
    turn_ms = market.end_ms - 30_000 - LEAD_MS

    def price(t: int) -> float:
        return 100_000 if t <= START_MS else 100_020 if t <= turn_ms else 100_010

    assert odds(market, price).at(turn_ms).up == pytest.approx(0.8817, abs=0.01)


@pytest.mark.parametrize(("left_s", "expected"), [(3599, 0.5814), (1800, 0.6156)])
def test_candle_golden_vectors(left_s: int, expected: float) -> None:
    """The hourly rule is a plain spot contract against the candle's open."""
    market = market_for(SERIES["btc-1h"], START_MS, 1)
    market.strike = 100_000.0

    view = odds(market, lambda _: 100_100).at(market.end_ms - left_s * 1000)

    assert view.up == pytest.approx(expected, abs=2e-3)
    assert odds(market, lambda _: 100_100).at(START_MS - 5000).up == 0.5


@pytest.mark.parametrize(("left_s", "expected"), [(101, 0.8921), (11, 0.9999)])
def test_the_old_rule_is_one_print_at_either_end(left_s: int, expected: float) -> None:
    """Until August 2026: a plain spot contract on Chainlink, which is a second behind Binance
    (strategy.md 2.1 with the variance of a path that ends in one sample).
    """
    series = attrs.evolve(SERIES["btc-5m"], rule="point")
    market = attrs.evolve(market_for(SERIES["btc-5m"], START_MS, 1), series=series)
    at_ms = market.end_ms - left_s * 1000

    view = odds(market, lambda t: 100_000 if t <= START_MS else 100_099).at(at_ms)

    assert twap_variance_s(-200, 100, samples=1) == pytest.approx(99 + 1 / 3)
    assert view.up == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("rule", "late_ms"), [("twap", 0), ("point", 0), ("candle", 0), ("noon", NOON_MS)]
)
@pytest.mark.parametrize("ends_at", [100_010, 99_990])
def test_what_has_settled_is_known(rule: str, late_ms: int, ends_at: int) -> None:
    """From the instant that settles on, the outcome is as good as sure and stays what it is,
    wherever the price goes; a day settles a minute after its end (feeds.md 10.1).
    """
    listed, series = SERIES["btc-1h"], attrs.evolve(SERIES["btc-1h"], rule=rule)
    market = attrs.evolve(market_for(listed, START_MS, 1), series=series, strike=100_000.0)
    settles_ms = market.end_ms + late_ms

    def price(t: int) -> float:
        if t <= market.start_ms:
            return 100_000
        return ends_at if t <= settles_ms + LEAD_MS else 200_000 - ends_at

    believed = odds(market, price)
    late = believed.at(settles_ms // 100 * 100 + 5_000)

    assert (late.up > 0.999, late.up < 0.001) == (ends_at > 100_000, ends_at < 100_000)
    assert late.speed == 0


def test_speed_is_the_derivative_of_the_belief() -> None:
    """`speed` is what one σ of spot does to the probability (strategy.md 2.3)."""
    market = market_for(SERIES["btc-15m"], START_MS, 1)
    at_ms, step = market.end_ms - 302_000, 1e-6

    def up(spot: float) -> float:
        return odds(market, lambda t: 100_000 if t <= START_MS else spot).at(at_ms).up

    slope = (up(100_000 * math.exp(step)) - up(100_000 * math.exp(-step))) / (2 * step)
    view = odds(market, lambda _: 100_000).at(at_ms)

    assert view.speed == pytest.approx(slope * SIGMA, rel=1e-3)
    assert view.speed == pytest.approx(0.0247, abs=2e-4)


@pytest.mark.parametrize("left_s", [290, 120, 40])
def test_the_distance_is_what_the_belief_is_made_of(left_s: int) -> None:
    """Held against the σ that the crowd goes by it is the belief again."""
    market = market_for(SERIES["btc-5m"], START_MS, 1)

    view = odds(market, lambda t: 100_000 if t <= START_MS else 100_040).at(
        market.end_ms - left_s * 1000
    )

    assert view.up == pytest.approx(statistics.NormalDist().cdf(view.distance / SIGMA))
    assert 0.55 < view.up < 0.99


def test_beliefs_come_true() -> None:
    """Over many windows beliefs sum to the outcomes, and are as sure as they deserve to be."""
    source = SyntheticSource(11, START_MS, {"btc": 90_000.0})
    total = variance = loss = entropy = 0.0
    count = 300
    for number in range(count):
        market = market_for(SERIES["btc-5m"], START_MS + number * 300_000, 1)
        view = MarketOdds(market, source).at(market.start_ms + 100_000)
        won = _average(source, market.end_ms) >= _average(source, market.start_ms)
        total += won - view.up
        variance += view.up * (1 - view.up)
        loss -= math.log(view.up if won else 1 - view.up)
        entropy -= view.up * math.log(view.up) + (1 - view.up) * math.log(1 - view.up)

    assert abs(total) < 3.5 * math.sqrt(variance)
    assert loss == pytest.approx(entropy, rel=0.1)
    assert entropy / count < 0.62


def _average(source: SyntheticSource, end_ms: int) -> float:
    return sum(source.chainlink("btc", end_ms - 1000 * k) for k in range(60)) / 60


def test_a_slot_is_computed_once() -> None:
    """Many members asking about the same instant cost one computation."""
    asked: list[int] = []

    def price(t: int) -> float:
        asked.append(t)
        return 100_000.0

    believed = odds(market_for(SERIES["btc-5m"], START_MS, 1), price)
    first = believed.at(START_MS + 10_000)
    count = len(asked)

    assert believed.at(START_MS + 10_099) is first
    assert len(asked) == count


@attrs.define
class Restless(Path):
    """A source whose volatility will be half of what it is now."""

    asked: list[tuple[int, float]] = attrs.field(factory=list)

    def sigma(self, asset: str, at_ms: int, ahead_s: float = 0.0) -> float:
        self.asked.append((at_ms, ahead_s))
        return SIGMA / 2 if ahead_s else SIGMA


@pytest.mark.parametrize(("key", "after"), [("btc-5m", 0.5), ("btc-15m", 1.0), ("btc-1h", 1.0)])
def test_a_long_window_is_believed_by_what_volatility_will_be(key: str, after: float) -> None:
    """Within five minutes it goes nowhere; of an hour the present says little. Asked for once a
    second, for what is left.
    """
    market = market_for(SERIES[key], START_MS, 1)
    source = Restless(lambda t: 100_000 if t <= START_MS + LEAD_MS else 100_040)
    believed = MarketOdds(market, source)
    seconds = [start / 10 for start in range(1_000, 1_020)]
    found = [believed.at(START_MS + int(second * 1000)).up for second in seconds]

    calm = odds(market, source.price)
    usual = [calm.at(START_MS + int(second * 1000)).up for second in seconds]
    ratio = statistics.NormalDist().inv_cdf(found[0]) / statistics.NormalDist().inv_cdf(usual[0])
    assert ratio == pytest.approx(2 * after, rel=1e-6)
    left_s = (market.end_ms - START_MS) / 1000 - 100
    if after == 1.0:
        assert source.asked == [(START_MS + 100_000 + n * 1000, left_s - n) for n in (0, 1)]
