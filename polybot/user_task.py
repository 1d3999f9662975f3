"""The user stream: every private event, losslessly, into the account; its loss stops trading at
once.

The venue replays nothing (feeds.md 4.1), so an open socket is not health: only a reconciliation
made while it is open makes the stream good again. Nor are its PONGs: a stream that owes us word of
what has happened is left for another one (stream_trust.py).
"""

from __future__ import annotations

import attrs
import trio
from loguru import logger

from polybot.context import Context
from polybot.venue.sockets import SocketPhase, SocketState, run_socket
from polybot.venue.user_messages import decode_user, user_greeting

# The venue asks for a PING every ten seconds (feeds.md 2.2); more often, because a dead stream
# hides our fills, and is to be noticed within six (G12). Two PONGs are missing then.
PING_S = 2.0
SILENCE_S = 5.0
CHECK_EVERY_S = 0.25
PAUSE_POWER_MOST = 5  # of two: 31 s, where one connection after the other tells nothing


@attrs.define(eq=False)
class UserTask:
    ctx: Context
    _mute: int = 0  # connections in a row that were left because they told nothing
    _connection: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while True:
                with trio.CancelScope() as self._connection:
                    await self._connect()
                # A fresh subscription usually helps; where none does, each lets orders rest unseen
                # for some seconds.
                await trio.sleep(2 ** min(self._mute - 1, PAUSE_POWER_MOST) - 1)

    async def _connect(self) -> None:
        await run_socket(
            self.ctx.site.user_ws,
            # Its PONG proves that the greeting before it has been read.
            greet=lambda: [user_greeting(self.ctx.credentials), "PING"],
            on_text=self._on_text,
            on_state=self._on_state,
            ping=("PING", PING_S),
            silence_s=SILENCE_S,
            clock=self.ctx.clock,
            rng=self.ctx.rng,
            tap=self.ctx.tape,
            name="user",
        )

    def _on_text(self, text: str, _at_ms: int) -> None:
        account = self.ctx.account
        if self._connection.cancel_called:
            return  # a last word of one that has been left: REST has it, too
        if not account.stream.open:
            account.stream.opens()
            account.doubt.ring()
        batch = decode_user(text, account.client.me)
        if batch.events:
            self._mute = 0
        account.heard(batch.events)
        if batch.bad:
            # It may have been a fill: REST knows (F10).
            self.ctx.records.note_bad("user stream: unreadable record")
            account.doubt.ring()

    def _on_state(self, state: SocketState) -> None:
        if state.phase is not SocketPhase.OPEN:
            self._lost(state.why or state.phase.value)

    def _lost(self, why: str) -> None:
        self.ctx.account.stream.ends()
        self.ctx.health.bad("user stream", why)

    async def _watch(self) -> None:
        """Leave a connection that does not tell what it owes us (F01); what it has hidden is read
        at once.
        """
        while True:
            await trio.sleep(CHECK_EVERY_S)
            untold = self.ctx.account.stream.untold
            if untold is None:
                continue
            logger.warning("user stream: it has told nothing of {}", untold[:10])
            self._mute += 1
            self._lost("tells nothing")
            self._connection.cancel()
            self.ctx.account.doubt.ring()
