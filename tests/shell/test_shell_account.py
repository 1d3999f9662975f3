from __future__ import annotations

import json
from types import ModuleType

import pytest
import trio
from shell_kit import HOUR_MS, Scene, clean, playing, scene
from venue_bent import PLACING, Act, answer, silence

from polybot import account as account_module, orders_task
from polybot.account import Account
from polybot.domain.halts import Halt
from polybot.domain.orders import TradeSeen
from polybot.domain.units import SHARE
from polybot.exchange.model import BUY, Kind, Market, Order
from polybot.exchange.terms import Terms
from polybot.journal.entries import Told
from polybot.journal.recovery import recover
from polybot.patient_clock import PatientClock

BEATS = "/v1/heartbeats"


def rest_by_hand(it: Scene, market: Market, number: int) -> Order:
    """An order of our wallet that the bot did not place: a second program, or a web page."""
    key, account = it.venue.wallet.api_key, it.venue.demo_wallets.deposit
    order = Order(
        f"0x{number:064x}", key, account, market, market.tokens[0], BUY, 100,
        5 * SHARE, Kind.GTC, post_only=True, created_ms=it.venue.clock.now_ms(),
    )  # fmt: skip
    told: list[object] = []
    it.venue.engine.place(order, it.venue.clock.now_ms(), told.append)
    assert order in it.venue.live, told
    return order


def windows_to_come(it: Scene) -> list[Market]:
    """Of our series, the next first; the window under way may have an ask at our cent already."""
    now_ms = it.venue.clock.now_ms()
    coming = (m for m in it.venue.lifecycle.by_slug.values() if m.start_ms > now_ms)
    return sorted(coming, key=lambda m: m.start_ms)


@pytest.mark.parametrize("act", [answer(503), silence], ids=["refused", "no answer"])
async def test_heartbeats_fail(act: Act, fast_clock: PatientClock) -> None:
    """Without heartbeats the gate closes, our own cancels leave before the venue would clean up,
    and trading begins again only after our orders have been read back.
    """
    async with playing() as it:
        bend = it.venue.bend("POST", BEATS, act=act)
        await it.until(lambda: it.gate, "the gate closes", 15)
        closed = len(it.venue.seen)
        assert it.gate is not None
        assert it.gate.startswith("heartbeat")
        await it.withdrawn(15)
        assert it.venue.asked("DELETE", "/order", "/orders", "/cancel-market-orders")
        blind = len(it.venue.seen)
        await trio.sleep(10)
        assert it.venue.placed(after=blind) == []

        it.venue.bends.remove(bend)
        lifted = len(it.venue.seen)
        await it.requoting()
        posted = it.venue.asked("POST", "/order", "/orders", after=lifted)[0].number
        beat = it.venue.asked("POST", BEATS, after=lifted)[0].number
        reads = [seen.number for seen in it.venue.asked("GET", "/data/orders", after=beat)]
        assert any(beat < read < posted for read in reads), "read back before the gate opened"
        report = await it.end()

    assert closed < lifted
    assert [halt for halt in report.halts if halt.startswith("heartbeat")]
    clean(report)


async def test_a_foreign_order_halts_trading(fast_clock: PatientClock) -> None:
    """An order that we did not place means that somebody else has the wallet: everything of ours is
    withdrawn, theirs is left alone, and also when it has gone nothing is placed until an operator
    has looked (F27, S12).
    """
    async with playing() as it:
        foreign = rest_by_hand(it, windows_to_come(it)[0], 0xF0)
        await it.until(lambda: (it.gate or "").startswith("foreign orders"), "the gate closes", 30)
        await it.until(lambda: it.venue.live == [foreign], "ours are gone, theirs is not", 20)
        quiet = len(it.venue.seen)
        await trio.sleep(45)
        assert it.venue.placed(after=quiet) == []

        it.venue.engine.cancel(foreign.id, foreign.owner, it.venue.clock.now_ms())
        await trio.sleep(45)
        assert it.venue.placed(after=quiet) == []
        assert (it.gate or "").startswith("foreign orders")
        report = await it.end()
        halts = recover(it.bot.ctx.account.journal.store.live()).halts

    assert [halt for halt in report.halts if halt.startswith("foreign orders")]
    assert list(halts) == ["foreign orders"]
    assert report.differences == {"foreign order": 1}, "told once, however often it is read"
    clean(report)


