"""Names, times and identities of the interval markets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from polybot.exchange.calendar import (
    SERIES,
    end_of,
    market_for,
    of_slug,
    slug_of,
    title_of,
    under_way,
    windows,
)
from polybot.exchange.terms import Terms
from polybot.venue import slugs

HOUR = 3_600_000


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.conforms("feeds-12.6-slugs")
@pytest.mark.parametrize(
    ("key", "start", "slug", "title"),
    [
        (
            "btc-5m", "2026-10-03T02:30", "btc-updown-5m-1790994600",
            "Bitcoin Up or Down - October 2, 10:30PM-10:35PM ET",
        ),
        (
            "btc-5m", "2026-07-23T23:55", "btc-updown-5m-1784850900",
            "Bitcoin Up or Down - July 23, 7:55PM-8:00PM ET",
        ),
        (
            "sol-15m", "2026-11-20T16:45", "sol-updown-15m-1795193100",
            "Solana Up or Down - November 20, 11:45AM-12:00PM ET",
        ),
        (
            "btc-1h", "2026-10-02T05:00", "bitcoin-up-or-down-october-2-2026-1am-et",
            "Bitcoin Up or Down - October 2, 1AM ET",
        ),
        (
            "btc-1h", "2026-11-20T18:00", "bitcoin-up-or-down-november-20-2026-1pm-et",
            "Bitcoin Up or Down - November 20, 1PM ET",
        ),
        (
            "xrp-1h", "2026-11-21T05:00", "xrp-up-or-down-november-21-2026-12am-et",
            "XRP Up or Down - November 21, 12AM ET",
        ),
        (
            "zec-4h", "2026-11-20T17:00", "zec-updown-4h-1795194000",
            "ZEC Up or Down - November 20, 12:00PM-4:00PM ET",
        ),
        (
            "btc-daily", "2026-10-01T16:00", "bitcoin-up-or-down-on-october-2-2026",
            "Bitcoin Up or Down on October 2?",
        ),
        (
            "doge-daily", "2026-11-20T17:00", "dogecoin-up-or-down-on-november-21-2026",
            "Dogecoin Up or Down on November 21?",
        ),
        (
            "eth-1h", "2026-11-21T17:00", "ethereum-up-or-down-november-21-2026-12pm-et",
            "Ethereum Up or Down - November 21, 12PM ET",
        ),
    ],
)  # fmt: skip
def test_slugs_and_titles_are_the_venues(key: str, start: str, slug: str, title: str) -> None:
    """Names seen on the venue or spelled out in feeds.md 8.2, noon and midnight included."""
    assert slug_of(SERIES[key], utc(start)) == slug
    assert title_of(SERIES[key], utc(start)) == title


@pytest.mark.conforms("feeds-12.6-dst")
def test_neither_hour_that_the_autumn_clock_shows_twice_exists() -> None:
    """On 2026-11-01 the hourly series goes from 12am to 2am (feeds.md 8.2)."""
    series = SERIES["btc-1h"]
    starts = list(windows(series, utc("2026-11-01T04:00"), utc("2026-11-01T08:00")))
    assert starts == [utc("2026-11-01T04:00"), utc("2026-11-01T07:00")]
    slugs = [slug_of(series, start) for start in starts]
    assert slugs[0] == "bitcoin-up-or-down-november-1-2026-12am-et"
    assert slugs[1] == "bitcoin-up-or-down-november-1-2026-2am-et"
    with pytest.raises(ValueError, match="no window"):
        market_for(series, utc("2026-11-01T05:00"), 1)


def test_the_spring_clock_skips_two_without_a_hole_in_time() -> None:
    """On 2027-03-14 1am is followed an hour later by 3am."""
    series = SERIES["btc-1h"]
    starts = list(windows(series, utc("2027-03-14T06:00"), utc("2027-03-14T08:00")))
    assert [slug_of(series, start) for start in starts] == [
        "bitcoin-up-or-down-march-14-2027-1am-et",
        "bitcoin-up-or-down-march-14-2027-3am-et",
    ]


def test_short_windows_run_through_the_clock_change() -> None:
    """A 5m slug counts Unix seconds, so the night of 2026-11-01 has all of its windows."""
    starts = list(windows(SERIES["eth-5m"], utc("2026-11-01T04:00"), utc("2026-11-01T08:00")))
    assert len(starts) == 48
    assert len({slug_of(SERIES["eth-5m"], start) for start in starts}) == 48


def test_windows_lie_on_the_series_grid_and_inside_the_range() -> None:
    """A start inside the range counts, its end does not."""
    starts = list(windows(SERIES["btc-15m"], HOUR + 1, 2 * HOUR))
    assert starts == [HOUR + 900_000, HOUR + 1_800_000, HOUR + 2_700_000]


def test_identities_depend_on_slug_and_seed_and_look_like_the_real_ones() -> None:
    """Same seed, same ids; another seed or window, others; 32-byte hex and decimal tokens."""
    series, start = SERIES["btc-5m"], utc("2026-10-03T02:30")
    market, again = market_for(series, start, 1), market_for(series, start, 1)
    assert (market.condition_id, market.tokens) == (again.condition_id, again.tokens)
    assert market_for(series, start, 2).condition_id != market.condition_id
    assert market_for(series, start + 300_000, 1).tokens != market.tokens
    assert len(market.condition_id) == len(market.question_id) == 66
    assert all(0 < int(token) < 2**256 for token in market.tokens)
    assert (market.end_ms - market.start_ms, market.start_ms - market.listed_ms) == (
        300_000,
        86_400_000,
    )


@pytest.mark.conforms("clob-3.9-hold-parameter")
def test_the_hold_is_a_term() -> None:
    """150 ms unless told otherwise (clob.md 3.9)."""
    series, start = SERIES["btc-5m"], utc("2026-10-03T02:30")
    assert market_for(series, start, 1).taker_delay_ms == 150
    assert market_for(series, start, 1, Terms(taker_delay_ms=50)).taker_delay_ms == 50


def test_a_window_off_the_grid_is_refused() -> None:
    """A start that no series has is a mistake of the caller."""
    with pytest.raises(ValueError, match="no window"):
        market_for(SERIES["btc-15m"], utc("2026-10-03T02:35"), 1)


@given(st.integers(utc("2026-01-01T00:00") // HOUR, utc("2029-01-01T00:00") // HOUR))
def test_no_two_hours_share_a_name(hour: int) -> None:
    """Around any hour, the named ones have different slugs and gamma ids."""
    series = SERIES["btc-1h"]
    starts = list(windows(series, (hour - 2) * HOUR, (hour + 3) * HOUR))
    assert len({slug_of(series, start) for start in starts}) == len(starts) >= 3
    hourly = [one for one in SERIES.values() if one.length_s <= 3600]
    markets = [market_for(one, start, 1) for one in hourly for start in starts]
    assert len({market.gamma_id for market in markets}) == len(markets)


def test_the_series_are_those_the_venue_has() -> None:
    """Seven coins in five lengths, ZEC in three (feeds.md 8.1)."""
    assert len(SERIES) == 38
    assert [key for key in SERIES if key.startswith("zec")] == ["zec-5m", "zec-15m", "zec-4h"]


@pytest.mark.parametrize(
    ("day", "starts"),
    [
        ("2026-11-20T05:00", (5, 9, 13, 17, 21, 25)),  # winter, UTC-5
        ("2026-07-20T04:00", (4, 8, 12, 16, 20, 24)),  # summer, UTC-4
        ("2026-11-01T04:00", (4, 9, 13, 17, 21, 25)),  # the first window has five hours
        ("2027-03-14T05:00", (5, 8, 12, 16, 20, 24)),  # the first window has three
    ],
)
def test_four_hours_begin_at_new_yorks_midnight(day: str, starts: tuple[int, ...]) -> None:
    """The UTC grid shifts with the clocks, and windows always touch (feeds.md 8.2)."""
    series, midnight = SERIES["eth-4h"], utc(f"{day[:10]}T00:00")
    found = list(windows(series, utc(day), utc(day) + 21 * HOUR))[:6]
    assert [(start - midnight) // HOUR for start in found] == list(starts)[: len(found)]
    markets = [market_for(series, start, 1) for start in found]
    assert [m.end_ms for m in markets[:-1]] == [m.start_ms for m in markets[1:]]


def test_a_day_runs_from_noon_to_noon_and_is_named_by_its_end() -> None:
    """23, 24 or 25 hours, as New York's clocks have it (feeds.md 8.2)."""
    series = SERIES["btc-daily"]
    for noon, hours in (
        ("2026-11-20T17:00", 24),
        ("2026-10-31T16:00", 25),
        ("2027-03-13T17:00", 23),
    ):
        market = market_for(series, utc(noon), 1)
        assert market.end_ms - market.start_ms == hours * HOUR
    with pytest.raises(ValueError, match="no window"):
        market_for(series, utc("2026-11-20T16:00"), 1)


