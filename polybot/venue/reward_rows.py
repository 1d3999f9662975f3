"""What the CLOB tells of liquidity rewards: a market's pool, and which orders score (clob.md 5)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from polybot.domain.market import RewardPool
from polybot.domain.units import ONE
from polybot.venue import fields
from polybot.venue.fields import Json
from polybot.venue.site import CHAIN, CONTRACTS

DAY_S = 86_400
DAY_MS = DAY_S * 1000
CENTS = 100  # the widest spread is told in cents, to tenths


def decode_pools(value: object) -> tuple[RewardPool, tuple[tuple[str, str, int], ...]]:
    """One row of `/rewards/markets/{condition}`: what an order must be, and each configuration as
    (first day, last day, dollars a day). Other coins than ours are not counted: what they are worth
    is not told. Raises ValueError.
    """
    row = fields.as_object(value)
    spread = fields.amount(row, "rewards_max_spread")
    terms = RewardPool(
        0, fields.min_size(row, "rewards_min_size"), spread * ONE // (CENTS * 1_000_000)
    )
    if terms.max_spread == 0:
        raise ValueError("rewards within no distance")
    configured = map(fields.as_object, fields.as_list(row.get("rewards_config")))
    return terms, tuple(_config(one) for one in configured if _ours(one))


def _ours(row: Json) -> bool:
    return fields.text(row, "asset_address").lower() == CONTRACTS[CHAIN].collateral.lower()


def _config(row: Json) -> tuple[str, str, int]:
    last = row.get("end_date")
    first, ends = _day(fields.text(row, "start_date")), _day(last) if last else "9999-12-31"
    return first, ends, fields.amount(row, "rate_per_day")


def _day(value: object) -> str:
    return datetime.fromisoformat(fields.as_text(value)).date().isoformat()


def pool_of_days(
    rows: Iterable[tuple[RewardPool, tuple[tuple[str, str, int], ...]]],
    from_ms: int,
    until_ms: int,
    min_age_s: int,
) -> RewardPool | None:
    """The pool from one time until another: what all configurations that cover a day pay, on the
    day of UTC that pays least; None when one of them pays nothing.
    """
    days = [
        datetime.fromtimestamp(day * DAY_S, tz=UTC).date().isoformat()
        for day in range(from_ms // DAY_MS, max(from_ms, until_ms - 1) // DAY_MS + 1)
    ]
    for terms, configured in rows:
        per_day = min(
            sum(rate for first, last, rate in configured if first <= day <= last) for day in days
        )
        if per_day:
            return RewardPool(per_day, terms.min_size, terms.max_spread, min_age_s)
    return None


def decode_scoring(value: object) -> dict[str, bool]:
    """The reply of `POST /orders-scoring`: by order id. Raises ValueError."""
    found: dict[str, bool] = {}
    for order_id, scores in fields.as_object(value).items():
        if not isinstance(scores, bool):
            raise ValueError(f"expected true or false, was {fields.shown(scores)!r}")
        found[order_id] = scores
    return found
