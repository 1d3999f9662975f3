from __future__ import annotations

import pytest
import trio
from loguru import logger
from shell_kit import clean, playing, scene
from venue_bent import PLACING, Handler, answer, lose_reply, silence

from polybot import launch
from polybot.discovery import Discovery
from polybot.domain.halts import Halt
from polybot.domain.orders import EDGE_S
from polybot.exchange.request import Request, Response
from polybot.inventory import Inventory
from polybot.journal.entries import Halted
from polybot.market_scope import FLATTEN_S, LAST_FLATTEN_S
from polybot.orders_task import OrdersTask
from polybot.patient_clock import PatientClock
from polybot.price_task import PriceTask
from polybot.quote_task import QuoteTask

CANCELS = ("/order", "/orders", "/cancel-market-orders", "/cancel-all")


class Bug(Exception):
    """Something no code of ours expects."""


def boom(*_: object) -> None:
    raise Bug("the wheel came off")


async def boom_later(*_: object) -> None:
    boom()


async def test_a_bug_in_a_market(monkeypatch: pytest.MonkeyPatch, fast_clock: PatientClock) -> None:
    """A bug in the task of one market ends the program: all orders are cancelled first, the exit
    code is 1 and the summary names the bug.
    """
    async with playing() as it:
        monkeypatch.setattr(QuoteTask, "step", boom)
        report = await it.ending()

    assert it.code == 1
    assert "Bug" in report.exit_reason
    clean(report)


@pytest.mark.parametrize(
    ("where", "what"),
    [(Inventory, "round"), (Discovery, "_look"), (PriceTask, "_take")],
    ids=["inventory", "discovery", "prices"],
)
async def test_a_bug_in_a_service(
    where: type, what: str, monkeypatch: pytest.MonkeyPatch, fast_clock: PatientClock
) -> None:
    """A bug outside the markets ends the program no less orderly, and is named as well."""
    async with playing() as it:
        monkeypatch.setattr(where, what, boom if what == "_take" else boom_later)
        report = await it.ending()

    assert it.code == 1
    assert "Bug" in report.exit_reason
    clean(report)


async def never(*_: object) -> None:
    await trio.sleep_forever()


async def test_a_bug_in_the_screen(
    monkeypatch: pytest.MonkeyPatch, fast_clock: PatientClock
) -> None:
    """Nobody can look at it any more, and that is all: trading goes on, to an end of its own."""

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(launch, "show", broken)
    async with playing() as it:
        await it.quoting()
        report = await it.end()

    assert it.code == launch.EXIT_CLEAN
    clean(report)


async def test_the_wallet_proves_what_a_market_could_not(
    monkeypatch: pytest.MonkeyPatch, fast_clock: PatientClock
) -> None:
    """A market that cannot prove itself empty in the last seconds, as in a storm, leaves it to the
    last look at the whole wallet: when that finds nothing, the end is clean (S15).
    """
    async with playing() as it:
        await it.answered()  # what is on its way is waited for, which is another test
        monkeypatch.setattr(OrdersTask, "flatten", never)
        report = await it.end("SIGINT")

    assert (it.code, report.exit_reason) == (0, "SIGINT")
    clean(report)


async def test_a_bug_while_a_market_cannot_prove_itself_empty(
    monkeypatch: pytest.MonkeyPatch, fast_clock: PatientClock
) -> None:
    """A scope that a fault has ended asks until it knows; when a bug elsewhere ends the program
    meanwhile, nobody would end the asking: it is given up, and the wallet is asked (S15, L4).
    """
    async with playing() as it:
        await it.answered()  # what is on its way is waited for, which is another test
        monkeypatch.setattr(OrdersTask, "flatten", never)
        it.bot.ctx.health.bad("a test", "trouble")
        scopes = it.bot.supervisor.scopes
        await it.until(lambda: any(one.state for one in scopes.values()), "it asks")
        monkeypatch.setattr(Inventory, "round", boom_later)
        report = await it.ending()

    assert it.code == 1
    assert "Bug" in report.exit_reason
    clean(report)


