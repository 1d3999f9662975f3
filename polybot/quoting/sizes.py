"""How much of the usual size is quoted (strategy.md 9): size = base · f_regime · f_tox · f_time ·
f_inv · f_conf, and every factor below one is a reason with its figure.

| factor | of which side | what it is | who says so |
|---|---|---|---|
| time | both | (time to the stop) / (`fade_fraction` of the window) | the clock |
| confidence | both | `sure_log_odds` / the model's error, if that is larger | the blend |
| source | both | `stale_exchange_size` while the oracle stands in | pricing's caution |
| dispute | that still quoted | a half, strategy.md 4 | the blend |
| regime, toxicity, correlation | both | as asked, once named in `acting` | signals |
| inventory | the heavy one | 1 − what a fill would leave unpaired / the limit | holdings |

Their product is held above `size_floor`, because six mild doubts are not one strong one; a factor
of nought stays nought. What is left of a size below the market's minimum is no order: rounded up it
would be larger than anybody asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

from polybot.domain.market import Outcome
from polybot.pricing.blend import Blend
from polybot.pricing.fair import Fair
from polybot.quoting.model import QuoteInputs
from polybot.quoting.params import QuoteParams, Rungs
from polybot.quoting.reasons import Reason, Why

DISPUTED = 0.5  # strategy.md 4: the side that both find cheap, at half size

_SIGNALS = {
    "regime": Why.THIN_BOOK,
    "toxicity": Why.TOXIC_FILLS,
    "correlation": Why.CROWDED,
}


class Cut(NamedTuple):
    """One factor below one, 0 ≤ part < 1. `why` is None where the price's own caution says it."""

    why: Why | None
    part: float


def told(cuts: Iterable[Cut]) -> list[Reason]:
    """The cuts as reasons, each with its factor."""
    return [Reason(why, None, (("factor", part),)) for why, part in cuts if why is not None]


def common_cuts(
    inputs: QuoteInputs, params: QuoteParams, fair: Fair, view: Blend, *, reduce: bool
) -> list[Cut]:
    """What makes both sides smaller. Past the stop (`reduce`) time does not: what is left then only
    pairs what is held.
    """
    cuts: list[Cut] = []
    if not reduce and params.fade_fraction:
        table = inputs.table
        fade_ms = params.fade_fraction * (table.end_ms - table.start_ms)
        if (left_ms := table.stop_ms - inputs.now_ms) < fade_ms:
            cuts.append(Cut(Why.NEAR_STOP, max(0.0, left_ms / fade_ms)))
    if view.error > params.sure_log_odds:
        cuts.append(Cut(Why.UNSURE, params.sure_log_odds / view.error))
    if fair.quality.size < 1:
        cuts.append(Cut(None, fair.quality.size))
    if view.disputed is not None:
        cuts.append(Cut(Why.DOUBTED, DISPUTED))
    for name, part in inputs.advice.shrinks:
        if part < 1:
            cuts.append(Cut(_SIGNALS[name], part))
    return cuts


@functools.lru_cache(maxsize=64)
def heavy(outcome: Outcome, toward: int, limit: int, rungs: Rungs) -> tuple[float, Reason]:
    """The factor of the inventory on the side that we hold `toward` more of (10⁻⁶ shares), nought
    where one more fill reaches the limit, and the reason for it; both stand until a fill moves the
    position.
    """
    part = max(0.0, 1 - (toward + rungs.sizes[0]) / max(limit, 1))
    return part, Reason(Why.HEAVY, outcome, (("factor", part),))


def part_of(cuts: Iterable[Cut]) -> float:
    """The product of all factors."""
    part = 1.0
    for _, one in cuts:
        part *= one
    return part


def floored(part: float, floor: float) -> float:
    """What factors leave together: at least `floor` unless one of them is nought."""
    if part >= floor:
        return part
    return floor if part > 0 else 0.0
