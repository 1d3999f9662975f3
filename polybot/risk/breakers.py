"""Brakes that watch what happens instead of what is asked: failed requests, refusals, fills.

Each opens by itself on a count within a window and closes by itself after a pause, which doubles
when it opens again soon after. None of them touches cancels: withdrawing is what a brake is for.
They complement the halts, which an operator ends: a brake is for what passes, a halt for what must
be understood.
"""

from __future__ import annotations

from collections import deque

import attrs

from polybot.domain.market import Outcome
from polybot.domain.orders import Reject
from polybot.risk.limits import RiskParams

DOUBLINGS_MOST = 4

# A book that moved under a post-only order is the market's doing, and the desk waits for it anyway.
# So is one that has nothing for an order that takes: that is how such an order ends (F28). What has
# found no connection was refused by nobody: the error rate judges the way.
HARMLESS = frozenset({Reject.POST_ONLY_CROSSES, Reject.NO_MATCH, Reject.UNREACHABLE})
# Refusals that say how the venue is, not how the order was.
VENUE_TROUBLE = frozenset(
    {
        Reject.RATE_LIMITED,
        Reject.RESTARTING,
        Reject.CANCEL_ONLY,
        Reject.POST_ONLY_MODE,
        Reject.UNREACHABLE,
    }
)


@attrs.define(eq=False)
class Pause:
    """Time without placing: `first_ms`, then twice as long each time it is asked for within four
    times the last pause after its end, at most sixteen times.
    """

    first_ms: int
    until_ms: int = 0
    _doublings: int = 0

    def active(self, now_ms: int) -> bool:
        """A clock that is set back makes none longer than it was to be from then on."""
        self.until_ms = min(self.until_ms, now_ms + (self.first_ms << self._doublings))
        return now_ms < self.until_ms

    def begin(self, now_ms: int) -> None:
        """Start a pause unless one is under way."""
        if self.active(now_ms):
            return
        last_ms = self.first_ms << self._doublings
        soon = self.until_ms and now_ms - self.until_ms <= 4 * last_ms
        self._doublings = min(self._doublings + 1, DOUBLINGS_MOST) if soon else 0
        self.until_ms = now_ms + (self.first_ms << self._doublings)


@attrs.define(eq=False)
class Window:
    """How much happened within the last `window_ms`. A stamp before the last counts at the last:
    time does not run backwards here. What lies further ahead than that was stamped by a clock that
    has been set right since, and is forgotten.
    """

    window_ms: int
    _at_ms: deque[tuple[int, int]] = attrs.field(factory=deque)
    _sum: int = 0

    def add(self, now_ms: int, amount: int = 1) -> int:
        """Count `amount` more; returns the sum within the window."""
        self._heed(now_ms)
        if self._at_ms:
            now_ms = max(now_ms, self._at_ms[-1][0])
        self._at_ms.append((now_ms, amount))
        self._sum += amount
        return self.sum(now_ms)

    def sum(self, now_ms: int) -> int:
        self._heed(now_ms)
        while self._at_ms and now_ms - self._at_ms[0][0] >= self.window_ms:
            self._sum -= self._at_ms.popleft()[1]
        return self._sum

    def _heed(self, now_ms: int) -> None:
        if self._at_ms and self._at_ms[-1][0] - now_ms >= self.window_ms:
            self.clear()

    def clear(self) -> None:
        self._at_ms.clear()
        self._sum = 0


@attrs.define(eq=False)
class ErrorRate:
    """The part of the wallet's requests that failed: no answer, a broken one, a venue in trouble.

    Shared by all markets, because it is the path to the venue that is judged.
    """

    params: RiskParams
    opened: int = 0
    _sent: Window = attrs.field(init=False)
    _failed: Window = attrs.field(init=False)
    _pause: Pause = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._sent = Window(self.params.error_window_s * 1000)
        self._failed = Window(self.params.error_window_s * 1000)
        self._pause = Pause(self.params.error_pause_s * 1000)

    def note(self, now_ms: int, *, failed: bool) -> None:
        """Count one request that has come to its end."""
        sent = self._sent.add(now_ms)
        bad = self._failed.add(now_ms) if failed else self._failed.sum(now_ms)
        enough = sent >= self.params.error_least_requests
        if enough and bad * 100 > sent * self.params.error_most_percent:
            self.opened += not self._pause.active(now_ms)
            self._pause.begin(now_ms)
            # Judged: what comes after the pause is judged by what comes after it.
            self._sent.clear()
            self._failed.clear()

    def open(self, now_ms: int) -> bool:
        return self._pause.active(now_ms)


@attrs.define(eq=False)
class MarketBrakes:
    """One market's refusals and fills, and the wallet's error rate: why nothing may be placed."""

    params: RiskParams
    errors: ErrorRate
    _refusals: Window = attrs.field(init=False)
    _storm: Pause = attrs.field(init=False)
    _fills: dict[Outcome, Window] = attrs.field(init=False)
    _repeats: dict[Outcome, Pause] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        window_ms = self.params.repeat_window_s * 1000
        self._refusals = Window(self.params.reject_window_s * 1000)
        self._storm = Pause(self.params.reject_pause_s * 1000)
        self._fills = {outcome: Window(window_ms) for outcome in Outcome}
        self._repeats = {outcome: Pause(window_ms) for outcome in Outcome}

    def refused(self, reason: Reject, now_ms: int) -> None:
        """One order was refused by the venue."""
        if reason in HARMLESS or not self.params.reject_most:
            return
        if self._refusals.add(now_ms) >= self.params.reject_most:
            self._storm.begin(now_ms)
            self._refusals.clear()

    def filled(self, outcome: Outcome, now_ms: int) -> None:
        """One fill of one of our bids. A fill of the other outcome ends a series: it pairs."""
        if not self.params.repeat_most:
            return
        self._fills[outcome.other].clear()
        if self._fills[outcome].add(now_ms) >= self.params.repeat_most:
            self._repeats[outcome].begin(now_ms)
            self._fills[outcome].clear()

    def holds(self, outcome: Outcome, now_ms: int) -> str | None:
        """Why no order of this outcome may leave now, or None."""
        if self.errors.open(now_ms):
            return "too many requests fail"
        if self._storm.active(now_ms):
            return "storm of refusals"
        if self._repeats[outcome].active(now_ms):
            return "too many fills on one side"
        return None
