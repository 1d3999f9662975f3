"""Whether our orders earn liquidity rewards: the venue is asked, seldom, and its answer kept.

Only a market with a pool has this task, and only while it is quoted for rewards are there orders
to ask about. What the venue says of size, distance and age is its word against our reading of the
same book: an order that does not score is a reason to show, and the share that does, over all looks
so far, is what the quoter reckons with. An order that is requoted before it is old enough earns
nothing, and nothing else would tell.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from polybot.core_tape import CoreTape, Scored
from polybot.domain.market import Outcome, RewardPool
from polybot.domain.orders import Failure
from polybot.execution.desk import Desk
from polybot.execution.lifecycle import State
from polybot.execution.tracked import Tracked
from polybot.venue.clob import ClobClient


@attrs.define(eq=False)
class ScoringWatch:
    """Ask every `every_s`; `changed` is called after an answer."""

    client: ClobClient
    desk: Desk
    pool: RewardPool
    every_s: float
    core: CoreTape
    changed: Callable[[], None] = lambda: None
    unscored: tuple[Outcome, ...] = ()
    asked: int = 0  # orders asked about so far …
    scored: int = 0  # … and those that scored
    failed: int = 0

    async def run(self) -> None:
        while True:
            await trio.sleep(self.every_s)
            await self.ask()

    async def ask(self) -> None:
        """One question about every order large enough, however young, as in the venue's own looks;
        none, no question. Of one that went while the answer was on its way it says nothing.
        """
        orders = [t for t in self.desk.table.open() if self._asked_about(t)]
        if not orders:
            self.unscored = ()
            self._tell()
            return
        answer = await self.client.scoring([tracked.id for tracked in orders])
        if isinstance(answer, Failure):
            self.failed += 1
            return
        still = [tracked for tracked in orders if self._asked_about(tracked)]
        silent = [tracked for tracked in still if not answer.get(tracked.id)]
        self.asked += len(still)
        self.scored += len(still) - len(silent)
        sides = {tracked.order.outcome for tracked in silent}
        self.unscored = tuple(outcome for outcome in Outcome if outcome in sides)
        self._tell()
        self.changed()

    def _tell(self) -> None:
        slug = self.desk.market.slug
        self.core.fed(Scored(slug, self.asked, self.scored, self.unscored))

    def _asked_about(self, tracked: Tracked) -> bool:
        return tracked.state is State.LIVE and tracked.remaining >= self.pool.min_size

    @property
    def share(self) -> float:
        """The part of our orders that scores, as far as is known: one until the venue said no, and
        never quite nought, so that a market is not given up for one answer.
        """
        return (self.scored + 1) / (self.asked + 1)
