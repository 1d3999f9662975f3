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
from polybot.orders_task import intent_of
from polybot.restart import StartFailed
from polybot.venue import slugs
from polybot.venue.clob import StaleHeartbeat

FRESH_MS = 7 * 24 * 3600 * 1000  # how long a certificate holds
VANISH_S = 20.0  # the venue says 10 to 15 s after the last beat
LOOK_S = 0.5
LEAST_LEFT_MS = 60_000  # of the window: its end would cancel the order, too


async def certify(ctx: Context, series: tuple[str, ...]) -> None:
    """Raises StartFailed when the switch does not do its work, or cannot be tried."""
    last = ctx.recovered.certified_ms
    if last is not None and ctx.clock.now_ms() - last < FRESH_MS:
        return
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
    took_s = await _vanished(ctx, intent_of(signed), beaten_at)
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
        raise StartFailed("the dead-man switch takes no heartbeat")
    return asked_at


async def _place(ctx: Context, signed: SignedOrder) -> None:
    """Send the order. No desk knows it: from here on until its end is proven the reconciler looks
    after it, or a stop whose request is held back would leave before it comes to rest (S15).
    """
    intent = intent_of(signed)
    await ctx.account.journal.append(intent)
    ctx.reconciler.adrift.look_after([intent])
    (answer,) = await ctx.client.place([signed])
    why = refusal(answer)
    if why is not None:
        await ctx.reconciler.adrift.ended(intent, State.REJECTED.value)
        raise StartFailed(f"the dead-man switch could not be tried: the order was refused: {why}")


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
                return took_s
        await trio.sleep(LOOK_S)
    if isinstance(row, Failure):
        raise StartFailed(f"the dead-man switch could not be tried: {row.what}; start again")
    raise StartFailed(f"the dead-man switch {await _why(ctx, alive=alive)}")


async def _why(ctx: Context, *, alive: bool) -> str:
    """What an order that has not vanished says of the switch. Nothing where the engine is away: it
    cancels for nobody then, and takes no cancel of ours either.
    """
    if not alive:
        return f"could not be tried: the order never showed within {VANISH_S:g} s; start again"
    answer = await ctx.client.cancel_all()
    if answer.away:
        return f"could not be tried: {answer.failure}; start again"
    # An engine that was away when the lapse came, and is back, has cancelled nothing either.
    return (
        f"did not cancel an order within {VANISH_S:g} s: unless the engine has restarted "
        "meanwhile, do not trade; start again to see"
    )
