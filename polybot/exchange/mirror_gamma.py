"""Another venue's Gamma objects as our markets (feeds.md 8.4): a reader of our own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
import orjson

from polybot.exchange.mirror_messages import scaled
from polybot.exchange.model import DOWN, UP, Market, Series
from polybot.exchange.money import ONE, UNIT

_WINNERS = {"1": UP, "0": DOWN, "0.5": None}


@attrs.frozen
class Published:
    """What Gamma says of a market's life: None where it says nothing yet.

    Its tick is left out: the stream's is the current one, Gamma's may be an older one.
    """

    slug: str
    strike: float | None
    final: float | None
    winner: int | None  # once it is closed: None for a void
    accepting: bool  # orders
    closed: bool  # with its result


def read_market(raw: dict[str, Any], series: Series, taker_delay_ms: int) -> Market:
    """The market as it is listed there. ValueError when the object is not one we can mirror."""
    try:
        version = raw.get("version", "v1")
        # Ids by version, never by presence: v1 markets may carry position ids without a book.
        ids = raw["positionIds"] if version == "v2" else raw["clobTokenIds"]
        tokens = dict(zip(_array(raw["outcomes"]), _array(ids), strict=True))
        schedule = raw.get("feeSchedule") or {}
        share = schedule.get("rebateRate")
        rate = scaled(schedule.get("rate", 0), UNIT) if raw.get("feesEnabled", True) else 0
        return Market(
            condition_id=raw["conditionId"],
            question_id=raw["questionID"],
            gamma_id=raw["id"],
            slug=raw["slug"],
            question=raw["question"],
            series=series,
            tokens=(tokens["Up"], tokens["Down"]),
            listed_ms=_ms(raw["startDate"]),
            start_ms=_ms(raw["eventStartTime"]),
            end_ms=_ms(raw["endDate"]),
            tick=scaled(raw["orderPriceMinTickSize"], ONE),
            min_size=scaled(raw["orderMinSize"], UNIT),
            neg_risk=raw.get("negRisk", False),
            version=version,
            fee_rate_ppm=rate,
            rebate_percent=None if share is None else scaled(share, UNIT) * 100 // UNIT,
            fee_exponent=int(schedule.get("exponent", 1)),
            taker_delay_ms=taker_delay_ms,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"not a market object: {error!r}") from error


def read_published(raw: dict[str, Any]) -> Published:
    """The moving part of the same object. ValueError as above."""
    try:
        event = (raw.get("events") or [{}])[0].get("eventMetadata") or {}
        payouts = dict(zip(_array(raw["outcomes"]), _array(raw["outcomePrices"]), strict=True))
        # Closed with other prices than a payout's has not got its result yet.
        closed = bool(raw.get("closed")) and payouts["Up"] in _WINNERS
        return Published(
            raw["slug"], event.get("priceToBeat"), event.get("finalPrice"),
            _WINNERS[payouts["Up"]] if closed else None,
            bool(raw.get("acceptingOrders")), closed,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ValueError(f"not a market object: {error!r}") from error


def _array(value: object) -> list[str]:
    """An array, or the JSON text of one, as Gamma has it."""
    decoded = orjson.loads(value) if isinstance(value, str) else value
    if not isinstance(decoded, list):
        raise TypeError("no array")
    return [str(one) for one in decoded]


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
