from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from shell_kit import Scene, clean, playing, shell_config
from venue_bent import GARBAGE, changed

from polybot.domain.book import Book
from polybot.domain.market import Outcome, Side
from polybot.domain.units import SHARE
from polybot.exchange.model import BUY
from polybot.exchange.websocket import frame
from polybot.market_feed import MarketFeed
from polybot.patient_clock import PatientClock
from polybot.venue.book_state import BookState

CANCELLING = ("/order", "/orders", "/cancel-all", "/cancel-market-orders")
STREAMS = ("market_ws", "user_ws", "prices_ws", "binance_ws")


def feed_of(it: Scene) -> MarketFeed:
    return it.bot.supervisor.scopes[it.market.slug].feed


def same_book(it: Scene) -> bool:
    """Whether the bot believes in its books and they are the venue's."""
    if it.market.slug not in it.bot.supervisor.scopes:
        return False
    feed = feed_of(it)
    for outcome, token in zip((Outcome.UP, Outcome.DOWN), it.market.tokens, strict=True):
        bids, asks = it.venue.engine.levels(token)
        if feed.book.state(outcome) is not BookState.VALID:
            return False
        if levels(feed.book.book(outcome)) != (dict(bids), dict(asks)):
            return False
    return True


async def books_agree(it: Scene) -> None:
    it.venue.crowd.hushed = True
    await it.until(lambda: same_book(it), "the book is the venue's", 30)


def levels(book: Book) -> tuple[dict[int, int], dict[int, int]]:
    return dict(book.levels(Side.BUY)), dict(book.levels(Side.SELL))


async def test_blind_on_the_user_stream(fast_clock: PatientClock) -> None:
    """When the private stream is cut during fills, the gate closes and the quotes go at once; the
    fills of the blind time are read from the venue, and only then trading goes on.
    """
    async with playing() as it:
        line = it.venue.lines["user_ws"]
        it.market.taker_delay_ms = 0  # or our cancels would be quicker than those who hit us
        await it.filled()
        before = it.venue.fills
        line.cut()
        for order in it.venue.live[:2]:
            it.venue.hit(order)
        await it.until(lambda: it.gate, "the gate closes", 5)
        assert it.gate is not None
        assert it.gate.startswith("user stream")
        await it.withdrawn(10)
        quiet = len(it.venue.seen)
        await trio.sleep(10)
        assert it.venue.fills > before, "somebody traded with us meanwhile"
        assert it.venue.placed(after=quiet) == []

        line.flow()
        await it.requoting()
        ledger = it.bot.ctx.account.ledger
        assert ledger.books[it.market.condition_id].fills == it.venue.fills
        report = await it.end()

    assert [halt for halt in report.halts if halt.startswith("user stream")]
    clean(report)


async def test_a_stalled_user_stream(fast_clock: PatientClock) -> None:
    """A private stream that only answers pings is left as soon as it owes us word of an order: the
    gate closes, the fills it has hidden are read at once, and a fresh one is dialled (F01).
    """
    async with playing() as it:
        it.market.taker_delay_ms = 0  # as above
        line = it.venue.lines["user_ws"]
        line.stall()
        opened, ledger = line.opened, it.bot.ctx.account.ledger
        await it.requoting()
        await it.filled(2)
        hidden, books = it.venue.fills, ledger.books[it.market.condition_id]
        await it.until(lambda: it.gate, "the gate closes", 4.5)
        line.flow()
        await it.until(lambda: books.fills >= hidden, "they are booked", 3)
        await it.requoting()
        assert line.opened == opened + 1
        report = await it.end()

    assert report.halts == {"user stream: tells nothing": 1}
    clean(report)


async def test_a_user_stream_that_stays_stalled(fast_clock: PatientClock) -> None:
    """Where fresh connections tell nothing either they are tried less and less often, for with each
    of them orders rest unseen for some seconds (F01).
    """
    async with playing() as it:
        line = it.venue.lines["user_ws"]
        line.stall()
        opened = line.opened
        await trio.sleep(60)
        assert 3 <= line.opened - opened <= 6
        quiet = len(it.venue.seen)
        line.flow()
        await it.requoting()
        assert it.venue.asked("GET", "/data/orders", after=quiet), "read back before it trades on"
        clean(await it.end())


