"""Level decreases and prints that belong together but arrive apart.

The venue tells a trade twice: the level shrinks at once, the print follows 70–90 ms later (feeds.md
3, 12.1), and nothing links the two. Here a decrease waits a while for its print; a print that comes
first pays in advance for the decrease that follows it.
"""

from __future__ import annotations

from collections import deque

import attrs

Key = tuple[str, int]  # (side of the merged book, Up price)
MOST_KEPT = 256  # decreases of one level: more than any level has seen in a second


@attrs.define
class Mark:
    """What a decrease meant to one order: volume ahead when it came, and how much of it went."""

    ahead: int
    taken: int


@attrs.define
class Decrease:
    at_ms: int
    amount: int
    marks: dict[str, Mark]  # by order id

    def explain(self, part: int) -> list[tuple[str, int, int]]:
        """Say that `part` of it was traded. Per order (id, more to move ahead, what passed it)."""
        moved = []
        for order_id, mark in self.marks.items():
            due = min(part, mark.ahead)
            counted = mark.taken * part // self.amount
            moved.append((order_id, due - counted, part - due))
            mark.ahead, mark.taken = mark.ahead - due, mark.taken - counted
        self.amount -= part
        return moved


class QueueMarks:
    """Both kinds of half-told trades of one market, forgotten after `patience_ms`."""

    def __init__(self, patience_ms: int) -> None:
        self._patience_ms = patience_ms
        self._decreases: dict[Key, deque[Decrease]] = {}
        self._paid: dict[Key, tuple[int, int]] = {}  # (until when, how much)

    def decreased(self, key: Key, at_ms: int, amount: int, marks: dict[str, Mark]) -> None:
        waiting = self._decreases.get(key)
        if waiting is None:
            waiting = self._decreases[key] = deque(maxlen=MOST_KEPT)
        waiting.append(Decrease(at_ms, amount, marks))
        while waiting[0].at_ms < at_ms - self._patience_ms:
            waiting.popleft()

    def explained(self, key: Key, at_ms: int, shares: int) -> list[tuple[Decrease, int]]:
        """The decreases that a print accounts for, and how much of each.

        The one of exactly its size when there is one – cancels of other sizes come between a trade
        and its print – else the oldest first.
        """
        old_ms = at_ms - self._patience_ms
        waiting = [d for d in self._decreases.get(key, ()) if d.at_ms >= old_ms and d.amount]
        exact = [d for d in waiting if d.amount == shares]
        parts = []
        for one in exact[:1] or waiting:
            part = min(one.amount, shares)
            if part:
                parts.append((one, part))
                shares -= part
        return parts

    def pay(self, key: Key, at_ms: int, shares: int) -> None:
        """A print came before its decrease."""
        until_ms, paid = self._paid.get(key, (0, 0))
        self._paid[key] = (
            at_ms + self._patience_ms,
            shares + (paid if at_ms <= until_ms else 0),
        )

    def redeem(self, key: Key, at_ms: int, amount: int) -> int:
        """How much of a decrease was paid for by an earlier print."""
        until_ms, paid = self._paid.pop(key, (0, 0))
        if at_ms > until_ms:
            return 0
        part = min(paid, amount)
        if paid > part:
            self._paid[key] = (until_ms, paid - part)
        return part

    def clear(self) -> None:
        self._decreases.clear()
        self._paid.clear()
