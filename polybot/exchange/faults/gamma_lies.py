"""What Gamma may say of a market that is not so. Each lie changes one market object in place.

An answer holds markets alone, in lists, in pages, or inside events: they are found by what they
have. `True` from a lie means that it changed something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from polybot.exchange.faults.state import Strike
from polybot.exchange.request import Response, json_response

Change = Callable[[dict[str, Any], Strike], bool]
Record = dict[str, Any]


def markets_of(value: Any) -> Iterator[Record]:
    """Every market object in an answer."""
    if isinstance(value, list):
        for item in value:
            yield from markets_of(item)
    elif isinstance(value, dict):
        if "conditionId" in value:
            yield value
        for key in ("markets", "events"):
            yield from markets_of(value.get(key))


def _metadata_of(value: Any) -> Iterator[Record]:
    """Every `eventMetadata` object in an answer, which markets have through their events."""
    if isinstance(value, list):
        for item in value:
            yield from _metadata_of(item)
    elif isinstance(value, dict):
        if isinstance(value.get("eventMetadata"), dict):
            yield value["eventMetadata"]
        for key in ("markets", "events"):
            yield from _metadata_of(value.get(key))


def _reversed_text(market: Record, key: str) -> bool:
    values = orjson.loads(market.get(key) or "[]")
    market[key] = orjson.dumps(values[::-1]).decode().replace(",", ", ")
    return len(values) > 1


def tokens_empty(market: Record, _strike: Strike) -> bool:
    changed = bool(market.get("clobTokenIds"))
    market["clobTokenIds"] = "[]"
    return changed


def tokens_swapped(market: Record, _strike: Strike) -> bool:
    return _reversed_text(market, "clobTokenIds")


def outcomes_swapped(market: Record, _strike: Strike) -> bool:
    """Right all the same, for those who go by the outcomes' names and not by their places."""
    prices = _reversed_text(market, "outcomePrices")
    return _reversed_text(market, "outcomes") and _reversed_text(market, "clobTokenIds") and prices


def stops_accepting(market: Record, _strike: Strike) -> bool:
    changed = bool(market.get("acceptingOrders"))
    market["acceptingOrders"] = False
    return changed


OTHER_SOURCE = "https://example.com/another-source"


def rule_changed(market: Record, strike: Strike) -> bool:
    market["resolutionSource"] = OTHER_SOURCE
    config = market.get("cryptoMarketConfig")
    if isinstance(config, dict):
        config.update(twapEnabled=True, twapLookbackSeconds=strike["lookback_s"])
    return True


def fees_missing(market: Record, _strike: Strike) -> bool:
    return market.pop("feeSchedule", None) is not None


def fees_changed(market: Record, strike: Strike) -> bool:
    schedule = market.get("feeSchedule")
    if isinstance(schedule, dict):
        schedule["rate"] = strike["rate_ppm"] / 1_000_000
    return isinstance(schedule, dict)


def winner_contradicted(market: Record, _strike: Strike) -> bool:
    return bool(market.get("closed")) and _reversed_text(market, "outcomePrices")


def resolution_hidden(market: Record, _strike: Strike) -> bool:
    if not market.get("closed"):
        return False
    for key in ("closedTime", "umaEndDate", "umaResolutionStatus"):
        market.pop(key, None)
    half = orjson.dumps(["0.5", "0.5"]).decode().replace(",", ", ")
    market.update(closed=False, outcomePrices=half)
    return True


def strike_absent(metadata: Record, _strike: Strike) -> bool:
    return metadata.pop("priceToBeat", None) is not None


def strike_corrected(metadata: Record, strike: Strike) -> bool:
    price = metadata.get("priceToBeat")
    if price is None:
        return False
    metadata["priceToBeat"] = price * (1 + strike["shift_bp"] / 10_000)
    return True


def market_missing(response: Response, strike: Strike) -> Response:
    """A look-up finds nothing, a list has none."""
    value = orjson.loads(response.body)
    if not any(markets_of(value)):
        return response
    strike.land()
    if isinstance(value, list):
        return json_response([])
    for key in ("markets", "events"):
        if key in value and "conditionId" not in value and "slug" not in value:
            return json_response({key: []})
    problem = {"type": "not found error", "error": "slug not found"}
    return json_response(problem, 404)


MARKET_CHANGES: dict[str, Change] = {
    change.__name__: change
    for change in (
        tokens_empty, tokens_swapped, outcomes_swapped, stops_accepting, rule_changed, fees_missing,
        fees_changed, winner_contradicted, resolution_hidden,
    )
}  # fmt: skip
METADATA_CHANGES: dict[str, Change] = {
    change.__name__: change for change in (strike_absent, strike_corrected)
}


def changed(response: Response, strike: Strike) -> Response:
    """Gamma's answer with every market in it changed."""
    value = orjson.loads(response.body)
    if strike.fault in METADATA_CHANGES:
        change, found = METADATA_CHANGES[strike.fault], _metadata_of(value)
    else:
        change, found = MARKET_CHANGES[strike.fault], markets_of(value)
    if not sum([change(record, strike) for record in found]):
        return response
    strike.land()
    return json_response(value, response.status)
