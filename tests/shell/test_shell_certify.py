"""The dead-man switch is tried before anything is quoted (clob.md 4.2, reliability.md 0)."""

from __future__ import annotations

import pytest
import trio
from shell_kit import HOUR_MS, Scene, clean, scene
from test_shell_account import windows_to_come
from test_shell_restart import killed, started
from venue_bent import PLACING, Handler, answer

from polybot.adrift import DOUBTFUL
from polybot.domain.halts import Halt
from polybot.domain.market import Outcome
from polybot.domain.units import SHARE
from polybot.exchange.request import Request, Response
from polybot.journal.entries import Certified
from polybot.patient_clock import PatientClock


async def test_a_switch_that_works(fast_clock: PatientClock) -> None:
    """The far order is seen to vanish within the venue's 10 to 15 s, that is written down, and only
    then does trading begin; its order is the venue's to cancel, not ours (clob.md 4.2).
    """
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        nursery.start_soon(it.run)
        await it.quoting()
        far, *quotes = it.venue.placed()
        store = it.bot.ctx.account.journal.store
        (seen,) = [e.entry for e in store.live() if isinstance(e.entry, Certified)]
        assert 10_000 <= seen.took_ms <= 17_000
        assert quotes[0].at_ms - far.at_ms >= 10_000
        assert far.order.price == far.order.market.tick
        assert far.order.market.start_ms > far.at_ms, "in a window that nobody trades yet"
        report = await it.end()

    clean(report)


async def test_a_certificate_holds_a_week(fast_clock: PatientClock) -> None:
    """A recent certificate is believed: no second order is placed for it."""
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        it.bot.ctx.recovered.certified_ms = it.venue.clock.now_ms() - 1_000
        nursery.start_soon(it.run)
        await it.quoting()
        assert all(event.order.price > 100 for event in it.venue.placed())
        clean(await it.end())


async def test_a_switch_that_does_nothing(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A venue that forgets to cancel is not traded on: the start fails, and we cancel ourselves."""
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        monkeypatch.setattr(it.venue.clob.heartbeats, "sweep", lambda now_ms: [])
        nursery.start_soon(it.run)
        report = await it.ending()

    assert it.code == 1
    assert "dead-man switch did not cancel" in report.exit_reason
    assert report.live_orders_at_exit == 0
    assert len(it.venue.placed()) == 1


def certified(it: Scene) -> list[Certified]:
    live = it.bot.ctx.account.journal.store.live()
    return [one.entry for one in live if isinstance(one.entry, Certified)]


@pytest.mark.parametrize("before", [False, True])
async def test_an_engine_that_restarts_is_waited_for(
    before: bool, fast_clock: PatientClock
) -> None:
    """It cancels nothing, for nobody, and takes no order: that says nothing of the switch (seed
    1247). Once it is back the trial is made again, and what rested for the first is gone by then.
    """
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True

        async def beaten(request: Request, handle: Handler) -> Response:
            it.venue.clob.modes.restart(it.venue.clock.now_ms(), 30)
            return await handle(request)

        if before:  # the start has proven that nothing rests
            it.venue.bend("POST", "/v1/heartbeats", act=beaten, times=1)
        nursery.start_soon(it.run)
        if not before:
            await it.until(lambda: it.venue.live, "the order rests")
            it.venue.clob.modes.restart(it.venue.clock.now_ms(), 30)
        await it.until(lambda: certified(it), "a certificate", 120)
        assert len(it.venue.placed()) == 2 - before, "a refused one was none"
        await it.quoting()
        assert it.bot.ctx.reconciler.adrift.may_come == 0
        clean(await it.end())


async def test_the_heart_beats_for_an_engine_that_is_waited_for(fast_clock: PatientClock) -> None:
    """The lapse that it has missed ended the venue's watch: who dies while he waits would leave the
    far order behind, and nobody to cancel it when the engine is back.
    """
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.live, "the order rests")
        (far,) = it.venue.live
        it.venue.clob.modes.restart(it.venue.clock.now_ms(), 60)
        await trio.sleep(35)
        beat_ms = it.venue.clob.heartbeats.beat_ms(far.owner)
        assert beat_ms is not None
        assert it.venue.clock.now_ms() - beat_ms < 10_000
        it.bot.stop("test")
        clean(await it.ending(90))


async def test_an_engine_that_stays_away(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for for ever, and the start says why it has ended."""
    monkeypatch.setattr("polybot.certify.ANSWER_S", 25.0)
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.live, "the order rests")
        it.venue.clob.modes.restart(it.venue.clock.now_ms(), 50)
        report = await it.ending(90)

    assert it.code == 1
    assert "could not be tried: HTTP 425" in report.exit_reason
    assert report.live_orders_at_exit == 0


async def test_somebody_cancels_the_order(fast_clock: PatientClock) -> None:
    """By hand, or by a request of long ago that was held back: a switch that would fall sooner than
    we beat is none, and was certified for a week.
    """
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.live, "the order rests")
        (far,) = it.venue.live
        await trio.sleep(2)
        it.venue.engine.cancel(far.id, far.owner, it.venue.clock.now_ms())
        report = await it.ending()
        assert certified(it) == []

    assert it.code == 1
    assert "could not be tried: something cancelled the order" in report.exit_reason
    assert it.bot.ctx.reconciler.adrift.may_come == 0


