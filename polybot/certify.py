"""The dead-man switch, certified: at a live start, before anything is quoted, it must have worked.

That the venue cancels for us when we die is what makes it right to rest orders at all, and its
contract is not written down completely (clob.md 4.2). So it is tried on one far post-only order:
beat once, place, fall silent, and see the order vanish. Nothing else rests meanwhile, and no other
heartbeat beats yet. Where it does not, the failed start cancels everything, as any end does.
"""

from __future__ import annotations

import trio
from loguru import logger

from polybot.context import Context
from polybot.discovery import current_market
from polybot.domain.market import Market
from polybot.domain.orders import Failure, OrderRow, OrderSeen, SignedOrder
from polybot.execution.lifecycle import State
from polybot.far_order import far_order, refusal
from polybot.journal.entries import Certified, Intent, Known
from polybot.restart import ANSWER_S, StartFailed
from polybot.venue import slugs
from polybot.venue.clob import StaleHeartbeat
from polybot.venue.site import HEARTBEAT_EVERY_S

FRESH_MS = 7 * 24 * 3600 * 1000  # how long a certificate holds
VANISH_S = 20.0  # the venue says 10 to 15 s after the last beat
SOONEST_S = HEARTBEAT_EVERY_S.value  # a switch that falls sooner would fall between two beats
LOOK_S = 0.5
LEAST_LEFT_MS = 60_000  # of the window: its end would cancel the order, too


class EngineAway(StartFailed):
    """The engine restarts: it takes no order, and cancels for nobody."""


async def certify(ctx: Context, series: tuple[str, ...]) -> None:
    """Raises StartFailed when the switch does not do its work, or cannot be tried. An engine that
    restarts is waited for, and the trial begun anew: at night nobody makes a start again.
    """
    last = ctx.recovered.certified_ms
    if last is not None and ctx.clock.now_ms() - last < FRESH_MS:
        return
    until = trio.current_time() + ANSWER_S
    while True:
        try:
            await _try(ctx, series)
            return
        except EngineAway as away:
            logger.warning("the start waits for the engine: {}", away)
            if not await _back(ctx, until):
                raise


async def _back(ctx: Context, until: float) -> bool:
    """Whether the engine takes cancels again in time, and nothing rests of what was tried. The
    heart beats meanwhile: the lapse that the engine has missed has ended the venue's watch, and
    who died now would leave the order behind (clob.md 4.2).
    """
    empty = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ctx.heartbeat.run)
        with trio.move_on_at(until):
            empty = await ctx.reconciler.cancel_everything()
            await ctx.reconciler.adrift.visit()
        nursery.cancel_scope.cancel()
    ctx.heartbeat.rest()  # what follows lets the switch fall: no beat of before holds it off
    return empty


async def _try(ctx: Context, series: tuple[str, ...]) -> None:
    # By a wrong clock it is not even known which windows are under way (S9).
    if (why := await ctx.reconciler.time.settle()) is not None:
        raise StartFailed(f"the dead-man switch could not be tried: {why}; start again")
    market = await _market(ctx, series)
    wanted = await far_order(ctx.client, market)
    if isinstance(wanted, Failure):
        raise StartFailed(f"the dead-man switch could not be tried: {wanted.what}; start again")
    if market.condition_id not in ctx.account.ledger.books:
        await ctx.account.learn(Known(market))
    beaten_at = await _beat(ctx)
    signed = ctx.sign(wanted)
    await _place(ctx, signed)
    took_s = await _vanished(ctx, Intent.of(signed), beaten_at)
    await ctx.account.learn(Certified(round(took_s * 1000)))
    logger.info("dead-man switch certified: the order was gone {:.1f} s after a beat", took_s)


