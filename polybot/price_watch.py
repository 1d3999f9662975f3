"""Whether each price that was asked for comes: a connection carries several, and one may die alone
(F01, F58).

What the others tell, and answers to pings, are no sign of its life; a new connection is the remedy.
A price that stays away all the same – the venue has taken it out, or refuses the subscription – is
asked for ever more rarely, for each new connection costs the others a second.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from polybot.domain.prices import Feed, PriceUpdate
from polybot.venue.sockets import SocketPhase, SocketState

Key = tuple[Feed, str]
PATIENCE_MOST = 8  # times the first patience


@attrs.define(eq=False)
class PriceWatch:
    """One connection's prices. `wanted` by feed and symbol, in lower case; `silent` is told which
    one has been away for how many seconds.
    """

    wanted: Sequence[Key]
    patience_s: float
    silent: Callable[[Key, float], None]
    _heard: dict[Key, float] = attrs.field(init=False, factory=dict)
    _missing: set[Key] = attrs.field(init=False, factory=set)  # not heard in this connection yet
    _times: int = 1
    _scope: trio.CancelScope = attrs.field(init=False, factory=trio.CancelScope)

    async def run(self, dial: Callable[[], Awaitable[None]]) -> None:
        """Dial, and again whenever a price is missing; until cancelled."""
        while True:
            with trio.CancelScope() as self._scope:
                await dial()
            if not self._heard:
                continue  # its connection ended by itself in the very moment: it is dialled anyway
            key, last = min(self._heard.items(), key=lambda it: it[1])
            self.silent(key, trio.current_time() - last)
            self._times = min(2 * self._times, PATIENCE_MOST)

    def note(self, state: SocketState) -> None:
        """A connection that is only being made owes nothing."""
        is_open = state.phase is SocketPhase.OPEN
        self._heard = dict.fromkeys(self.wanted, trio.current_time()) if is_open else {}
        self._missing = set(self.wanted)
        self._expect()

    def heard(self, updates: Sequence[PriceUpdate]) -> None:
        """A snapshot is what was, not what comes."""
        now = trio.current_time()
        for update in updates:
            key = (update.feed, update.symbol.lower())
            if key in self._heard and not update.snapshot:
                self._heard[key] = now
                self._missing.discard(key)
        if not self._missing:
            self._times = 1
        self._expect()

    def _expect(self) -> None:
        last = min(self._heard.values(), default=math.inf)
        self._scope.deadline = last + self._times * self.patience_s