async def test_a_bug_in_a_market_that_cannot_prove_itself_empty(
    monkeypatch: pytest.MonkeyPatch, fast_clock: PatientClock
) -> None:
    """A bug in the task of one market, while the venue cancels nothing for longer than its scope
    asks: the bug is named all the same, and the exit code is not that of an orderly end.
    """
    async with playing() as it:
        await it.answered()
        bend = it.venue.bend("DELETE", *CANCELS, act=answer(425))
        monkeypatch.setattr(QuoteTask, "step", boom)
        await it.until(lambda: it.bot.ctx.stopping, "it ends", FLATTEN_S + 30)
        it.venue.bends.remove(bend)
        report = await it.ending()

    assert it.code == 1
    assert "Bug" in report.exit_reason
    clean(report)


async def test_a_venue_that_cannot_be_emptied(fast_clock: PatientClock) -> None:
    """When cancels and reads fail at the stop, the exit code is 3 and the summary says that orders
    may be live.
    """
    async with playing() as it:
        it.venue.bend("DELETE", *CANCELS, act=answer(503))
        it.venue.bend("GET", "/data", act=silence)
        report = await it.end("SIGINT")

    assert it.code == 3
    assert report.exit_reason == "SIGINT"
    assert report.live_orders_at_exit is not None
    assert report.live_orders_at_exit > 0


async def test_cancels_that_are_done_but_not_answered(fast_clock: PatientClock) -> None:
    """When only the answers to cancels are lost, reading back proves the account empty: exit 0."""
    async with playing() as it:
        it.venue.bend("DELETE", *CANCELS, act=lose_reply)
        report = await it.end("SIGINT")

    assert it.code == 0
    clean(report)


async def test_a_venue_that_comes_back_in_time(fast_clock: PatientClock) -> None:
    """A venue that refuses cancels for some seconds at the stop is asked again until it does it."""
    async with playing() as it:
        bend = it.venue.bend("DELETE", *CANCELS, act=answer(425))
        it.bot.stop("SIGTERM")
        await it.until(lambda: bend.met >= 4, "it keeps asking")
        it.venue.bends.remove(bend)
        report = await it.ending()

    assert it.code == 0
    clean(report)


async def test_a_venue_that_cannot_be_read_at_the_start(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without proof that nothing rests the bot does not start, and says so: exit 3, no order."""
    monkeypatch.setattr("polybot.restart.ANSWER_S", 60.0)
    async with scene() as it, trio.open_nursery() as nursery:
        it.venue.bend("GET", "/data/orders", act=answer(500))
        nursery.start_soon(it.run)
        report = await it.ending(180)

    assert it.code == 3
    assert "open orders" in report.exit_reason
    assert it.venue.events == []


async def test_a_balance_that_cannot_be_read_at_the_start(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without knowing its cash the bot does not start: exit 1, with the reason."""
    monkeypatch.setattr("polybot.restart.ANSWER_S", 60.0)
    async with scene() as it, trio.open_nursery() as nursery:
        it.venue.bend("GET", "/balance-allowance", act=answer(500))
        nursery.start_soon(it.run)
        report = await it.ending()

    assert it.code == 1
    assert "balance" in report.exit_reason
    assert it.venue.events == []


@pytest.mark.parametrize("path", ["/balance-allowance", "/time"])
async def test_a_venue_that_is_away_during_a_start(path: str, fast_clock: PatientClock) -> None:
    """Nothing rests meanwhile, and at night nobody would start it again: it waits (seed 1226)."""
    async with scene() as it, trio.open_nursery() as nursery:
        bend = it.venue.bend("GET", path, act=answer(500))
        nursery.start_soon(it.run)
        await it.until(lambda: bend.met, "it asks")
        await trio.sleep(30)
        it.venue.bends.remove(bend)
        await it.quoting()
        report = await it.end()

    assert it.code == 0
    clean(report)


async def test_a_halt_that_no_file_has_is_told_last(fast_clock: PatientClock) -> None:
    """The next start would know of none: the log is all that is left to say it."""
    said: list[str] = []
    sink = logger.add(said.append, level="ERROR", format="{message}")
    async with playing() as it:
        it.bot.ctx.account.journal.unkept.append(Halted("drawdown", "8 % below its highest"))
        clean(await it.end())
    logger.remove(sink)

    assert said[-1].startswith("trading is halted (drawdown: 8 % below its highest) and no file")


async def test_a_stop_during_the_start(fast_clock: PatientClock) -> None:
    """A stop that comes before anything was quoted ends as cleanly as any other."""
    async with scene() as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.run)
        await it.until(lambda: it.venue.asked("DELETE", "/cancel-all"), "the first request")
        report = await it.end("SIGINT")

    assert (it.code, report.exit_reason) == (0, "SIGINT")
    assert report.live_orders_at_exit == 0
    assert report.equity_bot in (None, report.equity_exchange), "what was not read is not told"


