"""Orders that cannot be withdrawn: the venue's own switch is let fall (F21, F40, L4)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from shell_kit import Scene, clean, playing
from trio.testing import MockClock
from venue_bent import Act, Handler, answer, silence

from polybot.channels import Bell
from polybot.domain.halts import Halt
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import NewOrder, TimeInForce
from polybot.domain.units import SHARE
from polybot.exchange.modes import STOPPED
from polybot.exchange.net import Request, Response, json_response
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.heartbeat import NAME, SET_AGAIN_S, Heartbeat, Pulse
from polybot.lapse import AWAY_MOST_S, LATE_MOST_S, NO_DESK, WALLET_S, WHY, Found, Lapse
from polybot.market_scope import FLATTEN_S
from polybot.patient_clock import PatientClock

CANCELS = ("/order", "/orders", "/cancel-market-orders", "/cancel-all")
BEATS = "/v1/heartbeats"
L4_S = 15.0
SWITCH_S = 15.0  # the venue's own, after the last beat
OFF = answer(STOPPED.status, b'{"error": "%s"}' % STOPPED.error.encode())
A_LITTLE_S = 3.0


def blinded(it: Scene) -> None:
    """Nothing may rest from now on."""
    it.venue.lines["user_ws"].cut()


def pulse(it: Scene) -> Pulse:
    return it.bot.ctx.heartbeat.pulse


@pytest.mark.parametrize("act", [answer(500), OFF, silence], ids=["500", "disabled", "silence"])
async def test_what_cannot_be_cancelled_is_left_to_the_venues_switch(
    act: Act, fast_clock: PatientClock
) -> None:
    """Cancels do nothing, for ever. Fifteen seconds on the heart is silent, the operator knows, and
    the venue has cancelled everything fifteen seconds later.
    """
    async with playing() as it:
        bend = it.venue.bend("DELETE", *CANCELS, act=act)
        assert it.venue.live
        blinded(it)
        await it.until(lambda: it.gate, "the gate closes", 5)
        began = trio.current_time()
        await it.until(lambda: pulse(it) is Pulse.LAPSING, "silent", L4_S + A_LITTLE_S)
        assert trio.current_time() - began > FLATTEN_S
        assert it.bot.ctx.health.troubles[NAME] == WHY
        assert [e for e in it.bot.ctx.events if "cancel by hand" in e.text]
        assert b"" in bend.bodies, "the wallet is tried first"
        beats, placed = len(it.venue.asked("POST", BEATS)), len(it.venue.placed())
        await it.until(lambda: not it.venue.live, "all gone", SWITCH_S + A_LITTLE_S)
        assert len(it.venue.asked("POST", BEATS)) == beats

        it.venue.lines["user_ws"].flow()
        it.venue.bends.clear()
        await it.requoting(120)
        assert pulse(it) is Pulse.BEATING
        assert len(it.venue.placed()) > placed
        report = await it.end()

    assert report.halts[f"{NAME}: {WHY}"] == 1
    clean(report)


def sparing(order_id: str) -> Act:
    """One order is not cancelled, whatever is asked; every other is."""

    async def act(request: Request, handle: Handler) -> Response:
        if order_id.encode() in request.body:
            return json_response({"canceled": [], "not_canceled": {order_id: "try again"}})
        return await handle(request)

    return act


async def test_a_late_order_that_cannot_be_withdrawn(fast_clock: PatientClock) -> None:
    """It came to rest when no desk knew it any more: no scope loses its patience over it, and it
    would rest for as long as our heart beats. It is left to the venue's switch like any other.
    """
    async with playing() as it:
        ctx, (scope, *_) = it.bot.ctx, it.bot.supervisor.scopes.values()
        order = NewOrder(scope.market, Outcome.UP, Side.BUY, 100, 100 * SHARE, TimeInForce.GTC)
        late = ctx.sign(order)
        it.venue.bend("DELETE", "/order", "/orders", act=sparing(late.id))
        it.venue.bend("DELETE", "/cancel-market-orders", "/cancel-all", act=answer(500))
        await ctx.client.place([late])
        await it.until(lambda: pulse(it) is Pulse.LAPSING, "silent", LATE_MOST_S + 20)
        assert NO_DESK in ctx.lapse.markets
        assert late.id in {one.id for one in it.venue.live}
        await it.until(lambda: not it.venue.live, "all gone", SWITCH_S + A_LITTLE_S)

        it.venue.bends.clear()
        await it.requoting(120)
        assert pulse(it) is Pulse.BEATING
        assert ctx.lapse.markets == {}
        clean(await it.end())


async def test_a_late_order_that_goes_in_time(fast_clock: PatientClock) -> None:
    """It is cancelled and gone: the heart beats on, and trading with it."""
    async with playing() as it:
        ctx, (scope, *_) = it.bot.ctx, it.bot.supervisor.scopes.values()
        order = NewOrder(scope.market, Outcome.UP, Side.BUY, 100, 100 * SHARE, TimeInForce.GTC)
        late = ctx.sign(order)
        bend = it.venue.bend("DELETE", "/order", "/orders", act=sparing(late.id))
        await ctx.client.place([late])
        await trio.sleep(LATE_MOST_S / 2)
        it.venue.bends.remove(bend)
        await it.until(lambda: late.id not in {one.id for one in it.venue.live}, "it goes", 20)
        await trio.sleep(LATE_MOST_S)
        assert pulse(it) is Pulse.BEATING
        assert ctx.lapse.markets == {}
        clean(await it.end())


async def test_nothing_is_placed_that_could_not_be_withdrawn(fast_clock: PatientClock) -> None:
    """The switch has done its work and every stream is well; but a cancel is still refused. What a
    lapse has taught is not tried again with new orders.
    """
    async with playing() as it:
        bend = it.venue.bend("DELETE", *CANCELS, act=answer(500))
        await it.until(lambda: pulse(it) is Pulse.LAPSING, "silent")
        await it.until(lambda: not it.venue.live, "all gone", SWITCH_S + A_LITTLE_S)
        placed = len(it.venue.placed())
        await trio.sleep(2 * SET_AGAIN_S)
        assert (pulse(it), len(it.venue.placed())) == (Pulse.LAPSING, placed)

        it.venue.bends.remove(bend)
        await it.requoting()
        clean(await it.end())


async def test_the_switch_is_set_again_and_not_held_off(fast_clock: PatientClock) -> None:
    """A lapse ends the venue's watch, and what comes to rest behind it would be under none: so
    there is one beat every half minute, each followed by the next lapse.
    """
    async with playing() as it:
        bend = it.venue.bend("DELETE", *CANCELS, act=answer(500))
        blinded(it)
        await it.until(lambda: pulse(it) is Pulse.LAPSING, "silent")
        await it.until(lambda: not it.venue.live, "all gone", SWITCH_S + A_LITTLE_S)
        beats = it.bot.ctx.heartbeat.beats
        await trio.sleep(2 * SET_AGAIN_S)
        assert it.bot.ctx.heartbeat.beats - beats == 2
        it.venue.bends.remove(bend)
        it.venue.lines["user_ws"].flow()
        clean(await it.end())


async def test_an_engine_that_is_away_hears_our_heart(fast_clock: PatientClock) -> None:
    """A lapse cancels nothing then, and would end the venue's watch: beats go on until it is back,
    and takes what is asked of it.
    """
    async with playing() as it:
        it.venue.clob.modes.restart(it.venue.clock.now_ms(), 60)
        blinded(it)
        beats = it.bot.ctx.heartbeat.beats
        await it.until(lambda: it.bot.ctx.lapse.markets, "not proven empty", 30)
        await trio.sleep(3 * WALLET_S)
        assert it.venue.live
        assert pulse(it) is Pulse.BEATING
        assert it.bot.ctx.heartbeat.beats > beats + 3
        await it.until(lambda: not it.venue.live, "withdrawn when it is back", 90)
        it.venue.lines["user_ws"].flow()
        report = await it.end()

    assert f"{NAME}: {WHY}" not in report.halts
    clean(report)


async def test_an_engine_that_is_away_for_ever(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancels alone meet 425, longer than any restart takes: orders would rest, and be filled, for
    as long as our heart beats.
    """
    monkeypatch.setattr("polybot.lapse.AWAY_MOST_S", 40.0)
    async with playing() as it:
        bend = it.venue.bend("DELETE", *CANCELS, act=answer(425))
        blinded(it)
        await it.until(lambda: it.bot.ctx.lapse.markets, "not proven empty", 30)
        await trio.sleep(3 * WALLET_S)
        assert pulse(it) is Pulse.BEATING
        await it.until(lambda: pulse(it) is Pulse.LAPSING, "not believed", 60)
        await it.until(lambda: not it.venue.live, "all gone", SWITCH_S + A_LITTLE_S)
        it.venue.bends.remove(bend)
        it.venue.lines["user_ws"].flow()
        await it.requoting(120)
        clean(await it.end())


