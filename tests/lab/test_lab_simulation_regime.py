"""Markets that the calibration has not seen, and lives in them."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from typing import Any

import attrs
import pytest
from simulation_kit import calm, sound

from polybot.exchange.synthetic import PriceRegime, SyntheticSource
from polybot.lab.simulation_draw import draw
from polybot.lab.simulation_keep import Keep
from polybot.lab.simulation_regime import INTENSITIES, Conditions, draw_conditions

START_MS = 1_793_000_400_000
DRAWN = [draw(seed, 1.0) for seed in range(1, 401)]


def path(regime: PriceRegime, seconds: int = 3_000) -> list[float]:
    """A price a second, in logarithms."""
    source = SyntheticSource(7, START_MS, {"btc": 90_000.0}, regime)
    at = range(START_MS, START_MS + seconds * 1000, 1000)
    return [math.log(source.binance("btc", at_ms)) for at_ms in at]


def restless(prices: list[float]) -> float:
    return statistics.pstdev(b - a for a, b in itertools.pairwise(prices))


def astray(prices: list[float]) -> float:
    """How far windows of five minutes end from where they began, their root mean square."""
    ends = [b - a for a, b in itertools.pairwise(prices[::300])]
    return math.sqrt(statistics.fmean(end * end for end in ends))


def test_the_measured_regime_is_the_path_it_was() -> None:
    """To the last bit: calibrated figures and recorded seeds stand."""
    source = SyntheticSource(7, START_MS, {"btc": 90_000.0})

    assert [source.binance("btc", START_MS + second * 1000) for second in (0, 899, 2999)] == [
        90_055.23,
        89_994.13,
        90_568.27,
    ]


def test_volatility_multiplies() -> None:
    """Thrice the volatility moves thrice as far each second, without jumps."""
    plain = path(PriceRegime(jumps_per_hour=0.0))
    wild = path(PriceRegime(volatility=3.0, jumps_per_hour=0.0))

    assert restless(wild) / restless(plain) == pytest.approx(3.0, rel=0.02)


def test_jumps_jump() -> None:
    """Six hundred an hour, each of half a percent or so."""
    jumpy = path(PriceRegime(volatility=0.05, jumps_per_hour=600.0, jump=0.005))
    steps = [abs(b - a) for a, b in itertools.pairwise(jumpy)]

    assert 300 < sum(step > 0.001 for step in steps) < 650


def test_a_pull_holds_every_window_at_its_strike() -> None:
    """Where the free price goes a whole σ√t away."""
    free = astray(path(PriceRegime(jumps_per_hour=0.0), 12_000))
    held = astray(path(PriceRegime(jumps_per_hour=0.0, pull=0.05), 12_000))

    assert held < free / 3


def test_what_seeds_draw() -> None:
    """Half of them the measured one; the others everything on offer, the same for ever."""
    other = [case.conditions for case in DRAWN if case.conditions != Conditions()]

    assert 160 < len(other) < 240
    assert {one.intensity for one in other} == set(INTENSITIES)
    assert {one.regime.pull for one in other} == {0.0, 0.05}
    assert draw_conditions(random.Random("weather 7")) == draw(7, 1.0).conditions


def test_it_can_be_left_out_and_is_told() -> None:
    """As every part of a case."""
    case = next(case for case in DRAWN if case.conditions.regime.volatility == 10)
    plain = Keep(regime=False, settings=False, means=False).of(case)

    assert plain.conditions == Conditions()
    assert (case.usual, plain.usual) == (False, True)
    assert "regime volatility ×10, " in case.text()
    assert plain.text().endswith("regime as measured")


def life(conditions: Conditions) -> Any:
    return attrs.evolve(calm(length_s=40.0), conditions=conditions)


@pytest.mark.parametrize(
    "conditions",
    [
        Conditions(PriceRegime(volatility=10.0, jumps_per_hour=600.0, jump=0.005)),
        Conditions(PriceRegime(volatility=0.05, jumps_per_hour=0.0), 0.001),
    ],
    ids=["storm", "nobody there"],
)
def test_a_life_in_it(conditions: Conditions) -> None:
    """Sound by every rule, and orders are placed."""
    assert sound(life(conditions)).seen["PLACEMENT"] > 0
