"""The heartbeat drill: on time under load; and when the venue stops answering, nothing is sent and
everything is withdrawn before the venue would do it itself.

Times are venue seconds. On a fast clock our own delays count that many times over, so a figure that
holds there holds at speed 1.
"""

from __future__ import annotations

import enum

import attrs
import httpx
import trio

from polybot.exchange.model import Event, Order, OrderEvent
from polybot.exchange.request import Request, Response, error_response
from polybot.health import Fault
from polybot.lab.stage import Handler, Stage, Taps, Verdict, places, staged, until

BEATS = "/v1/heartbeats"
FIRST_ORDER_S = 60.0
AFTER_S = 4.0  # how long it is watched after the failure is known
AGAIN_S = 60.0


class Failing(enum.Enum):
    """How the venue stops taking heartbeats."""

    SILENT = "no answer"
    REFUSING = "HTTP 503"


@attrs.frozen
class Heartbeats:
    """What the drill saw, in venue seconds."""

    gaps: tuple[float, ...]  # between accepted heartbeats
    known_s: float  # from the last accepted one until the bot knew
    resting: int  # orders the exchange counted then
    cancel_s: float | None  # from then until it had read a cancel
    empty_s: float  # from then until it counted no order of ours
    posts_after: int  # POSTs begun after it was known
    accepted_after: int  # orders accepted after that: they were on the wire already
    again_s: float  # from the first good answer to the next order
    verdict: Verdict


@attrs.define(eq=False)
class Watch:
    """Sees every heartbeat, POST and cancel pass, and makes the heartbeats fail when told to."""

    failing: Failing | None = None
    beats: list[float] = attrs.field(factory=list)
    posts: list[float] = attrs.field(factory=list)
    cancels: list[float] = attrs.field(factory=list)
    accepted: list[float] = attrs.field(factory=list)
    stage: Stage | None = None

    def taps(self) -> Taps:
        return Taps(sending=self._sending, around=self._around)

    async def _sending(self, request: httpx.Request) -> None:
        if places(request):
            self.posts.append(trio.current_time())

    async def _around(self, request: Request, handle: Handler) -> Response:
        if request.method == "DELETE":
            self.cancels.append(trio.current_time())
        if request.path != BEATS:
            return await handle(request)
        if self.failing is Failing.SILENT:
            await trio.sleep(AGAIN_S)
        if self.failing is not None:
            return error_response("service unavailable", 503)
        response = await handle(request)
        if response.status == 200:
            self.beats.append(trio.current_time())
        return response

    def hear(self, event: Event) -> None:
        """Listen to the engine."""
        placed = isinstance(event, OrderEvent) and event.kind == "PLACEMENT"
        if placed and self.stage is not None and self.stage.mine(event):
            self.accepted.append(trio.current_time())


async def heartbeat_drill(
    *, failing: Failing, beats: int, seed: int, speed: float, intensity: float
) -> Heartbeats:
    """Trade for so many heartbeats, let them fail, let them come back, stop."""
    watch = Watch()
    taps = watch.taps()
    async with staged(seed=seed, speed=speed, intensity=intensity, taps=taps) as stage:
        watch.stage = stage
        stage.exchange.engine.listeners.append(watch.hear)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.bot.run)
            with trio.fail_after(FIRST_ORDER_S):
                await stage.traded.wait()
            watch.beats.clear()  # those of the start-up, when nothing can rest
            await until(lambda: len(watch.beats) >= beats, every_s=0.5, within_s=10.0 * beats)
            gaps = [b - a for a, b in zip(watch.beats, watch.beats[1:], strict=False)]
            watch.failing = failing
            last = watch.beats[-1]
            known = await _known(stage)
            resting = len(_live(stage))
            empty = await _empty(stage)
            await trio.sleep(max(0.0, known + AFTER_S - trio.current_time()))
            posts_after = sum(at > known for at in watch.posts)
            accepted_after = sum(at > known for at in watch.accepted)
            cancelled = next((at for at in watch.cancels if at >= known), None)
            watch.failing = None
            again = await _again(watch)
            stage.bot.stop("drill")
        return Heartbeats(
            gaps=tuple(gaps),
            known_s=known - last,
            resting=resting,
            cancel_s=cancelled - known if cancelled is not None else None,
            empty_s=empty - known,
            posts_after=posts_after,
            accepted_after=accepted_after,
            again_s=again,
            verdict=await stage.verdict(),
        )


async def _known(stage: Stage) -> float:
    try:
        await stage.bot.ctx.health.watch()
    except Fault:
        return trio.current_time()
    raise AssertionError("the watch ends with a fault")


async def _empty(stage: Stage) -> float:
    return await until(lambda: not _live(stage), every_s=0.01, within_s=AGAIN_S)


def _live(stage: Stage) -> list[Order]:
    """Our resting orders by the exchange's own books."""
    return stage.exchange.engine.live_orders(stage.exchange.wallet.api_key)


async def _again(watch: Watch) -> float:
    """Seconds from now until the bot has an order accepted again."""
    begun, before = trio.current_time(), len(watch.accepted)
    await until(lambda: len(watch.accepted) > before, every_s=0.1, within_s=AGAIN_S)
    return watch.accepted[before] - begun
