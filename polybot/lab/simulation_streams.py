"""What becomes of a bot's connections: mute ones are replaced, lost ones dialled again, and neither
they nor its tasks grow without end (L3, L8, S20).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import trio

from polybot.app import Bot
from polybot.exchange.modes import Mode
from polybot.exchange.server import Exchange
from polybot.lab.memory_net import Network

LOOK_EVERY_S = 0.25  # a wire that is freed and held up again between two looks may carry something
DIALLED_WITHIN_S = 45.0  # L8: the longest pause between two dials, and a dial
TRIED_WITHIN_S = 180.0  # twenty requests of five seconds, and the trial
# L3: a stream that carries nothing is replaced: the user stream within the six seconds of G12, the
# books' within eight. Prices have ten in which they may be stale, and end the market after them.
REPLACED_WITHIN_S = {"user_ws": 6.0, "prices_ws": 15.0, "binance_ws": 15.0, "market_ws": 8.0}
WIRES_MOST, TASKS_MOST = 80, 600  # S20; a bot of three series has 30 and 150


@attrs.define(eq=False)
class Streams:
    """`ports` are those of the streams, by name; `once` tells of a breach by rule, key and text,
    `lasts` how long something has been so.
    """

    network: Network
    ports: Mapping[str, int]
    exchange: Exchange
    once: Callable[[str, str, str], None]
    lasts: Callable[[str, bool], float]

    def look(self, owner: str, bot: Bot) -> None:
        self._carry(owner, bot)
        self._bounds(owner)

    def _carry(self, owner: str, bot: Bot) -> None:
        """L3, L8: whatever carries nothing is replaced, whatever is down dialled again."""
        scopes = list(bot.supervisor.scopes.values())
        tries = self._tries(owner, bot)
        for name, port in self.ports.items():
            # One that its client has left may hang on, and is nobody's stream.
            wires = [it for it in self.network.wires_to(port, owner) if not it.up.ended]
            mute = bool(wires) and all(wire.mute_s > LOOK_EVERY_S for wire in wires)
            if self.lasts(f"mute {name}", mute) > REPLACED_WITHIN_S[name]:
                self.once("L3", name, f"{name} has been mute for {REPLACED_WITHIN_S[name]:g} s")
            # A scope that is being flattened needs no book any more.
            wanted = name != "market_ws" or not all(it.state for it in scopes)
            down = wanted and not wires and not self.network.shut(port) and not tries
            dialled = f"down {name} after {self.network.dials[owner, port]}"
            if self.lasts(dialled, down) > DIALLED_WITHIN_S:
                self.once("L8", name, f"nobody has dialled {name} for {DIALLED_WITHIN_S:g} s")

    def _tries(self, owner: str, bot: Bot) -> bool:
        """Whether it tries the switch, before it asks for any stream: that takes longer where each
        answer takes seconds, and an engine that is away is waited for.
        """
        exchange, dials = self.exchange, self.network.dials[owner, self.ports["user_ws"]]
        away = exchange.clob.modes.at(exchange.clock.now_ms()) is Mode.RESTARTING
        tried_s = self.lasts("trial", not away)
        return bot.certify and not dials and tried_s <= TRIED_WITHIN_S

    def _bounds(self, owner: str) -> None:
        """S20."""
        wires = sum(wire.open and wire.owner == owner for wire in self.network.wires)
        tasks = trio.lowlevel.current_statistics().tasks_living
        if wires > WIRES_MOST:
            self.once("S20", "wires", f"{wires} connections are open")
        if tasks > TASKS_MOST:
            self.once("S20", "tasks", f"{tasks} tasks are alive")
