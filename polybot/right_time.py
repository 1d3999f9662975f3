"""Keeping our clock to the venue's: its cutoffs are its own, and every request is signed with a
time. What the venue says and what its streams' stamps say are two witnesses; neither is believed
against the other (venue_time.py, venue_stamps.py).
"""

from __future__ import annotations

import math

import attrs
import trio
from loguru import logger

from polybot.channels import Bell
from polybot.clock import Clock
from polybot.domain.orders import Failure
from polybot.health import Health
from polybot.venue.clob import ClobClient
from polybot.venue_stamps import Stamps
from polybot.venue_time import OFF_MOST_MS, SURE_MS, Offset, VenueTime

CLOCK = "clock"  # the trouble's name
TIMES_ASKED, TIMES_PAUSE_S = 9, 0.37  # to know the venue's time well; at all parts of a second
SURE_ASKED = 4  # times at most, beside each look of the reconciler
FIRST_S = 5.0  # for an answer, as for any: who is refused withdraws nothing meanwhile


@attrs.define(eq=False)
class RightTime:
    """`doubt` is rung when the reconciler should look now."""

    client: ClobClient
    clock: Clock
    health: Health
    doubt: Bell
    stamps: Stamps = attrs.field(factory=Stamps)
    _time: VenueTime = attrs.field(factory=VenueTime)
    _unsure: bool = False  # whether the last answer left open if it is right
    _set_at: float = -math.inf
    _behind: bool = False  # by what the streams' stamps said at the last look

    @property
    def new(self) -> bool:
        """Whether it was set so lately that what it signed before may still be answered."""
        return trio.current_time() < self._set_at + self.client.rest.timeout_s

    async def agree(self) -> None:
        """Set the clock where a request was refused that it had signed, and it is off by what the
        venue says. Rejected: to ask before the first request of a start. No stamp has been heard by
        then that could contradict a venue whose time is wrong.
        """
        known: Offset | Failure | None = None
        with trio.move_on_after(FIRST_S):
            known = await self._ask()
        if isinstance(known, Offset) and known.off:
            await self.set()

    async def ask(self) -> Failure | None:
        """Judge the clock by an answer of now; why there was none."""
        asked_at = trio.current_time()
        venue_s = await self.client.server_time()
        if isinstance(venue_s, Failure):
            return venue_s
        self.judge(asked_at, venue_s)
        return None

    async def settle(self) -> str | None:
        """Before anything that leaves ahead of the reconciler's first look: ask, and set the clock
        where it is off. Why it is not known to be right, if so.
        """
        for _ in range(2):
            silent = await self.ask()
            if silent is not None:
                return f"the venue does not tell its time: {silent.what}"
            await self.make_sure()
            if CLOCK not in self.health.troubles:
                return None
            await self.set()
        return f"the clock is {self.health.troubles[CLOCK]}"

    async def make_sure(self) -> None:
        """Ask on while it may be off and may be right: answers of one beat are all of the same part
        of a second, and nine of them tell no more than one.
        """
        for _ in range(SURE_ASKED):
            if not self._unsure:
                return
            await trio.sleep(TIMES_PAUSE_S)
            if await self.ask() is not None:
                return

    def judge(self, asked_at: float, venue_s: int) -> None:
        """Whether it is right, by what the venue has just said, asked at that time of Trio's."""
        known = self._heard(asked_at, venue_s)
        self._unsure = not known.off and max(known.most, -known.least) > OFF_MOST_MS
        if (doubt := self._contradicted(known)) is not None:
            self.health.bad(CLOCK, doubt)
        elif known.off or self._behind_ms() > OFF_MOST_MS:  # whole seconds may hide one
            off_s = known.middle / 1000
            self.health.bad(CLOCK, f"{off_s:+.1f} s off the venue's: check the time service")
        else:
            self.health.good(CLOCK)

    def _contradicted(self, known: Offset) -> str | None:
        """Why what the venue says of the time cannot be believed, if so."""
        now_ms, now_s = self.clock.now_ms(), trio.current_time()
        return self.stamps.contradict(now_ms - known.most, now_ms - known.least, now_s)

    def look_at_stamps(self) -> None:
        """Whether stamps of several streams are of a time that we have not reached: we have slept.
        What rests is withdrawn at once, for it may outlive its cutoff; the venue's time is asked
        for next, and judges until stamps agree with us again.
        """
        by_ms = self._behind_ms()
        was_behind, self._behind = self._behind, by_ms > OFF_MOST_MS
        if self._behind and not was_behind:
            self.health.bad(CLOCK, f"{by_ms / 1000:.1f} s behind the streams' stamps")
            self.doubt.ring()

    def _behind_ms(self) -> int:
        return self.stamps.ahead_of(self.clock.now_ms(), trio.current_time())

    async def set(self) -> None:
        """Go by the venue's time from now on, as soon as it is known well: a machine that has slept
        would stand still until it is started anew. Where nine answers more do not tell it well, it
        is no slow moment: the way is long, nobody over it can know more than how long, and what is
        sure not to make it worse is done. The gate is closed meanwhile; the next look opens it.
        """
        self._time.forget()
        known = await self._ask_often()
        if known is not None and known.width > SURE_MS:
            known = await self._ask_often()
        if known is None:
            return  # the next round begins again
        off = known.off or self._behind_ms() > OFF_MOST_MS
        by_ms = known.middle if known.width <= SURE_MS else known.nearer
        if off and by_ms and self._contradicted(known) is None:
            self.clock.set_right(-by_ms)
            self._set_at = trio.current_time()
            self._time.forget()
            logger.warning("the clock was {:+.1f} s off the venue's: set", by_ms / 1000)

    async def _ask_often(self) -> Offset | None:
        known: Offset | None = None
        for _ in range(TIMES_ASKED):
            await trio.sleep(TIMES_PAUSE_S)
            answer = await self._ask()
            if isinstance(answer, Failure):
                return None
            known = answer
        return known

    async def _ask(self) -> Offset | Failure:
        asked_at = trio.current_time()
        venue_s = await self.client.server_time()
        return venue_s if isinstance(venue_s, Failure) else self._heard(asked_at, venue_s)

    def _heard(self, asked_at: float, venue_s: int) -> Offset:
        """An answer that has come now. When it was asked for is told by the clock as it is now:
        somebody else may have set it meanwhile.
        """
        took_ms = math.ceil((trio.current_time() - asked_at) * 1000)
        told_ms = self.clock.now_ms()
        return self._time.heard(told_ms - took_ms, venue_s, told_ms)
