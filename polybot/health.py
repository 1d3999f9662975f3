"""What must be well before anything may be placed, and who is told when it is not.

Each required input (user stream, heartbeat, reconciliation …) reports trouble here by name. Any
trouble closes the admission gate in the same step, with no task switch in between, and wakes every
market scope, which ends itself. The gate opens again only when every input has reported itself
well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs
import trio

from polybot.domain.halts import Halt
from polybot.execution.firewall import Admission

KINDS_MOST, TEXT_MOST = 50, 100


class Fault(Exception):
    """The venue's or the network's doing: the market scope ends,
    its orders go, and it may start again.
    """


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The single exceptions of a group, however nested."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


@attrs.define(eq=False)
class Health:
    admission: Admission
    troubles: dict[str, str] = attrs.field(factory=dict)
    halted: dict[str, str] = attrs.field(factory=dict)  # troubles that only an operator ends
    on_halt: list[Callable[[str, str], None]] = attrs.field(factory=list)
    halts: Counter[str] = attrs.field(factory=Counter)
    _told: int = 0  # how many times trouble was told of …
    _last: dict[str, int] = attrs.field(factory=dict)  # … and which of them was the last, by name
    _changed: trio.Event = attrs.field(factory=trio.Event)

    def require(self, name: str) -> None:
        """Name an input that must report itself well before trading starts."""
        self.troubles[name] = "not up yet"
        self._tell()

    def bad(self, name: str, trouble: str) -> None:
        if name not in self.troubles:
            # Texts may come from the peer: the kinds that are counted stay few.
            known = f"{name}: {trouble}"[:TEXT_MOST]
            self.halts[known if len(self.halts) < KINDS_MOST else name] += 1
        self.troubles[name] = trouble
        self._told += 1
        self._last[name] = self._told
        self._tell()

    def standing(self, *names: str) -> dict[str, int]:
        """Those of these troubles that stand, each with what `good` must know to end no later one
        of the same name.
        """
        return {name: self._last[name] for name in names if name in self._last}

    def halt(self, halt: Halt, why: str) -> None:
        """Trouble for good: nothing ends it but an operator's word, also not a restart (S12). The
        gate is closed before anybody hears of it.
        """
        new = halt.value not in self.halted
        self.keep_halt(halt.value, why)
        if new:
            for hear in self.on_halt:
                hear(halt.value, why)

    def keep_halt(self, name: str, why: str) -> None:
        """A halt that is on record already, perhaps by a version that knew more of them."""
        self.halted.setdefault(name, why)
        self.bad(name, why)

    def good(self, name: str, told: int | None = None) -> None:
        """It is over; with `told`, where nobody has told of it again since then."""
        if told is not None and self._last.get(name) != told:
            return
        if name not in self.halted and self.troubles.pop(name, None) is not None:
            self._last.pop(name, None)
            self._tell()

    def _tell(self) -> None:
        self.admission.set(self.trouble)
        self._changed.set()
        self._changed = trio.Event()

    @property
    def trouble(self) -> str | None:
        """The first of what is wrong; a halt before all that may pass without anybody's doing."""
        name = next(iter(self.halted), next(iter(self.troubles), None))
        return None if name is None else f"{name}: {self.troubles[name]}"

    async def well(self) -> None:
        """Wait until nothing is wrong."""
        while self.troubles:
            await self._changed.wait()

    async def watch(self) -> None:
        """Raise Fault as soon as anything is wrong: a child of every market scope."""
        while not self.troubles:
            await self._changed.wait()
        raise Fault(self.trouble)