async def _market(ctx: Context, series: tuple[str, ...]) -> Market:
    """The one that ends last, of the windows to come and those under way: in one to come nobody
    takes an order at the lowest price. None of which we hold what our books do not know: as a
    market that is known its shares would be a drift.
    """
    now_ms = ctx.clock.now_ms()
    times = [
        (one, at_ms) for one in series for at_ms in (slugs.window_at(one, now_ms).end_ms, now_ms)
    ]
    found = [await current_market(ctx.client, ctx.gamma, *time) for time in times]
    markets = [one for one in found if isinstance(one, Market)]
    for market in sorted(markets, key=lambda market: market.end_ms, reverse=True):
        if market.end_ms - now_ms >= LEAST_LEFT_MS and await _ours(ctx, market):
            return market
    raise StartFailed(
        "no window to try the dead-man switch in: none can be read, has a minute left and holds no "
        "shares that the journal does not know; look at `doctor`, then start again"
    )


async def _ours(ctx: Context, market: Market) -> bool:
    """Whether our books know of all that we hold of a market."""
    if market.condition_id in ctx.account.ledger.books:
        return True
    tokens = (market.up_token, market.down_token)
    return [await ctx.client.balance(token) for token in tokens] == [0, 0]


async def _beat(ctx: Context) -> float:
    """One beat, accepted; returns when it was sent."""
    asked_at = trio.current_time()
    answer = await ctx.client.heartbeat("")
    if isinstance(answer, StaleHeartbeat):
        answer = await ctx.client.heartbeat(answer.expected)
    if not isinstance(answer, str):
        raise await _failed(ctx, "takes no heartbeat")
    return asked_at


async def _place(ctx: Context, signed: SignedOrder) -> None:
    """Send the order. No desk knows it: from here on until its end is proven the reconciler looks
    after it, or a stop whose request is held back would leave before it comes to rest (S15).
    """
    intent = Intent.of(signed)
    await ctx.account.journal.append(intent)
    ctx.reconciler.adrift.look_after([intent])
    (answer,) = await ctx.client.place([signed])
    why = refusal(answer)
    if why is not None:
        await ctx.reconciler.adrift.ended(intent, State.REJECTED.value)
        raise await _failed(ctx, f"could not be tried: the order was refused: {why}")


async def _vanished(ctx: Context, intent: Intent, beaten_at: float) -> float:
    """Seconds from the beat until the order was read as cancelled. It must have been read alive;
    and what cannot be read at the end may be gone.
    """
    alive = False
    row: OrderRow | Failure | None = None
    while trio.current_time() < beaten_at + VANISH_S:
        row = await ctx.client.order(intent.order_id)
        if isinstance(row, OrderRow):
            if row.kind is OrderSeen.Kind.MATCHED:
                await ctx.reconciler.adrift.found(intent, row)
                raise StartFailed(
                    "the dead-man switch could not be tried: somebody took the order; start again"
                )
            alive = alive or row.kind is OrderSeen.Kind.LIVE
            if row.kind is OrderSeen.Kind.DEAD and alive:
                took_s = trio.current_time() - beaten_at
                await ctx.reconciler.adrift.found(intent, row)
                if took_s >= SOONEST_S:
                    return took_s
                why = f"something cancelled the order {took_s:.1f} s after a beat"
                raise await _failed(ctx, f"could not be tried: {why}; start again")
        await trio.sleep(LOOK_S)
    if isinstance(row, Failure):
        why = f"could not be tried: {row.what}; start again"
    elif not alive:
        why = f"could not be tried: the order never showed within {VANISH_S:g} s; start again"
    else:
        # An engine that was away when the lapse came, and is back, has cancelled nothing either.
        why = (
            f"did not cancel an order within {VANISH_S:g} s: unless the engine has restarted "
            "meanwhile, do not trade; start again to see"
        )
    raise await _failed(ctx, why)


async def _failed(ctx: Context, why: str) -> StartFailed:
    """What a failure says of the switch. Nothing where the engine is away: it cancels for nobody
    then, and takes nothing of ours either.
    """
    answer = await ctx.client.cancel_all()
    if answer.away:
        return EngineAway(f"the dead-man switch could not be tried: {answer.failure}; start again")
    return StartFailed(f"the dead-man switch {why}")
