"""S14: quotes come from a fair price that can be one, measured against the true strike."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import attrs

from polybot.exchange.model import Market
from polybot.exchange.server import Exchange
from polybot.lab.simulation_strikes import ToldStrikes
from polybot.pricing.fair import Fair, NoFair

RULE_BENT_S = 1.0  # what Gamma says is read at once
STRIKE_OFF_MOST = 1e-4  # S14, relative: a basis point


@attrs.define(eq=False)
class QuotedPrices:
    """`told`: what Gamma has said of strikes; `once` tells of a breach by rule, key and text."""

    exchange: Exchange
    told: ToldStrikes
    once: Callable[[str, str, str], None]
    _kin: dict[str, list[str]] = attrs.field(factory=dict)  # markets of one strike, by slug

    def judge(self, slug: str, fair: Fair | NoFair) -> None:
        """A decision to quote a market at a fair price."""
        if not isinstance(fair, Fair):
            self.once("S14", slug, f"{slug}: quoted without a fair price")
        elif not (math.isfinite(fair.q) and 0 < fair.q < 1):
            self.once("S14", slug, f"{slug}: quoted at a fair price of {fair.q}")
        elif self.told.bent_s(slug) > RULE_BENT_S:
            self.once("S14", f"{slug} rule", f"{slug}: quoted while told not to")
        elif self._off(slug, fair) > STRIKE_OFF_MOST and not fair.provisional_strike:
            self.once("S14", slug, f"{slug}: quoted against a strike of {fair.strike}")

    def _off(self, slug: str, fair: Fair) -> float:
        """How far a strike is from the true one, or from what the venue has told, relative: of this
        market or of one that begins with it and has its strike in common.
        """
        market = self.exchange.lifecycle.by_slug.get(slug)
        if market is None or market.strike is None or fair.strike is None:
            return 0.0
        told = (self.told.of(alike) for alike in self._alike(market))
        strikes = itertools.chain([market.strike], *told)
        return min(abs(fair.strike / strike - 1) for strike in strikes)

    def _alike(self, market: Market) -> list[str]:
        """Which markets have its strike, itself among them; found once, when it has one."""
        found = self._kin.get(market.slug)
        if found is None:
            found = self._kin[market.slug] = [
                other.slug
                for other in self.exchange.engine.markets.values()
                if other.start_ms == market.start_ms
                and (other.series.asset, other.series.rule)
                == (market.series.asset, market.series.rule)
            ]
        return found
