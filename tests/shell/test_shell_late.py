"""An order that comes to rest after it was proven away: it is withdrawn at once (F18, S3, S4)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import trio
from desk_kit import MARKET, desk
from shell_kit import playing
from trio.testing import MockClock
from venue_bent import PLACING, Handler

from polybot.account import Account, Route
from polybot.adrift import DOUBTFUL, LATE as LATE_ORDERS
from polybot.channels import Bell
from polybot.clock import Clock
from polybot.core_tape import CoreTape
from polybot.domain.ledger import Ledger
from polybot.domain.market import Outcome, Side
from polybot.domain.orders import (
    FillLeg,
    NewOrder,
    OrderSeen,
    SignedOrder,
    TimeInForce,
    TradeSeen,
    TradeStatus,
)
from polybot.domain.units import SHARE
from polybot.exchange.model import Market
from polybot.exchange.request import Request, Response
from polybot.execution.firewall import Admission
from polybot.health import Health
from polybot.journal.entries import Known, Told
from polybot.orders_task import OrdersTask
from polybot.patient_clock import PatientClock
from polybot.reconciler import LEAST_S, Reconciler
from polybot.restart import Restart
from polybot.venue.tap import NOBODY

KNOWN, LATE = "0x1", "0x2"


@pytest.fixture
def account() -> Account:
    """A wallet's account; nothing is asked and nothing recorded."""
    nothing: Any = None
    clock = Clock(0.0)
    return Account(
        client=nothing, clock=clock, health=nothing, journal=nothing,
        core=CoreTape(NOBODY, clock), ledger=Ledger(), doubt=Bell(),
    )  # fmt: skip


def told(order_id: str, kind: OrderSeen.Kind = OrderSeen.Kind.LIVE) -> OrderSeen:
    return OrderSeen(order_id, kind, 0, kind.value, 1_000)


def task(wallet: Any) -> OrdersTask:
    """A market's orders task whose desk knows one order."""
    nothing: Any = None
    made, clock = desk(), Clock(0.0)
    order = NewOrder(MARKET, Outcome.UP, Side.BUY, 4800, 10 * SHARE, TimeInForce.GTC)
    made.table.record(SignedOrder(KNOWN, order, b""), 0)
    return OrdersTask(made, nothing, wallet, clock, CoreTape(NOBODY, clock))


@pytest.mark.parametrize(
    ("event", "rung"),
    [
        (told(LATE), True),
        (told(LATE, OrderSeen.Kind.DEAD), False),
        (told(KNOWN), False),
    ],
)
async def test_a_late_order_is_a_stray(event: OrderSeen, rung: bool, account: Account) -> None:
    """Seed 651: a request that the edge had held back for eighteen seconds, after its scope had
    ended and its market had been proven empty. The next scope's desk does not know it, and has
    placed its like; for up to twenty seconds nobody looked.
    """
    account.own(LATE, MARKET.condition_id)
    task(account).apply(event, 1_000)

    assert account.doubt._rung is rung
    assert list(account.strays) == [LATE] * rung


async def test_also_where_nobody_runs_the_market(account: Account) -> None:
    """Between two scopes, and after the last one."""
    account.own(LATE, MARKET.condition_id)
    account.take([Told(MARKET.condition_id, told(LATE, OrderSeen.Kind.DEAD))], 1_000)
    assert not account.doubt._rung

    account.take([Told(MARKET.condition_id, told(LATE))], 1_000)
    assert account.doubt._rung
    assert list(account.strays) == [LATE]
    account.take([Told(MARKET.condition_id, told(LATE, OrderSeen.Kind.DEAD))], 1_000)
    assert not account.strays


async def test_what_others_placed_is_not_withdrawn(account: Account) -> None:
    """It stops trading, which is another matter."""
    account.take([Told("", told("0x3"))], 1_000)

    assert not account.strays


