"""Which interval markets exist, what they are called, and the identities they get.

Slugs follow feeds.md 8.2: 5m, 15m and 4h carry the Unix second of the start, hours and days the New
York calendar. 5m, 15m and 1h lie on the UTC grid; 4h begins at New York's midnight, a day runs from
noon to noon there, so that one of them is an hour longer or shorter when the clocks change. The
hours that the wall clock shows twice in autumn have no market at all. Times are Unix milliseconds;
identities are derived from the slug and a seed, so a world can be made again.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from polybot.exchange import identities
from polybot.exchange.model import Market, Series
from polybot.exchange.terms import Terms

NEW_YORK = ZoneInfo("America/New_York")
LISTED_AHEAD_MS = 86_400_000
HOUR_MS = 3_600_000
COIN = {
    "btc": "Bitcoin", "eth": "Ethereum", "sol": "Solana", "xrp": "XRP", "doge": "Dogecoin",
    "bnb": "BNB", "hype": "HYPE", "zec": "ZEC",
}  # fmt: skip
_ASSETS = {name.lower(): asset for asset, name in COIN.items()}
_STAMPED = re.compile(r"([a-z]+)-updown-(5m|15m|4h)-(\d{6,11})")
_HOURLY = re.compile(r"([a-z]+)-up-or-down-([a-z]+-\d{1,2}-\d{4}-\d{1,2}[ap]m)-et")
_LENGTHS = (
    ("5m", 300, "twap"), ("15m", 900, "twap"), ("1h", 3600, "candle"),
    ("4h", 14_400, "twap"), ("daily", 86_400, "noon"),
)  # fmt: skip
# Windows that the oracle decides and that start earlier were decided by its spot (feeds.md 10.1).
SPOT_UNTIL_MS = 1_786_060_800_000  # 2026-08-07
_ABSENT = {("zec", "1h"), ("zec", "daily")}  # feeds.md 8.1
_NEW_YORK_HOURS: dict[str, Sequence[int]] = {"4h": range(0, 24, 4), "daily": (12,)}

SERIES: dict[str, Series] = {
    series.key: series
    for series in (
        Series(asset, name, length_s, rule)
        for asset in COIN
        for name, length_s, rule in _LENGTHS
        if (asset, name) not in _ABSENT
    )
}


def by_spot(series: Series, start_ms: int) -> bool:
    """Whether the oracle's spot, and not its average, decides the window that starts then."""
    return series.rule == "twap" and start_ms < SPOT_UNTIL_MS


def slug_of(series: Series, start_ms: int) -> str | None:
    """The market's and event's slug, or None for an hour New York's clock cannot name."""
    if series.rule == "twap":
        return f"{series.asset}-updown-{series.name}-{start_ms // 1000}"
    coin = COIN[series.asset].lower()
    if series.rule == "noon":
        return f"{coin}-up-or-down-on-{_date(_local(end_of(series, start_ms)))}"
    local = _local(start_ms)
    if _shown_twice(local):
        return None
    return f"{coin}-up-or-down-{_date(local)}-{_hour(local).lower()}-et"


def of_slug(slug: str) -> tuple[Series, int] | None:
    """The series and the start of a window by its slug; None where no interval market is called so,
    or a day, whose name says when it ends.
    """
    if (stamped := _STAMPED.fullmatch(slug)) is not None:
        found, start_ms = SERIES.get(f"{stamped[1]}-{stamped[2]}"), int(stamped[3]) * 1000
    elif (hour := _HOURLY.fullmatch(slug)) is not None:
        try:
            local = datetime.strptime(hour[2], "%B-%d-%Y-%I%p").replace(tzinfo=NEW_YORK)
        except ValueError:
            return None
        found, start_ms = SERIES.get(f"{_ASSETS.get(hour[1])}-1h"), int(local.timestamp()) * 1000
    else:
        return None
    if (
        found is None
        or slug_of(found, start_ms) != slug
        or next(_grid(found, start_ms)) != start_ms
    ):
        return None
    return found, start_ms


