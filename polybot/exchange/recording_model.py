"""What every recording comes to, whatever its format. Times are Unix ms, books in Up terms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from polybot.exchange.calendar import end_of, of_slug
from polybot.exchange.mirror_messages import Beat
from polybot.exchange.model import Series
from polybot.exchange.oracle import PriceSource
from polybot.exchange.recording_files import Warnings

EARLY_MS = 90_000  # a world begins so long before its first window …
# … and ends when the last one's result is known: 162 s after its end where the oracle decides, 13
# minutes where the exchange does (`resolution.delays`).
ORACLE_PAID_MS, CANDLE_PAID_MS = 200_000, 820_000


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
        return end_of(self.series, self.start_ms)

    @property
    def paid_ms(self) -> int:
        return paid_ms(self.series, self.start_ms)


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


def each_once(tapes: Iterable[Tape], warnings: Warnings) -> tuple[Tape, ...]:
    """The tapes in their order, the first of each window: a copy under another name is another file
    and no other market.
    """
    known: dict[str, Tape] = {}
    for tape in tapes:
        if known.setdefault(tape.slug, tape) is not tape:
            warnings.tell(f"{tape.slug} comes a second time: left out")
    return tuple(known.values())


def paid_ms(series: Series, start_ms: int) -> int:
    """When everybody has been paid for a window, at the latest."""
    after_ms = ORACLE_PAID_MS if series.rule == "twap" else CANDLE_PAID_MS
    return end_of(series, start_ms) + after_ms


@functools.lru_cache(maxsize=4096)
def window_of(slug: str) -> tuple[Series, int]:
    """(series, start in ms) of a slug. ValueError when it names no market we can replay."""
    found = of_slug(slug)
    if found is None:
        raise ValueError(f"{slug} is no 5m, 15m, 1h or 4h window of a coin we know: leave it out")
    return found


def of_btc(slug: str) -> str:
    """The slug, of a data set that tells prices of BTC or none. ValueError for another coin's."""
    if window_of(slug)[0].asset != "btc":
        raise ValueError(
            f"{slug} is no market of BTC, all that this data set tells of: leave it out"
        )
    return slug
