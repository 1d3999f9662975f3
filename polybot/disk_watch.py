"""Whether the journal's disk answers (S9): one that stands still fails at nothing.

What is told meanwhile waits to be written before it is booked: fills are not counted, and what
rests is priced without them. So nothing rests until what was handed over is written. Desks withdraw
what they know of. An order that comes to rest late is nobody's until word of it is booked, and
whoever reads waits for the disk as well: so all is cancelled, again and again.
"""

from __future__ import annotations

import math

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.domain.halts import Halt

DISK = "journal disk"  # the trouble's name
EVERY_S = 0.5
SLOW_S = 2.0  # as long as an order may wait for its intent (orders_task.py)
# Far less often than the venue takes them (clob.md 7.1), and soon enough for an order that is late.
CANCEL_EVERY_S = 4.0


@attrs.define(eq=False)
class DiskWatch:
    """A disk that fails is the journal's own trouble, and for good."""

    ctx: Context
    _cancelled_at: float = -math.inf

    async def run(self) -> None:
        health, journal = self.ctx.health, self.ctx.account.journal
        while True:
            await trio.sleep(EVERY_S)
            slow = trio.current_time() - journal.asked_at > SLOW_S
            if slow and DISK not in health.troubles:
                logger.warning("the journal's disk has not answered for {:g} s", SLOW_S)
                health.bad(DISK, "does not answer")
            if slow:
                await self._cancel()
            else:
                health.good(DISK)

    async def _cancel(self) -> None:
        """Not those of somebody else, which are left for the operator to look at (F27)."""
        foreign = Halt.FOREIGN_ORDERS.value in self.ctx.health.halted
        if not foreign and trio.current_time() >= self._cancelled_at + CANCEL_EVERY_S:
            self._cancelled_at = trio.current_time()
            await self.ctx.client.cancel_all()
