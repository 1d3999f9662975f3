"""Two runs held against each other fast: which fills are one event, and what was bid when.

What is near in time is looked at, and no more: a run of days is long, and what is far apart in it
has nothing to do with each other.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

import attrs

from polybot.domain.market import Outcome
from polybot.lab.run_record import Filled, Span

MATCH_MS = 3_000  # two fills so far apart are one event in two runs

Pairs = list[tuple[Filled, Filled]]


@attrs.define(eq=False)
class _Pile:
    """Fills of one run that have no partner yet: by number, in which they stand and are added."""

    left: dict[int, Filled] = attrs.field(factory=dict)
    _by_time: dict[Outcome, list[tuple[int, int]]] = attrs.field(factory=dict)
    _added: int = 0

    def add(self, fill: Filled) -> int:
        number, self._added = self._added, self._added + 1
        self.left[number] = fill
        insort(self._by_time.setdefault(fill.toward, []), (fill.at_ms, number))
        return number

    def take(self, number: int) -> Filled:
        fill = self.left.pop(number)
        times = self._by_time[fill.toward]
        del times[bisect_left(times, (fill.at_ms, number))]
        return fill

    def near(self, fill: Filled) -> list[int]:
        """Those that may be the other run's fill."""
        times = self._by_time.get(fill.toward, [])
        begin = bisect_left(times, (fill.at_ms - MATCH_MS,))
        end = bisect_left(times, (fill.at_ms + MATCH_MS + 1,))
        return [number for _, number in times[begin:end]]


def matched(a: Sequence[Filled], b: Sequence[Filled]) -> tuple[Pairs, list[Filled], list[Filled]]:
    """Pairs of equal shares, nearest first (in price, then in time, then as they stand), and what
    is left of either. A fill that is larger than its partner is two: the rest may find another.
    """
    pile_a, pile_b = _Pile(), _Pile()
    for pile, fills in ((pile_a, a), (pile_b, b)):
        for fill in fills:
            pile.add(fill)
    close = [
        _apart(pile_a, n, pile_b, m) for n, fill in pile_a.left.items() for m in pile_b.near(fill)
    ]
    heapify(close)
    pairs: Pairs = []
    while close:
        *_, n, m = heappop(close)
        if n not in pile_a.left or m not in pile_b.left:
            continue
        one, other = pile_a.take(n), pile_b.take(m)
        shares = min(one.shares, other.shares)
        one, rest_a = one.split(shares)
        other, rest_b = other.split(shares)
        pairs.append((one, other))
        if rest_a is not None:
            n = pile_a.add(rest_a)
            for m in pile_b.near(rest_a):
                heappush(close, _apart(pile_a, n, pile_b, m))
        if rest_b is not None:
            m = pile_b.add(rest_b)
            for n in pile_a.near(rest_b):
                heappush(close, _apart(pile_a, n, pile_b, m))
    return pairs, [*pile_a.left.values()], [*pile_b.left.values()]


def _apart(a: _Pile, n: int, b: _Pile, m: int) -> tuple[int, int, int, int]:
    """How far apart two fills are, and which they are."""
    one, other = a.left[n], b.left[m]
    return abs(one.price - other.price), abs(one.at_ms - other.at_ms), n, m


@attrs.frozen
class Best:
    """The best bid toward one outcome: from each time on, until the next."""

    times: list[int]
    prices: list[int | None]

    @classmethod
    def of(
        cls, spans: Sequence[Span], toward: Outcome, early_ms: int = 0, late_ms: int = 0
    ) -> Best:
        """Of bids that began so much earlier than they did, and ended so much later. The end of one
        is no longer of it.
        """
        bids = sorted(
            (one.from_ms - early_ms, one.to_ms + late_ms, one.price)
            for one in spans
            if one.toward is toward
        )
        times = sorted({t for begin, end, _ in bids for t in (begin, end)})
        there: list[tuple[int, int]] = []  # the dearest first, with its end
        prices: list[int | None] = []
        begun = 0
        for at_ms in times:
            while begun < len(bids) and bids[begun][0] <= at_ms:
                _, end, price = bids[begun]
                heappush(there, (-price, end))
                begun += 1
            while there and there[0][1] <= at_ms:
                heappop(there)
            prices.append(-there[0][0] if there else None)
        return cls(times, prices)

    def at(self, at_ms: int) -> int | None:
        place = bisect_right(self.times, at_ms)
        return self.prices[place - 1] if place else None

    def reaches(self, price: int, at_ms: int) -> bool:
        best = self.at(at_ms)
        return best is not None and best >= price
