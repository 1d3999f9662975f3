"""Which windows `live-feeds` asks the other venue's Gamma for (feeds.md 8.2)."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from polybot.exchange.calendar import SERIES
from polybot.exchange.mirror_feed import MirrorFeed
from polybot.exchange.mirror_site import MirrorSite
from polybot.exchange.mirror_world import MirrorWorld


class AskedFeed(MirrorFeed):
    """Notes the slugs it asks for; nothing is known over there."""

    def __init__(self, key: str, now_ms: int) -> None:
        super().__init__(
            MirrorWorld([SERIES[key]], now_ms, "there"), MirrorSite(), random.Random(1)
        )
        self.slugs: list[str] = []

    async def _get(self, http: httpx.AsyncClient, url: str, query: dict[str, str]) -> Any:
        self.slugs.append(url.rpartition("/")[2])


def hours_4h(*starts: str) -> list[str]:
    times = [datetime.fromisoformat(f"{start}:00+00:00") for start in starts]
    return [f"btc-updown-4h-{int(time.timestamp())}" for time in times]


def days(*dates: str) -> list[str]:
    return [f"bitcoin-up-or-down-on-{date}-2026" for date in dates]


SUMMER, WINTER = datetime(2026, 7, 24, 3, 10, tzinfo=UTC), datetime(2026, 12, 1, 19, 10, tzinfo=UTC)
DAY_OF_25_HOURS = datetime(2026, 10, 31, 19, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "now", "slugs"),
    [
        ("btc-5m", WINTER, [f"btc-updown-5m-{1_796_152_200 + 300 * n}" for n in range(3)]),
        (
            "btc-1h",
            WINTER,
            [f"bitcoin-up-or-down-december-1-2026-{hour}-et" for hour in ("2pm", "3pm", "4pm")],
        ),
        ("btc-4h", SUMMER, hours_4h("2026-07-24T00", "2026-07-24T04", "2026-07-24T08")),
        ("btc-4h", WINTER, hours_4h("2026-12-01T17", "2026-12-01T21", "2026-12-02T01")),
        ("btc-daily", SUMMER, days("july-24", "july-25", "july-26")),
        ("btc-daily", WINTER, days("december-2", "december-3", "december-4")),
        ("btc-daily", DAY_OF_25_HOURS, days("november-1", "november-2", "november-3")),
    ],
)
async def test_the_window_under_way_and_the_next_two_are_asked_for(
    key: str, now: datetime, slugs: list[str]
) -> None:
    """Windows of four hours follow New York's midnight and days its noon, so multiples of their
    length since 1970 are slugs that nobody has (feeds.md 8.2).
    """
    now_ms = int(now.timestamp() * 1000)
    feed = AskedFeed(key, now_ms)
    async with httpx.AsyncClient() as http:
        await feed._discover(http, now_ms, lambda _: None)

    assert feed.slugs == slugs
