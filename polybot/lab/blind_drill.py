"""How soon a bot that has lost its user stream withdraws: from the end of the connection to the
first cancel about to be written (G12 in reliability.md). At speed 1, on real sockets. Times
are Trio's: the wall's, or on a patient clock without what a busy machine takes of it.

A connection that ends says so; of one that is half open nobody does, and its PONGs must be missed.
"""

from __future__ import annotations

import attrs
import httpx
import trio

from polybot.exchange.faults import plan
from polybot.lab.stage import Stage, Taps, Verdict, staged, until

INTENSITY = 0.1
QUOTING_S = 60.0
WITHDRAWN_S = 10.0


@attrs.frozen
class Blind:
    """Each loss of the stream: seconds until a cancel was on the wire, until nothing rested
    any more, and how many orders were sent between the loss and the next reconciliation. `mute_s`:
    until the cancel where the connection was not ended, but half open.
    """

    cancel_s: tuple[float, ...]
    empty_s: tuple[float, ...]
    mute_s: float
    posts_after: int
    verdict: Verdict


@attrs.define(eq=False)
class _Wire:
    """When the bot was first about to write a cancel because it knew itself blind, and the orders
    it wrote all the same.
    """

    stage: Stage | None = None
    cancel_at: float = 0.0
    posts: int = 0

    async def sending(self, request: httpx.Request) -> None:
        stage = self.stage
        if stage is None or "user stream" not in stage.bot.ctx.health.troubles:
            return
        if request.method == "DELETE":
            self.cancel_at = self.cancel_at or trio.current_time()
        self.posts += request.method == "POST" and request.url.path in ("/order", "/orders")


async def blind_drill(*, times: int, seed: int) -> Blind:
    """Lose the stream so many times while orders rest, and once more without a word."""
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
                cancel_s, empty_s = await _lose(stage, wire, "drop")
                cancels.append(cancel_s)
                empties.append(empty_s)
            mute_s, _ = await _lose(stage, wire, "half_open")
            stage.bot.stop("drill")
        verdict = await stage.verdict()
        return Blind(tuple(cancels), tuple(empties), mute_s, wire.posts, verdict)


async def _lose(stage: Stage, wire: _Wire, fault: str) -> tuple[float, float]:
    """Lose the stream by this fault: seconds until the first cancel, and until nothing rested."""
    await until(lambda: _rests(stage) and _well(stage), every_s=0.01, within_s=QUOTING_S)
    await trio.sleep(0.3)  # what has just been sent has its answer
    lost = _strike(stage, wire, fault)
    await until(lambda: wire.cancel_at > 0, every_s=0.001, within_s=WITHDRAWN_S)
    await until(lambda: not _rests(stage), every_s=0.001, within_s=WITHDRAWN_S)
    return wire.cancel_at - lost, trio.current_time() - lost


def _rests(stage: Stage) -> bool:
    return bool(stage.exchange.engine.live_orders(stage.exchange.wallet.api_key))


def _well(stage: Stage) -> bool:
    return not stage.bot.ctx.health.troubles


def _strike(stage: Stage, wire: _Wire, fault: str) -> float:
    """Take every session of the user stream; when that was."""
    wire.cancel_at = 0.0
    faults, now_ms = stage.exchange.faults, stage.exchange.clock.now_ms()
    faults.start(plan.read({"fault": [{"fault": fault, "at": "user_ws"}]}), now_ms)
    return trio.current_time()
