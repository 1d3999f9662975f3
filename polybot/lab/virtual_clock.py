"""A clock that stands until nobody has anything to do, and then jumps: `MockClock`, made quick.

A simulation jumps a hundred times for each second of the venue. Trio's own jump reckons statistics
of the whole run for it, takes an extra pass of the loop to see that a deadline has come, and asks
the machine for the time whenever somebody wants it. What happens, when, and in which order is the
same to the last bit. The names it rests on are private to Trio, as those of `seeded`: a test fails
when they move.
"""

from __future__ import annotations

import math
from functools import partial

from trio._core import _run
from trio.testing import MockClock


def virtual_clock() -> MockClock:
    """A clock for one `trio.run`, as `MockClock(autojump_threshold=0)`."""
    clock = MockClock(autojump_threshold=0)
    # Trio forbids a class of our own, and looks both up on the clock itself.
    vars(clock)["current_time"] = lambda: clock._virtual_base  # noqa: SLF001 - see above
    vars(clock)["_autojump"] = partial(_jump, clock)
    return clock


def _jump(clock: MockClock) -> None:
    """Go to the next deadline, and let it pass in this very turn of the loop."""
    deadlines, now = _run.GLOBAL_RUN_CONTEXT.runner.deadlines, clock._virtual_base  # noqa: SLF001
    deadline = deadlines.next_deadline()
    if now < deadline < math.inf:
        # As MockClock adds it up: the sum may fall short of the deadline by its last bit.
        now += deadline - now
        clock._virtual_base = now  # noqa: SLF001
        deadlines.expire(now)
