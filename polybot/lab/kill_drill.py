"""The kill drill: from the risk limits' decision to the cancel-all on the wire.

The wallet has suddenly lost half of what it had, as its marks see it; all else is the bot's own:
its look at the losses, the halt, the gate, the request. Times are wall seconds of one process that
is bot and exchange at once, so they are an upper bound of the bot's own part.
"""

from __future__ import annotations

import attrs
import httpx
import trio

from polybot.clock import wall_seconds
from polybot.domain.halts import Halt
from polybot.exchange.request import Request, Response
from polybot.lab.stage import Handler, Taps, Verdict, places, staged, until
from polybot.marks import Marks
from polybot.risk.limits import RiskParams

INTENSITY = 0.1
CANCEL_ALL = "/cancel-all"
FIRST_ORDER_S, HALT_S, EMPTY_S = 60.0, 30.0, 30.0


@attrs.frozen
class Kill:
    """What came of one decision; `posts_after` counts POSTs of orders begun after it."""

    sent_s: float  # until the bot's cancel-all was about to be written
    read_s: float  # until the exchange had read it
    posts_after: int
    halted: bool
    verdict: Verdict


@attrs.define(eq=False)
class _Ruined(Marks):
    """Marks to which half of the wallet is gone."""

    def equity(self) -> int:
        return super().equity() // 2


@attrs.define(eq=False)
class _Watch:
    """Notes when what passed."""

    decided: float | None = None
    sent: float | None = None
    read: float | None = None
    posts_after: int = 0

    def decide(self, _name: str, _why: str) -> None:
        self.decided = self.decided or wall_seconds()

    async def sending(self, request: httpx.Request) -> None:
        if self.decided is None:
            return
        self.posts_after += places(request)
        if request.url.path == CANCEL_ALL:
            self.sent = self.sent or wall_seconds()

    async def around(self, request: Request, handle: Handler) -> Response:
        if self.decided is not None and request.path == CANCEL_ALL:
            self.read = self.read or wall_seconds()
        return await handle(request)


async def kill_drill(rounds: int, seed: int) -> list[Kill]:
    """So many decisions, each with an exchange and a bot of its own: a halt is for good."""
    return [await one_kill(seed + number) for number in range(rounds)]


async def one_kill(seed: int, speed: float = 1.0) -> Kill:
    """Trade until orders rest, lose half of everything, and see what the bot does."""
    watch = _Watch()
    taps = Taps(sending=watch.sending, around=watch.around)
    async with staged(seed=seed, speed=speed, intensity=INTENSITY, taps=taps) as stage:
        ctx, engine = stage.bot.ctx, stage.exchange.engine
        ctx.health.on_halt.insert(0, watch.decide)
        owner = stage.exchange.wallet.api_key
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.bot.run)
            with trio.fail_after(FIRST_ORDER_S):
                await stage.traded.wait()
            ctx.losses.limits.params = RiskParams()
            ctx.losses.marks = _Ruined(ctx.board, ctx.account, ctx.clock)
            await until(lambda: watch.read is not None, every_s=0.01, within_s=HALT_S)
            await until(lambda: not engine.live_orders(owner), every_s=0.01, within_s=EMPTY_S)
            stage.bot.stop("drill")
        assert watch.decided is not None, "what has been read was decided"
        assert watch.sent is not None, "and sent"
        assert watch.read is not None
        return Kill(
            watch.sent - watch.decided,
            watch.read - watch.decided,
            watch.posts_after,
            Halt.DAILY_LOSS.value in ctx.health.halted,
            await stage.verdict(),
        )