async def test_an_order_that_cannot_be_read_any_more(fast_clock: PatientClock) -> None:
    """It may be gone: that says nothing of the switch (a clock set back by a minute, after which
    the venue refuses every request; brief seed 3713, with a certificate).
    """
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.live, "the order rests")
        await trio.sleep(2)
        it.venue.bend("GET", "/data/order", act=answer(401))
        report = await it.ending(120)

    assert "could not be tried: GET /data/order" in report.exit_reason
    assert "did not cancel" not in report.exit_reason
    assert report.live_orders_at_exit == 0


async def test_a_switch_that_takes_no_beat(fast_clock: PatientClock) -> None:
    """Without an accepted beat the order is not even placed."""
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        it.venue.bend("POST", "/v1/heartbeats", act=answer(503))
        nursery.start_soon(it.run)
        report = await it.ending()

    assert "takes no heartbeat" in report.exit_reason
    assert it.venue.placed() == []


async def test_somebody_takes_the_order(fast_clock: PatientClock) -> None:
    """A tick is far from the market until it is not: that says nothing of the switch, and what was
    bought is in the books of the next start.
    """
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.live, "the order rests")
        (far,) = it.venue.live

        def taken() -> bool:
            it.venue.hit(far)
            return far.matched == far.size

        await it.until(taken, "somebody takes it")
        report = await it.ending(15)

        assert "somebody took the order" in report.exit_reason
        assert "did not cancel" not in report.exit_reason
        assert report.live_orders_at_exit == 0
        async with killed(it) as again:
            await again.until(lambda: again.bot.ready, "venue and journal agree", 60)
            books = again.bot.ctx.account.ledger.books[far.market.condition_id]
            assert books.shares(Outcome.UP) + books.shares(Outcome.DOWN) == far.size
            clean(await again.end())


async def test_a_start_in_a_windows_last_minute(fast_clock: PatientClock) -> None:
    """Its end would cancel the order by itself: the next one is there already."""
    async with scene(at_ms=HOUR_MS + 280_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        nursery.start_soon(it.run)
        await it.quoting()
        clean(await it.end())


async def test_a_window_with_shares_of_a_lost_journal(fast_clock: PatientClock) -> None:
    """They are in no book of ours, and once the market is known they are a drift: another is taken
    (brief seed 4, with a certificate).
    """
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        coming = windows_to_come(it)[0]
        it.venue.engine.split(it.venue.account, coming, 20 * SHARE, it.venue.clock.now_ms())
        nursery.start_soon(it.run)
        await it.until(it.venue.placed, "the far order")
        far = it.venue.placed()[0].order
        assert far.market is not coming
        await it.quoting()
        assert coming.condition_id not in it.bot.ctx.account.ledger.books
        report = await it.end()

    assert report.live_orders_at_exit == 0
    assert report.halts == {}


async def test_nothing_is_placed_while_trading_is_halted(fast_clock: PatientClock) -> None:
    """A halt outlives its program; nobody needs a switch for orders that he may not place (S12;
    brief seed 65, with a certificate).
    """
    async with started() as it:
        it.bot.ctx.health.halt(Halt.LEDGER_DRIFT, "test")
        await it.withdrawn()
        async with killed(it) as again:
            again.bot.certify = True
            placed = len(again.venue.placed())
            await again.until(lambda: again.bot.ready, "venue and journal agree", 60)
            await trio.sleep(30)
            assert len(again.venue.placed()) == placed
            assert again.bot.ctx.health.halted
            clean(await again.end())


async def held_back(request: Request, handle: Handler) -> Response:
    """The order waits at the edge for longer than a start and a stop take."""
    await trio.sleep(25)
    return await handle(request)


async def test_a_stop_while_the_order_is_on_its_way(fast_clock: PatientClock) -> None:
    """No desk knows it, and its request is cut short: two empty lists were proof enough, the
    program ended cleanly, and the order came to rest with no switch set. It is waited for (S15).
    """
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        bend = it.venue.bend("POST", *PLACING, act=held_back)
        nursery.start_soon(it.run)
        await it.until(lambda: bend.met, "the far order is on its way")
        report = await it.end("SIGTERM")

        assert len(it.venue.placed()) == 1, "it came, and was waited for"
    assert it.code == 0
    clean(report)


@pytest.mark.parametrize("refused", [False, True], ids=["cancelled", "refused"])
async def test_a_trial_leaves_nothing_to_wait_for(refused: bool, fast_clock: PatientClock) -> None:
    """What the switch has cancelled, or the venue has refused, cannot come any more: it binds
    nothing, and a stop is as quick as ever.
    """
    async with scene(at_ms=HOUR_MS + 30_000) as it, trio.open_nursery() as nursery:
        it.bot.certify = True
        if refused:
            it.venue.bend("POST", *PLACING, act=answer(400, b'{"error": "the venue is closed"}'))
        nursery.start_soon(it.run)
        if not refused:
            await it.quoting()
            assert it.bot.ctx.account.reserved[DOUBTFUL] == 0
            it.bot.stop("test")
        await it.ending(20)

    assert it.bot.ctx.reconciler.adrift.may_come == 0
    assert not any("may come" in event.text for event in it.bot.ctx.events)
