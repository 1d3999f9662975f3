"""The dead-man heartbeat: as long as it beats, the venue keeps our orders; when it fails, we stop.

It beats until the process ends, also while everything else shuts down: while an order may rest, the
venue must neither forget us nor be asked to clean up for us.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from polybot.channels import Bell
from polybot.domain.orders import Failure
from polybot.health import Health
from polybot.venue.clob import ClobClient, StaleHeartbeat
from polybot.venue.site import HEARTBEAT_EVERY_S

RETRY_S = 0.5
PATIENCE_S = 4.0  # two attempts must fit before the venue's ten seconds are over


@attrs.define(eq=False)
class Heartbeat:
    """`beating`: the last attempt was accepted. `lag_s`: how long its answer took, `lag_most_s`
    the longest so far, patience spent in vain included.
    """

    client: ClobClient
    health: Health
    doubt: Bell  # rung when orders may have been cancelled meanwhile
    refused: Callable[[str], None]  # told that the venue does not take who we are
    beats: int = 0
    beating: bool = False
    lag_s: float = 0.0
    lag_most_s: float = 0.0

    async def run(self) -> None:
        """Beat every 5 s, chaining ids; any failure stops trading at once."""
        previous, due = "", trio.current_time()
        while True:
            answer = await self._beat(previous)
            if isinstance(answer, StaleHeartbeat):
                answer = await self._beat(answer.expected)
            if isinstance(answer, str):
                previous = answer
                self._accepted()
                due = max(due + HEARTBEAT_EVERY_S.value, trio.current_time())
            else:
                self.beating = False
                what = answer.what if isinstance(answer, Failure) else "id refused twice"
                self.health.bad("heartbeat", what)
                if isinstance(answer, Failure) and answer.refused:
                    self.refused(what)
                due = trio.current_time() + RETRY_S
            await trio.sleep_until(due)

    def _accepted(self) -> None:
        self.beats += 1
        if "heartbeat" in self.health.troubles:
            # Orders may be gone: the reconciler looks, then lets us trade.
            self.doubt.ring()
        self.beating = True

    async def _beat(self, previous: str) -> str | StaleHeartbeat | Failure:
        asked_at = trio.current_time()
        answer: str | StaleHeartbeat | Failure = Failure(f"no answer within {PATIENCE_S:g} s")
        with trio.move_on_after(PATIENCE_S):
            answer = await self.client.heartbeat(previous)
        self.lag_s = trio.current_time() - asked_at
        self.lag_most_s = max(self.lag_most_s, self.lag_s)
        return answer
