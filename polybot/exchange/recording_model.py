"""What every recording comes to, whatever its format. Times are Unix ms, books in Up terms."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping

import attrs

from polybot.exchange.calendar import SERIES
from polybot.exchange.mirror_messages import Beat
from polybot.exchange.model import Series
from polybot.exchange.oracle import PriceSource
from polybot.exchange.recording_files import Warnings

SLUG = re.compile(r"(btc|eth|sol|xrp)-updown-(5m|15m)-(\d{6,11})")


@attrs.frozen
class Tape:
    """One recorded market. `beats` are in order of time and read as they are asked for.

    What is not known of the outcome is None: without a winner the last mid decides, without
    figures nominal ones stand for them. `infer_prints`: its snapshots follow trades, which were not
    recorded themselves.
    """

    slug: str
    first_ms: int  # of its first beat, or earlier
    beats: Callable[[], Iterator[Beat]]
    winner: int | None = None
    strike: float | None = None
    final: float | None = None
    infer_prints: bool = False

    @property
    def series(self) -> Series:
        return window_of(self.slug)[0]

    @property
    def start_ms(self) -> int:
        return window_of(self.slug)[1]

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.series.length_s * 1000


@attrs.frozen
class Recording:
    """A world's worth of data. `told` says to the operator what of it is real."""

    told: str
    series: tuple[Series, ...]
    start_ms: int
    end_ms: int
    tapes: tuple[Tape, ...] = ()
    prices: PriceSource | None = None  # None: inferred from the books
    outcomes: Mapping[str, tuple[float, float]] = attrs.field(
        factory=dict
    )  # slug → (strike, final)
    crowded: bool = False  # no books were recorded: an invented crowd trades on the prices
    warnings: Warnings = attrs.field(factory=Warnings)


@functools.lru_cache(maxsize=4096)
def window_of(slug: str) -> tuple[Series, int]:
    """(series, start in ms) of a slug. ValueError when it names no market we can replay."""
    named = SLUG.fullmatch(slug)
    if named is None:
        raise ValueError(f"{slug} is no 5m or 15m market of btc, eth, sol or xrp: leave it out")
    series = SERIES[f"{named[1]}-{named[2]}"]
    start_s = int(named[3])
    if start_s % series.length_s:
        raise ValueError(f"{slug} starts at no full window: leave it out")
    return series, start_s * 1000