@functools.lru_cache(maxsize=4096)  # see `identities`
def title_of(series: Series, start_ms: int) -> str:
    """The question: `Bitcoin Up or Down - October 2, 10:30PM-10:35PM ET`, hours with one time.

    A day is called by its end: `Bitcoin Up or Down on October 2?`.
    """
    local, end = _local(start_ms), _local(end_of(series, start_ms))
    coin = COIN[series.asset]
    if series.rule == "noon":
        return f"{coin} Up or Down on {end.strftime('%B')} {end.day}?"
    day = f"{coin} Up or Down - {local.strftime('%B')} {local.day}"
    if series.rule == "candle":
        return f"{day}, {_hour(local)} ET"
    return f"{day}, {_minute(local)}-{_minute(end)} ET"


def windows(series: Series, from_ms: int, to_ms: int) -> Iterator[int]:
    """Starts of the windows that begin in [from_ms, to_ms), holes left out."""
    for start_ms in _grid(series, from_ms):
        if start_ms >= to_ms:
            return
        if slug_of(series, start_ms) is not None:
            yield start_ms


def under_way(series: Series, now_ms: int) -> int:
    """The start of the window that `now_ms` falls into, or of the next one if it is in a hole."""
    longest_ms = series.length_s * 1000 + HOUR_MS
    for start_ms in _grid(series, now_ms - longest_ms):
        if end_of(series, start_ms) > now_ms and slug_of(series, start_ms) is not None:
            return start_ms
    raise AssertionError("the grid has no end")


def end_of(series: Series, start_ms: int) -> int:
    """When the window that begins at `start_ms` ends."""
    if series.name in _NEW_YORK_HOURS:
        return next(_grid(series, start_ms + 1))
    return start_ms + series.length_s * 1000


def _grid(series: Series, from_ms: int) -> Iterator[int]:
    """The boundaries from `from_ms` on, without end."""
    hours = _NEW_YORK_HOURS.get(series.name)
    if hours is None:
        length_ms = series.length_s * 1000
        yield from itertools.count(-(-from_ms // length_ms) * length_ms, length_ms)
        return
    midnight = _local(from_ms).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    for day in itertools.count():
        for hour in hours:
            at = (midnight + timedelta(days=day)).replace(hour=hour)
            at_ms = int(at.timestamp()) * 1000
            if at_ms >= from_ms:
                yield at_ms


def market_for(series: Series, start_ms: int, seed: int, terms: Terms = Terms()) -> Market:
    """The market of one window, LISTED. ValueError for a window that does not exist."""
    slug = slug_of(series, start_ms)
    if slug is None or next(_grid(series, start_ms)) != start_ms:
        raise ValueError(f"{series.key} has no window at {start_ms}")
    version = identities.drawn_version(seed, slug, terms.protocol)
    ids = identities.identity(seed, slug, version)
    return Market(
        condition_id=ids.condition_id,
        question_id=ids.question_id,
        gamma_id=_gamma_id(series, start_ms),
        slug=slug,
        question=title_of(series, start_ms),
        series=series,
        tokens=ids.tokens,
        other_ids=ids.others,
        version=version,
        listed_ms=start_ms - LISTED_AHEAD_MS,
        start_ms=start_ms,
        end_ms=end_of(series, start_ms),
        taker_delay_ms=terms.taker_delay_ms,
    )


def _local(at_ms: int) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).astimezone(NEW_YORK)


def _date(local: datetime) -> str:
    return f"{local.strftime('%B').lower()}-{local.day}-{local.year}"


def _shown_twice(local: datetime) -> bool:
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def _hour(local: datetime) -> str:
    return f"{local.hour % 12 or 12}{'AM' if local.hour < 12 else 'PM'}"


def _minute(local: datetime) -> str:
    return f"{local.hour % 12 or 12}:{local.minute:02d}{'AM' if local.hour < 12 else 'PM'}"


def _gamma_id(series: Series, start_ms: int) -> str:
    """A short number of its own for every (series, window): five-minute slots times the series."""
    ordinal = list(SERIES).index(series.key)
    return str(start_ms // 300_000 * len(SERIES) + ordinal)
