"""What the CLOB may answer that is not so: its own answers with something in them changed.

A lie takes the decoded answer and returns the one to send, or None to leave it as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polybot.exchange.faults.rest_acts import Handler
from polybot.exchange.faults.state import Strike
from polybot.exchange.request import Request, Response, json_response, parse_json
from polybot.exchange.rules import NOT_CANCELABLE

Lie = Callable[[Any, Strike, Request, int], Any]  # answer, strike, request, time in ms

FIRST_PAGE = "MA=="  # base64 of 0


# --- cancels: these stand in front of the venue -------------------------------------------------


async def cancel_not_found(strike: Strike, request: Request, handle: Handler) -> Response:
    strike.land()
    if strike["done"]:
        await handle(request)
    return json_response(
        {"canceled": [], "not_canceled": dict.fromkeys(_ids(request), NOT_CANCELABLE)}
    )


async def cancel_ignored(strike: Strike, request: Request, _handle: Handler) -> Response:
    strike.land()
    return json_response({"canceled": _ids(request), "not_canceled": {}})


def _ids(request: Request) -> list[str]:
    asked = parse_json(request.body)
    if isinstance(asked, dict):
        asked = [asked.get("orderID")]
    ids = asked if isinstance(asked, list) else []
    return [order_id for order_id in ids if isinstance(order_id, str)]


FRONT = {"cancel_not_found": cancel_not_found, "cancel_ignored": cancel_ignored}


# --- answers with something in them changed -------------------------------------------------------


def cancel_acked_when_matched(value: Any, _strike: Strike, _request: Request, _now_ms: int) -> Any:
    if not isinstance(value, dict) or not value.get("not_canceled"):
        return None
    return {"canceled": [*value["canceled"], *value["not_canceled"]], "not_canceled": {}}


def batch_short(value: Any, strike: Strike, _request: Request, _now_ms: int) -> Any:
    return value[: -strike["count"]] if isinstance(value, list) and value else None


def batch_ids_empty(value: Any, strike: Strike, _request: Request, _now_ms: int) -> Any:
    if not isinstance(value, list):
        return None
    accepted = [n for n, row in enumerate(value) if row.get("orderID")]
    chosen = strike.rng.sample(accepted, min(strike["count"], len(accepted)))
    return [{**row, "orderID": ""} if n in chosen else row for n, row in enumerate(value)]


def batch_shuffled(value: Any, strike: Strike, _request: Request, _now_ms: int) -> Any:
    return strike.rng.sample(value, len(value)) if isinstance(value, list) else None


def orders_lag(value: Any, strike: Strike, request: Request, now_ms: int) -> Any:
    """Rows tell whole seconds: an order counts as placed at the end of its second."""
    rows = _rows(value)
    if rows is None or "id" in request.query:
        return None
    old = [row for row in rows if row["created_at"] * 1000 + 999 <= now_ms - strike["lag_ms"]]
    return {**value, "data": old, "count": len(old)}


def trades_lag(value: Any, strike: Strike, _request: Request, now_ms: int) -> Any:
    """Also of one that is asked for by its id: the venue's own clients ask for up to thirty seconds
    (clob.md 3.6). Its match is in the balances, on the stream and in its orders all the same.
    """
    rows = _rows(value)
    if rows is None:
        return None
    late_ms = now_ms - strike["lag_ms"]
    old = [row for row in rows if int(row["match_time"]) * 1000 + 999 <= late_ms]
    return {**value, "data": old, "count": len(old)}


def page_loop(value: Any, _strike: Strike, request: Request, _now_ms: int) -> Any:
    if not _rows(value):
        return None
    return {**value, "next_cursor": request.query.get("next_cursor") or FIRST_PAGE}


def rows_twice(value: Any, strike: Strike, _request: Request, _now_ms: int) -> Any:
    rows = _rows(value)
    if not rows:
        return None
    again = [*rows, *strike.rng.sample(rows, min(strike["count"], len(rows)))]
    return {**value, "data": again, "count": len(again)}


def cancelled_says_matched(value: Any, _strike: Strike, _request: Request, _now_ms: int) -> Any:
    rows = _rows(value)
    if rows is None:
        return _matched(value) if isinstance(value, dict) else None
    return {**value, "data": [*map(_matched, rows)]}


def _matched(row: dict[str, Any]) -> dict[str, Any]:
    partly = str(row.get("size_matched", "0")) not in {"0", row.get("original_size")}
    if partly and str(row.get("status")).startswith("CANCELED"):
        return {**row, "status": "MATCHED"}
    return row


def server_time_skewed(value: Any, strike: Strike, _request: Request, _now_ms: int) -> Any:
    return value + strike["skew_s"] if isinstance(value, int) else None


def _rows(value: Any) -> list[dict[str, Any]] | None:
    rows = value.get("data") if isinstance(value, dict) else None
    return rows if isinstance(rows, list) else None


LIES: dict[str, Lie] = {
    lie.__name__: lie
    for lie in (
        cancel_acked_when_matched, batch_short, batch_ids_empty, batch_shuffled, orders_lag,
        trades_lag, page_loop, rows_twice, cancelled_says_matched, server_time_skewed,
    )
}  # fmt: skip
