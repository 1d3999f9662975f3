"""Whether the exchanges may still take what our orders give (F35).

One text refuses an order where the venue's balance is behind the chain, as it often is after a fill
(F34), and where an approval is gone. The first passes by itself; in the second every order is
refused until somebody approves anew, and nothing rests meanwhile. So after such a refusal the venue
is told to look at the chain, and asked what it may take.
"""

from __future__ import annotations

import attrs
import trio

from polybot.domain.halts import Halt
from polybot.domain.orders import Failure, NewOrder
from polybot.domain.units import amount_text, notional
from polybot.health import Health
from polybot.venue import permissions
from polybot.venue.clob import ClobClient
from polybot.venue.site import exchange_of


@attrs.define(eq=False)
class ApprovalWatch:
    """`refused` by whoever hears of a refusal, `judge` by the reconciler."""

    health: Health
    # By token (None: pUSD) and exchange: the least that one of the refused orders had asked for.
    _short: dict[tuple[str | None, str], int] = attrs.field(factory=dict)

    def refused(self, order: NewOrder) -> None:
        """Not enough balance or allowance for this order, says the venue."""
        token = order.token if order.selling else None
        needed = order.size if order.selling else notional(order.price, order.size)
        key = token, exchange_of(order.market)
        self._short[key] = min(needed, self._short.get(key, needed))

    async def judge(self, client: ClobClient) -> None:
        """Halt where an exchange may not take as much as the least of these orders needed. Of what
        the venue does not tell the next refusal asks again. All are asked about at once: each may
        take seconds, and the reconciler's next look waits for it.
        """
        short, self._short = self._short, {}
        async with trio.open_nursery() as nursery:
            for (token, exchange), needed in short.items():
                nursery.start_soon(self._judge, client, token, exchange, needed)

    async def _judge(
        self, client: ClobClient, token: str | None, exchange: str, needed: int
    ) -> None:
        if await client.refresh(token) is not None:
            return  # its own idea of it may be an old one
        allowed = await permissions.allowances(client, token)
        if isinstance(allowed, Failure):
            return
        may = allowed.get(exchange.lower())
        if may is not None and may < needed:
            what = "pUSD" if token is None else "shares"
            why = f"{exchange} may take {amount_text(may)} {what}: an order needed"
            self.health.halt(Halt.NOT_APPROVED, f"{why} {amount_text(needed)}")