async def test_a_trade_that_the_stream_never_told(fast_clock: PatientClock) -> None:
    """A fill that only REST knows of condemns the stream as well, be it that no new order does."""
    async with playing() as it:
        it.market.taker_delay_ms = 0  # as above
        await trio.sleep(2.5)  # the stream has been there for longer than REST's seconds are exact
        it.venue.lines["user_ws"].passes = lambda data: b'"trade"' not in data
        await it.filled()
        books = it.bot.ctx.account.ledger.books[it.market.condition_id]
        await it.until(lambda: books.fills, "a look has found it", 25)
        await it.until(lambda: it.gate, "the gate closes", 4)
        it.venue.lines["user_ws"].flow()
        await it.requoting()
        report = await it.end()

    assert report.halts == {"user stream: tells nothing": 1}
    clean(report)


@pytest.mark.parametrize(("name", "within_s"), [("user_ws", 6), ("market_ws", 8)])
async def test_a_half_open_stream(name: str, within_s: float, fast_clock: PatientClock) -> None:
    """A peer that is gone without a word is given up and dialled again within seconds, and what
    rests was withdrawn before (F02, G12, L3).
    """
    async with playing() as it:
        line = it.venue.lines[name]
        opened, began = line.opened, len(it.venue.seen)
        for socket in list(line.sockets):
            socket.mute()
        await it.until(lambda: line.opened > opened, "a new connection", within_s)
        await it.until(lambda: it.venue.asked("DELETE", *CANCELLING, after=began), "cancels", 1)
        await it.requoting()
        clean(await it.end())


async def test_a_stalled_market_stream_is_replaced_in_time(fast_clock: PatientClock) -> None:
    """Books that no longer move while the venue's do are found out within eight seconds (L3)."""
    async with playing() as it:
        line = it.venue.lines["market_ws"]
        opened = line.opened
        line.stall()
        await it.until(lambda: line.opened > opened, "a new connection", 8)
        line.flow()
        await it.requoting()
        clean(await it.end())


# Averages can be quoted without Binance, from the oracle's own prices; its candles cannot.
NEEDED = [("market_ws", "btc-5m"), ("prices_ws", "btc-5m"), ("binance_ws", "btc-1h")]


@pytest.mark.parametrize(("name", "series"), NEEDED)
@pytest.mark.parametrize("how", ["stall", "cut"])
async def test_a_stream_is_lost_and_comes_back(
    name: str, series: str, how: str, fast_clock: PatientClock
) -> None:
    """Without live books and prices nothing rests; a connection that only answers pings is
    replaced; and when data flows again quoting goes on by itself.
    """
    async with playing(config=shell_config(series)) as it:
        line = it.venue.lines[name]
        opened = line.opened
        line.stall() if how == "stall" else line.cut()
        await it.withdrawn()
        await it.until(lambda: line.opened > opened, "a new connection")
        quiet = len(it.venue.seen)
        await trio.sleep(10)
        assert it.venue.placed(after=quiet) == [], "nothing is placed while blind"
        line.flow()
        await it.requoting()
        report = await it.end()

    assert it.code == 0
    clean(report)


async def test_averages_without_binance(fast_clock: PatientClock) -> None:
    """Without Binance a market on averages is still quoted, and the stream is dialled again."""
    async with playing() as it:
        line = it.venue.lines["binance_ws"]
        opened = line.opened
        line.stall()
        await it.until(lambda: line.opened > opened, "a new connection")
        await it.requoting()
        report = await it.end()

    assert (report.halts, report.faults) == ({}, {})
    clean(report)


@pytest.mark.parametrize(("name", "series"), NEEDED[1:])
async def test_prices_gone_for_long(name: str, series: str, fast_clock: PatientClock) -> None:
    """Prices gone for longer than a hiccup end the scope, with that as the reason told."""
    async with playing(config=shell_config(series)) as it:
        it.venue.lines[name].cut()
        await it.until(lambda: it.bot.ctx.health.halts["prices stale"], "the scope ends")
        it.venue.lines[name].flow()
        await it.requoting()
        report = await it.end()

    assert report.halts["prices stale"] >= 1
    clean(report)