async def test_a_late_row_of_a_market_that_is_settled_halts_nothing(
    fast_clock: PatientClock,
) -> None:
    """Which orders of it were ours is forgotten, and lists lag: an order of ours, shown once more,
    would have stopped trading until an operator came.
    """
    async with playing() as it:
        market = windows_to_come(it)[-1]
        it.bot.ctx.account.release(market.condition_id)
        shown = rest_by_hand(it, market, 0xF4)
        looks = len(it.venue.asked("GET", "/data/orders"))
        await it.until(lambda: len(it.venue.asked("GET", "/data/orders")) > looks + 1, "looks", 60)
        assert not it.bot.ctx.health.halted
        it.venue.engine.cancel(shown.id, shown.owner, it.venue.clock.now_ms())
        await it.requoting()
        clean(await it.end())


async def test_a_foreign_order_that_is_filled_before_any_list_shows_it(
    fast_clock: PatientClock,
) -> None:
    """The stream's word of it is proof enough: by the next reading of the list it is gone, its
    shares are in the wallet, and trading went on (F27, S12).
    """
    async with playing() as it:
        key, account = it.venue.wallet.api_key, it.venue.demo_wallets.deposit
        now_ms = it.venue.clock.now_ms()
        _, ask = it.venue.engine.best(it.market.tokens[0])
        assert ask is not None
        order = Order(
            f"0x{0xF1:064x}", key, account, it.market, it.market.tokens[0], BUY, ask, 5 * SHARE,
            Kind.GTC, created_ms=now_ms,
        )  # fmt: skip
        it.venue.engine.place(order, now_ms, lambda _: None)
        await it.until(lambda: order.matched == order.size, "somebody else has bought")
        await it.until(lambda: (it.gate or "").startswith("foreign orders"), "the gate closes", 5)
        assert order.id[:10] in (it.gate or "")
        report = await it.end()
        halts = recover(it.bot.ctx.account.journal.store.live()).halts

    assert list(halts) == ["foreign orders"]
    clean(report)


async def test_an_order_whose_id_is_none(fast_clock: PatientClock) -> None:
    """The stream tells of an order of ours that nobody can look up. It ended the process, while our
    orders rested; now trading goes on, for it proves nothing.
    """
    async with playing() as it:
        told = {
            "event_type": "order", "type": "PLACEMENT", "id": "0x1\n", "status": "LIVE",
            "owner": it.venue.wallet.api_key, "market": it.market.condition_id,
            "asset_id": it.market.tokens[0], "side": "BUY", "price": "0.01", "original_size": "5",
            "size_matched": "0", "order_type": "GTC",
        }  # fmt: skip
        looks = len(it.venue.asked("GET", "/data/orders"))
        it.venue.lines["user_ws"].say(json.dumps(told))
        await it.until(lambda: "0x1\n" in it.bot.ctx.account.unplaced, "it is to be looked up", 5)
        await it.until(lambda: len(it.venue.asked("GET", "/data/orders")) > looks + 1, "looks", 20)
        await it.requoting()
        clean(await it.end())


