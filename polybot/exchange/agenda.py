"""What is due and when: expiries, the ends of holds, the next steps of trades."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Action = Callable[[int], None]  # called with its own due time


class Agenda:
    """Actions by due time; those due together run in the order in which they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Action]] = []
        self._sequence = 0

    def add(self, due_ms: int, action: Action) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (due_ms, self._sequence, action))

    def next_due_ms(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def run(self, now_ms: int) -> None:
        """Run everything due, each with its own due time; also what these add, if due by now."""
        heap = self._heap
        while heap and heap[0][0] <= now_ms:
            due_ms, _, action = heapq.heappop(heap)
            action(due_ms)
