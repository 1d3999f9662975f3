"""One round of a storm, drawn from its seed: a subset of faults with intensities.

Sequences hurt more than single faults (reliability.md 2): besides faults at random times a round
has the same fault many times, faults that overlap, and swizzles – links freeze one by one and thaw
in another order.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import attrs

from polybot.exchange.faults.catalogue import CATALOGUE
from polybot.exchange.faults.kinds import STREAMS, Kind, When
from polybot.exchange.faults.plan import Entry, StormTerms

PROBABILITY = (0.02, 0.5)
WINDOW_S = (2.0, 30.0)
AGAIN = (3, 12)
SWIZZLE_OF_ROUNDS = 0.2
_KINDS = tuple(kind for kind in CATALOGUE.values() if kind.storms)


def draw_round(terms: StormTerms, rng: random.Random) -> tuple[Entry, ...]:
    """The faults of one round, times from its start; all are over when it is."""
    round_ms = terms.round_s * 1000
    count = min(rng.randint(terms.fewest, terms.most), len(_KINDS))
    entries: list[Entry] = []
    for kind in rng.sample(_KINDS, count):
        entry = _timed(kind, round_ms, rng)
        shape = rng.random()
        if shape < 0.25:
            entry = _again(entry, round_ms, rng)
        elif shape < 0.5 and entries:
            entry = attrs.evolve(entry, from_ms=entries[-1].from_ms)
        entries.append(_ended(entry, round_ms))
    if rng.random() < SWIZZLE_OF_ROUNDS:
        entries += _swizzle(round_ms, rng)
    return tuple(entries)


def _timed(kind: Kind, round_ms: int, rng: random.Random) -> Entry:
    at = tuple(rng.sample(kind.links, 1 if len(kind.links) < 3 else rng.randint(1, 2)))
    from_ms = rng.randrange(round_ms * 4 // 5)
    for_ms = round(_log_uniform(rng, *WINDOW_S) * 1000)
    each = kind.when is When.EACH
    probability = round(_log_uniform(rng, *PROBABILITY), 3) if each else 1.0
    return Entry(kind.name, at, (), from_ms, for_ms, None, probability)


def _again(entry: Entry, round_ms: int, rng: random.Random) -> Entry:
    """The same fault many times: in a row, or in as many windows of what is left of the round."""
    times = rng.randint(*AGAIN)
    if entry.kind.when is When.EACH:
        return attrs.evolve(entry, probability=1.0, times=times)
    every_ms = max((round_ms - entry.from_ms) // times, 1)
    for_ms = max(min(entry.for_ms or every_ms, every_ms // 2), 1)
    return attrs.evolve(entry, every_ms=every_ms, for_ms=for_ms, times=times)


def _ended(entry: Entry, round_ms: int) -> Entry:
    """The quiet after the round must be quiet. What repeats has its number of times."""
    left_ms = round_ms - entry.from_ms
    return attrs.evolve(entry, for_ms=min(entry.for_ms or left_ms, left_ms))


def _swizzle(round_ms: int, rng: random.Random) -> Iterator[Entry]:
    """Every stream freezes, one after the other, and they thaw in another order."""
    step_ms = max(round_ms // (3 * len(STREAMS)), 1)
    thaw = rng.sample(range(len(STREAMS)), len(STREAMS))
    for turn, link in enumerate(rng.sample(STREAMS, len(STREAMS))):
        freezes, thaws = turn * step_ms, (len(STREAMS) + thaw[turn]) * step_ms
        yield Entry("stall", (link,), (), freezes, thaws - freezes)


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))
