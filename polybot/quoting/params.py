"""What the operator may set about quotes: the `[quote]` section of the configuration."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import attrs
from attrs import validators as v

from polybot.domain import units
from polybot.pricing.blend import BlendParams

SELL_HELD = ("when short", "always", "never")
WARM_UP_S = 15.0  # so long before its open a window's books are read (supervisor.py)


def _between(low: float, high: float) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    return v.and_(v.ge(low), v.le(high))


@attrs.frozen(eq=False)
class Rungs:
    """The operator's ladder: ticks from the first bid to the second, and each level's usual size,
    10⁻⁶ shares. Told apart by which it is, not by what is in it: there is one for all decisions.
    """

    step_ticks: int
    sizes: tuple[float, ...]


# A class with slots and remembered figures has a `__getattr__`, with which CPython 3.11 reads every
# field ten times as slowly; a decision reads twenty.
@attrs.frozen(slots=False)
class QuoteParams:
    """Quoting settings; defaults are the starting values of strategy.md 4 to 6.

    Money here is a plain number in the unit its name ends with; it becomes an integer, rounded to
    the safe side, when a quote is made.
    """

    levels: int = attrs.field(default=2, validator=_between(1, 3))
    """Bids on each outcome."""

    size_shares: float = attrs.field(default=10.0, validator=_between(0.01, 100_000.0))
    """Shares of the first bid; below the market's minimum nothing is quoted."""

    size_growth: float = attrs.field(default=1.0, validator=_between(1.0, 1.5))
    """Each deeper bid is this many times larger."""

    size_floor: float = attrs.field(default=0.5, validator=_between(0.0, 1.0))
    """Least part of the usual size that all that shrinks it leaves together; 1 shrinks nothing."""

    fade_fraction: float = attrs.field(default=0.3, validator=_between(0.0, 1.0))
    """Part of the window before the stop over which sizes fade to the floor; 0: they do not."""

    sure_log_odds: float = attrs.field(default=0.4, validator=_between(0.01, 10.0))
    """Log-odds error of the model above which sizes shrink in proportion to it."""

    step_ticks: int = attrs.field(default=1, validator=_between(1, 20))
    """Ticks from the first bid to the second; the third is twice as far."""

    gamma_per_share: float = attrs.field(default=0.002, validator=_between(0.0, 0.1))
    """Risk aversion: log-odds by which one net share moves the reservation price."""

    base_edge: float = attrs.field(default=0.002, validator=_between(0.0, 0.2))
    """Dollars per share kept on every bid before the model's own risks are added."""

    rebate_counts: float = attrs.field(default=0.5, validator=_between(0.0, 0.5))
    """Part of the maker rebate a fill may bring that lowers the edge; never more than half."""

    latency_s: float = attrs.field(default=0.15, validator=_between(0.01, 10.0))
    """Seconds from a price move to our cancel taking effect; what is picked off in between."""

    kappa: float = attrs.field(default=1.0, validator=_between(0.0, 5.0))
    """Fair-price standard deviations over the latency that each bid keeps as edge."""

    sigma_error: float = attrs.field(default=0.1, validator=_between(0.0, 1.0))
    """Relative error of the volatility; widens bids away from even odds."""

    model_weight_max: float = attrs.field(default=0.8, validator=_between(0.0, 1.0))
    """Most that the model may count against the market's own mid."""

    market_error: float = attrs.field(default=0.1, validator=_between(0.001, 2.0))
    """Log-odds error granted to the market's price before spread, depth and age are added."""

    market_depth_shares: float = attrs.field(default=100.0, validator=_between(1.0, 1e6))
    """Shares at the touch below which the market's price counts as thin; also the most that one
    side may weigh in it."""

    disagree_log_odds: float = attrs.field(default=0.8, validator=_between(0.1, 5.0))
    """Log-odds between model and market beyond which we are probably the one who is wrong."""

    disagree_s: float = attrs.field(default=5.0, validator=_between(0.0, 600.0))
    """Seconds of such a gap until only the side that both find cheap is quoted, at half size."""

    target_total_max: float = attrs.field(default=0.99, validator=_between(0.9, 0.999))
    """Most dollars that one Up and one Down bid may cost together."""

    pair_jump: float = attrs.field(default=0.0, validator=_between(0.0, 0.1))
    """Dollars by which a pair must be cheaper while single jumps move the price."""

    pair_apart: float = attrs.field(default=0.0, validator=_between(0.0, 0.1))
    """The same while oracle and exchange drift apart."""

    pair_unpaired: float = attrs.field(default=0.0, validator=_between(0.0, 0.1))
    """The same while as much is unpaired as the limit allows and nothing was paired before; less in
    proportion.
    """

    pair_late: float = attrs.field(default=0.0, validator=_between(0.0, 0.1))
    """The same at the stop, growing over `fade_fraction` of the window before it."""

    stop_twap_s: float = attrs.field(default=120.0, validator=_between(0.0, 3600.0))
    """Seconds before the end of an average-settled window when only the light side is quoted."""

    stop_candle_s: float = attrs.field(default=60.0, validator=_between(0.0, 3600.0))
    """The same for candle-settled windows."""

    stop_move: float = attrs.field(default=0.025, validator=_between(0.001, 0.5))
    """Dollars that an even fair price may move within `latency_s`, one standard deviation; where it
    moves more, only the light side is quoted, even before the stop.
    """

    cutoff_twap_s: float = attrs.field(default=60.0, validator=_between(0.0, 3600.0))
    """Seconds before the end of an average-settled window when nothing is quoted any more."""

    cutoff_candle_s: float = attrs.field(default=15.0, validator=_between(0.0, 3600.0))
    """The same for candle-settled windows."""

    sell_held: str = attrs.field(default="when short", validator=v.in_(SELL_HELD))
    """When held shares are offered instead of bidding for their twin: when short (of cash, of room
    under the limits on dollars, or of the means to merge the pair in time), always, or never.
    """

    preopen_s: float = attrs.field(default=0.0, validator=_between(0.0, WARM_UP_S))
    """Seconds before the open when quoting may begin; there are no books before that."""

    def __attrs_post_init__(self) -> None:
        if self.cutoff_twap_s > self.stop_twap_s or self.cutoff_candle_s > self.stop_candle_s:
            raise ValueError("expected each cutoff no earlier than its stop")

    # What decisions need of these figures again and again is worked out once.

    @functools.cached_property
    def blend(self) -> BlendParams:
        """How model and market are weighed."""
        return BlendParams(
            self.model_weight_max,
            self.sigma_error,
            self.market_error,
            self.market_depth_shares,
            self.disagree_log_odds,
            self.disagree_s,
        )

    @functools.cached_property
    def late(self) -> float:
        """Fair-price volatilities kept as edge: κ·√latency (strategy.md 6.1)."""
        return self.kappa * math.sqrt(self.latency_s)

    @functools.cached_property
    def rungs(self) -> Rungs:
        """The ladder of either side."""
        base = self.size_shares * units.SHARE
        sizes = (base * self.size_growth**level for level in range(self.levels))
        return Rungs(self.step_ticks, tuple(sizes))

    @functools.cached_property
    def target_total(self) -> int:
        """The most that a pair of bids may cost, 10⁻⁴, without penalties (strategy.md 6.2, 4)."""
        return self.target_less(0.0)

    def target_less(self, penalties: float) -> int:
        """The same with so many dollars of them (pairs.py)."""
        dollars = min(max(1 - 2 * self.base_edge - penalties, 0.9), self.target_total_max)
        return math.floor(dollars * units.ONE + 5e-10)

    @functools.cached_property
    def has_pair_penalties(self) -> bool:
        """Whether any is set."""
        return any((self.pair_jump, self.pair_apart, self.pair_unpaired, self.pair_late))


