"""Of which days a pool of liquidity rewards is (clob.md 6.3: an epoch is one UTC day)."""

from __future__ import annotations

import pytest

from polybot.domain.market import RewardPool
from polybot.venue.reward_rows import DAY_MS, pool_of_days

NOON_MS = 1_795_176_000_000  # 2026-11-20 12:00 UTC
TERMS = RewardPool(0, 50_000_000, 450)


@pytest.mark.parametrize(
    ("configured", "until_ms", "per_day"),
    [
        ([("2026-11-20", "2026-11-20", 7)], NOON_MS + 3_600_000, 7),
        ([("2026-11-20", "2026-11-20", 7)], NOON_MS + DAY_MS // 2, 7),
        ([("2026-11-20", "2026-11-20", 7)], NOON_MS + DAY_MS // 2 + 1, None),
        ([("2026-11-21", "2026-11-30", 7)], NOON_MS + DAY_MS, None),
        ([("2026-11-20", "2026-11-21", 7)], NOON_MS + DAY_MS, 7),
        ([("2026-11-20", "2026-11-20", 7), ("2026-11-21", "2026-11-21", 5)], NOON_MS + DAY_MS, 5),
        ([("2026-11-20", "9999-12-31", 7), ("2026-11-21", "2026-11-21", 5)], NOON_MS + DAY_MS, 7),
        ([("2026-11-20", "2026-11-20", 7)], NOON_MS, 7),
    ],
)
def test_a_pool_is_what_the_poorest_of_its_days_pays(
    configured: list[tuple[str, str, int]], until_ms: int, per_day: int | None
) -> None:
    """A window over midnight is of two days of UTC, and what only one of them pays is not to be
    reckoned with on the other; the midnight at which a window ends is none of its days.
    """
    found = pool_of_days([(TERMS, tuple(configured))], NOON_MS, until_ms, 30)

    assert found == (None if per_day is None else RewardPool(per_day, 50_000_000, 450, 30))
