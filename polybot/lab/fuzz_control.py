"""The decent client beside the fuzz: whatever the others do, nothing of its own may be lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import orjson

from polybot.domain.market import Market, Outcome, Side
from polybot.domain.orders import NewOrder
from polybot.domain.units import SHARE
from polybot.exchange.request import Request, Response
from polybot.lab.fuzz_trader import Trader
from polybot.venue.auth import l2_headers
from polybot.venue.signing import sign_order

Ask = Callable[[Request], Awaitable[Response]]


@attrs.define(eq=False)
class Control:
    """Trades a market of its own, one order at a time, and keeps the account of what it heard."""

    trader: Trader
    market: Market
    ask: Ask
    now_s: Callable[[], int]
    resting: str | None = None
    placed: list[str] = attrs.field(factory=list)
    cancelled: int = 0
    told: Counter[tuple[str, str]] = attrs.field(factory=Counter)  # (order id, type)
    deltas: int = 0

    def hear_user(self, text: str) -> None:
        message = orjson.loads(text)
        self.told[message["id"], message["type"]] += 1

    def hear_market(self, text: str) -> None:
        self.deltas += '"event_type":"price_change"' in text

    def login(self) -> str:
        """The user channel's first frame."""
        keys = self.trader.credentials
        auth = {
            "apiKey": keys.api_key,
            "secret": keys.secret.reveal(),
            "passphrase": keys.passphrase.reveal(),
        }
        return orjson.dumps({"type": "user", "auth": auth, "markets": []}).decode()

    def subscription(self) -> str:
        """The market channel's."""
        return orjson.dumps({"type": "market", "assets_ids": [self.market.up_token]}).decode()

    async def step(self) -> str | None:
        """Place an order and cancel the one before; what went wrong, if anything did."""
        number = len(self.placed)
        order = NewOrder(
            self.market, Outcome.UP, Side.BUY, 100 * (1 + number % 40), 5 * SHARE, level=0
        )
        signed = sign_order(
            order, wallet=self.trader.wallet, funder=None,
            owner_key=self.trader.credentials.api_key, salt=number,
            timestamp_ms=self.now_s() * 1000,
        )  # fmt: skip
        status, reply = await self._call("POST", "/order", signed.body)
        if status != 200 or reply.get("status") != "live":
            return f"order {number}: {status} {reply}"
        self.placed.append(signed.id)
        before, self.resting = self.resting, signed.id
        if before is not None:
            body = orjson.dumps({"orderID": before})
            status, reply = await self._call("DELETE", "/order", body)
            if status != 200 or reply.get("canceled") != [before]:
                return f"cancel of order {number - 1}: {status} {reply}"
            self.cancelled += 1
        status, reply = await self._call("GET", "/data/orders", b"")
        shown = [row["id"] for row in reply.get("data", ())]
        return None if shown == [signed.id] else f"open orders: {status} {shown}"

    async def _call(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        headers = l2_headers(self.trader.credentials, method, path, body, self.now_s())
        lower = {name.lower(): value for name, value in headers.items()}
        response = await self.ask(Request(method, path, {}, lower, body, "127.0.0.1"))
        return response.status, orjson.loads(response.body)

    def missing(self) -> list[str]:
        """Events that did not come exactly once, and deltas that are not one per act."""
        lost = []
        for order_id in self.placed:
            ends = int(order_id != self.resting)
            for kind, wanted in (("PLACEMENT", 1), ("CANCELLATION", ends)):
                if self.told[order_id, kind] != wanted:
                    lost.append(f"{order_id} {kind}: {self.told[order_id, kind]} of {wanted}")
        acts = len(self.placed) + self.cancelled
        if self.deltas != acts:
            lost.append(f"deltas: {self.deltas} of {acts}")
        return lost
