"""How soon a bot that has lost its user stream withdraws: from the end of the connection to the
first cancel about to be written (G12 in reliability.md). At speed 1, on real sockets.
"""

from __future__ import annotations

import attrs
import httpx
import trio

from polybot.clock import wall_seconds
from polybot.exchange.faults import plan
from polybot.lab.stage import Stage, Taps, Verdict, staged, until

INTENSITY = 0.1
QUOTING_S = 60.0
WITHDRAWN_S = 10.0


@attrs.frozen
class Blind:
    """Each loss of the stream: wall seconds until a cancel was on the wire, until nothing rested
    any more, and how many orders were sent between the loss and the next reconciliation.
    """

    cancel_s: tuple[float, ...]
    empty_s: tuple[float, ...]
    posts_after: int
    verdict: Verdict


@attrs.define(eq=False)
class _Wire:
    """When the bot last was about to write a cancel, and the orders it wrote while it was blind."""

    stage: Stage | None = None
    cancel_at: float = 0.0
    posts: int = 0

    async def sending(self, request: httpx.Request) -> None:
        if request.method == "DELETE":
            self.cancel_at = self.cancel_at or wall_seconds()
        stage = self.stage
        if stage is not None and "user stream" in stage.bot.ctx.health.troubles:
            self.posts += request.method == "POST" and request.url.path in ("/order", "/orders")


async def blind_drill(*, times: int, seed: int) -> Blind:
    """Lose the stream so many times while orders rest."""
    wire = _Wire()
    cancels: list[float] = []
    empties: list[float] = []
    async with staged(
        seed=seed, speed=1.0, intensity=INTENSITY, taps=Taps(sending=wire.sending)
    ) as stage:
        wire.stage = stage
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.bot.run)
            for _ in range(times):
                await until(
                    lambda: _rests(stage) and _well(stage), every_s=0.01, within_s=QUOTING_S
                )
                await trio.sleep(0.3)  # what has just been sent has its answer
                lost = _drop(stage, wire)
                await until(lambda: wire.cancel_at > 0, every_s=0.001, within_s=WITHDRAWN_S)
                await until(lambda: not _rests(stage), every_s=0.001, within_s=WITHDRAWN_S)
                cancels.append(wire.cancel_at - lost)
                empties.append(wall_seconds() - lost)
            stage.bot.stop("drill")
        return Blind(tuple(cancels), tuple(empties), wire.posts, await stage.verdict())


def _rests(stage: Stage) -> bool:
    return bool(stage.exchange.engine.live_orders(stage.exchange.wallet.api_key))


def _well(stage: Stage) -> bool:
    return not stage.bot.ctx.health.troubles


def _drop(stage: Stage, wire: _Wire) -> float:
    """End every session of the user stream without a word; when that was."""
    wire.cancel_at = 0.0
    faults, now_ms = stage.exchange.faults, stage.exchange.clock.now_ms()
    faults.start(plan.read({"fault": [{"fault": "drop", "at": "user_ws"}]}), now_ms)
    return wall_seconds()