async def test_a_list_that_cannot_be_read(fast_clock: PatientClock) -> None:
    """Cancels work as far as they say; whether anything rests nobody can see. To be blind is worse
    than to be silent.
    """
    async with playing() as it:
        it.venue.bend("GET", "/data/orders", act=answer(500))
        blinded(it)
        await it.until(lambda: pulse(it) is Pulse.LAPSING, "silent", 2 * L4_S)
        it.venue.bends.clear()
        it.venue.lines["user_ws"].flow()
        await it.requoting()
        assert pulse(it) is Pulse.BEATING
        clean(await it.end())


async def test_somebody_elses_order_is_cancelled_by_no_request(fast_clock: PatientClock) -> None:
    """It stands as evidence (F27): no cancel-all. What of ours cannot be withdrawn falls to the
    switch all the same.
    """
    async with playing() as it:
        it.venue.bend("DELETE", *CANCELS, act=answer(500))
        after = len(it.venue.seen)
        it.bot.ctx.health.halt(Halt.FOREIGN_ORDERS, "a test")
        await it.until(lambda: not it.venue.live, "all gone", L4_S + SWITCH_S + A_LITTLE_S)
        assert not it.venue.asked("DELETE", "/cancel-all", after=after)
        it.venue.bends.clear()
        await it.until(lambda: pulse(it) is Pulse.BEATING, "it beats again")
        assert it.gate is not None
        await it.end()


