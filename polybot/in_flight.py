"""A transaction of ours on its way, and until when it may still turn up."""

from __future__ import annotations

import attrs

from polybot.domain.orders import EDGE_S
from polybot.journal.entries import Moved

GRACE_S = 660.0  # a batch may be mined for ten minutes after it was signed
# Receipt and balances may be read from two nodes behind one address, and one of them lags: what it
# shows unmoved for less than this says nothing. Done is not undone by it, and asking again would do
# it twice.
LAGS_S = 60.0
SLOW_S = 60.0  # a transaction takes 5 to 30 s (onchain.md 7.5)


@attrs.define(eq=False)
class InFlight:
    """One submission whose end is not known. `evidence`: what it can be asked for by; `said`: what
    came in place of an answer.

    `silent_ms`: since when nothing of it can leave us any more, None while a thread may send it;
    `unlisted`: the relayer has shown its list, and this is not on it. `unmoved_ms`: since when the
    shares are seen unmoved of what is told to be done.
    """

    name: str
    asked_ms: int
    left: list[Moved]
    evidence: str = ""
    said: str = ""
    over: str = ""  # why the venue says that it has failed: the chain must agree
    told: bool = False
    silent_ms: int | None = None
    unlisted: bool = False
    unmoved_ms: int | None = None

    @property
    def never(self) -> str:
        """Why it has failed where it never came to the chain."""
        said = f": {self.said}" if self.said else ""
        return f"it never came to the chain{said}"

    def nowhere(self, now_ms: int) -> bool:
        """Whether it is too late for it to appear, as far as relayer and deadline can tell."""
        if self.unlisted and self.silent_ms is not None:
            return now_ms > self.silent_ms + EDGE_S * 1000
        return self.late(now_ms)

    def late(self, now_ms: int) -> bool:
        """Whether nothing of it can be mined any more, whatever the relayer says of it."""
        return now_ms > self.asked_ms + GRACE_S * 1000

    def in_vain(self, now_ms: int) -> bool:
        """Whether shares that are seen unmoved now have been so for longer than a node lags."""
        self.unmoved_ms = now_ms if self.unmoved_ms is None else self.unmoved_ms
        return now_ms > self.unmoved_ms + LAGS_S * 1000
