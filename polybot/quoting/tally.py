"""For how long each reason has withheld or reduced our quotes, by side: the answer to "why not?".

Time is counted where a side should have been quoted:

| wanted | resting | what is counted |
|---|---|---|
| no | no | withheld, by every reason of that side or of both that withholds |
| yes | no | withheld, by what the desk says of it, else as on its way |
| yes | yes | reduced, by every reason of that side or of both |
| no | yes | nothing: what rests is on its way out |

Reasons come in chains, and all of a chain count for the whole of its time: shares of one side may
add up to more than one. What is said of taking the missing side, or of rewards, takes no quote away
from anybody and is not counted as withholding.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

import attrs

from polybot.domain.market import Outcome
from polybot.pricing.fair import Caution, WhyNoFair
from polybot.quoting.completion import Held
from polybot.quoting.model import Decision
from polybot.quoting.reasons import NOTES, NoReward, Why, withholds

ON_ITS_WAY = "our order is on its way"
NOBODY = "no quoter was running"


Link = Why | NoReward | WhyNoFair | Caution


def _withholding(chain: list[Link]) -> list[Link]:
    """The links that leave a side without a quote: all, where what was left was too small."""
    if Why.BELOW_MINIMUM in chain:
        return chain
    return [why for why in chain if withholds(why)]


@attrs.define
class Lost:
    """Milliseconds that one reason took of one side."""

    withheld_ms: int = 0
    reduced_ms: int = 0

    @property
    def total_ms(self) -> int:
        return self.withheld_ms + self.reduced_ms


@attrs.define(eq=False)
class WhyTally:
    """What one market's quotes have lost to which reason; reasons by their text."""

    by_side: dict[Outcome, dict[str, Lost]] = attrs.field(
        factory=lambda: {outcome: {} for outcome in Outcome}
    )

    def add(
        self,
        since_ms: int,
        decision: Decision,
        resting: Container[Outcome],
        refused: Mapping[Outcome, str],
    ) -> None:
        """Count `since_ms` by what is decided and rests now; `refused` is what the desk says."""
        if since_ms <= 0:
            return
        wanted = {quote.toward for quote in decision.quotes}
        for side in Outcome:
            rests = side in resting
            if rests and side not in wanted:
                continue
            chain = [
                reason.why
                for reason in decision.reasons
                if reason.outcome in (side, None)
                and not (isinstance(reason.why, Held) or reason.why in NOTES)
            ]
            if side in wanted and not rests:
                texts = {refused.get(side, ON_ITS_WAY)}
            elif rests:
                texts = {why.value for why in chain}
                if side in refused:
                    texts.add(refused[side])
            else:
                texts = {why.value for why in _withholding(chain)}
            self._count(side, texts, since_ms, withheld=not rests)

    def nobody(self, ms: int) -> None:
        """Count time in which nothing was decided at all."""
        if ms > 0:
            for side in Outcome:
                self._count(side, (NOBODY,), ms, withheld=True)

    def include(self, other: WhyTally) -> None:
        """Add another market's."""
        for side, lost in other.by_side.items():
            for text, one in lost.items():
                self._count(side, (text,), one.withheld_ms, withheld=True)
                self._count(side, (text,), one.reduced_ms, withheld=False)

    def _count(self, side: Outcome, chain: Iterable[str], ms: int, *, withheld: bool) -> None:
        for text in chain:
            lost = self.by_side[side].setdefault(text, Lost())
            if withheld:
                lost.withheld_ms += ms
            else:
                lost.reduced_ms += ms

    def top(self, side: Outcome, most: int) -> list[tuple[str, Lost]]:
        """The reasons that took most of one side's time, the gravest first."""
        lost = [item for item in self.by_side[side].items() if item[1].total_ms]
        lost.sort(key=lambda item: (-item[1].total_ms, -item[1].withheld_ms, item[0]))
        return lost[:most]
