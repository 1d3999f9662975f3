"""Why a quote was withheld or reduced: typed, with figures, for counting and showing."""

from __future__ import annotations

import enum

import attrs

from polybot.domain.market import Outcome
from polybot.pricing.fair import Caution, WhyNoFair
from polybot.quoting.completion import Held


class Why(enum.Enum):
    """Reasons of the quoting room itself; those of pricing are `WhyNoFair` and `Caution`."""

    NOT_OPEN = "window not open yet"
    CUTOFF = "past the cutoff"
    REDUCE_ONLY = "past the stop: only the light side is quoted"
    BALANCED = "past the stop and nothing left to pair"
    NO_BOOK = "book missing"
    ONE_SIDED = "book empty on one side without our own orders"
    CROSSED = "book crossed"
    DISAGREE = (
        "model and market disagree: what only the model finds cheap is withheld, the rest halved"
    )
    CAP_BELOW_TICK = "worth less than one tick after edge"
    COMBINED_CAP = "lowered so that Up and Down together stay below the target"
    YIELDING = "our own bids for the missing side go before it is taken"
    INVENTORY = "reduced to what the inventory limit leaves"
    SELLS = "sells shares that are held instead of bidding for their twin"
    UNSOLD = "would rather sell what is held than bid, and too little of it is at hand"
    SIGNAL = "withheld by a signal"
    BELOW_MINIMUM = "size below the market's minimum"


@attrs.frozen
class Reason:
    """One link of the chain; `outcome` is None when it holds for both."""

    why: Why | WhyNoFair | Caution | Held
    outcome: Outcome | None = None
    figures: tuple[tuple[str, str], ...] = ()
