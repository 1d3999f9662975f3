"""Which interval markets exist, what they are called, and the identities they get.

Slugs follow feeds.md 8.2: 5m and 15m carry the Unix second of the start, hours the New York wall
clock. The hours that wall clock shows twice in autumn have no market at all. Times are Unix
milliseconds; identities are derived from the slug and a seed, so a world can be made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from polybot.exchange import identities
from polybot.exchange.model import Market, Series
from polybot.exchange.terms import Terms

NEW_YORK = ZoneInfo("America/New_York")
LISTED_AHEAD_MS = 86_400_000
COIN = {"btc": "Bitcoin", "eth": "Ethereum", "sol": "Solana", "xrp": "XRP"}
_LENGTHS = (("5m", 300, "twap"), ("15m", 900, "twap"), ("1h", 3600, "candle"))

SERIES: dict[str, Series] = {
    series.key: series
    for series in (
        Series(asset, name, length_s, rule) for asset in COIN for name, length_s, rule in _LENGTHS
    )
}


def slug_of(series: Series, start_ms: int) -> str | None:
    """The market's and event's slug, or None for an hour New York's clock cannot name."""
    if series.rule != "candle":
        return f"{series.asset}-updown-{series.name}-{start_ms // 1000}"
    local = _local(start_ms)
    if _shown_twice(local):
        return None
    coin = COIN[series.asset].lower()
    month = local.strftime("%B").lower()
    return f"{coin}-up-or-down-{month}-{local.day}-{local.year}-{_hour(local).lower()}-et"


def title_of(series: Series, start_ms: int) -> str:
    """The question: `Bitcoin Up or Down - October 2, 10:30PM-10:35PM ET`, hours with one time."""
    local = _local(start_ms)
    day = f"{COIN[series.asset]} Up or Down - {local.strftime('%B')} {local.day}"
    if series.rule == "candle":
        return f"{day}, {_hour(local)} ET"
    return f"{day}, {_minute(local)}-{_minute(_local(start_ms + series.length_s * 1000))} ET"


def windows(series: Series, from_ms: int, to_ms: int) -> Iterator[int]:
    """Starts of the windows that begin in [from_ms, to_ms), holes left out."""
    length_ms = series.length_s * 1000
    first_ms = -(-from_ms // length_ms) * length_ms
    for start_ms in range(first_ms, to_ms, length_ms):
        if slug_of(series, start_ms) is not None:
            yield start_ms


def market_for(series: Series, start_ms: int, seed: int, terms: Terms = Terms()) -> Market:
    """The market of one window, LISTED. ValueError for a window that does not exist."""
    slug = slug_of(series, start_ms)
    if slug is None or start_ms % (series.length_s * 1000):
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
        end_ms=start_ms + series.length_s * 1000,
        taker_delay_ms=terms.taker_delay_ms,
    )


def _local(at_ms: int) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).astimezone(NEW_YORK)


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
