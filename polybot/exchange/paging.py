"""The CLOB's pages: a hundred rows and a cursor, an offset in base64 (clob.md 5.1)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from polybot.exchange.request import Response, error_response, json_response

PAGE = 100
START_CURSOR, END_CURSOR = "MA==", "LTE="  # base64 of 0 and of -1

T = TypeVar("T")


def page(
    items: Sequence[T],
    query: dict[str, str],
    refusal: str,
    show: Callable[[T], object],
    *,
    length: int = PAGE,
    **more: int,
) -> Response:
    """The page that `next_cursor` asks for; past the end it is empty. 400 for no cursor.

    `more` are further keys of the page, like a total count.
    """
    try:
        start = int(base64.b64decode(query.get("next_cursor") or START_CURSOR, validate=True))
    except (binascii.Error, ValueError):
        return error_response(refusal)
    chosen = items[start : start + length] if start >= 0 else []
    follows = start >= 0 and start + length < len(items)
    cursor = base64.b64encode(str(start + length).encode()).decode() if follows else END_CURSOR
    rows = [show(item) for item in chosen]
    count = len(rows)
    return json_response(
        {"limit": length, "next_cursor": cursor, "count": count, **more, "data": rows}
    )
