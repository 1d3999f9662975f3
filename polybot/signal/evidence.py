"""Whether a signal has earned to act: being switched on is not enough (strategy.md 11).

Every call of a signal is judged, in shadow as in action (scores.py). What a call was worth goes
into a fading mean here, one for each signal and all markets of the wallet. A signal acts while
enough calls have been judged and the lower confidence bound of their worth is above nought; until
then, and whenever it falls below, it stays in shadow, and the decision says so with its figures.

A call's worth is its gain in dollars per share. Two signals predict a conduct, not a price: theirs
is a half for a call that was right and minus a half for one that was not, what it is better than a
coin.

Rejected: a share of hits for all. An alarm that is right four times in ten may be worth most of
all, and a directed call that is right six times in ten may lose.

What has been earned is kept over restarts (`Earned`, in the journal), as long as the settings are
those under which the calls were made: half a day of scores is not judged anew because a machine was
updated. What cannot be a mean is begun anew, which is the safe side.
"""

from __future__ import annotations

import math
from contextlib import suppress

import attrs

from polybot.domain.earned import Earned
from polybot.signal.params import SignalParams
from polybot.signal.tally import Tally

OF_CONDUCT = ("competitors", "correlation")


@attrs.frozen
class Unproven:
    """A signal that is switched on and stays in shadow: effective calls that were judged, and the
    least that one is worth, in dollars per share or what it is better than a coin.
    """

    name: str
    calls: float = 0.0
    at_least: float = 0.0


@attrs.define(eq=False)
class Evidence:
    """`unproven`: those named in `acting` that may not act now, in that order. `before` is what an
    earlier run has kept.
    """

    params: SignalParams
    before: Earned | None = None
    unproven: tuple[Unproven, ...] = attrs.field(init=False)
    _worth: dict[str, Tally] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.before is not None and self.before.made_by == self.params.made_by:
            for held in self.before.signals:
                with suppress(ValueError):
                    self._worth[held.name] = Tally.of(self.params.earn_half_life, held)
        self.unproven = self._judge()

    def news(self) -> Earned | None:
        """What has been earned, where that is not what was told last; to be kept."""
        worth = tuple(held.worth(name) for name, held in sorted(self._worth.items()))
        earned = Earned(self.params.made_by, worth)
        if not worth or earned == self.before:
            return None
        self.before = earned
        return earned

    def judged(self, name: str, *, hit: bool, gain: float) -> None:
        """Take what one call came to."""
        worth = (0.5 if hit else -0.5) if name in OF_CONDUCT else gain
        if not math.isfinite(worth):
            return
        held = self._worth.get(name)
        if held is None:
            held = self._worth[name] = Tally(self.params.earn_half_life)
        held.add(worth)
        if name in self.params.acting:
            self.unproven = self._judge()

    def _judge(self) -> tuple[Unproven, ...]:
        if not self.params.earn_calls:
            return ()
        return tuple(found for name in self.params.acting if (found := self._of(name)) is not None)

    def _of(self, name: str) -> Unproven | None:
        held = self._worth.get(name)
        if held is None:
            return Unproven(name)
        n_eff = held.n_eff
        at_least = held.mean - self.params.earn_t * held.deviation / math.sqrt(n_eff)
        earned = n_eff >= self.params.earn_calls and at_least > 0
        return None if earned else Unproven(name, n_eff, at_least)