@pytest.mark.parametrize("whose", ["nobody's", "ours", "forgotten"])
async def test_a_fill_between_two_scopes_is_looked_at_as_well(account: Account, whose: str) -> None:
    """Somebody else's order that takes never rests: only its trade tells of it. Where no scope ran
    just then its shares were booked as ours, and trading went on (F27).
    """
    account.take([Known(MARKET)], 1_000)
    leg = FillLeg("0x3", MARKET.up_token, Side.BUY, 4800, 10 * SHARE, maker=False)
    trade = TradeSeen("t1", MARKET.condition_id, TradeStatus.MATCHED, (leg,), 1_000)
    if whose == "ours":
        account.own("0x3", MARKET.condition_id)
    elif whose == "forgotten":
        account.release(MARKET.condition_id)
    account.take([Told(MARKET.condition_id, trade)], 1_000)

    assert (account.unplaced == {"0x3"}) is (whose == "nobody's")
    assert account.doubt._rung is (whose == "nobody's")


async def test_a_start_that_is_ended_at_once_knows_its_orders() -> None:
    """Brief seed 24017: the disk was full at once, the program's last look read the trades, and an
    order of the run before was taken for somebody else's: trading halted for good.
    """
    owned: list[tuple[str, str]] = []
    awaited: list[object] = []
    intent = SimpleNamespace(order_id="0x1", condition_id="0xc")
    adrift = SimpleNamespace(look_after=awaited.extend)
    ctx: Any = SimpleNamespace(
        recovered=SimpleNamespace(intents={"0x1": intent}, doubtful=[intent], orderly=True),
        account=SimpleNamespace(own=lambda *those: owned.append(those)),
        reconciler=SimpleNamespace(cancel_everything=trio.sleep_forever, adrift=adrift),
    )
    with trio.CancelScope() as scope:
        scope.cancel()
        await Restart(ctx, trio.sleep_forever).run()

    assert owned == [("0x1", "0xc")]
    assert awaited == [intent], "a request of the run before may come to rest behind us (S15)"


async def test_a_market_that_is_run_hears_it_itself(account: Account) -> None:
    """Its desk knows best whether an order is late."""
    heard: list[object] = []
    nothing: Any = lambda *_: None  # noqa: E731 - not asked
    account.routes[MARKET.condition_id] = Route(
        hear=lambda event, _: heard.append(event), missing=nothing, resting=nothing, orders=list
    )
    account.take([Told(MARKET.condition_id, told(KNOWN))], 1_000)

    assert heard == [told(KNOWN)]
    assert not account.doubt._rung


