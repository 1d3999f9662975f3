"""The CLOB as the bot uses it: placing, cancelling and the dead-man switch, on top of the reads.

Nothing here raises for the venue's behaviour and nothing here retries: what to do about an answer
that did not come is its owner's decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import httpx
import orjson
import trio

from polybot.clock import Clock
from polybot.domain.orders import CancelResult, Failure, PostResult, SignedOrder
from polybot.venue import fields
from polybot.venue.clob_reads import ClobReads
from polybot.venue.lean_http import BEAT
from polybot.venue.leave import Leave
from polybot.venue.private_rows import Me
from polybot.venue.replies import decode_cancel, decode_post
from polybot.venue.rest import Reply, Rest
from polybot.venue.secret import Credentials
from polybot.venue.site import CANCELS_PER_BATCH, ORDERS_PER_BATCH, Site
from polybot.venue.tap import NOBODY, Tap

Took = Callable[[str, float, bool], None]


def _nobody(_kind: str, _seconds: float, _done: bool) -> None: ...  # noqa: FBT001


@attrs.frozen
class StaleHeartbeat:
    """The id we sent is not the last given: send again with `expected` at once (clob.md 4.2)."""

    expected: str


@attrs.frozen(init=False)
class ClobClient(ClobReads):
    """One API key's access to one CLOB. Each request has `timeout_s` in total. `took` is told how
    many seconds a cancel (DELETE) or a heartbeat (POST) waited for its answer, or in vain, and
    whether the venue did it.

    On markets with a taker delay POST itself waits for the delay, so `timeout_s` must be well above
    it.
    """

    took: Took = attrs.field(default=_nobody, repr=False)

    def __init__(
        self,
        http: httpx.AsyncClient,
        site: Site,
        credentials: Credentials,
        clock: Clock,
        *,
        funder: str | None = None,
        signature_type: int = 0,
        timeout_s: float = 5,
        tap: Tap = NOBODY,
        took: Took = _nobody,
    ) -> None:
        self.__attrs_init__(
            Rest(http, site.clob, clock, credentials, timeout_s, tap=tap, name="rest clob"),
            Me.of(credentials, funder),
            signature_type,
            took,
        )

    async def place(
        self, orders: Sequence[SignedOrder], leave: Leave | None = None
    ) -> list[PostResult]:
        """Post 1 to 15 orders in one request; one result each, in order. With a `leave` it is known
        of a request that finds no connection that it never left.

        Raises ValueError for any other number of orders. Never re-posts.
        """
        if not 1 <= len(orders) <= ORDERS_PER_BATCH.value:
            raise ValueError(f"expected 1 to {ORDERS_PER_BATCH.value} orders, was {len(orders)}")
        ids = [order.id for order in orders]
        if len(orders) == 1:
            reply = await self.rest.call("POST", "/order", body=orders[0].body, leave=leave)
        else:
            body = b"[" + b",".join(order.body for order in orders) + b"]"
            reply = await self.rest.call("POST", "/orders", body=body, leave=leave)
        return decode_post(ids, reply, batch=len(orders) > 1)

    async def cancel(self, ids: Sequence[str]) -> CancelResult:
        """Cancel by id, in as many requests as the cancel limits ask for. No ids: no request."""
        if len(ids) == 1:
            return await self._delete("/order", {"orderID": ids[0]})
        result = CancelResult(frozenset(), {})
        step = CANCELS_PER_BATCH.value
        for start in range(0, len(ids), step):
            part = await self._delete("/orders", list(ids[start : start + step]))
            result = CancelResult(
                result.cancelled | part.cancelled,
                result.refused | part.refused,
                result.failure or part.failure,
                result.away or part.away,
            )
        return result

    async def cancel_market(self, condition_id: str) -> CancelResult:
        """Cancel everything this key has in one market."""
        return await self._delete("/cancel-market-orders", {"market": condition_id})

    async def cancel_all(self) -> CancelResult:
        """Cancel everything this key has."""
        return await self._delete("/cancel-all", None)

    async def heartbeat(self, previous: str) -> str | StaleHeartbeat | Failure:
        """Extend the dead-man switch. `previous` is the last id received, empty at first.

        Returns the id for the next beat. Sends must not overlap. After a Failure the beat may have
        been accepted: send `previous` again and take the id from StaleHeartbeat.
        """
        body = orjson.dumps({"heartbeat_id": previous})
        reply = await self._timed("POST", BEAT, body)
        return reply if isinstance(reply, Failure) else _beat(reply, f"POST {BEAT}")

    async def _delete(self, path: str, value: object) -> CancelResult:
        body = b"" if value is None else orjson.dumps(value)
        return decode_cancel(await self._timed("DELETE", path, body))

    async def _timed(self, method: str, path: str, body: bytes) -> Reply | Failure:
        began = trio.current_time()
        answer = await self.rest.call(method, path, body=body)
        done = not isinstance(answer, Failure) and answer.status == 200
        self.took(method, trio.current_time() - began, done)
        return answer


def _beat(reply: Reply, what: str) -> str | StaleHeartbeat | Failure:
    try:
        row = fields.as_object(reply.json())
    except ValueError:
        return reply.failure(what)
    said = row.get("heartbeat_id")
    if reply.status == 200 and isinstance(said, str) and said:
        return said
    # Other 400s have no id. The expected id may be the empty text: the switch had lapsed.
    if reply.status == 400 and isinstance(said, str):
        return StaleHeartbeat(said)
    return reply.failure(what)
