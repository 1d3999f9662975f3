"""What a mirrored market takes over from the other venue's Gamma."""

from __future__ import annotations

from typing import Any

import pytest

from polybot.exchange.calendar import SERIES, market_for
from polybot.exchange.fees import told_rebate_percent
from polybot.exchange.mirror_gamma import read_market

MARKET = market_for(SERIES["btc-5m"], 1_795_132_800_000, 1)


def raw(**schedule: Any) -> dict[str, Any]:
    """Gamma's object of `MARKET`, with more keys in its `feeSchedule`."""
    up, down = MARKET.tokens
    return {
        "id": "77", "conditionId": MARKET.condition_id, "questionID": MARKET.question_id,
        "slug": MARKET.slug, "question": MARKET.question, "version": "v1",
        "outcomes": '["Up", "Down"]', "clobTokenIds": f'["{up}", "{down}"]',
        "startDate": "2026-11-19T00:00:00Z", "eventStartTime": "2026-11-20T00:00:00Z",
        "endDate": "2026-11-20T00:05:00Z", "orderPriceMinTickSize": 0.01, "orderMinSize": 5,
        "feesEnabled": True,
        "feeSchedule": {"exponent": 1, "rate": 0.07, "takerOnly": True} | schedule,
    }  # fmt: skip


@pytest.mark.parametrize(("told", "percent"), [(0.2, 20), (0.1, 10), (0, 0), (0.15, 15)])
def test_the_makers_share_is_the_one_that_is_told(told: float, percent: int) -> None:
    """`feeSchedule {rate, exponent, takerOnly, rebateRate}` is the official source (clob.md 6.1): a
    venue that halves the share halves what a paper run earns.
    """
    market = read_market(raw(rebateRate=told), SERIES["btc-5m"], 150)

    assert told_rebate_percent(market) == percent


def test_a_market_that_tells_no_share_has_the_usual_one() -> None:
    """Tolerate missing optional keys (feeds.md 2.3): nothing told is no share of zero."""
    assert told_rebate_percent(read_market(raw(), SERIES["btc-5m"], 150)) == 20
