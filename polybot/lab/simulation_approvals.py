"""Whether a bot stops trading where the exchanges may take nothing of its wallet's any more, and
where they may does not (S12, G25; F35).

No order can rest then, says the exchange's own check of its books. Whoever goes on places what is
refused, all night long, and nobody is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import orjson

from polybot.exchange.approvals import STANDARD
from polybot.exchange.server import Exchange

# The reconciler asks every twenty seconds, after its other reads, each of which may take five.
HALTED_WITHIN_S = 45.0
BACK_S = 6.0  # what was read of approvals may be as old as a request
NOT_ENOUGH = b"not enough balance / allowance"
# How an answer begins, after its status; what was asked has none.
PLACED, ASKED = b" POST /order", b" GET /balance-allowance"


@attrs.define(eq=False)
class Approvals:
    """Of the wallet at `address`. `once` tells of a breach by rule, key and text."""

    exchange: Exchange
    address: str
    now_s: Callable[[], float]
    once: Callable[[str, str, str], None]
    _gone_s: float = -math.inf  # when one was missing last
    _refused_s: float = math.inf  # since when the bot could have known

    @property
    def gone(self) -> bool:
        """Whether any of the standard ones is missing."""
        allowance = self.exchange.engine.accounts.approvals.allowance
        return not all(allowance(self.address, *pair) for pair in STANDARD)

    @property
    def gone_of_late(self) -> bool:
        """So that who halts for it now may have read of it."""
        return self.now_s() - self._gone_s <= BACK_S

    def look(self) -> None:
        """To be called a few times a second, also while no bot is alive."""
        if self.gone:
            self._gone_s = self.now_s()
        else:
            self.forget()

    def forget(self) -> None:
        """They are back, or another bot lives, which must be refused first."""
        self._refused_s = math.inf

    def heard(self, stream: str, body: bytes) -> None:
        """What has come over a wire. Of an answer that does not tell what is gone the next refusal
        asks again.
        """
        if stream != "rest clob":
            return
        line, _, said = body.partition(b"\n")
        if PLACED in line and NOT_ENOUGH in said and self.gone:
            self._refused_s = min(self._refused_s, self.now_s())
        elif ASKED in line and not _tells(line, said):
            self.forget()

    def sent(self) -> None:
        """S12: an order leaves."""
        late_s = self.now_s() - self._refused_s
        if late_s > HALTED_WITHIN_S:
            self.once("S12", "approval", f"an order {late_s:.1f} s after one without an approval")


def _tells(line: bytes, said: bytes) -> bool:
    """Whether an answer is what a sound venue says of approvals that are gone."""
    if not line.startswith(b"200 "):
        return False
    if ASKED + b"/update" in line:
        return True
    try:
        allowed = orjson.loads(said)["allowances"].values()
    except (ValueError, KeyError, TypeError, AttributeError):
        return False  # bent by a fault
    return all(str(amount) == "0" for amount in allowed)
