"""Whether the venue answers in time what is quickly done: cancels and heartbeats (F41).

A venue that is asked too much, by us or by somebody behind the same address, does not always say
so: it lets requests wait and then does them. No answer is missing and nothing is refused, but what
we withdraw goes a second later than our prices are made for, and those who are quicker choose. So
nothing rests until it is quick again; the heartbeat goes on meanwhile, and tells.

What fails at once is no quick answer: a venue that has let requests wait refuses them next (429),
and two of those would have called it quick again.

Orders do not count: where takers are delayed their POST waits as well (clob.md 5). Rejected: a
wider edge for a longer way; the way is not longer, it has no known length.
"""

from __future__ import annotations

from collections import defaultdict, deque

import attrs
from loguru import logger

from polybot.health import Health

ANSWERS = "answers"  # the trouble's name
CANCEL = "DELETE"  # the kind of a cancel
LAST, SLOW, QUICK = 5, 3, 2  # of five of a kind three slow ones begin it, two quick in a row end it


@attrs.define(eq=False)
class AnswerWatch:
    """`slow_s`, of the wall, is `[risk] slow_answer_s`; where Trio's seconds are shorter (`speed`)
    our own work would count. Cancels are judged apart from heartbeats, of which there are more in a
    quiet market. What slow cancels began whatever is quick again ends, for while nothing rests
    nothing is cancelled; what heartbeats began, heartbeats end: those few cancels with which all is
    withdrawn would end it at once, to begin anew three beats later.
    """

    health: Health
    slow_s: float
    speed: float = 1.0
    _slow: defaultdict[str, deque[bool]] = attrs.field(
        factory=lambda: defaultdict(lambda: deque(maxlen=LAST))
    )
    _began: str = ""  # the kind that was slow
    _quick: int = 0  # in a row, of a kind that may end it

    def took(self, kind: str, seconds: float, done: bool) -> None:  # noqa: FBT001
        """One was done, refused or given up after so long."""
        slow = self.slow_s > 0 and seconds / self.speed >= self.slow_s
        if not (slow or done):
            return  # who is turned away at once learns nothing of how long the others wait
        if ANSWERS in self.health.troubles:
            self._quick = 0 if slow else self._quick + (self._began in (CANCEL, kind))
            if self._quick >= QUICK:
                self._slow.clear()
                self.health.good(ANSWERS)
            return
        self._slow[kind].append(slow)
        if sum(self._slow[kind]) >= SLOW:
            logger.warning("the venue answers after {:.1f} s: {}", seconds / self.speed, kind)
            self._began, self._quick = kind, 0
            self.health.bad(ANSWERS, "too slow")