async def test_a_venue_that_talks_without_end_does_not_make_us_ask_without_end(
    account: Account, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first word is followed at once, the next ones two seconds after the look before: each
    look is some ten requests, and what the venue takes of them has a limit (S13).
    """
    nothing: Any = None
    looks: list[float] = []

    async def look(_: Reconciler) -> bool:
        looks.append(trio.current_time() - began)
        await trio.lowlevel.checkpoint()
        return True

    async def talk() -> None:
        while True:
            account.doubt.ring()
            await trio.sleep(0.01)

    monkeypatch.setattr(Reconciler, "reconcile", look)
    account.health = health = Health(Admission())
    reconciler = Reconciler(
        nothing, nothing, health, account, nothing, nothing, nothing, grace_ms=2_000
    )
    began = trio.current_time()
    with trio.move_on_after(9.9):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reconciler.run)
            await trio.sleep(5)
            nursery.start_soon(talk)

    assert looks == pytest.approx([0, 5, 7, 9], abs=0.02)


async def unseen(request: Request, handle: Handler) -> Response:
    """A list that lags behind: nothing is on it."""
    await trio.lowlevel.checkpoint()
    return Response(200, b'{"data": [], "next_cursor": "LTE=", "limit": 500, "count": 0}')


async def held_back(request: Request, handle: Handler) -> Response:
    """The request waits at the edge for longer than a scope takes to be proven empty."""
    await trio.sleep(20)
    return await handle(request)


async def test_what_the_edge_holds_counts_when_its_scope_has_ended(
    fast_clock: PatientClock,
) -> None:
    """A scope ends while its orders are on their way. They are proven absent, and yet may cost what
    they cost until the edge gives them up; when they come to rest, with no desk to hear of it, they
    are withdrawn at once, and count no more.
    """
    async with playing() as it:
        bend = it.venue.bend("POST", *PLACING, act=held_back)
        account = it.bot.ctx.account
        await it.until(lambda: bend.met, "orders are on their way")
        it.bot.ctx.health.bad("a test", "trouble")
        await it.until(lambda: account.reserved.get(DOUBTFUL), "they count without a desk")
        before = len(it.venue.placed())

        await it.until(lambda: len(it.venue.placed()) > before, "they come to rest")
        await it.until(lambda: not it.venue.live, "they are withdrawn", 2 * LEAST_S)
        await it.until(lambda: not account.reserved[DOUBTFUL], "they count no more")
        assert not it.bot.ctx.health.halted


async def test_a_list_that_lags_hides_no_stray(fast_clock: PatientClock) -> None:
    """Seed 664: the list that was read at the stream's word did not show the order yet, and was not
    read again for twenty seconds. It is cancelled by its id (F48).
    """
    async with playing() as it:
        bend = it.venue.bend("POST", *PLACING, act=held_back, times=1)
        await it.until(lambda: bend.met, "an order is on its way")
        it.bot.ctx.health.bad("a test", "trouble")
        await it.until(lambda: it.bot.ctx.account.reserved.get(DOUBTFUL), "it counts")
        it.venue.bend("GET", "/data/orders", act=unseen)
        before = len(it.venue.placed())

        await it.until(lambda: len(it.venue.placed()) > before, "it comes to rest")
        await it.until(lambda: not it.venue.live, "it is withdrawn", 2 * LEAST_S)


def shown(market: Market, order_id: str, *, live: bool) -> dict[str, str]:
    """The venue's row of a bid for ten shares at 0.48."""
    return {
        "id": order_id, "market": market.condition_id, "asset_id": market.tokens[0], "side": "BUY",
        "price": "0.48", "original_size": "10", "size_matched": "0",
        "status": "LIVE" if live else "CANCELED",
    }  # fmt: skip


async def test_a_stray_that_no_list_shows_counts_until_it_is_gone(
    fast_clock: PatientClock,
) -> None:
    """It rests by its id, and may be filled: of what it may cost nobody knew, where cancels do not
    reach it and the list lags.
    """
    async with playing() as it:
        account = it.bot.ctx.account
        it.bot.ctx.health.bad("a test", "trouble")
        await it.until(lambda: not it.bot.supervisor.scopes, "no window is quoted")
        await it.until(lambda: not any(account.reserved.values()), "nothing counts")
        order_id, cost = "0x" + "ab" * 32, 48 * SHARE // 10
        account.own(order_id, it.market.condition_id)
        rests = True

        async def looked_up(request: Request, handle: Handler) -> Response:
            await trio.lowlevel.checkpoint()
            return Response(200, orjson.dumps(shown(it.market, order_id, live=rests)))

        it.venue.bend("GET", f"/data/order/{order_id}", act=looked_up)
        account.stray(told(order_id))
        await it.until(lambda: account.reserved.get(LATE_ORDERS) == cost, "it counts", 2 * LEAST_S)
        free = account.standing("another").free_cash
        assert free == account.ledger.cash - account.ledger.promised - cost
        await trio.sleep(3 * LEAST_S)
        assert account.reserved[LATE_ORDERS] == cost, "and no list changes that"

        rests = False
        await it.until(lambda: not account.reserved[LATE_ORDERS], "it counts no more")
        assert not account.strays
