"""Whether a bot halts where the venue does not take its key any more (S12; F42).

Who reads nothing and hears nothing places nothing, so no other rule sees that nobody was told: it
would stand there all night long.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import attrs

from polybot.app import Bot

# The reconciler asks for the time, and then for what only we may see, every second or two.
HALTED_WITHIN_S, TIMES_TOLD, LATELY_S = 45.0, 3, 5.0
CLOCK_MS = 900  # who signs with a time that may be why he is refused need only set it
REFUSED, TIME = b"401 ", b"200 GET /time"
# Of answers, which begin with their status: to what nobody has to sign.
PUBLIC = re.compile(rb"\d+ GET /(time|book|markets|clob-markets|tick-size|neg-risk|fee-rate)")


@attrs.define(eq=False)
class Bars:
    """`ahead_ms` is how far the bot's clock is ahead, `once` tells of a breach by rule, key and
    text.
    """

    now_s: Callable[[], float]
    ahead_ms: Callable[[], float]
    once: Callable[[str, str, str], None]
    _since_s: float = math.inf  # since when all that is signed has been refused …
    _last_s: float = -math.inf  # … and when last
    _times: int = 0  # how often the venue has told its time meanwhile
    _owner: Bot | None = None

    def heard(self, stream: str, body: bytes) -> None:
        """What has come over a wire."""
        line = body.partition(b"\n")[0] if stream == "rest clob" else b""
        if not line[:3].isdigit():
            return
        if PUBLIC.match(line):
            self._times += line.startswith(TIME)
        elif not line.startswith(REFUSED):
            self._forget()
        elif abs(self.ahead_ms()) < CLOCK_MS:
            self._last_s = self.now_s()
            if self._since_s == math.inf:
                self._since_s, self._times = self._last_s, 0

    def _forget(self) -> None:
        self._since_s = math.inf

    def look(self, bot: Bot) -> None:
        """To be called a few times a second with a bot that is ready."""
        if bot is not self._owner or abs(self.ahead_ms()) >= CLOCK_MS or bot.ctx.health.halted:
            self._owner = bot
            self._forget()
        now_s = self.now_s()
        lasts = now_s - self._since_s > HALTED_WITHIN_S and self._times >= TIMES_TOLD
        if lasts and now_s - self._last_s < LATELY_S:
            self.once("S12", "refused", f"refused for {now_s - self._since_s:.1f} s, and no halt")
