"""The venue's time, by which our clock is set and which every request is signed with."""

from __future__ import annotations

import httpx
import pytest
from venue_kit import answering, make_client

from polybot.domain.orders import Failure


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


@pytest.mark.parametrize(
    "told", [b"0", b"1", b"-62135596800", b"253402300799", b"99999999999", b"9999999999999999"]
)
async def test_a_time_that_cannot_be(told: bytes) -> None:
    """The clock would be set by it, to the year 1, 1970 or 9999, and what dates are made of and
    what the tape has room for ends there: it is no answer.
    """
    assert isinstance(await make_client(answering(told)).server_time(), Failure)
