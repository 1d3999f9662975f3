"""Whether the journal's disk answers (S9): one that stands still fails at nothing.

What is told meanwhile waits to be written before it is booked: fills are not counted, and what
rests is priced without them. So nothing rests until what was handed over is written.
"""

from __future__ import annotations

import attrs
import trio
from loguru import logger

from polybot.health import Health
from polybot.journal.writer import Journal

DISK = "journal disk"  # the trouble's name
EVERY_S = 0.5
SLOW_S = 2.0  # as long as an order may wait for its intent (orders_task.py)


@attrs.define(eq=False)
class DiskWatch:
    """A disk that fails is the journal's own trouble, and for good."""

    health: Health
    journal: Journal

    async def run(self) -> None:
        while True:
            await trio.sleep(EVERY_S)
            slow = trio.current_time() - self.journal.asked_at > SLOW_S
            if slow and DISK not in self.health.troubles:
                logger.warning("the journal's disk has not answered for {:g} s", SLOW_S)
                self.health.bad(DISK, "does not answer")
            elif not slow:
                self.health.good(DISK)
