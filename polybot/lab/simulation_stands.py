"""Standstills of the bot's process, as a case has them, and what it owes when it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio

from polybot.execution.tracked import DUST
from polybot.lab.simulation_departures import STOOD_S
from polybot.lab.simulation_reach import STOOD
from polybot.lab.simulation_watch import name

if TYPE_CHECKING:
    from polybot.lab.simulation import Simulation

WITHDRAWN_WITHIN_S = 2.0  # its watch of the loop looks at once; a turn may wait for the disk


@attrs.frozen
class Stands:
    """Befall whoever is there, starts perhaps, and is not about to end."""

    sim: Simulation

    async def run(self) -> None:
        sim = self.sim
        for stand in sim.case.stands:
            await trio.sleep(max(0.0, stand.at_s - sim.now_s()))
            bot = sim.lives.bot
            if bot is not None and not bot.ctx.stopping:
                sim.counts[STOOD] += 1
                whose, known = sim.lives.owner, sim.watch.known() or set()
                resting = {order.id for order in sim.watch.live() if order.id in known}
                sim.still.begin(whose)
                try:
                    await trio.sleep(stand.for_s)
                finally:
                    sim.still.end(whose)  # also where the run ends with it
                await self._withdrawn(whose, resting)

    async def _withdrawn(self, whose: str, resting: set[str]) -> None:
        """S9: what rested meanwhile is a quote of the past, and is withdrawn at once; but for the
        order that tries the switch, and is to rest until that takes it (brief seed 18424).
        """
        await trio.sleep(WITHDRAWN_WITHIN_S)
        sim = self.sim
        same = sim.up() is not None and sim.lives.owner == whose and not sim.trying()
        if sim.still.lasted_s <= STOOD_S or not same:
            return
        for order in sim.watch.live():
            if order.id in resting - sim.watch.unwanted and order.remaining > DUST:
                stood = f"its owner stood still for {sim.still.lasted_s:.1f} s"
                sim.watch.break_("S9", f"{name(order)} is still wanted, though {stood}")
