"""What befalls the simulated bot from outside: its links and its clock, as the case has drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs
import trio

from polybot.lab.memory_net import Network
from polybot.lab.simulation_case import EVERY, PORTS, Case, Harm, Trouble
from polybot.lab.simulation_clock import WrongClock


@attrs.define(eq=False)
class Troubles:
    """`clock` is the living bot's, None before the first; `met` counts what has befallen it."""

    case: Case
    network: Network
    port: Callable[[str], int]
    clock: Callable[[], WrongClock | None]
    now_s: Callable[[], float]
    met: Counter[str]

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._step_clock)
            for trouble in sorted(self.case.links, key=lambda one: one.at_s):
                await trio.sleep(max(0.0, trouble.at_s - self.now_s()))
                nursery.start_soon(self._harm, trouble)

    async def _step_clock(self) -> None:
        for step in self.case.clock.steps:
            await trio.sleep(max(0.0, step.at_s - self.now_s()))
            clock = self.clock()
            if clock is not None:
                self.met["clock stepped back" if step.by_ms < 0 else "clock stepped ahead"] += 1
                clock.step(step.by_ms)

    async def _harm(self, trouble: Trouble) -> None:
        self.met[f"link {trouble.harm.value}"] += 1
        names = (*PORTS, "data") if trouble.port == EVERY else (trouble.port,)
        ports = {self.port(name) for name in names}
        wires = [wire for port in sorted(ports) for wire in self.network.wires_to(port)]
        shut = {Harm.REFUSED: self.network.refused, Harm.DARK: self.network.dark}
        closed = shut.get(trouble.harm, set[int]())
        if trouble.harm in (Harm.CUT, Harm.REFUSED):
            for wire in wires:
                wire.cut()
            wires = []
        for wire in wires:
            wire.hold(held=True)
        closed.update(ports)
        await trio.sleep(trouble.for_s)
        closed.difference_update(ports)
        for wire in wires:
            wire.hold(held=False)
