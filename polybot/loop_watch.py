"""Whether the event loop stands still: a virtual machine that is paused, a processor that somebody
else has, a call of our own that blocks (F50, F69).

While it stands nothing is heard and no price is withdrawn, so what rests is of the past; and what
the streams have told meanwhile comes in one heap. So everything is withdrawn first, the venue's
books are read, and then it goes on. Stamps find it, too (`venue_stamps.py`), but only of what has
come since; and by a clock that stands as well, as in a suspended laptop, only they do.
"""

from __future__ import annotations

import attrs
import trio
from loguru import logger

from polybot.channels import Bell
from polybot.health import Health

LOOP = "event loop"  # the trouble's name
EVERY_S = 0.1
LATE_S, STOOD_S = 0.05, 0.5  # F69: told, and withdrawn for


@attrs.define(eq=False)
class LoopWatch:
    """`doubt` is rung when the reconciler should look; its look ends the trouble. `late` counts the
    times that were worth telling, `most_s` is the longest, in seconds of the wall: where Trio's are
    shorter (`speed`) every short wait of the machine would be a long one.
    """

    health: Health
    doubt: Bell
    speed: float = 1.0
    late: int = 0
    most_s: float = 0.0

    async def run(self) -> None:
        while True:
            due = trio.current_time() + EVERY_S
            await trio.sleep_until(due)
            self.heard((trio.current_time() - due) / self.speed)

    def heard(self, late_s: float) -> None:
        """It was this late."""
        self.most_s = max(self.most_s, late_s)
        if late_s < LATE_S:
            return
        self.late += 1
        if late_s >= STOOD_S:
            logger.warning("the event loop stood still for {:.1f} s", late_s)
            self.health.bad(LOOP, "stood still")
            self.doubt.ring()