async def test_an_engine_that_restarts_is_waited_for(fast_clock: PatientClock) -> None:
    """At a stop the venue takes no cancels, and clears nothing by itself either: the program says
    so and stays until it can (found by the storm of seed 5, which left eight orders behind).
    """
    async with playing() as it:
        it.venue.clob.modes.restart(it.venue.clock.now_ms(), 60)
        it.bot.stop("test")
        report = await it.ending(120)

    assert it.code == 0
    assert [e.text for e in it.bot.ctx.events if "the venue cancels nothing now" in e.text]
    clean(report)


async def test_an_engine_that_stays_away_is_given_up(fast_clock: PatientClock) -> None:
    """After two and a half minutes the exit code tells that orders may still rest."""
    async with playing() as it:
        it.venue.clob.modes.restart(it.venue.clock.now_ms(), 600)
        it.venue.crowd.hushed = True
        it.bot.stop("test")
        await it.ending(240)
        left = list(it.venue.live)

    assert it.code == 3
    assert left


async def held_back(request: Request, handle: Handler) -> Response:
    """The request waits at the edge for longer than the stop takes."""
    await trio.sleep(25)
    return await handle(request)


async def test_an_order_that_comes_after_everything_was_withdrawn(
    fast_clock: PatientClock,
) -> None:
    """Seed 860: a link had held an order for three seconds when the bot was stopped. Everything was
    withdrawn and nothing rested, it said, and left; the order came 24 s later and was filled.
    """
    async with playing() as it:
        bend = it.venue.bend("POST", *PLACING, act=held_back)
        await it.until(lambda: bend.met, "an order is on its way")
        before = len(it.venue.placed())
        report = await it.end("SIGINT")

        assert len(it.venue.placed()) > before, "it came, and was waited for"
        assert it.waits_for_late
    assert it.code == 0
    clean(report)


@pytest.mark.parametrize("how", ["a bug", "cancelled"])
async def test_an_order_that_comes_after_we_broke(
    how: str, monkeypatch: pytest.MonkeyPatch, fast_clock: PatientClock
) -> None:
    """Whatever ends the program, its journal ends last: who finds the order waits to have it
    written down. The journal was gone with the service that broke, the wait was for ever, and the
    order rested when we had left, under no switch.
    """
    async with playing() as it:
        bend = it.venue.bend("POST", *PLACING, act=held_back)
        await it.until(lambda: bend.met, "an order is on its way")
        before = len(it.venue.placed())
        if how == "a bug":
            monkeypatch.setattr(Inventory, "round", boom_later)
        else:
            assert it.bot._services is not None
            it.bot._services.cancel_scope.cancel()
        await it.ending()

        assert len(it.venue.placed()) > before, "it came, and was waited for"
        assert it.waits_for_late
        assert not it.venue.live
        assert it.bot.empty


