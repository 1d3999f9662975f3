"""What a balance may be while trades settle. Pure.

Trades are mined in an order of their own: one that is being retried is overtaken by those after it,
and one that fails moves nothing. So a balance that is read meanwhile is the settled one with any of
those under way. Rejected: the figures that it passes when they settle in the order in which they
matched. A start took what lay between for a deposit, and when the retried trade failed the money
was in the books twice (brief seed 986).
"""

from __future__ import annotations

import attrs

EXACT_MOST = 20  # trades under way whose every choice is tried: two thousand sums


@attrs.frozen
class Settling:
    """`before`: as if none of the trades under way had happened; `steps`: what each moves. 10⁻⁶."""

    before: int
    steps: tuple[int, ...]

    @property
    def total(self) -> int:
        """As if all had happened."""
        return self.before + sum(self.steps)

    @property
    def least(self) -> int:
        return self.before + sum(step for step in self.steps if step < 0)

    @property
    def most(self) -> int:
        return self.before + sum(step for step in self.steps if step > 0)

    def may_be(self, balance: int) -> bool:
        """Whether some of the trades under way make it this. Of very many only whether it lies
        between the least and the most.
        """
        if len(self.steps) > EXACT_MOST:
            return self.least <= balance <= self.most
        half, wanted = len(self.steps) // 2, balance - self.before
        others = _sums(self.steps[half:])
        return any(wanted - one in others for one in _sums(self.steps[:half]))


NOTHING = Settling(0, ())


def _sums(steps: tuple[int, ...]) -> set[int]:
    """What any choice of them comes to."""
    sums = {0}
    for step in steps:
        sums |= {one + step for one in sums}
    return sums
