"""What the operator may set about prices: the `[pricing]` section of the configuration."""

from __future__ import annotations

import attrs
from attrs import validators as v

_POSITIVE = v.and_(v.gt(0.0), v.lt(1e7))


_Three = tuple[float, float, float]


def _add_to_one(_: object, attribute: attrs.Attribute[_Three], value: _Three) -> None:
    if abs(sum(value) - 1.0) > 1e-9:
        raise ValueError(f"expected {attribute.name} to add to 1, was {value}")


_FRACTIONS = v.and_(v.deep_iterable(v.and_(v.ge(0.0), v.le(1.0))), _add_to_one)
_LIVE = v.and_(v.ge(1.0), v.le(86_400.0))
_LIVES = v.deep_iterable(_LIVE)


@attrs.frozen
class PricingParams:
    """Volatility, freshness and strike settings; defaults are those of strategy.md 1 and 3."""

    vol_half_lives_s: _Three = attrs.field(default=(30.0, 120.0, 1800.0), validator=_LIVES)
    """Half-lives of the fast, medium and slow volatility estimates."""

    vol_weights: _Three = attrs.field(default=(0.2, 0.4, 0.4), validator=_FRACTIONS)
    """How the three variances are mixed; they add to 1."""

    vol_quick_s: float = attrs.field(default=300.0, validator=_LIVE)
    """How far ahead the fast and the medium estimate tell: of a longer way, of that share alone."""

    vol_sample_s: float = attrs.field(default=1.0, validator=v.and_(v.ge(0.1), v.le(60.0)))
    """Ticks closer than this are coalesced: faster sampling measures noise, not volatility."""

    vol_gap_s: float = attrs.field(default=10.0, validator=_POSITIVE)
    """A longer silence is no step of the price and left out; at least twice `vol_sample_s`."""

    vol_forget_s: float = attrs.field(default=900.0, validator=_POSITIVE)
    """After a silence this long the estimate starts again."""

    vol_warmup_s: float = attrs.field(default=30.0, validator=v.and_(v.ge(0.0), v.le(3600.0)))
    """Seconds of prices that must have been seen before the estimate is used."""

    vol_prior_annual: float = attrs.field(default=0.0, validator=v.and_(v.ge(0.0), v.le(3.0)))
    """Annual volatility to use until the warm-up is over (0.45 is 45 %), from the floor to the cap;
    0 means wait instead."""

    vol_floor_annual: float = attrs.field(default=0.15, validator=v.and_(v.gt(0.0), v.le(1.0)))
    """Lowest annual volatility ever used."""

    vol_cap_annual: float = attrs.field(default=3.0, validator=v.and_(v.gt(1.0), v.le(10.0)))
    """Highest annual volatility ever used."""

    vol_seasons: str = ""
    """File with what each hour of the week usually is like, made by `lab season`; empty: none."""

    vol_oracle_sample_s: float = attrs.field(default=10.0, validator=v.and_(v.ge(1.0), v.le(60.0)))
    """Ticks of the oracle's spot closer than this are coalesced, where it stands in for an exchange
    never heard: its own smoothing hides half the movement of one second, and some of five."""

    vol_error: float = attrs.field(default=0.2, validator=v.and_(v.ge(0.0), v.le(0.5)))
    """Standard error of the logarithm of volatility; probabilities are averaged over it."""

    jumps_per_hour: float = attrs.field(default=0.0, validator=v.and_(v.ge(0.0), v.le(60.0)))
    """Jumps to expect beside the diffusion; 0 prices none."""

    jump_bp: float = attrs.field(default=10.0, validator=v.and_(v.ge(0.0), v.le(500.0)))
    """Standard deviation of one jump, in basis points."""

    jump_share: float = attrs.field(default=0.7, validator=v.and_(v.gt(0.0), v.le(1.0)))
    """Share of the last half minute's variance made by single jumps that is told as a caution."""

    oracle_stale_s: float = attrs.field(default=2.5, validator=_POSITIVE)
    """Oldest receipt of the oracle's average that still counts as fresh; older stops all quotes."""

    oracle_spot_stale_s: float = attrs.field(default=5.0, validator=_POSITIVE)
    """The same for the oracle's spot. Longer, for one in ten to twenty of its seconds never comes:
    at 2.5 a healthy stream would stop quotes several times an hour."""

    oracle_lag_s: float = attrs.field(default=6.0, validator=_POSITIVE)
    """Oldest stamp of an oracle value that still counts as fresh; it is published 1 to 2 s late."""

    spot_stale_s: float = attrs.field(default=2.5, validator=_POSITIVE)
    """Oldest receipt, and oldest stamp, of an exchange price that still counts as fresh."""

    stale_exchange_size: float = attrs.field(default=0.5, validator=v.and_(v.ge(0.0), v.le(1.0)))
    """Part of the usual size while the exchange is stale and the slower oracle stands in."""

    frozen_s: float = attrs.field(default=20.0, validator=v.and_(v.ge(1.0), v.le(120.0)))
    """A value unchanged for this long is frozen if the other source moved meanwhile."""

    frozen_move_bp: float = attrs.field(default=2.0, validator=_POSITIVE)
    """How far the other source must have moved, in basis points, to call a value frozen."""

    basis_min_pairs: int = attrs.field(default=5, validator=v.and_(v.ge(1), v.le(60)))
    """Seconds seen from both exchange and oracle before the exchange price stands in for it."""

    level_half_life_s: float = attrs.field(default=600.0, validator=v.and_(v.ge(1.0), v.le(1e5)))
    """Half-life of the usual distance between exchange and oracle."""

    apart_warn_bp: float = attrs.field(default=3.0, validator=_POSITIVE)
    """Basis points off their usual distance from which the edge is widened by that much."""

    apart_halt_bp: float = attrs.field(default=10.0, validator=_POSITIVE)
    """Basis points off their usual distance from which nothing is priced."""

    apart_sides_s: float = attrs.field(default=120.0, validator=v.and_(v.ge(0.0), v.le(3600.0)))
    """Seconds before the end in which oracle and exchange on two sides of the strike stop quotes.
    """

    twap_lag_s: float = attrs.field(default=0.0, validator=v.and_(v.ge(0.0), v.le(6.0)))
    """Seconds by which the published average trails its stamp, until that has been measured."""

    strike_correction_bp: float = attrs.field(default=0.5, validator=_POSITIVE)
    """A strike that changes by more than this is a correction: everything is withdrawn."""

    strike_pause_s: float = attrs.field(default=1.0, validator=v.and_(v.ge(0.0), v.le(60.0)))
    """How long after a correction nothing is priced, so that every old quote is gone first."""

    rtds: bool = attrs.field(default=False)
    """Whether the legacy price socket is heard as a second source; the venue announced its end."""

    def __attrs_post_init__(self) -> None:
        if self.apart_halt_bp < self.apart_warn_bp:
            raise ValueError("expected apart_halt_bp no lower than apart_warn_bp")
        prior = self.vol_prior_annual
        if prior and not self.vol_floor_annual <= prior <= self.vol_cap_annual:
            raise ValueError(
                "expected vol_prior_annual between vol_floor_annual and vol_cap_annual"
            )
        if self.vol_gap_s < 2 * self.vol_sample_s:  # a tick that is a little late is no gap
            raise ValueError("expected vol_gap_s no lower than twice vol_sample_s")
