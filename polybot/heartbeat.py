"""The dead-man heartbeat: as long as it beats, the venue keeps our orders; when it fails, we stop.

It beats until the process ends, also while everything else shuts down: while an order may rest, the
venue must neither forget us nor be asked to clean up for us. But where orders rest that we cannot
withdraw, to be cleaned up for is all that is left: then it is silent on purpose (`lapse.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import attrs
import trio

from polybot.channels import Bell
from polybot.domain.orders import Failure
from polybot.health import Health
from polybot.venue.clob import ClobClient, StaleHeartbeat
from polybot.venue.site import HEARTBEAT_EVERY_S

RETRY_S = 0.5
# For an attempt, its id set right included: two must fit before the venue's ten seconds are over.
PATIENCE_S = 4.0
# A lapse ends the venue's watch over us (clob.md 4.2), and what comes to rest behind it is under no
# switch at all. So one beat every half minute sets it again: later than any lapse takes.
SET_AGAIN_S = 30.0
NAME = "heartbeat"  # the trouble's name


class Pulse(enum.Enum):
    """FAILING → BEATING and back by each answer; LAPSING by `lapse` alone, until `resume`."""

    FAILING = "the last attempt was not accepted, or there was none"
    BEATING = "the last attempt was accepted"
    LAPSING = "silent, so that the venue cancels everything"


@attrs.define(eq=False)
class Heartbeat:
    """`lag_s`: how long its answer took, `lag_most_s` the longest so far, patience spent in vain
    included. `lost`: how often it stopped beating.
    """

    client: ClobClient
    health: Health
    doubt: Bell  # rung when orders may have been cancelled meanwhile
    refused: Callable[[str], None]  # told that the venue does not take who we are
    beats: int = 0
    lost: int = 0
    pulse: Pulse = Pulse.FAILING
    lag_s: float = 0.0
    lag_most_s: float = 0.0
    _next_id: str = ""  # as the venue has named it last
    _asked_at: float = 0.0
    _resumed: trio.Event = attrs.field(factory=trio.Event)

    @property
    def beating(self) -> bool:
        return self.pulse is Pulse.BEATING

    async def run(self) -> None:
        """Beat every 5 s, chaining ids; any failure stops trading at once."""
        due = trio.current_time()
        while True:
            silent, until = self.pulse is Pulse.LAPSING, trio.current_time() + PATIENCE_S
            answer = await self._beat(until)
            fell_silent = self.pulse is Pulse.LAPSING and not silent
            if isinstance(answer, StaleHeartbeat) and not fell_silent:
                answer = await self._beat(until)
            if isinstance(answer, str):
                self._accepted()
                due = max(due + HEARTBEAT_EVERY_S.value, trio.current_time())
            else:
                self._failed(answer)
                due = trio.current_time() + RETRY_S
            await trio.sleep_until(due)
            if self.pulse is Pulse.LAPSING:
                with trio.move_on_at(self._asked_at + SET_AGAIN_S):
                    await self._resumed.wait()
                due = trio.current_time()

    def lapse(self, why: str) -> None:
        """Fall silent. The gate is closed, for all markets, before the first beat is missing."""
        self.health.bad(NAME, why)
        if self.pulse is not Pulse.LAPSING:
            self._lose(Pulse.LAPSING)
            self._resumed = trio.Event()

    def resume(self) -> None:
        """Beat again, at once; what follows is what follows any heartbeat that was lost."""
        if self.pulse is Pulse.LAPSING:
            self.pulse = Pulse.FAILING
            self._resumed.set()

    def rest(self) -> None:
        """Nobody beats any more, until `run` is called again: that is no pulse to trade by."""
        if self.beating:
            self._lose(Pulse.FAILING)

    def _accepted(self) -> None:
        self.beats += 1
        if self.pulse is Pulse.LAPSING:
            return  # it was on its way, or has set the switch again
        if NAME in self.health.troubles:
            # Orders may be gone: the reconciler looks, then lets us trade.
            self.doubt.ring()
        self.pulse = Pulse.BEATING

    def _failed(self, answer: StaleHeartbeat | Failure) -> None:
        what = answer.what if isinstance(answer, Failure) else "id refused twice"
        if self.pulse is not Pulse.LAPSING:
            self._lose(Pulse.FAILING)
            self.health.bad(NAME, what)
        if isinstance(answer, Failure) and answer.refused:
            self.refused(what)

    def _lose(self, pulse: Pulse) -> None:
        self.lost += self.beating
        self.pulse = pulse

    async def _beat(self, until: float) -> str | StaleHeartbeat | Failure:
        self._asked_at = asked_at = trio.current_time()
        answer: str | StaleHeartbeat | Failure = Failure(f"no answer within {PATIENCE_S:g} s")
        with trio.move_on_at(until) as patience:
            answer = await self.client.heartbeat(self._next_id)
        if not isinstance(answer, Failure):
            self._next_id = answer if isinstance(answer, str) else answer.expected
        if patience.cancelled_caught:
            self.client.took("POST", PATIENCE_S, False)  # who is given up tells nothing himself
        self.lag_s = trio.current_time() - asked_at
        self.lag_most_s = max(self.lag_most_s, self.lag_s)
        return answer
