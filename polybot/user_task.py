"""The user stream: every private event, losslessly, into the account; its loss stops trading at
once.

The venue replays nothing (feeds.md 4.1), so an open socket is not health: only a reconciliation
made while it is open makes the stream good again.
"""

from __future__ import annotations

import attrs

from polybot.context import Context
from polybot.venue.sockets import SocketPhase, SocketState, run_socket
from polybot.venue.user_messages import decode_user, user_greeting

# The venue asks for a PING every ten seconds (feeds.md 2.2); more often, because a dead stream
# hides our fills, and is to be noticed within six (G12). Two PONGs are missing then.
PING_S = 2.0
SILENCE_S = 5.0


@attrs.define(eq=False)
class UserTask:
    ctx: Context

    async def run(self) -> None:
        await run_socket(
            self.ctx.site.user_ws,
            greet=lambda: [user_greeting(self.ctx.credentials)],
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
        batch = decode_user(text, account.client.me)
        account.heard(batch.events)
        if batch.bad:
            # It may have been a fill: REST knows (F10).
            self.ctx.records.note_bad("user stream: unreadable record")
            account.doubt.ring()

    def _on_state(self, state: SocketState) -> None:
        stream = self.ctx.reconciler.stream
        stream.open = state.phase is SocketPhase.OPEN
        if stream.open:
            stream.sessions += 1
            self.ctx.account.doubt.ring()
        else:
            self.ctx.health.bad("user stream", state.why or state.phase.value)