async def test_a_delta_is_lost(fast_clock: PatientClock) -> None:
    """A book that missed a change is known to be wrong by its hash, not quoted from, and mended."""
    async with playing() as it:
        line = it.venue.lines["market_ws"]
        counts = feed_of(it).book.counts
        wrong = counts.mismatches
        line.passes = lambda data: b"price_change" not in data
        await trio.sleep(2)
        line.flow()
        await it.until(lambda: counts.mismatches > wrong, "the hash differs")
        await it.requoting()
        await books_agree(it)
        clean(await it.end())


async def kept_still(it: Scene) -> None:
    """Nothing changes any more, by the crowd or by us."""
    it.bot.ctx.admission.trouble = "kept still"
    await it.withdrawn()
    await books_agree(it)


def without_changes(kept: list[bytes]) -> Callable[[bytes], bool]:
    """A connection that carries all but changes, which are `kept`."""

    def passes(data: bytes) -> bool:
        if b"price_change" not in data:
            return True
        kept.append(data)
        return False

    return passes


@pytest.mark.parametrize(("held_s", "late"), [(2.0, True), (1.0, False)])
async def test_a_change_that_is_read_late(
    held_s: float, late: bool, fast_clock: PatientClock
) -> None:
    """Two seconds behind its stamp a change is of the past, however well its hash agrees: the book
    is held back, until the venue's own books are the same. One second is the way it came.
    """
    async with playing() as it:
        line, feed, noted = it.venue.lines["market_ws"], feed_of(it), it.bot.ctx.records.bad_input
        clock, kept = it.bot.ctx.clock, list[bytes]()
        await kept_still(it)
        line.passes = without_changes(kept)
        deep = min(price for price, _ in it.venue.engine.levels(it.market.tokens[0])[0])
        assert it.venue.taker.rest(it.market, BUY, deep, 10 * SHARE, it.venue.clock.now_ms())
        await trio.sleep(held_s)
        assert not feed.lateness.late(clock.now_ms()), "nothing has been read"
        line.flow()
        deltas = feed.book.counts.deltas
        for data, socket in itertools.product(kept, list(line.sockets)):
            socket.send_frame(data)
        await it.until(lambda: feed.book.counts.deltas > deltas, "it is read", 2)
        read_ms = clock.now_ms()
        assert feed.lateness.late(read_ms) is late
        if late:
            await it.until(lambda: noted[HELD_BACK], "the quoter has seen it", 1)
            await it.until(
                lambda: not feed.lateness.late(clock.now_ms()), "the books by REST are these", 4
            )
            assert clock.now_ms() - read_ms > 700
        assert bool(noted[HELD_BACK]) is late
        it.bot.ctx.admission.trouble = None
        await it.requoting()
        clean(await it.end())


HELD_BACK = "market stream: changes read late, book held back"


def of_the_past(told: dict[str, Any]) -> None:
    told["timestamp"] = "1"


async def test_a_book_that_no_answer_mends(fast_clock: PatientClock) -> None:
    """A broken book is asked for by REST some times; where the answers are older than what is held
    the connection is replaced, which brings a new one. Nothing is quoted from it meanwhile.
    """
    async with playing() as it:
        line, feed, noted = it.venue.lines["market_ws"], feed_of(it), it.bot.ctx.records.bad_input
        await kept_still(it)
        it.venue.bend("GET", "/book", act=changed(of_the_past))
        opened, wrong, lost = line.opened, feed.book.counts.mismatches, list[bytes]()
        line.passes = without_changes(lost)
        deep = min(price for price, _ in it.venue.engine.levels(it.market.tokens[0])[0])
        assert it.venue.taker.rest(it.market, BUY, deep, 10 * SHARE, it.venue.clock.now_ms())
        await it.until(lambda: lost, "a change is lost", 2)
        line.passes = lambda data: line.opened > opened or b'"bids"' not in data
        it.bot.ctx.admission.trouble = None
        await it.until(lambda: feed.book.counts.mismatches > wrong, "the hash differs", 10)
        asked = len(it.venue.seen)
        await it.until(lambda: not it.venue.live, "nothing rests", 2)
        assert line.opened == opened
        await it.until(lambda: line.opened > opened, "a new connection", 5)
        assert noted["market stream: book stays broken"] == 1
        assert len(it.venue.asked("GET", "/book", after=asked)) >= 4, "it was given its time"
        await it.requoting()
        assert line.opened == opened + 1
        await books_agree(it)
        clean(await it.end())


