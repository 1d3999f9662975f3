"""The doubt drill: a link that loses, delays and spoils the answers to orders, and how long the bot
is unsure of any of them (G6 and G7 in reliability.md).

The faults are F16 to F18, F22, F23, F44 and F48 of the catalogue, far more often than any venue
ever had them. Times are venue milliseconds; at speed n the bot's own delays count n-fold, so a
figure that holds there holds at speed 1. Runs on a patient clock, or a busy machine would be
measured in place of the bot.
"""

from __future__ import annotations

from collections import Counter

import attrs
import httpx
import orjson
import trio

from polybot.exchange.faults import plan
from polybot.lab.stage import Taps, Verdict, places, staged

FIRST_ORDER_S = 60.0
INTENSITY = 0.1  # of the crowd: the drill is about the link
POSTS = ["POST /order", "POST /orders"]
FAULTS = (
    {"fault": "reply_lost", "at": "clob", "match": POSTS, "probability": 0.06},
    {"fault": "request_lost", "at": "clob", "match": POSTS, "probability": 0.06},
    {"fault": "request_delayed", "at": "clob", "match": POSTS, "probability": 0.03,
     "delay_ms": [1_000, 30_000]},
    {"fault": "html_page", "at": "clob", "match": POSTS, "probability": 0.05},
    {"fault": "empty_body", "at": "clob", "match": POSTS, "probability": 0.05},
    {"fault": "wrong_status", "at": "clob", "match": POSTS, "probability": 0.05},
    {"fault": "batch_short", "probability": 0.05},
    {"fault": "batch_partly_done", "probability": 0.05},
    {"fault": "orders_lag", "probability": 0.3},
    {"fault": "html_page", "at": "clob", "match": ["GET /data/order"], "probability": 0.05},
    {"fault": "reply_delayed", "at": "clob", "match": ["GET /data"], "probability": 0.05,
     "delay_ms": [50, 500]},
)  # fmt: skip


@attrs.frozen
class Doubtful:
    """What the drill saw. `sent` counts the POSTs of each order, by its signature."""

    doubts_ms: tuple[int, ...]
    sent: Counter[str]
    struck: int
    halts: tuple[str, ...]
    verdict: Verdict

    @property
    def twice(self) -> int:
        """Orders that the exchange was sent more than once."""
        return sum(times > 1 for times in self.sent.values())

    def within(self, hundredth: int) -> int:
        """The time within which so many of a hundred doubts had ended, ms."""
        ranked = sorted(self.doubts_ms)
        return ranked[max(0, -(-len(ranked) * hundredth // 100) - 1)]


@attrs.define(eq=False)
class _Count:
    """Counts the orders in every POST as it is about to be written, whatever becomes of it."""

    sent: Counter[str] = attrs.field(factory=Counter)

    async def sending(self, request: httpx.Request) -> None:
        if places(request):
            body = b"".join([part async for part in request.stream])  # type: ignore[union-attr]
            rows = orjson.loads(body)
            for row in rows if isinstance(rows, list) else [rows]:
                self.sent[row["order"]["signature"]] += 1


async def doubt_drill(*, seconds: float, seed: int, speed: float) -> Doubtful:
    """Trade on a spoilt link for so many venue seconds, then on a good one until the end."""
    count = _Count()
    taps = Taps(sending=count.sending)
    async with staged(seed=seed, speed=speed, intensity=INTENSITY, taps=taps) as stage:
        exchange = stage.exchange
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.bot.run)
            with trio.fail_after(FIRST_ORDER_S):
                await stage.traded.wait()
            spoilt = plan.read({"fault": list(FAULTS)})
            exchange.faults.start(spoilt, exchange.clock.now_ms())
            await trio.sleep(seconds)
            exchange.faults.clear()
            stage.bot.stop("drill")
        ctx = stage.bot.ctx
        return Doubtful(
            tuple(ctx.records.doubts_ms),
            count.sent,
            sum(exchange.faults.struck.values()),
            tuple(ctx.health.halted),
            await stage.verdict(),
        )
