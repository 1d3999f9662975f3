"""Split, merge and redeem on the demo exchange."""

from __future__ import annotations

import json

import attrs
import httpx
import pytest
from venue_kit import CONDITION, CREDENTIALS, NOW_MS, answering, noting

from polybot.clock import Clock
from polybot.domain.orders import (
    Failure,
)
from polybot.venue.operations import Operations
from polybot.venue.site import POLYMARKET

A, B = "0x" + "a" * 64, "0x" + "b" * 64


async def test_operations_ask_and_answer_in_base_units() -> None:
    """Split, merge and redeem send base units, signed, and give back what was moved."""
    seen: list[httpx.Request] = []
    http = httpx.AsyncClient(
        transport=httpx.MockTransport(noting(seen, {"moved": "7", "transaction_hash": "0x"}))
    )
    assert isinstance(Operations.of(http, POLYMARKET, CREDENTIALS, Clock(NOW_MS)), Failure)
    demo = attrs.evolve(POLYMARKET, operations="http://demo")
    operations = Operations.of(http, demo, CREDENTIALS, Clock(NOW_MS))
    assert isinstance(operations, Operations)

    assert await operations.split(CONDITION, 5_000_000) == 7
    assert await operations.merge(CONDITION, 1) == 7
    assert await operations.redeem(CONDITION) == 7

    who = {"address": CREDENTIALS.address, "condition_id": CONDITION}
    assert [(request.url.path, json.loads(request.content)) for request in seen] == [
        ("/split", who | {"amount": "5000000"}),
        ("/merge", who | {"amount": "1"}),
        ("/redeem", who),
    ]
    assert all("POLY_SIGNATURE" in request.headers for request in seen)


@pytest.mark.parametrize(("status", "body"), [(400, {"error": "x"}), (200, {}), (200, b"<")])
async def test_operations_that_fail(status: int, body: object) -> None:
    """A refusal and an unreadable answer are Failures: balances tell what happened."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(answering(body, status)))
    demo = attrs.evolve(POLYMARKET, operations="http://demo")
    operations = Operations.of(http, demo, CREDENTIALS, Clock(NOW_MS))
    assert isinstance(operations, Operations)

    assert isinstance(await operations.redeem(CONDITION), Failure)
