"""How good our probabilities are: samples at fixed times, and what scores them (strategy.md 3.5).

A probability is judged against what happened and against the market's own price at the same moment:
a model that is not at least equal to the mid should quote around the mid.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import attrs

from polybot.pricing.fair import Fair

# Seconds before the end at which a sample is taken; longer windows begin higher up the list.
TIMES_S = (
    *(12_600, 10_800, 9_000, 7_200, 5_400, 3_300, 2_700, 1_800, 1_200, 840, 600, 450, 285, 240),
    *(180, 150, 120, 90, 75, 60, 45, 30, 20, 10, 5),
)
LATE_S = 2.0  # a moment missed by more is missed
# Upper ends of the buckets of time to close, seconds.
BUCKETS_S = (15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, math.inf)
LEAST = 1e-6  # of a probability: the logarithm of a certainty that was wrong has no end


@attrs.frozen
class Sample:
    """What was thought at one moment. `market` and `blended` are None without a usable book."""

    left_s: float
    q: float
    d: float
    sigma: float
    market: float | None = None
    blended: float | None = None


@attrs.frozen
class Row:
    """A sample of a market whose result is known: `up` is 1 or 0."""

    slug: str
    sample: Sample
    up: int


@attrs.define
class Sampler:
    """Takes a market's samples, each once, at the first chance after its time."""

    samples: list[Sample] = attrs.field(factory=list)
    _next: int = 0

    def due(self, left_s: float) -> bool:
        """Whether the next sample's time has come."""
        return self._next < len(TIMES_S) and left_s <= TIMES_S[self._next]

    def take(
        self, left_s: float, fair: Fair, market: float | None = None, blended: float | None = None
    ) -> None:
        """Offer what is thought `left_s` before the end; kept when its time has come."""
        due = None
        while self.due(left_s):
            due = TIMES_S[self._next]
            self._next += 1
        if due is not None and due - left_s <= LATE_S:
            self.samples.append(Sample(left_s, fair.q, fair.d, fair.sigma, market, blended))


def brier(pairs: Sequence[tuple[float, int]]) -> float:
    """Mean squared error of probabilities against results: 0.25 for a coin, less is better."""
    return math.fsum((q - up) ** 2 for q, up in pairs) / len(pairs)


def log_loss(pairs: Sequence[tuple[float, int]]) -> float:
    """Mean surprise in nats: 0.693 for a coin, less is better."""
    kept = [(min(max(q, LEAST), 1 - LEAST), up) for q, up in pairs]
    return -math.fsum(math.log(q if up else 1 - q) for q, up in kept) / len(kept)


@attrs.frozen
class Score:
    """One bucket of time to close. The market's figures and `ours_*` are of the `both` samples that
    have a market price; None when there are none. `markets` tells how many results these rest on.
    """

    up_to_s: float
    samples: int
    markets: int
    brier: float
    log_loss: float
    both: int = 0
    ours_brier: float | None = None
    market_brier: float | None = None
    ours_log_loss: float | None = None
    market_log_loss: float | None = None


def scores(rows: Iterable[Row], buckets_s: Sequence[float] = BUCKETS_S) -> list[Score]:
    """Scores by time to close, nearest first; empty buckets are left out."""
    groups: dict[float, list[Row]] = {}
    for row in rows:
        end = next(end for end in buckets_s if row.sample.left_s <= end)
        groups.setdefault(end, []).append(row)
    return [_score(end, groups[end]) for end in buckets_s if end in groups]


def _score(end: float, rows: Sequence[Row]) -> Score:
    ours = [(row.sample.q, row.up) for row in rows]
    both = [(row, row.sample.market) for row in rows if row.sample.market is not None]
    score = Score(
        end, len(rows), len({row.slug for row in rows}), brier(ours), log_loss(ours), len(both)
    )
    if not both:
        return score
    same = [(row.sample.q, row.up) for row, _ in both]
    mids = [(market, row.up) for row, market in both]
    return attrs.evolve(
        score,
        ours_brier=brier(same),
        market_brier=brier(mids),
        ours_log_loss=log_loss(same),
        market_log_loss=log_loss(mids),
    )


@attrs.frozen
class Bin:
    """A tenth of the probabilities: their mean, the share that came true, and its standard error.

    The error counts markets, not samples: samples of one market share one result.
    """

    mean_q: float
    share_up: float
    samples: int
    error: float


def reliability(rows: Iterable[Row], bins: int = 10) -> list[Bin]:
    """Predicted against realised, in bins of equal width; empty ones are left out."""
    groups: list[list[Row]] = [[] for _ in range(bins)]
    for row in rows:
        groups[min(bins - 1, int(row.sample.q * bins))].append(row)
    return [_bin(group) for group in groups if group]


def _bin(rows: Sequence[Row]) -> Bin:
    share = math.fsum(row.up for row in rows) / len(rows)
    markets = len({row.slug for row in rows})
    mean = math.fsum(row.sample.q for row in rows) / len(rows)
    return Bin(mean, share, len(rows), math.sqrt(mean * (1 - mean) / markets))