@pytest.mark.parametrize("how", ["a bug", "cancelled"])
async def test_the_heart_beats_until_nothing_can_come(
    how: str, monkeypatch: pytest.MonkeyPatch, fast_clock: PatientClock
) -> None:
    """Whatever ends the program: an order that came to rest behind a lapse was under no switch
    (clob.md 4.2), and would have outlived us where we could not withdraw it.
    """
    async with playing() as it:
        bend = it.venue.bend("POST", *PLACING, act=held_back)
        await it.until(lambda: bend.met, "an order is on its way")
        before, heart = len(it.venue.placed()), it.bot.ctx.heartbeat
        if how == "a bug":
            monkeypatch.setattr(Inventory, "round", boom_later)
        else:
            assert it.bot._services is not None
            it.bot._services.cancel_scope.cancel()
        await it.until(lambda: it.bot.ctx.stopping, "it ends")
        beats = heart.beats
        await it.until(lambda: len(it.venue.placed()) > before, "it comes", EDGE_S)
        assert heart.beating
        assert heart.beats >= beats + 3
        await it.ending()


async def test_an_order_that_never_comes(fast_clock: PatientClock) -> None:
    """It is waited for as long as the edge may hold it, and no longer."""
    async with playing() as it:
        bend = it.venue.bend("POST", *PLACING, act=silence)
        await it.until(lambda: bend.met, "an order is on its way")
        began = trio.current_time()
        it.venue.crowd.hushed = True
        it.bot.stop("SIGINT")
        report = await it.ending()

        assert EDGE_S < trio.current_time() - began < EDGE_S + 15
    assert it.code == 0
    clean(report)


async def test_an_order_that_may_have_come_since_nobody_answers(fast_clock: PatientClock) -> None:
    """Then the exit code says that orders may be live."""
    async with playing() as it:
        bend = it.venue.bend("POST", *PLACING, act=silence)
        await it.until(lambda: bend.met, "an order is on its way")
        it.venue.crowd.hushed = True
        it.bot.stop("SIGINT")
        await it.until(lambda: it.waits_for_late, "it is waited for")
        it.venue.bend("GET", "/data", act=answer(503))
        await it.ending()

    assert it.code == 3


@pytest.mark.parametrize("hurried", [False, True], ids=["fifteen seconds", "five seconds"])
async def test_an_order_that_comes_after_its_flatten_was_given_up(
    hurried: bool, fast_clock: PatientClock
) -> None:
    """Nothing could be read for as long as the market was emptied, so the order was still in doubt,
    not proven absent; the empty lists of afterwards were taken for proof, and it came to rest 25 s
    after a clean end. It is waited for as well (S15, F18).
    """
    async with playing() as it:
        bend = it.venue.bend("POST", *PLACING, act=held_back)
        await it.until(lambda: bend.met, "an order is on its way")
        before = len(it.venue.placed())
        away = it.venue.bend("GET", "/data", act=answer(503))
        if hurried:
            it.bot.ctx.health.bad("a test", "trouble")
            scopes = it.bot.supervisor.scopes
            await it.until(lambda: any(one.state for one in scopes.values()), "it is emptied")
        it.bot.stop("SIGINT")
        await trio.sleep((LAST_FLATTEN_S if hurried else FLATTEN_S) + 1)
        it.venue.bends.remove(away)
        report = await it.ending()

        assert len(it.venue.placed()) > before, "it came, and was waited for"
        assert it.waits_for_late
    assert it.code == 0
    clean(report)


async def test_the_screen_says_what_it_is(fast_clock: PatientClock) -> None:
    """It has begun, it trades, it waits for what passes by itself, an operator is needed. It said
    "running" before anything ran, and "halted" whenever a stream was lost.
    """
    async with scene() as it, trio.open_nursery() as nursery:
        assert it.bot.snapshot().state == "starting"
        nursery.start_soon(it.run)
        await it.quoting()
        assert it.bot.snapshot().state == "running"
        it.venue.lines["user_ws"].cut()
        await it.until(lambda: it.gate, "the gate closes", 5)
        assert it.bot.snapshot().state.startswith("waiting: user stream: closed")
        it.bot.ctx.health.halt(Halt.OVERFILLED, "by a test")
        assert it.bot.snapshot().state == "halted: overfilled: by a test"
        it.venue.lines["user_ws"].flow()
        await it.end()
        assert it.bot.snapshot().state == "stopping"
