"""Why a quote was withheld or reduced: typed, with figures, for counting and showing."""

from __future__ import annotations

import enum
from typing import NamedTuple

from polybot.domain.market import Outcome
from polybot.pricing.fair import Caution, WhyNoFair
from polybot.quoting.completion import Held


class Why(enum.Enum):
    """Reasons of the quoting room itself; those of pricing are `WhyNoFair` and `Caution`."""

    NOT_OPEN = "window not open yet"
    CUTOFF = "past the cutoff"
    REDUCE_ONLY = "past the stop: only the light side is quoted"
    OVER_LIMIT = "over a limit on losses: only the light side is quoted"
    BALANCED = "past the stop and nothing left to pair"
    NO_BOOK = "book missing"
    ONE_SIDED = "book empty on one side without our own orders"
    CROSSED = "book crossed"
    DISAGREE = "model and market disagree: only the model finds it cheap"
    CAP_BELOW_TICK = "worth less than one tick after edge"
    COMBINED_CAP = "lowered so that Up and Down together stay below the target"
    YIELDING = "our own bids for the missing side go before it is taken"
    INVENTORY = "reduced to what the inventory limit leaves"
    SELLS = "sells shares that are held instead of bidding for their twin"
    UNSOLD = "would rather sell what is held than bid, and too little of it is at hand"
    SIGNAL = "withheld by a signal"
    BELOW_MINIMUM = "size below the market's minimum"
    LOWERED = "priced lower as a signal asks"
    UNPROVEN = "a signal that is switched on stays in shadow: its scores do not carry it"

    # Factors of the size (quoting/sizes.py).
    NEAR_STOP = "smaller: the stop is near"
    UNSURE = "smaller: the model is unsure"
    DOUBTED = "halved: model and market disagree"
    HEAVY = "smaller: more of what we hold"
    THIN_BOOK = "smaller: thin book"
    TOXIC_FILLS = "smaller: fills have lost money"
    CROWDED = "smaller: other markets carry the same risk"
    SMALLEST = "the market's minimum only: fills are on probation"

    __hash__ = object.__hash__


# What makes a quote smaller or cheaper and alone never withholds one: where a side has no quote,
# these count only if what they left was too small.
REDUCING: frozenset[object] = frozenset(
    {
        Why.COMBINED_CAP,
        Why.LOWERED,
        Why.NEAR_STOP,
        Why.UNSURE,
        Why.DOUBTED,
        Why.HEAVY,
        Why.THIN_BOOK,
        Why.TOXIC_FILLS,
        Why.CROWDED,
        Why.SMALLEST,
        *Caution,
    }
)


# What says how a side is quoted, and takes nothing from it.
NOTES: frozenset[object] = frozenset({Why.SELLS, Why.UNSOLD, Why.UNPROVEN})


class NoReward(enum.Enum):
    """Why a market with a pool is quoted as if it had none, or an order earns nothing of it."""

    WITHHELD = "no rewards: one side is withheld"
    NO_MIDPOINT = "no rewards: no midpoint of orders large enough"
    TOO_FAR = "no rewards: our price is too far from the midpoint"
    NO_ROOM = "no rewards: their least size is more than may be bought"
    UNSURE = "no rewards: sizes are shrunk by doubt"
    REFUSED = "no rewards: an order of their least size was refused"
    DEAR = "no rewards: quoting for them costs more than they bring"
    NOT_SCORING = "the venue says that our order earns no rewards"

    __hash__ = object.__hash__


def withholds(why: object) -> bool:
    """Whether it is a reason for a side to have no quote at all."""
    return not (why in REDUCING or why in NOTES or isinstance(why, NoReward | Held))


class Reason(NamedTuple):
    """One link of the chain; `outcome` is None when it holds for both. Figures are texts, or
    numbers that are made texts when somebody looks.
    """

    why: Why | NoReward | WhyNoFair | Caution | Held
    outcome: Outcome | None = None
    figures: tuple[tuple[str, str | float], ...] = ()

    def text(self) -> str:
        """As a line for people: side, reason, figures."""
        figures = "".join(
            f" {name}={value if isinstance(value, str) else format(value, '.3g')}"
            for name, value in self.figures
        )
        side = f"{self.outcome.value}: " if self.outcome else ""
        return f"{side}{self.why.value}{figures}"
