"""A mean whose old observations fade, with the evidence that is left in it."""

from __future__ import annotations

import math

import attrs

from polybot.domain.earned import Worth


@attrs.define
class Tally:
    """Exponentially weighted mean and deviation; each observation halves the older ones' weight in
    `half_life` observations. `n_eff` is (Σw)²/Σw² (strategy.md 11).
    """

    half_life: float
    mean: float = 0.0
    _weight: float = 0.0
    _squares: float = 0.0  # of weights
    _spread: float = 0.0  # weighted sum of squared deviations

    def add(self, value: float, weight: float = 1.0) -> None:
        """Take one observation (West's update, with fading). Raises ValueError unless both are
        finite and the weight is positive.
        """
        if not (math.isfinite(value) and math.isfinite(weight) and weight > 0):
            raise ValueError(f"expected a finite observation, was {value} with weight {weight}")
        fade = 0.5 ** (1 / self.half_life)
        self._weight = self._weight * fade + weight
        self._squares = self._squares * fade * fade + weight * weight
        gap = value - self.mean
        step = gap * weight / self._weight
        self.mean += step
        self._spread = self._spread * fade + weight * gap * (value - self.mean)

    def worth(self, name: str) -> Worth:
        """As it stands, to be kept."""
        return Worth(name, self.mean, self._weight, self._squares, self._spread)

    @classmethod
    def of(cls, half_life: float, held: Worth) -> Tally:
        """As it was kept. Raises ValueError for sums that no observations make."""
        sums = (held.weight, held.squares, held.spread)
        none = not (held.weight and held.squares)
        if not all(map(math.isfinite, (held.mean, *sums))) or min(sums) < 0 or none:
            raise ValueError(f"expected the sums of a mean, was {held}")
        return cls(half_life, held.mean, *sums)

    @property
    def n_eff(self) -> float:
        return self._weight**2 / self._squares if self._squares else 0.0

    @property
    def deviation(self) -> float:
        """Standard deviation of one observation, 0 until there are two."""
        n = self.n_eff
        if n <= 1:
            return 0.0
        return math.sqrt(max(0.0, self._spread / self._weight) * n / (n - 1))

    @property
    def t(self) -> float:
        """The mean in standard errors; 0 while nothing can be said."""
        deviation = self.deviation
        if deviation > 0:
            return self.mean / deviation * math.sqrt(self.n_eff)
        return 0.0 if self.n_eff <= 1 or self.mean == 0 else math.copysign(math.inf, self.mean)