@given(
    st.sampled_from(sorted(SERIES)), st.integers(utc("2026-01-01T00:00"), utc("2029-01-01T00:00"))
)
def test_the_window_under_way_holds_the_moment(key: str, now_ms: int) -> None:
    """It has begun and not ended, unless the hour is one that has no market."""
    series = SERIES[key]
    start = under_way(series, now_ms)
    assert end_of(series, start) > now_ms
    assert start <= now_ms or slug_of(series, now_ms // HOUR * HOUR) is None


@given(
    st.sampled_from(sorted(SERIES)), st.integers(utc("2026-01-01T00:00"), utc("2029-01-01T00:00"))
)
def test_the_bots_calendar_is_the_same(key: str, now_ms: int) -> None:
    """Two readings of feeds.md 8.2 that know nothing of each other agree on every window."""
    series = SERIES[key]
    start = under_way(series, now_ms)
    if start <= now_ms:
        window = slugs.window_at(key, now_ms)
        assert (window.start_ms, window.end_ms) == (start, end_of(series, start))
        assert slugs.slug(key, start) == slug_of(series, start)


@given(st.sampled_from(sorted(SERIES)), st.integers(min_value=0, max_value=20 * 366 * 24))
def test_a_slug_tells_its_window(key: str, hours: int) -> None:
    """Back from every name that says when its window begins, whatever New York's clocks do."""
    series = SERIES[key]
    start_ms = under_way(series, utc("2020-01-01T00:00") + hours * HOUR)
    slug = slug_of(series, start_ms)
    assert slug is not None

    assert of_slug(slug) == (None if series.rule == "noon" else (series, start_ms))


@pytest.mark.parametrize(
    "slug",
    [
        "btc-updown-5m-1790994601", "btc-updown-1h-1790994600", "xyz-updown-5m-1790994600",
        "btc-updown-4h-1795197600", "btc-updown-5m-x", "bitcoin-up-or-down-november-1-2026-1am-et",
        "bitcoin-up-or-down-october-2-2026-13am-et", "bitcoin-up-or-down-october-02-2026-1am-et",
        "bitcoin-up-or-down-smarch-2-2026-1am-et", "gold-up-or-down-october-2-2026-1am-et",
        "bitcoin-up-or-down-on-october-2-2026", "",
    ],
)  # fmt: skip
def test_no_window_is_called_so(slug: str) -> None:
    """Off the grid, a series that does not exist, an hour shown twice, a day, and no slug."""
    assert of_slug(slug) is None
