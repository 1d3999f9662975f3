"""Query parameters and pages of the Data API v2 (feeds.md 11; the official SDK's `data.py`)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation

from polybot.exchange import eip712
from polybot.exchange.gamma_objects import event_id
from polybot.exchange.identities import full_condition_id
from polybot.exchange.model import Market
from polybot.exchange.money import UNIT
from polybot.exchange.request import Response, json_response

LIMIT_DEFAULT, LIMIT_MOST = 100, 1_000

Query = dict[str, str]


class BadQuery(Exception):
    """A parameter that is refused with 400; the text is for the reply."""


def user_of(query: Query) -> str | None:
    """The wallet asked for, in checksum form."""
    text = query.get("user")
    if text is None:
        return None
    wallet = eip712.parse_address(text)
    if wallet is None:
        raise BadQuery("invalid user")
    return wallet


def required_user(query: Query) -> str:
    wallet = user_of(query)
    if wallet is None:
        raise BadQuery("user is required")
    return wallet


def markets_of(query: Query, known: Iterable[Market]) -> list[Market] | None:
    """The markets that `condition_id` or `event_id` names; None when neither is given."""
    conditions = _values(query, "condition_id") or _values(query, "condition")
    events = _values(query, "event_id")
    if conditions and events:
        raise BadQuery("condition_id and event_id exclude each other")
    if conditions:
        full = {full_condition_id(one) for one in conditions}
        return [market for market in known if market.condition_id in full]
    if events:
        return [market for market in known if event_id(market) in events]
    return None


def choice(query: Query, name: str, allowed: Sequence[str]) -> str | None:
    """One of a few words, in any case; None when it is absent."""
    value = query.get(name)
    if value is None:
        return None
    if value.upper() not in allowed:
        raise BadQuery(f"invalid {name}")
    return value.upper()


def choices(query: Query, name: str, allowed: Sequence[str]) -> set[str]:
    words = {word.upper() for word in _values(query, name)}
    if not words <= set(allowed):
        raise BadQuery(f"invalid {name}")
    return words


def flag(query: Query, name: str, *, default: bool) -> bool:
    value = query.get(name)
    if value is None:
        return default
    if value.lower() not in {"true", "false"}:
        raise BadQuery(f"invalid {name}")
    return value.lower() == "true"


def seconds(query: Query, name: str) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()) or len(value) > 12:
        raise BadQuery(f"invalid {name}")
    return int(value)


def amount(query: Query, name: str) -> int:
    """A decimal number of dollars or shares, in 10⁻⁶; 0 when it is absent."""
    try:
        value = Decimal(query.get(name, "0"))
    except InvalidOperation:
        raise BadQuery(f"invalid {name}") from None
    if not value.is_finite() or value < 0 or value > 10**12:
        raise BadQuery(f"invalid {name}")
    return int(value * UNIT)


def number(query: Query, name: str, default: int, most: int) -> int:
    value = seconds(query, name)
    return default if value is None else min(value, most)


def _values(query: Query, name: str) -> list[str]:
    return [value for value in query.get(name, "").split(",") if value]


def page(
    query: Query,
    rows: Sequence[dict[str, object]],
    key: Callable[[int], int] | None = None,
) -> Response:
    """One page of `rows` after the cursor.

    `key` gives a falling number of each row by its index, so that rows that come in front between
    two pages neither repeat nor hide one; without it the cursor counts rows.
    """
    limit = number(query, "limit", LIMIT_DEFAULT, LIMIT_MOST)
    if not limit:
        raise BadQuery("invalid limit")
    first, after = 0, _cursor(query)
    if after is not None:
        first = after if key is None else _first_below(len(rows), key, after)
    shown = list(rows[first : first + limit])
    more = first + limit < len(rows)
    last = first + len(shown) - 1
    cursor = _encoded(last + 1 if key is None else key(last)) if more else None
    return json_response({"data": shown, "pagination": {"has_more": more, "next_cursor": cursor}})


def whole(data: object) -> Response:
    """An answer that has no pages."""
    return json_response({"data": data})


def _first_below(count: int, key: Callable[[int], int], after: int) -> int:
    return next((index for index in range(count) if key(index) < after), count)


def _encoded(value: int) -> str:
    return base64.urlsafe_b64encode(str(value).encode()).decode()


def _cursor(query: Query) -> int | None:
    text = query.get("cursor")
    if not text:
        return None
    try:
        value = int(base64.urlsafe_b64decode(text))
    except (binascii.Error, ValueError):
        raise BadQuery("invalid cursor") from None
    if value < 0:
        raise BadQuery("invalid cursor")
    return value
