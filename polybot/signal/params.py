"""What the operator may set about signals: the `[signals]` section of the configuration.

Every signal is always computed, shown and scored. It changes quotes only when it is named in
`acting`, and then only while its scores carry it (evidence.py): a signal earns that by what its
calls were worth, not by its idea.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import attrs
from attrs import validators as v

NAMES = ("flow", "toxicity", "competitors", "regime", "fast_move", "parity", "correlation")

# So many times its half-life a fading count comes to at most: 2/ln 2, rounded down.
EFFECTIVE_MOST = 2.8
# Calls judged in another way are no evidence: those of 1 were held against a price of before them.
JUDGED_BY = 2


def _between(low: float, high: float) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    return v.and_(v.ge(low), v.le(high))


def _known(_instance: Any, _field: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    strange = [name for name in value if name not in NAMES]
    if strange:
        raise ValueError(f"expected names out of {', '.join(NAMES)}, was {strange[0]!r}")


@attrs.frozen
class SignalParams:
    """Signal settings; defaults are the starting values of strategy.md 11 and 12."""

    acting: tuple[str, ...] = attrs.field(default=(), validator=_known)
    """The signals that change quotes while their scores carry it (`earn_calls`); the others are
    only computed, shown and scored.
    """

    earn_calls: float = attrs.field(default=30.0, validator=_between(0.0, 10_000.0))
    """Effective calls of a signal that must have been judged before it acts; 0: it acts at once and
    whatever its scores say.
    """

    earn_t: float = attrs.field(default=1.0, validator=_between(0.0, 5.0))
    """Standard errors by which the mean worth of its calls must be above nought for it to act."""

    earn_half_life: float = attrs.field(default=200.0, validator=_between(5.0, 10_000.0))
    """Calls of a signal after which one counts half."""

    shadow_every_s: float = attrs.field(default=0.1, validator=_between(0.0, 5.0))
    """Seconds between two looks at the books while no signal that reads them acts; one that acts
    looks at every decision."""

    flow_memory: float = attrs.field(default=0.1, validator=_between(0.001, 1.0))
    """Part of the window over which trades count for the flow imbalance, fading (0.1: 30 s)."""

    flow_beta: float = attrs.field(default=0.1, validator=_between(0.0, 2.0))
    """Part of one typical move over that memory by which a full imbalance shifts the fair price."""

    toxic_half_life: float = attrs.field(default=100.0, validator=_between(5.0, 10_000.0))
    """Fills after which a markout counts half."""

    toxic_t: float = attrs.field(default=2.0, validator=_between(0.5, 10.0))
    """Standard errors below zero at which the mean markout is called toxic."""

    toxic_least_fills: float = attrs.field(default=30.0, validator=_between(2.0, 10_000.0))
    """Effective fills before that statistic is believed."""

    toxic_least_for_mean: float = attrs.field(default=8.0, validator=_between(1.0, 10_000.0))
    """Effective fills before a mean below half-spread and rebate alone is called toxic."""

    toxic_widen: float = attrs.field(default=1.5, validator=_between(1.0, 5.0))
    """Factor on the edge while fills are toxic."""

    toxic_shrink: float = attrs.field(default=0.5, validator=_between(0.0, 1.0))
    """Factor on sizes while fills are toxic."""

    toxic_clean_intervals: int = attrs.field(default=2, validator=_between(1, 20))
    """Intervals without toxic fills, at the smallest size, before a stopped series is released."""

    rivals_window_s: float = attrs.field(default=300.0, validator=_between(10.0, 3600.0))
    """Seconds of rivals' conduct that are remembered."""

    rivals_beaten_s: float = attrs.field(default=1.0, validator=_between(0.05, 10.0))
    """Seconds within which an improvement of ours must be outbid to count as undercut."""

    rivals_undercut: float = attrs.field(default=0.6, validator=_between(0.1, 1.0))
    """Share of our improvements undercut from which on we stop improving and join."""

    rivals_least: int = attrs.field(default=10, validator=_between(1, 1000))
    """Improvements, or returns of one size, before they are taken for a habit."""

    rivals_fast_s: float = attrs.field(default=0.25, validator=_between(0.01, 5.0))
    """Seconds after a spot move within which a requote is called fast."""

    rivals_fast_makers: int = attrs.field(default=2, validator=_between(1, 10))
    """Fast makers at the touch from which on we quote one level deeper."""

    regime_hold_s: float = attrs.field(default=10.0, validator=_between(0.0, 300.0))
    """Seconds that a calmer or busier book must last before its regime is believed."""

    regime_high_spread: float = attrs.field(default=0.01, validator=_between(0.0001, 0.5))
    """Widest spread, in dollars, of a book called liquid."""

    regime_low_spread: float = attrs.field(default=0.04, validator=_between(0.0001, 0.5))
    """Spread above which a book is called thin."""

    regime_crisis_spread: float = attrs.field(default=0.10, validator=_between(0.0001, 0.99))
    """Spread above which nothing should be quoted."""

    regime_high_depth: float = attrs.field(default=2000.0, validator=_between(1.0, 1e7))
    """Least shares within three cents, on the thinner side, of a book called liquid."""

    regime_low_depth: float = attrs.field(default=300.0, validator=_between(0.0, 1e7))
    """Shares within three cents below which a book is called thin."""

    regime_stale_s: float = attrs.field(default=30.0, validator=_between(1.0, 600.0))
    """Seconds without any change after which a book is called thin, whatever it shows."""

    fast_sigmas: float = attrs.field(default=3.0, validator=_between(1.0, 10.0))
    """Standard deviations within `fast_over_s` that make a move of the spot a fast one."""

    fast_over_s: float = attrs.field(default=5.0, validator=_between(0.5, 60.0))
    """Seconds over which that move is looked for."""

    fast_hold_s: float = attrs.field(default=5.0, validator=_between(0.0, 60.0))
    """Seconds after its last sight that a fast move is still called under way."""

    parity_buffer: float = attrs.field(default=0.002, validator=_between(0.0, 0.1))
    """Dollars per pair that a parity gap must bring after fees to be called one."""

    parity_leg_fails: float = attrs.field(default=0.3, validator=_between(0.0, 1.0))
    """Chance that the second of two legs is not filled at its price, for the cost of trying."""

    parity_off_s: float = attrs.field(default=120.0, validator=_between(0.0, 3600.0))
    """Seconds before the end in which a gap is not looked for."""

    correlation_step_s: float = attrs.field(default=5.0, validator=_between(1.0, 60.0))
    """Seconds between the prices whose moves are compared; shorter ones look less related."""

    correlation_half_life_s: float = attrs.field(default=1800.0, validator=_between(60.0, 86_400.0))
    """Seconds after which a move counts half for the correlation of two assets."""

    correlation_prior: float = attrs.field(default=0.8, validator=_between(0.0, 1.0))
    """Correlation of two assets until thirty moves have been compared."""

    score_horizon: float = attrs.field(default=0.05, validator=_between(0.001, 1.0))
    """Part of the window after which a signal's call is scored (0.05: 15 s)."""

    @functools.cached_property
    def reads_always(self) -> bool:
        """Whether a signal acts that must see what each decision sees. Toxicity learns of fills."""
        return any(name != "toxicity" for name in self.acting)

    @property
    def made_by(self) -> str:
        """A name for the settings that make the calls what they are: all but those that say who
        acts, and on what evidence; and for the way they are judged.
        """
        calls = {
            name: value
            for name, value in attrs.asdict(self).items()
            if name not in ("acting", "shadow_every_s") and not name.startswith("earn_")
        }
        told = f"{JUDGED_BY} {sorted(calls.items())}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def __attrs_post_init__(self) -> None:
        spreads = (self.regime_high_spread, self.regime_low_spread, self.regime_crisis_spread)
        if list(spreads) != sorted(spreads):
            raise ValueError("expected the spreads of the regimes to rise from high to crisis")
        if self.earn_calls > EFFECTIVE_MOST * self.earn_half_life:
            raise ValueError("'earn_calls' would never be reached with this 'earn_half_life'")
        if self.regime_low_depth > self.regime_high_depth:
            raise ValueError("'regime_low_depth' must not be above 'regime_high_depth'")
