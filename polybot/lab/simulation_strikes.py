"""Prices to beat that are published wrong and then put right, and what of them a bot may go by."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs
import trio

from polybot.exchange.faults.gamma_lies import OTHER_SOURCE
from polybot.exchange.resolution import Bend
from polybot.exchange.server import Exchange
from polybot.lab.simulation_case import StrikeTerms

GAMMA = "rest gamma"
HEARD_WITHIN_S = 25.0  # it is read again after fifteen seconds, on a beat of five
BENT_EVERY_S = 1.0
_OTHER_SOURCE = OTHER_SOURCE.encode()
_NOT_ACCEPTING = re.compile(rb'"acceptingOrders":\s*false')
_SLUG = re.compile(rb'"slug":\s*"([^"]+)"')
_STRIKE = re.compile(rb'"priceToBeat":\s*([0-9.eE+-]+)')


@attrs.define(eq=False)
class ToldStrikes:
    """What Gamma has told a bot of its markets' rules and strikes, by slug: the last, and what was
    told until a moment ago. A venue that errs is believed until it says better; that is its doing.
    """

    now_s: Callable[[], float]
    _told: dict[str, dict[float, float]] = attrs.field(factory=dict)  # strike → last told at
    _bent: dict[str, float] = attrs.field(factory=dict)  # since when it is told as not to be traded

    def heard(self, where: str, body: bytes) -> None:
        """What has come over a wire."""
        if where != GAMMA or not body.startswith(b"200 "):
            return
        slugs = {slug.decode() for slug in _SLUG.findall(body)}
        for slug in slugs:
            if _OTHER_SOURCE in body or _NOT_ACCEPTING.search(body):
                self._bent.setdefault(slug, self.now_s())
            else:
                self._bent.pop(slug, None)
        for strike in map(float, _STRIKE.findall(body)):
            for slug in slugs:
                told = self._told.setdefault(slug, {})
                told.pop(strike, None)
                told[strike] = self.now_s()

    def bent_s(self, slug: str) -> float:
        """For how long another settlement rule has been told of a market, or that it takes no
        orders.
        """
        return self.now_s() - self._bent.get(slug, self.now_s())

    def of(self, slug: str) -> list[float]:
        """The strikes of a market that a bot may still go by."""
        told = self._told.get(slug, {})
        late = self.now_s() - HEARD_WITHIN_S
        return [strike for strike, at in told.items() if at >= late] + list(told)[-1:]


async def mislead(exchange: Exchange, terms: StrikeTerms) -> None:
    """Have every market to come publish a wrong strike first. Until cancelled."""
    bent: set[str] = set()
    wrong = Bend(strike_error=terms.error_bp / 1e4, corrected_ms=int(terms.for_s * 1000))
    while True:
        for market in exchange.engine.markets.values():
            if market.strike_published_ms is None and market.condition_id not in bent:
                bent.add(market.condition_id)
                exchange.lifecycle.bend(market, wrong)
        await trio.sleep(BENT_EVERY_S)