async def test_a_foreign_order_that_only_the_trades_tell_of(
    fast_clock: PatientClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filled in a market that nobody here has a desk for, while the user stream tells nothing: the
    next reading of the trades stops trading (F27, S12). It is in no books, and writes nothing.
    """
    async with playing(terms=Terms(taker_delay_ms=0)) as it:
        monkeypatch.setattr(Account, "heard", lambda *_: None)
        order = rest_by_hand(it, windows_to_come(it)[-1], 0xF3)
        it.venue.hit(order)
        assert order.matched == order.size
        await it.until(lambda: (it.gate or "").startswith("foreign orders"), "the gate closes", 60)
        await trio.sleep(60)
        told = [stamped.entry for stamped in it.bot.ctx.account.journal.store.live()]
        report = await it.end()

    asked = it.venue.asked("GET", f"/data/order/{order.id}")
    assert len(asked) == 1, "it is looked up once"
    assert not [e for e in told if isinstance(e, Told) and isinstance(e.event, TradeSeen)
                and e.condition_id == order.market.condition_id]  # fmt: skip
    assert [halt for halt in report.halts if halt.startswith("foreign orders")]


@pytest.mark.parametrize("taking", [True, False], ids=["taker", "maker"])
async def test_what_another_wallet_of_our_key_trades_is_not_ours(
    taking: bool, fast_clock: PatientClock
) -> None:
    """One key may sign for several wallets, and the venue tells it of all of them: trading halts,
    for a cancel-all would take their orders too, and nothing of it is booked (F27).
    """
    # Nobody is held, for our withdrawal would take the bid away before its taker is let in.
    async with playing(terms=Terms(taker_delay_ms=0)) as it:
        venue, now_ms = it.venue, it.venue.clock.now_ms()
        bid, ask = venue.engine.best(it.market.tokens[0])
        assert bid is not None
        assert ask is not None
        price = ask if taking else ask - it.market.tick
        order = Order(
            f"0x{0xF2:064x}", venue.wallet.api_key, venue.demo_wallets.safe, it.market,
            it.market.tokens[0], BUY, price, 5 * SHARE, Kind.GTC, created_ms=now_ms,
        )  # fmt: skip
        venue.engine.place(order, now_ms, lambda _: None)
        if not taking:
            venue.hit(order)
        await it.until(lambda: order.matched == order.size, "the other wallet has bought")
        await it.until(lambda: (it.gate or "").startswith("foreign orders"), "the gate closes", 30)
        report = await it.end()
        booked = [
            leg.order_id
            for entry in it.bot.ctx.account.journal.store.live()
            if isinstance(entry, Told) and isinstance(entry.event, TradeSeen)
            for leg in entry.event.legs
        ]
        halts = recover(it.bot.ctx.account.journal.store.live()).halts

    assert order.id not in booked
    assert list(halts) == ["foreign orders"], "and no drift"
    clean(report)


def listening(it: Scene, kind: bytes) -> list[str]:
    """The user stream's frames of a kind, as they come from now on."""
    line, heard = it.venue.lines["user_ws"], list[str]()

    def keep(data: bytes) -> bool:
        if kind in data:
            heard.append(data[data.index(b"{") :].decode())
        return True

    line.passes = keep
    return heard


@pytest.mark.parametrize(
    ("owner", "trouble"), [(account_module, "private events"), (orders_task, "orders inbox")]
)
async def test_an_inbox_that_overflows(
    owner: ModuleType,
    trouble: str,
    fast_clock: PatientClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever finds no room may have been a fill: the gate closes in the same step, everything is
    withdrawn, and the venue's books are read before anything is placed again (F09).
    """
    monkeypatch.setattr(owner, "INBOX", 50)
    async with playing() as it:
        heard = listening(it, b'"PLACEMENT"')
        await it.until(lambda: heard, "word of an order")
        began, halts = len(it.venue.seen), it.bot.ctx.health.halts
        it.venue.lines["user_ws"].say(f"[{','.join(heard[:1] * 200)}]")
        await it.until(lambda: halts[f"{trouble}: overflow"], "the gate closes", 2)
        await it.until(lambda: it.gate is None, "it opens again", 5)
        assert it.venue.asked("GET", "/data/trades", after=began), "read back before"
        assert it.venue.asked("DELETE", "/order", "/orders", "/cancel-market-orders", after=began)
        await it.requoting()
        report = await it.end()

    assert report.halts == {f"{trouble}: overflow": 1}
    clean(report)


async def test_more_than_an_order_had(fast_clock: PatientClock) -> None:
    """A second trade of an order that is filled is money that nobody can explain: trading halts,
    also after a restart (F30).
    """
    async with playing() as it:
        it.market.taker_delay_ms = 0
        heard = listening(it, b'"MATCHED"')
        await it.filled()
        await it.until(lambda: any('"trade"' in text for text in heard), "word of the trade")
        trade = json.loads(next(text for text in heard if '"trade"' in text))
        it.venue.lines["user_ws"].say(json.dumps(trade | {"id": "another"}))
        await it.until(lambda: (it.gate or "").startswith("overfilled"), "the gate closes", 5)
        await it.withdrawn()
        quiet = len(it.venue.seen)
        await trio.sleep(30)
        assert it.venue.placed(after=quiet) == []
        report = await it.end()
        halts = recover(it.bot.ctx.account.journal.store.live()).halts

    assert Halt.OVERFILLED.value in halts
    assert report.live_orders_at_exit == 0


async def test_orders_left_over_from_an_earlier_run(fast_clock: PatientClock) -> None:
    """What an earlier run left resting is cancelled before the first quote."""
    async with scene() as it, trio.open_nursery() as nursery:
        left = [rest_by_hand(it, m, n) for n, m in enumerate(windows_to_come(it)[:2])]
        nursery.start_soon(it.run)
        await it.until(lambda: set(it.venue.live) - set(left), "the first quote")
        events = [event for _, event in it.venue.events]
        gone = [e.order for e in events if e.kind == "CANCELLATION"][: len(left)]
        first = next(n for n, e in enumerate(events) if e.order not in left)
        report = await it.end()

    assert set(gone) == set(left)
    assert all(order in [e.order for e in events[:first]] for order in gone)
    assert all(order.remaining == order.size for order in left)
    clean(report)


async def test_shares_left_over_from_an_earlier_run(fast_clock: PatientClock) -> None:
    """A window whose shares we hold at the start is skipped, for their cost is not known here; the
    next one is traded.
    """
    async with scene(at_ms=HOUR_MS + 270_000) as it, trio.open_nursery() as nursery:
        held, wallet = it.market, it.venue.demo_wallets.deposit
        it.venue.engine.split(wallet, held, 10 * SHARE, it.venue.clock.now_ms())
        nursery.start_soon(it.run)
        await it.quoting()
        assert {event.order.market for event in it.venue.placed()} == {it.market}
        assert it.market is not held
        told = [event.text for event in it.bot.ctx.events]
        report = await it.end()

    assert [text for text in told if held.slug in text and "holds shares" in text]
    assert report.live_orders_at_exit == 0


async def test_credentials_revoked(fast_clock: PatientClock) -> None:
    """When the venue refuses our key, trading halts for good (F42): what has happened is for the
    operator to find out. The venue itself clears our orders, for it hears no heartbeat.
    """
    async with playing() as it:
        methods = ("GET", "POST", "DELETE")
        paths = ("/data", "/order", "/orders", BEATS, "/cancel-market-orders", "/cancel-all")
        no = answer(401, b'{"error": "Unauthorized/Invalid api key"}')
        bends = [it.venue.bend(method, *paths, act=no) for method in methods]
        await it.until(lambda: it.gate, "the gate closes", 15)
        await it.withdrawn()
        for bend in bends:
            it.venue.bends.remove(bend)
        quiet = len(it.venue.seen)
        await trio.sleep(20)
        assert it.venue.placed(after=quiet) == []
        report = await it.end()

    assert it.code == 0
    assert report.halts
    clean(report)


async def test_a_region_refused(fast_clock: PatientClock) -> None:
    """403 to orders alone, everything else answered: trading halts for good all the same, in words
    an operator understands, and a venue that thinks better of it changes nothing (F43, S12).
    """
    body = b'{"error": "Trading restricted in your region, please refer to available regions"}'
    async with playing() as it:
        no = it.venue.bend("POST", *PLACING, act=answer(403, body))
        await it.until(lambda: it.bot.ctx.health.halted, "it halts", 60)
        assert "restricted in your region" in it.bot.ctx.health.halted[Halt.VENUE_REFUSES.value]
        await it.withdrawn()
        it.venue.bends.remove(no)
        quiet = len(it.venue.seen)
        await trio.sleep(30)
        assert it.venue.placed(after=quiet) == []
        kept = recover(it.bot.ctx.account.journal.store.live()).halts
        assert list(kept) == [Halt.VENUE_REFUSES.value]
        report = await it.end()

    assert any(name.startswith(Halt.VENUE_REFUSES.value) for name in report.halts)
    clean(report)


@pytest.mark.parametrize("paths", [PLACING, ("/v1/heartbeats",)], ids=["order", "heartbeat"])
async def test_a_page_of_the_edge(paths: tuple[str, ...], fast_clock: PatientClock) -> None:
    """One 403 that is a page and no word of the venue's says nothing about who we are (F44): what
    it was about is looked up, and trading goes on.
    """
    page = b"<!DOCTYPE html><title>Attention Required! | Cloudflare</title>"
    async with playing() as it:
        no = it.venue.bend("POST", *paths, act=answer(403, page), times=1)
        await it.until(lambda: no.met, "it is met")
        await it.requoting()
        report = await it.end()

    assert not [name for name in report.halts if name.startswith(Halt.VENUE_REFUSES.value)]
    clean(report)