async def test_a_stop_while_the_heart_is_silent(fast_clock: PatientClock) -> None:
    """It proves what it can: nothing rests, so the end is clean."""
    async with playing() as it:
        it.venue.bend("DELETE", *CANCELS, act=answer(500))
        blinded(it)
        await it.until(lambda: pulse(it) is Pulse.LAPSING, "silent")
        it.bot.stop("SIGINT")
        await it.until(it.ended.is_set, "the end", 60)
        left = len(it.venue.live)
        await trio.sleep(SWITCH_S)

    assert it.code == (3 if left else 0)
    assert not it.venue.live


@pytest.mark.parametrize(
    ("before", "found", "after"),
    [
        (Pulse.BEATING, Found.UNPROVEN, Pulse.LAPSING),
        (Pulse.FAILING, Found.UNPROVEN, Pulse.LAPSING),
        (Pulse.BEATING, Found.EMPTY, Pulse.BEATING),
        (Pulse.BEATING, Found.AWAY, Pulse.BEATING),
        (Pulse.BEATING, Found.UNTAKEN, Pulse.BEATING),
        (Pulse.LAPSING, Found.UNPROVEN, Pulse.LAPSING),
        (Pulse.LAPSING, Found.EMPTY, Pulse.FAILING),
        (Pulse.LAPSING, Found.AWAY, Pulse.FAILING),
        (Pulse.LAPSING, Found.UNTAKEN, Pulse.LAPSING),
    ],
)
def test_what_a_try_for_the_wallet_does(before: Pulse, found: Found, after: Pulse) -> None:
    """The whole table. The gate is closed wherever the heart is silent, and what is told is told
    once for each change.
    """
    nothing: Any = None
    health, told = Health(Admission()), list[str]()
    heartbeat = Heartbeat(nothing, health, Bell(), lambda _: None)
    if before is Pulse.LAPSING:
        heartbeat.lapse(WHY)
    else:
        heartbeat.pulse = before
    lapse = Lapse(nothing, health, heartbeat, lambda _: None, told.append)
    lapse.judge(found)
    lapse.judge(found)

    assert heartbeat.pulse is after
    assert (health.admission.closed_because is not None) is (Pulse.LAPSING in (before, after))
    assert len(told) == ((before is Pulse.LAPSING) is not (after is Pulse.LAPSING))


async def test_an_absence_that_has_ended_counts_no_more(autojump_clock: MockClock) -> None:
    """The wallet's time begins anew with each absence, whatever a market had waited for an earlier
    one and says again at each of its tries: a short restart would silence the heart at once.
    """
    nothing: Any = None
    health = Health(Admission())
    heartbeat = Heartbeat(nothing, health, Bell(), lambda _: None)
    lapse = Lapse(nothing, health, heartbeat, lambda _: None, lambda _: None)
    await trio.sleep(2 * AWAY_MOST_S)
    for _ in range(2):
        lapse.unproven("a", "0xa", away_since=0)
    assert lapse._believed(Found.AWAY) is Found.UNPROVEN
    lapse._believed(Found.UNTAKEN)
    lapse.unproven("a", "0xa", away_since=0)
    assert lapse._believed(Found.AWAY) is Found.AWAY
    await trio.sleep(AWAY_MOST_S + 1)
    assert lapse._believed(Found.AWAY) is Found.UNPROVEN
    lapse.proven("a")
    lapse._believed(Found.EMPTY)
    lapse.unproven("a", "0xa")
    assert lapse._believed(Found.AWAY) is Found.AWAY
