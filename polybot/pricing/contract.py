"""The contract as the venue pays it: two readings, one rule, one outcome (strategy.md 1).

Readings are exact: text becomes an integer of the source's own decimals and is never rounded, for
one unit in the last place decides a tie.
"""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation

import attrs

from polybot.domain.market import Candle, Outcome, Rule, TwapPair, UnknownRule

_EXACT = Context(prec=60)  # twelve digits before the point and eighteen behind, with room


@attrs.frozen
class Unsettled:
    """Why no outcome follows from these readings."""

    why: str


def reading(rule: TwapPair | Candle, text: str) -> int | Unsettled:
    """A price as the source writes it ("65048.078902260626"), in units of 10^-decimals."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return Unsettled(f"expected a price, was {text[:40]!r}")
    if not value.is_finite() or value <= 0 or value >= 10**12:
        return Unsettled(f"expected a price above zero, was {text[:40]!r}")
    scaled = value.scaleb(rule.decimals, _EXACT)
    if scaled != scaled.to_integral_value(context=_EXACT):
        return Unsettled(f"expected at most {rule.decimals} decimals, was {text[:40]!r}")
    return int(scaled)


def settled(rule: Rule, strike: str, final: str) -> Outcome | Unsettled:
    """What the window pays when it opened at `strike` and ended at `final`."""
    if isinstance(rule, UnknownRule):
        return Unsettled(rule.why)
    opened, ended = reading(rule, strike), reading(rule, final)
    if isinstance(opened, Unsettled):
        return opened
    if isinstance(ended, Unsettled):
        return ended
    if opened == ended:
        return rule.tie
    return Outcome.UP if ended > opened else Outcome.DOWN
