"""Another market than the calibrated one: half of all seeds trade in a price that stands still,
runs, jumps, or never leaves its strike, among few or many others.

The calibration is of one winter. What a bot does on a night that is none of these – a strike that
the price crosses every second, a market beyond 95 cents after a minute, a book of one order a side
– no number of usual windows shows.
"""

from __future__ import annotations

import random

import attrs

from polybot.exchange.synthetic import MEASURED, PriceRegime

INTENSITY = 0.02  # of a busy market's crowd; the more of it, the longer a life takes
VOLATILITY = (0.05, 0.3, 1.0, 3.0, 10.0)
JUMPS_PER_HOUR = (0.0, 2.0, 60.0, 600.0)
JUMP = (0.001, 0.005)
PULL = (0.0, 0.0, 0.05)
INTENSITIES = (0.001, 0.005, INTENSITY, 0.06)


@attrs.frozen
class Conditions:
    """How restless the price is, and how busy everybody else."""

    regime: PriceRegime = MEASURED
    intensity: float = INTENSITY

    def text(self) -> str:
        if self == Conditions():
            return "as measured"
        regime = self.regime
        return (
            f"volatility ×{regime.volatility:g}, {regime.jumps_per_hour:g} jumps an hour of "
            f"{regime.jump * 1e4:g} bp, pull {regime.pull:g}, crowd {self.intensity:g}"
        )


def draw_conditions(rng: random.Random) -> Conditions:
    """The measured one for every second seed."""
    if rng.random() < 0.5:
        return Conditions()
    regime = PriceRegime(
        rng.choice(VOLATILITY), rng.choice(JUMPS_PER_HOUR), rng.choice(JUMP), rng.choice(PULL)
    )
    return Conditions(regime, rng.choice(INTENSITIES))
