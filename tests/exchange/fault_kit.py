"""A CLOB behind a link that a plan may spoil, with a real client on a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import trio
from clob_kit import UP_TOKEN, ClobKit
from trio.testing import MockClock

from polybot.exchange.faults import plan
from polybot.exchange.faults.plan import Plan
from polybot.exchange.faults.rest_link import faulty_http
from polybot.exchange.model import BUY, Order
from polybot.exchange.net import serve

HUNG_UP = "hung up"


def jumping() -> MockClock:
    """Both ends of every socket are in this process: when nobody has had anything to do for a
    moment, what is waited for is the clock. A busy machine only takes longer.
    """
    return MockClock(autojump_threshold=0.01)


def planned(*rows: dict[str, Any]) -> Plan:
    return plan.read({"fault": list(rows)})


@attrs.define(eq=False)
class RestStage:
    """`ann` talks to the venue over the spoiled link; the engine is at hand for the truth."""

    kit: ClobKit
    http: httpx.AsyncClient
    replies: list[httpx.Response] = attrs.field(factory=list)

    def spoil(self, *rows: dict[str, Any]) -> None:
        self.kit.faults.start(planned(*rows), self.kit.clock.now_ms())

    def mend(self) -> None:
        self.kit.faults.clear()

    async def ask(
        self, method: str, path: str, body: object = None, **query: str
    ) -> tuple[int, Any]:
        """Status and decoded body, the text where it is no JSON; (0, HUNG_UP) without an answer."""
        text = "" if body is None else json.dumps(body, separators=(",", ":"))
        headers = self.kit.ann.headers(method, path, text)
        try:
            reply = await self.http.request(
                method, path, content=text or None, headers=headers, params=query
            )
        except (httpx.RemoteProtocolError, httpx.ReadError):
            return 0, HUNG_UP
        self.replies.append(reply)
        try:
            return reply.status_code, reply.json()
        except json.JSONDecodeError:
            return reply.status_code, reply.text

    async def place(self, cents: int = 40, *, path: str = "/order", count: int = 1) -> Any:
        orders = [self.kit.ann.limit(BUY, UP_TOKEN, cents - n, 10) for n in range(count)]
        return await self.ask("POST", path, orders if path == "/orders" else orders[0])

    @property
    def live(self) -> list[Order]:
        return self.kit.engine.live_orders(self.kit.ann.creds.api_key)

    @property
    def struck(self) -> dict[str, int]:
        return dict(self.kit.faults.struck)


@asynccontextmanager
async def rest_stage(*rows: dict[str, Any]) -> AsyncIterator[RestStage]:
    kit = ClobKit()
    link = faulty_http(kit.server.service_rest, "clob", kit.faults, kit.clock)
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(serve, link, 0)
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, timeout=600, trust_env=False) as http:
            stage = RestStage(kit, http)
            stage.spoil(*rows)
            yield stage
        nursery.cancel_scope.cancel()
    assert kit.errors == []
