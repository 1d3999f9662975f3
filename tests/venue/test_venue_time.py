"""The venue's time, by which our clock is set and which every request is signed with."""

from __future__ import annotations

import httpx
from venue_kit import make_client


async def test_the_time_is_asked_for_without_a_signature() -> None:
    """One that a wrong clock has signed is refused, and only the answer would set that right."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=b"1795132800")

    client = make_client(answer)
    assert await client.server_time() == 1_795_132_800
    await client.open_orders()

    time, orders = asked
    assert time.url.path == "/time"
    assert not [name for name in time.headers if name.lower().startswith("poly")]
    assert [name for name in orders.headers if name.lower().startswith("poly")]
