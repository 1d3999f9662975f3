"""Split, merge and redeem on the demo exchange; Polymarket's
relayer will answer to the same three verbs.
"""

from __future__ import annotations

from typing import Self

import attrs
import httpx
import orjson

from polybot.clock import Clock
from polybot.domain.orders import Failure
from polybot.venue import fields
from polybot.venue.rest import Rest
from polybot.venue.secret import Credentials
from polybot.venue.site import Site


@attrs.frozen
class Operations:
    """Moves between pUSD and pairs of shares. Amounts in 10⁻⁶; each call answers with what was
    moved.

    A Failure does not say that nothing happened: balances do.
    """

    rest: Rest
    address: str

    @classmethod
    def of(
        cls,
        http: httpx.AsyncClient,
        site: Site,
        credentials: Credentials,
        clock: Clock,
        *,
        timeout_s: float = 10,
    ) -> Self | Failure:
        """The operations of a site, or Failure if it offers none."""
        if site.operations is None:
            return Failure("this site offers no split, merge or redeem")
        rest = Rest(http, site.operations, clock, credentials, timeout_s)
        return cls(rest, credentials.address)

    async def split(self, condition_id: str, amount: int) -> int | Failure:
        """Turn `amount` of pUSD into as many shares of each outcome."""
        return await self._call("/split", condition_id, amount)

    async def merge(self, condition_id: str, amount: int) -> int | Failure:
        """Turn `amount` pairs of shares back into pUSD."""
        return await self._call("/merge", condition_id, amount)

    async def redeem(self, condition_id: str) -> int | Failure:
        """Turn the shares of a resolved market into what they pay."""
        return await self._call("/redeem", condition_id, None)

    async def _call(self, path: str, condition_id: str, amount: int | None) -> int | Failure:
        value = {"address": self.address, "condition_id": condition_id}
        if amount is not None:
            value["amount"] = str(amount)
        reply = await self.rest.call("POST", path, body=orjson.dumps(value))
        if isinstance(reply, Failure):
            return reply
        if reply.status != 200:
            return reply.failure(f"POST {path}")
        try:
            return int(fields.text(fields.as_object(reply.json()), "moved"))
        except ValueError as error:
            return Failure(f"POST {path}: unreadable: {error}")
