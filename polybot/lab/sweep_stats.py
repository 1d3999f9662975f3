"""What a sweep may claim: confidence by days, and what a choice is worth on windows it did not see.

Windows of one day share its volatility, its news and often one losing streak: they are not as many
witnesses as they are windows. So the error of a mean is taken from whole days (the usual
cluster-robust estimate, with Student's t for the few days there are); of one day nothing is known
but its mean, however many windows and seeds it was played with. And whoever picks the best of
many has picked luck as well: walk-forward splits choose on the past and are paid by what follows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import attrs

from polybot.lab.maker_match import student

DAY_MS = 86_400_000


@attrs.frozen
class Witness:
    """One window of one run: its profit in 10⁻⁶ dollars."""

    slug: str
    start_ms: int
    end_ms: int
    seed: int
    profit: int

    @property
    def day(self) -> int:
        return self.start_ms // DAY_MS


@attrs.frozen
class Estimate:
    """A mean of dollars a window with its 95 % interval, from so many windows, each seed's counted,
    on so many days. Of a single day it may be anything: from minus to plus infinity.
    """

    mean: float
    low: float
    high: float
    windows: int
    days: int


def clustered(values: Sequence[tuple[int, float]]) -> Estimate:
    """The mean of (day, dollars); at least one is needed."""
    count = len(values)
    mean = math.fsum(value for _, value in values) / count
    groups: defaultdict[int, float] = defaultdict(float)
    for day, value in values:
        groups[day] += value - mean
    days = len(groups)
    if days == 1:
        return Estimate(mean, -math.inf, math.inf, count, days)
    spread = math.fsum(total * total for total in groups.values())
    error = student(days - 1) * math.sqrt(spread * days / (days - 1)) / count
    return Estimate(mean, mean - error, mean + error, count, days)


def mean_of(witnesses: Sequence[Witness]) -> Estimate:
    return clustered([(one.day, one.profit / 1e6) for one in witnesses])


def better_than(mine: Sequence[Witness], base: Sequence[Witness]) -> Estimate | None:
    """How much more than another configuration, window by window: what both share falls out. None
    where they have no window in common, as in a sweep that was stopped.
    """
    held = {(one.slug, one.seed): one.profit for one in base}
    pairs = [
        (one.day, (one.profit - held[one.slug, one.seed]) / 1e6)
        for one in mine
        if (one.slug, one.seed) in held
    ]
    return clustered(pairs) if pairs else None


# --- walking forward -----------------------------------------------------------------------------


@attrs.frozen
class Step:
    """One split: what was best until `until_ms`, and what it was worth there and afterwards."""

    until_ms: int
    chosen: str
    inside: float
    outside: float
    windows: int  # outside


@attrs.frozen
class Forward:
    """All splits. `penalty` is what a choice is worth less, outside, than where it was made, in
    dollars a window: 0 or below as a rule.
    """

    steps: tuple[Step, ...]

    @property
    def penalty(self) -> float:
        return math.fsum(one.outside - one.inside for one in self.steps) / len(self.steps)


def walk_forward(points: Mapping[str, Sequence[Witness]], splits: int) -> Forward | None:
    """Cut time into `splits` + 1 equal numbers of windows; choose by the mean on all that had ended
    at each cut, and look at those that begin in the part after it: one that lies across a cut is of
    neither, for its result was not known then. Only windows that all points have played count: a
    sweep that was stopped may have the good ones of one and the bad ones of another. None where
    there are too few.
    """
    if len(points) < 2:
        return None
    shared = set.intersection(*({_run(one) for one in found} for found in points.values()))
    alike = {name: [one for one in found if _run(one) in shared] for name, found in points.items()}
    starts = sorted({start_ms for _, start_ms, _ in shared})
    if len(starts) < 2 * (splits + 1):
        return None
    bounds = [starts[len(starts) * n // (splits + 1)] for n in range(1, splits + 1)]
    steps = []
    for cut_ms, end_ms in pairwise([*bounds, math.inf]):
        before = {
            name: [one for one in found if one.end_ms <= cut_ms] for name, found in alike.items()
        }
        if not all(before.values()):  # the first windows are all longer than the part
            continue
        inside = {name: _mean(found) for name, found in before.items()}
        chosen = max(inside, key=lambda name: inside[name])
        after = [one for one in alike[chosen] if cut_ms <= one.start_ms < end_ms]
        count = len({one.slug for one in after})
        steps.append(Step(int(cut_ms), chosen, inside[chosen], _mean(after), count))
    return Forward(tuple(steps)) if steps else None


def _run(one: Witness) -> tuple[str, int, int]:
    return one.slug, one.start_ms, one.seed


def _mean(witnesses: Sequence[Witness]) -> float:
    return sum(one.profit for one in witnesses) / len(witnesses) / 1e6
