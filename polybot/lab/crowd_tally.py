"""What is counted of markets for the figures of calibration.json, and by which definitions.

A `Watch` follows one market's touch and trades, simulated or recorded, and writes into a `Tally`
that many markets may share. Sizes are shares, prices and spreads 10⁻⁴ dollars, times milliseconds;
`left` is time to the window's end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TypeVar

import attrs

from polybot.exchange.money import ONE, UNIT

CENT = 100  # of price
# The sample's buckets by milliseconds to the close, each from its lower bound on.
BUCKETS = (
    (240_000, "300-240s"), (180_000, "240-180s"), (120_000, "180-120s"), (60_000, "120-60s"),
    (30_000, "60-30s"), (10_000, "30-10s"), (0, "10-0s"),
)  # fmt: skip
EDGE = 500  # a mid this near to 0 or 1 is "beyond 0.05/0.95"
DEPTH_EVERY, DEPTH_LEVELS = 5, 10
# The full-rate sample is ten quiet seconds, 85 to 75 before the close: so are these, and the ones
# compared with it are those whose touch stood as still as the sample's.
SPAN_MS, SPANS_FROM_MS, SPANS_TO_MS = 10_000, 120_000, 60_000
STILL = 0.7

K = TypeVar("K")
T = TypeVar("T")

Touch = tuple[int | None, int | None]
Totals = Mapping[int, int]  # shares by Up price


def bucket_of(left_ms: int) -> str:
    return next(name for least, name in BUCKETS if left_ms > least or least == 0)


@attrs.define
class Span:
    """Ten seconds of one market in full: every message, every level change, every trade."""

    messages: int = 0
    paired: int = 0  # messages of two entries: one level, seen from both tokens
    trades: int = 0
    behind: Counter[int] = attrs.field(factory=Counter)  # ticks behind the touch
    kinds: Counter[str] = attrs.field(factory=Counter)
    deltas: list[float] = attrs.field(factory=list)
    touches: Counter[Touch] = attrs.field(factory=Counter)  # ms

    @property
    def still(self) -> bool:
        """Whether one touch of one tick, away from the edges, stood nearly all the time."""
        (bid, ask), ms = self.touches.most_common(1)[0] if self.touches else ((None, None), 0)
        near = bid is not None and ask == bid + CENT and EDGE < bid < ONE - EDGE
        return near and ms >= STILL * SPAN_MS


@attrs.define
class Tally:
    """What many markets came to."""

    spread_ms: dict[str, Counter[int | None]] = attrs.field(factory=lambda: defaultdict(Counter))
    edge_ms: Counter[str] = attrs.field(factory=Counter)
    per_second: dict[str, list[int]] = attrs.field(factory=lambda: defaultdict(list))
    gaps_ms: list[int] = attrs.field(factory=list)  # between trades
    bursts: list[int] = attrs.field(factory=list)  # most trades in 100 ms, by market
    traded: list[int] = attrs.field(factory=list)  # trades, by market
    after_ms: list[int] = attrs.field(factory=list)  # last trade after the close, by market
    sizes: list[float] = attrs.field(factory=list)
    bought: int = 0
    depth: dict[tuple[str, int], list[float]] = attrs.field(factory=lambda: defaultdict(list))
    whole_book: list[float] = attrs.field(factory=list)
    levels: list[float] = attrs.field(factory=list)
    moves: dict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))  # dollars
    spans: list[Span] = attrs.field(factory=list)

    @classmethod
    def together(cls, tallies: Iterable[Tally]) -> Tally:
        """All of them in one."""
        whole = cls()
        for one in tallies:
            for bucket, by_spread in one.spread_ms.items():
                whole.spread_ms[bucket].update(by_spread)
            whole.edge_ms.update(one.edge_ms)
            _extend(whole.per_second, one.per_second)
            _extend(whole.depth, one.depth)
            _extend(whole.moves, one.moves)
            whole.bought += one.bought
            for name in ("gaps_ms", "bursts", "traded", "after_ms", "sizes", "whole_book",
                         "levels", "spans"):  # fmt: skip
                getattr(whole, name).extend(getattr(one, name))
        return whole


def _extend(whole: dict[K, list[T]], part: dict[K, list[T]]) -> None:
    for key, values in part.items():
        whole[key] += values


class Watch:
    """Follows one market from its first moment on; `finish` after its last event.

    `touch` is (best bid, best ask) as it stands: set it after `elapse` has brought the time up.
    """

    def __init__(self, tally: Tally, first_ms: int, start_ms: int, end_ms: int) -> None:
        """`first_ms`: when the watching begins, the window's start or later."""
        self.tally, self.start_ms, self.end_ms = tally, start_ms, end_ms
        self.touch: Touch = (None, None)
        self.span = Span()
        self.trades: list[int] = []
        self._since_ms = first_ms
        self._first_second = -(-(first_ms - start_ms) // 1000)
        self._second_ms = start_ms + self._first_second * 1000
        self._mids: list[int] = []

    def elapse(self, now_ms: int) -> None:
        """Time passes with the touch as it is: up to the end of the window at most."""
        now_ms = min(now_ms, self.end_ms)
        while self._second_ms <= now_ms:  # the end is a whole second, too, and the last
            self._spend(self._second_ms)
            self._mids.append(middle(self.touch))
            self._second_ms += 1000
            self._turn(self.end_ms - self._second_ms + 1000)
        self._spend(now_ms)

    def _spend(self, now_ms: int) -> None:
        """The touch has stood since the last time; never across a whole second."""
        spent, left_ms = now_ms - self._since_ms, self.end_ms - self._since_ms
        if spent <= 0:
            return
        self._since_ms = now_ms
        (bid, ask), bucket = self.touch, bucket_of(left_ms)
        spread = None if bid is None or ask is None else ask - bid
        self.tally.spread_ms[bucket][spread] += spent
        if not 2 * EDGE <= middle(self.touch) <= 2 * (ONE - EDGE):
            self.tally.edge_ms[bucket] += spent
        self.span.touches[self.touch] += spent

    def _turn(self, left_ms: int) -> None:
        """A new span every ten seconds; only those of the sample's minute are kept."""
        if left_ms % SPAN_MS:
            return
        if SPANS_TO_MS <= left_ms < SPANS_FROM_MS:
            self.tally.spans.append(self.span)
        self.span = Span()

    def traded(self, at_ms: int) -> bool:
        """Count a trade; whether this is one after which the depth is looked at."""
        self.elapse(at_ms)
        self.trades.append(at_ms)
        self.span.trades += 1
        return len(self.trades) % DEPTH_EVERY == 0 and at_ms < self.end_ms

    def look(self, bids: Totals, asks: Totals) -> None:
        """The depth behind the touch, as the sample has it: events with both sides present.

        The two are totals (10⁻⁶ shares) by Up price.
        """
        bid, ask = self.touch
        if bid is None or ask is None:
            return
        bucket = bucket_of(self.end_ms - self.trades[-1])
        for level in range(DEPTH_LEVELS):
            behind = level * CENT
            sizes = (bids.get(bid - behind, 0), asks.get(ask + behind, 0))
            self.tally.depth[bucket, level] += [size / UNIT for size in sizes]
        if len(self.trades) % (10 * DEPTH_EVERY) == 0:
            self.tally.whole_book.append((sum(bids.values()) + sum(asks.values())) / UNIT)
            self.tally.levels.append(len(bids) + len(asks))

    def finish(self) -> None:
        """Close the books of this market."""
        self.elapse(self.end_ms)
        tally, first = self.tally, self._first_second
        for number, (before, after) in enumerate(pairwise(self._mids), first):
            tally.moves[self._bucket(number)].append((after - before) / 2 / ONE)
        seconds = Counter((at - self.start_ms) // 1000 for at in self.trades)
        for second in range(first, (self.end_ms - self.start_ms) // 1000):
            tally.per_second[self._bucket(second)].append(seconds[second])
        tally.traded.append(len(self.trades))
        tally.gaps_ms += [after - before for before, after in pairwise(self.trades)]
        tally.bursts.append(max(Counter(at // 100 for at in self.trades).values(), default=0))
        if self.trades:
            tally.after_ms.append(self.trades[-1] - self.end_ms)

    def _bucket(self, second: int) -> str:
        return bucket_of(self.end_ms - self.start_ms - second * 1000)


def middle(touch: Touch) -> int:
    """Twice the mid; an empty side is the end of the scale."""
    bid, ask = touch
    return (bid or 0) + (ONE if ask is None else ask)
