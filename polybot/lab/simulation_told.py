"""Whether the user stream has told a bot of its orders (S9, F01), read from the wire alone.

Whoever has heard that an order rests, and hears nothing of it from the stream, cannot count on
hearing of its fills either: for how long does he go on?
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import attrs
import orjson

IDS = re.compile(rb"0x[0-9a-f]{64}")
# Of an order whose request left before the stream was there the answer may come so much later; what
# the stream said of it nobody may have heard.
ANSWERED_WITHIN_S = 10.0
KEPT_S = 60.0


@attrs.define(eq=False)
class ToldOrders:
    now_s: Callable[[], float]
    _owner: str = ""
    _greeted_at: float = math.inf
    _told: dict[str, float] = attrs.field(factory=dict)  # when last, the latest at the end
    _owed: dict[str, float] = attrs.field(factory=dict)  # since when, oldest first

    def belongs_to(self, owner: str) -> None:
        """Another bot has greeted no stream yet."""
        if owner != self._owner:
            self._owner, self._greeted_at = owner, math.inf
            self._told.clear()
            self._owed.clear()

    def sent(self, stream: str, body: bytes) -> None:
        """A greeting begins a stream that knows nothing of before."""
        if stream == "user" and body != b"PING":
            self._greeted_at = self.now_s()
            self._told.clear()
            self._owed.clear()

    def heard(self, where: str, body: bytes) -> None:
        """What has come over a wire."""
        if where == "user":
            self._told_of(body)
        elif where == "rest clob" and self.now_s() - self._greeted_at > ANSWERED_WITHIN_S:
            for one in _resting(body):
                if one not in self._told:
                    self._owed.setdefault(one, self.now_s())

    def _told_of(self, body: bytes) -> None:
        now = self.now_s()
        for found in IDS.findall(body):
            one = found.decode()
            self._owed.pop(one, None)
            self._told.pop(one, None)
            self._told[one] = now
        while self._told and now - self._told[oldest := next(iter(self._told))] >= KEPT_S:
            del self._told[oldest]

    @property
    def owing_s(self) -> float:
        """For how long the bot has waited for the oldest word that it is owed."""
        return self.now_s() - next(iter(self._owed.values()), self.now_s())


def _resting(body: bytes) -> list[str]:
    """The orders of an answer that says that they rest; one that a fault has bent says nothing."""
    if b'"orderID"' not in body:
        return []
    try:
        said = orjson.loads(body.partition(b"\n")[2])
    except ValueError:
        return []
    rows = [row for row in (said if isinstance(said, list) else [said]) if isinstance(row, dict)]
    found = [str(row.get("orderID")) for row in rows if row.get("status") == "live"]
    return [one for one in found if IDS.fullmatch(one.encode())]