async def test_a_delta_comes_twice(fast_clock: PatientClock) -> None:
    """An old change told again does not stay in the book."""
    async with playing() as it:
        line = it.venue.lines["market_ws"]
        kept: list[bytes] = []

        def keep(data: bytes) -> bool:
            if b"price_change" in data:
                kept.append(data)
            return True

        line.passes = keep
        await it.until(lambda: len(kept) > 20, "changes")
        for data, socket in itertools.product(kept[:5], list(line.sockets)):
            socket.send_frame(data)
        await it.requoting()
        await books_agree(it)
        clean(await it.end())


async def test_half_a_snapshot(fast_clock: PatientClock) -> None:
    """A book that a first snapshot lacks is asked for by REST, however much is heard of the other
    one meanwhile, and the connection stays (F05).
    """
    async with playing() as it:
        line = it.venue.lines["market_ws"]

        def half(data: bytes) -> bool:
            body = data[4:]  # behind the header of a long frame
            if not body.startswith(b"["):
                return b'"bids"' not in data
            line.say(json.dumps(json.loads(body)[:1]))
            return False

        opened = line.opened
        line.passes = half
        for socket in list(line.sockets):
            socket.drop()
        await it.until(lambda: line.opened > opened, "a connection")
        book = feed_of(it).book
        await it.until(lambda: book.state(Outcome.UP) is BookState.VALID, "one book")
        assert book.state(Outcome.DOWN) is BookState.AWAITING_SNAPSHOT
        asked = len(it.venue.asked("GET", "/book"))
        await it.until(lambda: book.state(Outcome.DOWN) is BookState.VALID, "the other", 10)
        assert len(it.venue.asked("GET", "/book")) == asked + 1
        assert line.opened == opened + 1
        await it.requoting()
        line.flow()
        await books_agree(it)
        clean(await it.end())


def one_sided(it: Scene, token: str) -> Callable[[bytes], bool]:
    """A connection that carries nothing about one token, and all else (feeds.md 2.6)."""
    line, busy = it.venue.lines["market_ws"], False

    def passes(data: bytes) -> bool:
        nonlocal busy
        if busy or token.encode() not in data:
            return True
        told = json.loads(data[{126: 4, 127: 10}.get(data[1] & 0x7F, 2) :])
        rows = told if isinstance(told, list) else [told]
        left = [about for row in rows if (about := without(row, token))]
        busy = True
        for row in left:
            line.say(json.dumps(row))
        busy = False
        return False

    return passes


def without(row: dict[str, Any], token: str) -> dict[str, Any] | None:
    """A record of the market channel without what it tells of one token; None: nothing is left."""
    if "price_changes" in row:
        changes = [change for change in row["price_changes"] if change["asset_id"] != token]
        return row | {"price_changes": changes} if changes else None
    return None if row.get("asset_id") == token else row


@pytest.mark.parametrize("outcome", Outcome)
async def test_one_token_falls_silent(outcome: Outcome, fast_clock: PatientClock) -> None:
    """A subscription that is dead for one token, with the other's changes coming all the while, is
    found out by the books, which are mirrors: asked for once, then dialled anew, within seconds of
    the changes that did not come. Both of the bot's books are the venue's again.
    """
    async with playing() as it:
        line, opened = it.venue.lines["market_ws"], it.venue.lines["market_ws"].opened
        book = feed_of(it).book
        line.passes = one_sided(it, feed_of(it).market.token(outcome))
        await it.until(lambda: not book.mirrored, "the books differ", 30)
        asked = len(it.venue.asked("GET", "/book"))
        await it.until(lambda: len(it.venue.asked("GET", "/book")) > asked, "it is asked for", 10)
        await it.until(lambda: line.opened > opened, "a new connection", 30)
        line.flow()
        await it.requoting()
        await books_agree(it)
        clean(await it.end())


