"""Scores: whether a signal that did not act would have been right.

Each signal that says something makes a call, and not again before that call is judged, so that
calls are independent. A directed call (flow) is judged by the sign of the fair price's move over
the horizon, an alarm (regime, fast move) by whether the move was larger than its volatility alone
makes likely, and the others by what they predict themselves: the next improvement undercut, the
next fill bad, the gap still there after our latency.

`gain` is in dollars per share: the move in the direction called, or its excess over the expected.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs


@attrs.define
class Score:
    """`calls` that were judged, `hits` of them that were right, and the sum of what they showed."""

    calls: int = 0
    hits: int = 0
    gain: float = 0.0

    def judge(self, *, hit: bool, gain: float = 0.0) -> None:
        self.calls += 1
        self.hits += hit
        self.gain += gain

    def add(self, other: Score) -> None:
        self.calls += other.calls
        self.hits += other.hits
        self.gain += other.gain


@attrs.frozen
class _Call:
    name: str
    direction: int  # +1 or -1 for a directed call, 0 for an alarm
    q: float
    v: float
    due_ms: int


@attrs.define(eq=False)
class Scores:
    """Every signal's score in one market. `horizon_s` is when a call is judged; `on_judged` is told
    of each: name, whether it was right, its gain.
    """

    horizon_s: float
    on_judged: Callable[[str, bool, float], None] = lambda *_: None
    by_name: dict[str, Score] = attrs.field(factory=dict)
    _open: dict[str, _Call] = attrs.field(factory=dict)

    def call(self, name: str, direction: int, q: float, v: float, now_ms: int) -> None:
        """A signal has something to say, at this fair price. One that has an open call waits."""
        if name not in self._open:
            due_ms = now_ms + int(self.horizon_s * 1000)
            self._open[name] = _Call(name, direction, q, v, due_ms)

    def judge(self, name: str, *, hit: bool, gain: float = 0.0) -> None:
        """Judge a call that a signal makes and ends itself."""
        self.by_name.setdefault(name, Score()).judge(hit=hit, gain=gain)
        self.on_judged(name, hit, gain)

    def fair(self, q: float, now_ms: int) -> None:
        """Judge the calls that are due by the fair price of now; one that comes too late to say
        anything of the horizon ends unjudged.
        """
        if not self._open:
            return
        for call in [c for c in self._open.values() if now_ms >= c.due_ms]:
            del self._open[call.name]
            if now_ms - call.due_ms > self.horizon_s * 500:
                continue
            move = q - call.q
            if call.direction:
                gain = move * call.direction
                self.judge(call.name, hit=gain > 0, gain=gain)
            else:
                # |N(0,1)| is 0.80 on average: what its volatility alone makes of the horizon.
                expected = math.sqrt(2 / math.pi) * call.v * math.sqrt(self.horizon_s)
                self.judge(call.name, hit=abs(move) > expected, gain=abs(move) - expected)
