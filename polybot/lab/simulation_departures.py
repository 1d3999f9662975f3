"""Orders as they leave: judged when their first byte is put on a wire, by what is known then.

What a bot hands to its client may wait for a connection, and be taken back; of that nothing is said
here, nor is it an order that could be filled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import attrs

from polybot.config import Config
from polybot.exchange.server import Exchange
from polybot.lab.simulation_takes import Takes
from polybot.lab.standstill import Standstill

PLACING = (b"POST /order\n", b"POST /orders\n")  # and no other that begins like them
TOKEN = re.compile(rb'"tokenId":"(\d+)"')
LEAVING_MOST_MS = 500  # from the last look at the clock to the wire
HELD_UP_MOST_S = 2.5  # what waits for longer for its connection is a quote of the past
CLOCK_RIGHT_MS = 1_700  # what answers in whole seconds cannot tell apart from the second allowed
AHEAD_MOST_S = 25.0  # the reconciler asks for the venue's time every twenty seconds
BEHIND_MOST_S = 6.0  # stamps from the future are seen at once
LOOKS = (b"DELETE /", b"GET /data/orders")  # withdraws what rests, or asks for it
STOOD_S = 0.65  # what the watch of the loop must see: half a second, asked every tenth
BLIND_MOST_S = 8.0  # a silent stream is noticed after five seconds, a request takes some more


@attrs.define(eq=False)
class Departures:
    """`blind_since` tells since when the bot cannot have heard its fills, by the run's clock;
    infinity: it hears. `ahead_ms` is how far its clock is ahead of the venue's, `astray_since`
    since when by too much. `trying`: the venue's switch is tried. `leaving` judges them too.
    """

    exchange: Exchange
    takes: Takes
    config: Callable[[], Config]
    now_s: Callable[[], float]
    blind_since: Callable[[], float]
    ahead_ms: Callable[[], float]
    astray_since: Callable[[], float]
    trying: Callable[[], bool]
    break_: Callable[[str, str], None]
    still: Standstill
    leaving: Callable[[bytes], None] = lambda _: None
    _looked_at: float = -math.inf  # by the run's clock
    _handed: dict[bytes, float] = attrs.field(factory=dict)  # to the client, by what is posted

    def sent(self, stream: str, body: bytes) -> None:
        """What the bot has handed to a client of its."""
        if stream == "rest clob" and body.startswith(PLACING):
            now_s = self.now_s()
            self._handed = {key: at for key, at in self._handed.items() if now_s - at < 60}
            self._handed[body] = now_s

    def on_wire(self, data: bytes) -> None:
        """What is put on a wire, head and body."""
        head, _, posted = data.partition(b"\r\n\r\n")
        body = head.partition(b" HTTP/")[0] + b"\n" + posted
        if body.startswith(LOOKS):
            self._looked_at = self.now_s()
        if not body.startswith(PLACING):
            return
        self._looking_first(body)
        self._hearing()
        self._on_time()
        self._in_its_windows(body)
        self._at_once(body)
        self.takes.sent(body)
        self.leaving(body)

    def _looking_first(self, body: bytes) -> None:
        """S9: nor somebody who has stood still, and has looked at nothing of his since. One that
        was at the client already may be on the wire before anybody could know.
        """
        on_at, stood_s = self.still.ended_s, self.still.lasted_s
        handed_s = self._handed.get(body, -math.inf)
        if stood_s > STOOD_S and handed_s >= on_at > self._looked_at and not self.trying():
            self.break_("S9", f"an order of who stood still for {stood_s:.1f} s and did not look")

    def _hearing(self) -> None:
        """S9: no order leaves somebody who has not heard of his fills for longer than it takes to
        notice. What comes later may have been under way for long (seed 860).
        """
        blind_s = self.now_s() - self.blind_since()
        if blind_s > BLIND_MOST_S:
            self.break_("S9", f"an order left after {blind_s:.1f} s without a user stream")

    def _at_once(self, body: bytes) -> None:
        """S9: nor one that has waited long for its connection."""
        waited_s = self.now_s() - self._handed.pop(body, self.now_s())
        if waited_s > HELD_UP_MOST_S and not self.trying():
            self.break_("S9", f"an order left {waited_s:.1f} s after it was to")

    def _on_time(self) -> None:
        """S9: nor somebody whose clock has been wrong for longer than it takes to notice. It may
        have been set right since it was last looked at (brief seed 3460).
        """
        astray_s, ahead_ms = self.now_s() - self.astray_since(), self.ahead_ms()
        if abs(ahead_ms) <= CLOCK_RIGHT_MS:
            return
        if astray_s > (AHEAD_MOST_S if ahead_ms > 0 else BEHIND_MOST_S):
            what = f"with a clock {ahead_ms / 1000:+.1f} s off since {astray_s:.1f} s"
            self.break_("S9", f"an order left {what}")

    def _in_its_windows(self, body: bytes) -> None:
        """S1: an order that leaves before its market opens or after its cutoff was sent by nobody
        who saw a clock, however long its writing down has taken. It may come as late as the links
        like (seed 878). The trial of the venue's switch takes a window that lasts.
        """
        quote, now_ms = self.config().quote, self.exchange.clock.now_ms()
        ahead_ms = self.ahead_ms()  # for how long: another rule's
        for token in TOKEN.findall(body):
            market = self.exchange.engine.by_token.get(token.decode())
            if market is None:
                continue  # another rule's
            left_ms, early_ms = market.end_ms - now_ms, market.start_ms - now_ms
            last_s = quote.cutoff_twap_s if market.series.rule == "twap" else quote.cutoff_candle_s
            if left_ms < last_s * 1000 - LEAVING_MOST_MS - max(0.0, -ahead_ms):
                what = f"an order left {left_ms / 1000:.1f} s before the end of {market.slug}"
                self.break_("S1", what)
            opens_ms = quote.preopen_s * 1000 + LEAVING_MOST_MS + max(0.0, ahead_ms)
            if early_ms > opens_ms and not self.trying():
                what = f"an order left {early_ms / 1000:.1f} s before the start of {market.slug}"
                self.break_("S1", what)
