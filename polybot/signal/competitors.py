"""Competitors: who else makes this market, and how to live beside them (strategy.md 11).

Four habits are watched, on the book without our own orders. *Requote latency*: how long after a
move of the spot the touch follows. *Fingerprints*: a size that comes to the touch again and again
is a program. *Undercut rate*: the share of our improvements that somebody outbids within a second,
by no more than our edge: further away it is the market that moved, not a rival. *Refill*: whether
a touch that a trade took comes back.

The response is a table, not a fight: an undercut is answered by joining, never by going on.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable

import attrs

from polybot.domain.market import Outcome
from polybot.domain.units import ONE
from polybot.signal.inputs import Depth
from polybot.signal.params import SignalParams

REFILL_MS = 1_000
FOLLOW_MS = 2_000  # a touch that has not followed a move by then does not follow it
RECKON_MS = 1_000
KEPT = 1_024


class Response(enum.Enum):
    IMPROVE = "improve"
    JOIN = "join"
    DEEPER = "one level deeper"


@attrs.frozen
class Rivals:
    """What was seen of others lately; rates and seconds are None until something was."""

    response: Response
    undercut: float | None
    improvements: int
    requote_s: float | None  # median time from a spot move to a new touch
    makers: int  # sizes that keep coming back to the touch
    refill: float | None


@attrs.define(eq=False)
class _Recent:
    """Values of the last `window_ms`, oldest first."""

    window_ms: int
    values: deque[tuple[int, float]] = attrs.field(factory=lambda: deque(maxlen=KEPT))

    def add(self, now_ms: int, value: float) -> None:
        self.values.append((now_ms, value))

    def read(self, now_ms: int) -> list[float]:
        while self.values and now_ms - self.values[0][0] > self.window_ms:
            self.values.popleft()
        return [value for _, value in self.values]


@attrs.define(eq=False)
class Returns:
    """How many sizes came to the touch `least` times or more in the last `window_ms`: counted as
    they come and go, for there may be a thousand of them and the answer is wanted every second.
    """

    window_ms: int
    least: int
    _frequent: int = 0
    _seen: deque[tuple[int, int]] = attrs.field(factory=deque)  # (when, size), oldest first
    _times: dict[int, int] = attrs.field(factory=dict)

    def add(self, now_ms: int, size: int) -> None:
        if len(self._seen) == KEPT:
            self._drop()
        self._seen.append((now_ms, size))
        times = self._times[size] = self._times.get(size, 0) + 1
        self._frequent += times == self.least

    def _drop(self) -> None:
        _, size = self._seen.popleft()
        times = self._times.pop(size)
        self._frequent -= times == self.least
        if times > 1:
            self._times[size] = times - 1

    def read(self, now_ms: int) -> int:
        while self._seen and now_ms - self._seen[0][0] > self.window_ms:
            self._drop()
        return self._frequent


@attrs.define(eq=False)
class _Taken:
    """A trade at the touch: when, at what price, and whether the touch has fallen since."""

    at_ms: int
    price: int
    gone: bool


@attrs.define(eq=False)
class Competitors:
    params: SignalParams
    on_closed: Callable[[bool], None]  # told of each improvement of ours whether it was undercut
    _undercuts: _Recent = attrs.field(init=False)
    _latencies: _Recent = attrs.field(init=False)
    _refills: _Recent = attrs.field(init=False)
    _sizes: Returns = attrs.field(init=False)
    _tops: dict[Outcome, tuple[int, int] | None] = attrs.field(factory=dict)
    _improved: dict[Outcome, tuple[int, int, float]] = attrs.field(factory=dict)
    _counted: dict[Outcome, int] = attrs.field(factory=dict)
    _moved_ms: int | None = None
    _taken: dict[Outcome, _Taken] = attrs.field(factory=dict)
    _lost: dict[Outcome, tuple[int, int]] = attrs.field(factory=dict)  # (when, price) of a fall
    _reading: Rivals = Rivals(Response.IMPROVE, None, 0, None, 0, None)
    _stale: bool = False
    _reckoned_ms: int = 0

    def __attrs_post_init__(self) -> None:
        window_ms = int(self.params.rivals_window_s * 1000)
        self._undercuts, self._latencies = _Recent(window_ms), _Recent(window_ms)
        self._refills = _Recent(window_ms)
        self._sizes = Returns(window_ms, self.params.rivals_least)

    def spot_moved(self, now_ms: int) -> None:
        """The spot has made a move that a maker would follow: the clock of its requote starts."""
        if self._moved_ms is None:
            self._moved_ms = now_ms

    def taken(self, outcome: Outcome, price: int, now_ms: int) -> None:
        """A trade took from the bids of `outcome` at that price. The book may tell of it before
        the print does, or after (feeds.md 3).
        """
        top, (lost_ms, lost) = self._tops.get(outcome), self._lost.get(outcome, (0, 0))
        if top is not None and top[0] == price:
            self._taken[outcome] = _Taken(now_ms, price, gone=False)
        elif lost == price and now_ms - lost_ms <= REFILL_MS:
            self._taken[outcome] = _Taken(lost_ms, price, gone=True)

    def book(
        self, outcome: Outcome, seen: Depth, own_best: int | None, edge: float, now_ms: int
    ) -> None:
        """Take one outcome's book without our orders, and our best bid in it."""
        top = seen.bids[0] if seen.bids else None
        before = self._tops.get(outcome)
        if self._moved_ms is not None and now_ms - self._moved_ms > FOLLOW_MS:
            self._moved_ms = None
        changed = top != before
        if before is not None and (top is None or top[0] < before[0]):
            self._lost[outcome] = (now_ms, before[0])
        self._tops[outcome] = top
        if changed and top is not None:
            self._top_changed(outcome, top, now_ms)
        self._improvement(outcome, top, own_best, edge, now_ms)
        self._refill(outcome, top, now_ms)

    def _top_changed(self, outcome: Outcome, top: tuple[int, int], now_ms: int) -> None:
        self._sizes.add(now_ms, top[1])
        self._stale = True
        if self._moved_ms is not None:
            self._latencies.add(now_ms, (now_ms - self._moved_ms) / 1000)
            self._moved_ms = None

    def _improvement(
        self,
        outcome: Outcome,
        top: tuple[int, int] | None,
        own_best: int | None,
        edge: float,
        now_ms: int,
    ) -> None:
        """Follow our bid while it alone is the best: it is beaten, or it lasts, or it is gone."""
        others = top[0] if top is not None else 0
        if own_best is None or own_best <= others:
            self._counted.pop(outcome, None)
        open_one = self._improved.get(outcome)
        if open_one is None:
            fresh = own_best is not None and own_best > others
            if fresh and own_best is not None and self._counted.get(outcome) != own_best:
                self._improved[outcome] = (now_ms, own_best, edge)
            return
        since_ms, price, kept = open_one
        beaten_by = (others - price) / ONE
        if 0 < beaten_by <= max(kept, 1 / ONE):
            self._close(outcome, price, now_ms, beaten=True)
        elif now_ms - since_ms > self.params.rivals_beaten_s * 1000:
            self._close(outcome, price, now_ms, beaten=False)
        elif beaten_by > 0 or own_best is None or own_best < price:
            del self._improved[outcome]  # the market moved, or we went: it says nothing of rivals

    def _close(self, outcome: Outcome, price: int, now_ms: int, *, beaten: bool) -> None:
        self._undercuts.add(now_ms, float(beaten))
        self.on_closed(beaten)
        self._stale = True
        self._counted[outcome] = price  # while it stands it is no new improvement
        del self._improved[outcome]

    def _refill(self, outcome: Outcome, top: tuple[int, int] | None, now_ms: int) -> None:
        pending = self._taken.get(outcome)
        if pending is None:
            return
        there = top is not None and top[0] >= pending.price
        late = now_ms - pending.at_ms > REFILL_MS
        pending.gone |= not there
        if late and not pending.gone:
            del self._taken[
                outcome
            ]  # the trade left some of the touch: there was nothing to refill
            return
        if not pending.gone or (not there and not late):
            return
        self._refills.add(now_ms, float(there and not late))
        self._stale = True
        del self._taken[outcome]

    def read(self, now_ms: int) -> Rivals:
        """What is known of rivals, reckoned again once a second when something was seen: habits
        do not change faster, and counting sizes is the dearest thing a decision would do.
        """
        if self._stale and now_ms - self._reckoned_ms >= RECKON_MS:
            self._reading, self._stale, self._reckoned_ms = self._reckon(now_ms), False, now_ms
        return self._reading

    def _reckon(self, now_ms: int) -> Rivals:
        params = self.params
        undercuts, latencies = self._undercuts.read(now_ms), self._latencies.read(now_ms)
        refills = self._refills.read(now_ms)
        makers = self._sizes.read(now_ms)
        rate = sum(undercuts) / len(undercuts) if undercuts else None
        requote_s = sorted(latencies)[len(latencies) // 2] if latencies else None
        return Rivals(
            response(params, rate, len(undercuts), requote_s, makers),
            rate,
            len(undercuts),
            requote_s,
            makers,
            sum(refills) / len(refills) if refills else None,
        )


def response(
    params: SignalParams,
    undercut: float | None,
    improvements: int,
    requote_s: float | None,
    makers: int,
) -> Response:
    """The table of strategy.md 11, the stronger answer first: beside two fast makers there is
    nothing to win at the touch; where we are outbid most of the time we join.
    """
    quick = requote_s is not None and requote_s <= params.rivals_fast_s
    if quick and makers >= params.rivals_fast_makers:
        return Response.DEEPER
    known = undercut is not None and improvements >= params.rivals_least
    if known and undercut is not None and undercut > params.rivals_undercut:
        return Response.JOIN
    return Response.IMPROVE
