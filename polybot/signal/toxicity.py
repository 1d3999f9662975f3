"""Toxicity: whether those who trade with us know more, and what follows (strategy.md 11).

It is judged per series, because a window is too short to learn from and the next one has the same
takers. Its verdict overrides every other signal: a wide spread, a calm regime or a favourable flow
are no reason to be hit by somebody who knows.

CLEAN      nothing is known against the fills.
TOXIC      the mean markout is below zero beyond doubt, or worse than what a fill is meant to earn:
           edge widened, sizes halved.
STOPPED    worse than twice that: the rest of this window and the next one are not quoted.
PROBATION  quoted again at the smallest size; after two windows without a toxic verdict CLEAN.

A window counts as clean when it had fills to judge by and none of them brought the verdict back;
one without fills proves nothing and counts for nothing.
"""

from __future__ import annotations

import enum

import attrs

from polybot.signal.markouts import SETTLEMENT, Marked, MarkoutTallies
from polybot.signal.params import SignalParams


class Standing(enum.Enum):
    CLEAN = "clean"
    TOXIC = "toxic"
    STOPPED = "stopped"
    PROBATION = "on probation"


@attrs.frozen
class Toxicity:
    """The standing of a series with the horizon that decided it: mean markout in dollars per share,
    its t statistic and the effective number of fills.
    """

    standing: Standing
    horizon: str = ""
    mean: float = 0.0
    t: float = 0.0
    n_eff: float = 0.0


class _Verdict(enum.IntEnum):
    FINE = 0
    TOXIC = 1
    WORSE = 2


@attrs.define(eq=False)
class SeriesToxicity:
    """What one series' fills have taught, over all its windows."""

    params: SignalParams
    tallies: MarkoutTallies = attrs.field(init=False)
    _standing: Standing = Standing.CLEAN
    _stopped_windows: int = 0  # still to sit out, the present one included
    _clean: int = 0
    _marked: bool = False  # something was judged in this window …
    _toxic: bool = False  # … and some of it was toxic
    _reading: Toxicity = Toxicity(Standing.CLEAN)

    def __attrs_post_init__(self) -> None:
        self.tallies = MarkoutTallies(self.params.toxic_half_life)

    def marked(self, marked: Marked) -> None:
        """Take one markout and judge anew."""
        self.tallies.add(marked)
        verdict = self._judge()
        if marked.horizon == SETTLEMENT:
            return  # of a window that is over: it counts, and it starts nothing in the present one
        self._marked = True
        self._toxic |= verdict is not _Verdict.FINE
        if verdict is _Verdict.WORSE and self._standing is not Standing.STOPPED:
            self._standing, self._stopped_windows, self._clean = Standing.STOPPED, 2, 0
        elif self._standing in (Standing.CLEAN, Standing.TOXIC):
            toxic = verdict is _Verdict.TOXIC
            self._standing = Standing.TOXIC if toxic else Standing.CLEAN
        elif self._standing is Standing.PROBATION and verdict is not _Verdict.FINE:
            self._clean = 0

    def _judge(self) -> _Verdict:
        """The worst verdict of all horizons that say anything; its figures are kept."""
        worst, self._reading = _Verdict.FINE, Toxicity(self._standing)
        target = max(0.0, self.tallies.target.mean)
        params = self.params
        for horizon, tally in self.tallies.by_horizon.items():
            n_eff, t = tally.n_eff, tally.t
            if n_eff < params.toxic_least_for_mean:
                continue
            verdict = _Verdict.FINE
            sure = n_eff >= params.toxic_least_fills and t < -params.toxic_t
            if horizon == SETTLEMENT:
                # Half a dollar of noise per fill: only its statistic means anything.
                verdict = _Verdict.TOXIC if sure else _Verdict.FINE
            elif tally.mean < -2 * target and tally.mean < 0 and t < -params.toxic_t:
                verdict = _Verdict.WORSE
            elif sure or tally.mean < -target:
                verdict = _Verdict.TOXIC if tally.mean < 0 else _Verdict.FINE
            if verdict > worst or not self._reading.horizon:
                worst = max(worst, verdict)
                self._reading = Toxicity(self._standing, horizon, tally.mean, t, n_eff)
        return worst

    def window_over(self) -> None:
        """A window of the series has ended."""
        if self._standing is Standing.STOPPED:
            self._stopped_windows -= 1
            if self._stopped_windows == 0:
                self._release()
        elif self._standing is Standing.PROBATION and self._marked:
            self._clean = 0 if self._toxic else self._clean + 1
            if self._clean >= self.params.toxic_clean_intervals:
                self._standing = Standing.CLEAN
        self._marked = self._toxic = False

    def _release(self) -> None:
        """On probation the fills are judged afresh: the old ones have had their sentence."""
        self._standing, self._clean = Standing.PROBATION, 0
        self.tallies = MarkoutTallies(self.params.toxic_half_life)
        self._reading = Toxicity(Standing.PROBATION)

    @property
    def reading(self) -> Toxicity:
        if self._reading.standing is not self._standing:  # asked for by every decision
            self._reading = attrs.evolve(self._reading, standing=self._standing)
        return self._reading