async def test_a_change_of_one_token_is_missed_in_a_still_market(
    fast_clock: PatientClock,
) -> None:
    """Behind the best prices no mirror tells: when the market is still, both books are compared
    with the venue's, not Up's alone.
    """
    async with playing() as it:
        line, book = it.venue.lines["market_ws"], feed_of(it).book
        await books_agree(it)
        it.bot.ctx.admission.trouble = "kept still"  # our own orders would be changes, too
        await it.withdrawn()
        line.passes = one_sided(it, feed_of(it).market.down_token)
        opened, now_ms = line.opened, it.venue.clock.now_ms()
        deep = min(price for price, _ in it.venue.engine.levels(it.market.tokens[0])[0])
        assert it.venue.taker.rest(it.market, BUY, deep, 10 * SHARE, now_ms)
        await trio.sleep(1)
        assert (book.mirrored, same_book(it)) == (True, False)
        await it.until(lambda: line.opened > opened, "a new connection", 20)
        line.flow()
        await books_agree(it)


async def test_a_healthy_stream_is_not_asked_about(fast_clock: PatientClock) -> None:
    """Books of a busy market, read between the frames of one event, cost neither a question nor a
    connection.
    """
    async with playing() as it:
        line, asked = it.venue.lines["market_ws"], len(it.venue.asked("GET", "/book"))
        opened = line.opened
        for _ in range(5):
            await it.filled()
        await trio.sleep(20)
        assert (line.opened, len(it.venue.asked("GET", "/book"))) == (opened, asked)
        clean(await it.end())


async def test_no_snapshot_at_all(fast_clock: PatientClock) -> None:
    """Who accepts a subscription and brings no book is left after three seconds (F05), and so is
    the next one: in seed 1065 a link that took half a second brought none in time ever again.
    """
    async with playing() as it:
        line = it.venue.lines["market_ws"]
        opened = line.opened
        line.passes = lambda data: b'"bids"' not in data
        for socket in list(line.sockets):
            socket.drop()
        await it.until(lambda: line.opened > opened + 1, "another connection", 15)
        assert it.venue.live == []
        again = line.opened
        await trio.sleep(2)
        assert line.opened == again, "it is given its time as well"
        line.flow()
        await it.requoting()
        await books_agree(it)
        clean(await it.end())


@pytest.mark.parametrize("name", STREAMS)
async def test_garbage(name: str, fast_clock: PatientClock) -> None:
    """Frames that mean nothing end no task and no quoting, whatever stream they come on."""
    async with playing() as it:
        for text in GARBAGE:
            it.venue.lines[name].say(text)
            await trio.sleep(0.2)
        await it.requoting()
        await books_agree(it)
        report = await it.end()

    assert it.code == 0
    clean(report)


async def test_a_fill_that_cannot_be_read(fast_clock: PatientClock) -> None:
    """A private frame that means nothing may have been a fill: REST is asked at once, long before
    the next look is due (F10).
    """
    async with playing() as it:
        it.market.taker_delay_ms = 0
        line, garbled = it.venue.lines["user_ws"], list[bytes]()

        def garble(data: bytes) -> bool:
            if b'"trade"' not in data:
                return True
            if not garbled:
                garbled.append(data)
                line.say(data[data.index(b"{") : -20].decode())
            return False

        line.passes = garble
        books, looks = it.bot.ctx.account.ledger.books, len(it.venue.asked("GET", "/data/trades"))
        await it.until(lambda: len(it.venue.asked("GET", "/data/trades")) > looks, "a look", 25)
        await it.filled()
        fills = it.venue.fills
        await it.until(lambda: books[it.market.condition_id].fills >= fills, "it is booked", 5)
        line.flow()
        report = await it.end()

    assert report.bad_input["user stream: unreadable record"] == len(garbled) == 1
    clean(report)


async def test_garbage_is_no_sign_of_life(fast_clock: PatientClock) -> None:
    """A stream that brings garbage instead of changes is as dead as a silent one (F01, F10)."""
    async with playing() as it:
        line = it.venue.lines["market_ws"]
        data = frame('{"event_type": "moon"}')
        opened = line.opened
        line.passes = lambda sent: sent == data
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, it, data)
            await it.until(lambda: line.opened > opened, "a new connection", 40)
            nursery.cancel_scope.cancel()
        line.flow()
        await it.requoting()
        clean(await it.end())


async def talk(it: Scene, data: bytes) -> None:
    while True:
        for socket in it.venue.lines["market_ws"].sockets:
            socket.send_frame(data)
        await trio.sleep(0.05)