@attrs.frozen
class CompletionParams:
    """When the missing side of a position is bought as a taker (strategy.md 7): `[completion]`."""

    enabled: bool = True
    """Whether anything is taken at all; without it positions are paired by resting bids only."""

    wait_value: float = attrs.field(default=0.01, validator=_between(0.0, 0.2))
    """Dollars per share that a passive fill would save; counts less as the cutoff comes nearer."""

    medium_from: float = attrs.field(default=0.25, validator=_between(0.0, 1.0))
    """Urgency (0 at the stop, 1 at the last call) from which slices are taken."""

    high_from: float = attrs.field(default=0.75, validator=_between(0.0, 1.0))
    """Urgency from which all that is missing is taken at once."""

    slice_fraction: float = attrs.field(default=0.25, validator=_between(0.01, 1.0))
    """Part of the missing shares that one slice takes."""

    last_call_s: float = attrs.field(default=5.0, validator=_between(0.5, 60.0))
    """Seconds before the cutoff when the rest is taken all or nothing, for the last time."""

    every_s: float = attrs.field(default=1.0, validator=_between(0.2, 60.0))
    """Seconds between two tries."""

    relieve: bool = True
    """Whether what is held over a limit on losses is paired at once, at any time of the window."""

    relief_pay: float = attrs.field(default=0.03, validator=_between(0.0, 0.5))
    """Most dollars per share beyond the fair price, fee included, that this may cost."""

    def __attrs_post_init__(self) -> None:
        if self.medium_from > self.high_from:
            raise ValueError("expected 'medium_from' not above 'high_from'")


@attrs.frozen
class RewardParams:
    """Liquidity rewards (clob.md 6.3, strategy.md 8.3): `[rewards]`. They count only where a
    market's metadata names a pool.
    """

    enabled: bool = True
    """Whether markets with a pool are quoted with an eye to it."""

    counts: float = attrs.field(default=0.5, validator=_between(0.0, 0.5))
    """Part of the reward expected per share filled that lowers the edge; never more than half."""

    fill_s: float = attrs.field(default=30.0, validator=_between(1.0, 3600.0))
    """Seconds in which a bid at the touch is taken to be filled once: what quoting costs."""

    check_s: float = attrs.field(default=30.0, validator=_between(5.0, 3600.0))
    """Seconds between two questions to the venue whether our orders score."""
