"""The live-feeds world against a second instance of our own exchange, over real sockets.

A plays Polymarket with its synthetic crowd; B mirrors it. Both live on one fast clock in one
process, which waits for a busy machine, and every wait is for a state.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from polybot.clock import Clock
from polybot.exchange.book_wire import BookText
from polybot.exchange.calendar import SERIES, market_for
from polybot.exchange.crowd import SyntheticWorld
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.engine import Engine
from polybot.exchange.invariants import check
from polybot.exchange.mirror_gamma import Published, read_published
from polybot.exchange.mirror_life import MirroredLife
from polybot.exchange.mirror_live import LiveWorld
from polybot.exchange.mirror_site import MirrorSite, read_site
from polybot.exchange.model import BUY, DOWN, SELL, UP, Market, Order, Phase
from polybot.exchange.money import UNIT
from polybot.exchange.oracle import Oracle
from polybot.exchange.server import Exchange, Urls
from polybot.exchange.synthetic import SyntheticSource
from polybot.exchange.terms import Terms
from polybot.exchange.world import make_world
from polybot.patient_clock import PatientClock

START_MS = 1_795_132_800_000 + 30_000  # half a minute into a BTC 5m window
LATE_MS = START_MS + 210_000  # a minute before its end
WINDOW_S = 300
RATE = 20.0


@attrs.define(eq=False)
class Pair:
    """Two exchanges: `a` is the venue, `b` mirrors it."""

    a: Exchange
    b: Exchange
    world: LiveWorld
    line: Line

    def market(self, of: Exchange) -> Market | None:
        """The current window's market on one of the two."""
        slug = f"btc-updown-5m-{self.a.clock.now_ms() // 1000 // WINDOW_S * WINDOW_S}"
        return of.lifecycle.by_slug.get(slug)

    def shows(self) -> bool:
        """Whether B has a two-sided book of the current window."""
        market = self.market(self.b)
        return market is not None and None not in self.b.engine.best(market.tokens[UP])

    def settled(self) -> bool:
        """Whether B shows every book of the current window that A shows, hash by hash."""
        theirs, ours = self.market(self.a), self.market(self.b)
        if theirs is None or ours is None:
            return False
        return bool(self.a.engine.levels(theirs.tokens[UP])[0]) and (
            hashes(self.a, theirs) == hashes(self.b, ours)
        )


def hashes(exchange: Exchange, market: Market) -> list[str]:
    """Both tokens' book hashes at stamp zero: levels, tick, sizes and last trade (feeds.md 3)."""
    bids, asks = exchange.engine.levels(market.tokens[UP])
    book = BookText(market, bids, asks, 0)
    return [book.hash(UP), book.hash(DOWN)]


async def until(true: Callable[[], bool], seconds: float = 400) -> None:
    """Wait for a state of the two exchanges; at most so many venue seconds."""
    with trio.fail_after(seconds):
        while not true():  # noqa: ASYNC110 - a state of two exchanges rings no bell
            await trio.sleep(0.02)


class Line:
    """The wire between A's market stream and B: it can be cut, and it can fall silent."""

    def __init__(self, target: str) -> None:
        self._port = int(target.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
        self._scopes: list[trio.CancelScope] = []
        self._flows = trio.Event()
        self._flows.set()
        self.connections = 0

    async def serve(self, task_status: trio.TaskStatus[int]) -> None:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listener.socket.getsockname()[1])
        await trio.serve_listeners(self._relay, [listener])

    async def _relay(self, near: trio.SocketStream) -> None:
        self.connections += 1
        with trio.CancelScope() as scope:
            self._scopes.append(scope)
            far = await trio.open_tcp_stream("127.0.0.1", self._port)
            async with far, near, trio.open_nursery() as nursery:
                nursery.start_soon(self._copy, near, far, scope)
                nursery.start_soon(self._copy, far, near, scope)

    async def _copy(
        self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        try:
            async for data in source:
                await self._flows.wait()
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    def cut(self) -> None:
        for scope in self._scopes:
            scope.cancel()
        self._scopes.clear()

    def stall(self) -> None:
        self._flows = trio.Event()

    def resume(self) -> None:
        self._flows.set()


@asynccontextmanager
async def mirrored(
    *, silent_s: float = 15, intensity: float = 0.1, keys: bool = False, terms: Terms = Terms(),
    start_ms: int = START_MS,
) -> AsyncGenerator[Pair]:  # fmt: skip
    clock = Clock.starting_at(start_ms)
    synthetic = SyntheticWorld(3, start_ms, [SERIES["btc-5m"]], intensity)
    a = Exchange(synthetic, clock, 7, terms=terms)  # results are there in less than a minute
    async with trio.open_nursery() as nursery:
        urls: Urls = await nursery.start(a.run)
        line = Line(urls.market_ws)
        port = await nursery.start(line.serve)
        site = MirrorSite(
            urls.clob,
            urls.gamma,
            f"ws://127.0.0.1:{port}/ws/market",
            urls.prices_ws,
            urls.rtds_ws,
            urls.binance_rest,
            urls.binance_ws,
            *((a.wallet.api_key, a.wallet.api_secret, a.wallet.passphrase) if keys else ()),
        )
        world = LiveWorld([SERIES["btc-5m"]], clock.now_ms(), site, 1, silent_s=silent_s)
        await world.prepare()
        b = Exchange(world, clock, 4)
        await nursery.start(b.run)
        yield Pair(a, b, world, line)
        check(b.engine)
        nursery.cancel_scope.cancel()


def run(test: Callable[[], Awaitable[None]]) -> None:
    trio.run(test, clock=PatientClock(RATE))


def quiet(pair: Pair) -> None:
    """Stop A's crowd where it stands: what is under way arrives, nothing new comes."""
    assert isinstance(pair.a.world, SyntheticWorld)
    assert pair.a.world.crowd is not None
    pair.a.world.crowd._due.clear()


def test_b_is_a_hash_by_hash() -> None:
    """Same slug, ids, tick, fees and version; equal books of both tokens (feeds.md 2.4, 3, 8.4)."""

    async def test() -> None:
        async with mirrored() as pair:
            await until(lambda: bool(pair.b.counters.totals["trades"]))
            quiet(pair)
            await until(pair.settled)
            theirs, ours = pair.market(pair.a), pair.market(pair.b)
            assert theirs is not None
            assert ours is not None
            for name in ("condition_id", "question_id", "tokens", "slug", "gamma_id", "tick",
                         "min_size", "version", "fee_rate_ppm", "start_ms", "end_ms"):  # fmt: skip
                assert getattr(ours, name) == getattr(theirs, name), name

    run(test)


def test_our_order_at_the_touch_fills_when_the_crowd_trades_through_the_queue() -> None:
    """Joined last at B's touch, filled by A's tape behind the queue (strategy.md 17)."""

    async def test() -> None:
        async with mirrored(intensity=0.5) as pair:
            await until(pair.shows)
            ours = Hand.make(pair.b.engine, "ours")
            orders: list[Order] = []

            def filled() -> bool:
                market = pair.market(pair.b)
                if market is None or market.phase is not Phase.OPEN:
                    return False
                best = pair.b.engine.best(market.tokens[UP])
                for side, price in zip((BUY, SELL), best, strict=True):
                    if price is not None and not any(
                        o.remaining and o.market is market and o.price in {price, 10_000 - price}
                        for o in orders
                    ):
                        made = ours.rest(market, side, price, 10 * UNIT, pair.b.clock.now_ms())
                        orders.extend([made] if made is not None else [])
                return any(order.matched for order in orders)

            await until(filled)

    run(test)


def test_a_cut_stream_empties_the_mirror_and_comes_back_whole() -> None:
    """The book empties rather than lies, ours stay; after the reconnect all is as in A again."""

    async def test() -> None:
        async with mirrored() as pair:
            await until(pair.shows)
            market = pair.market(pair.b)
            assert market is not None
            ours = Hand.make(pair.b.engine, "ours")
            order = ours.rest(market, BUY, 100, 10 * UNIT, pair.b.clock.now_ms())
            lost, emptied = pair.world.lost, []

            def look(_: object) -> None:
                if pair.world.lost > lost:
                    emptied.append(pair.b.engine.levels(market.tokens[UP]))

            pair.b.engine.listeners.append(look)
            pair.line.cut()
            await until(lambda: pair.world.lost > lost)
            await until(lambda: pair.line.connections >= 2 and pair.shows())
            quiet(pair)
            assert order is not None
            ours.pull(order, pair.b.clock.now_ms())
            await until(pair.settled)
            assert emptied[0] == ([(100, 10 * UNIT)], [])

    run(test)


def test_a_silent_stream_is_given_up() -> None:
    """Open and silent is dead: the mirror empties, then is read anew (feeds.md 2.6)."""

    async def test() -> None:
        async with mirrored(silent_s=10) as pair:
            await until(pair.shows)
            lost = pair.world.lost
            pair.line.stall()
            await until(lambda: pair.world.lost > lost)
            await until(lambda: not pair.shows())
            pair.line.resume()
            await until(lambda: pair.line.connections >= 2 and pair.shows())

    run(test)


def test_a_quiet_venue_is_not_stale() -> None:
    """No frame for minutes, and the books over REST are the mirror's: nothing is given up, and our
    order stays (reliability.md F03); then a stall is found all the same (F01).
    """

    async def test() -> None:
        async with mirrored(silent_s=5) as pair:
            await until(pair.shows)
            quiet(pair)
            await until(pair.settled)
            market = pair.market(pair.b)
            assert market is not None
            ours = Hand.make(pair.b.engine, "ours")
            order = ours.rest(market, BUY, 100, 10 * UNIT, pair.b.clock.now_ms())
            lost, connections = pair.world.lost, pair.line.connections
            await trio.sleep(60)
            assert (pair.world.lost, pair.line.connections) == (lost, connections)
            assert order is not None
            assert order.remaining == 10 * UNIT

            pair.line.stall()
            theirs = pair.market(pair.a)
            assert theirs is not None
            hand = Hand.make(pair.a.engine, "late")
            hand.rest(theirs, BUY, 200, 10 * UNIT, pair.a.clock.now_ms())
            await until(lambda: pair.world.lost > lost)
            pair.line.resume()

    run(test)


def test_prices_come_tick_by_tick_with_credentials() -> None:
    """PolyBolt's prices and averages over there are ours, value by value, and so is their past;
    RTDS is not asked (feeds.md 5).
    """

    async def test() -> None:
        async with mirrored(keys=True) as pair:
            begun_ms = pair.b.clock.now_ms()

            def ours(feed: str) -> dict[int, float]:
                return {t.stamp_ms: t.value for t in pair.b.oracle.history(feed, "btc", 0)}

            def both_go_on() -> bool:
                return all(
                    max(ours(feed), default=0) > begun_ms + 5_000
                    for feed in ("chainlink", "twap60")
                )

            await until(both_go_on)
            for feed in ("chainlink", "twap60"):
                theirs = {t.stamp_ms: t.value for t in pair.a.oracle.history(feed, "btc", 0)}
                both = ours(feed).keys() & theirs.keys()
                assert len(both) > 60
                assert all(ours(feed)[stamp] == theirs[stamp] for stamp in both)
                assert min(both) < begun_ms - 30_000
            stamp = max(ours("twap60"))
            assert pair.b.oracle.twap("btc", stamp) == ours("twap60")[stamp]

    run(test)


def test_trading_may_end_before_the_result() -> None:
    """A venue that stops at `endDate` shows it in acceptingOrders, and so do we (feeds.md 8.4)."""

    async def test() -> None:
        async with mirrored(start_ms=LATE_MS, terms=Terms(close_at_end=True)) as pair:
            await until(pair.shows)
            quiet(pair)
            market = pair.market(pair.b)
            assert market is not None
            await until(lambda: market.phase is Phase.CLOSED)
            assert pair.b.clock.now_ms() >= market.end_ms
            await until(lambda: market.phase is Phase.RESOLVED, 700)

    run(test)


def life(now_ms: int) -> tuple[MirroredLife, Market, Callable[..., Published]]:
    """A mirrored market without a wire, and what Gamma may say of it."""
    engine = Engine(rng=random.Random(1))
    source = SyntheticSource(1, START_MS, {"btc": 90_000.0})
    oracle = Oracle(source, ["btc"], START_MS, random.Random(2))
    lives = MirroredLife(engine, oracle, [SERIES["btc-5m"]], random.Random(3), START_MS)
    market = market_for(SERIES["btc-5m"], START_MS - 30_000, 1)
    lives.list_market(market, now_ms)

    def said(**changes: Any) -> Published:
        return Published(
            market.slug, changes.get("strike"), changes.get("final"), changes.get("winner"),
            changes.get("accepting", True), changes.get("closed", False),
        )  # fmt: skip

    return lives, market, said


def test_a_void_is_a_result_too() -> None:
    """Half a dollar for each share, though nobody has won (feeds.md 10.2)."""
    lives, market, said = life(START_MS)
    lives.hear(said(), START_MS)
    lives.hear(said(accepting=False, closed=True), market.end_ms + 60_000)

    assert (market.phase, market.winner, market.payouts) == (Phase.RESOLVED, None, (1, 1))


def test_a_market_that_has_not_opened_yet_is_not_closed() -> None:
    """Before the first orders acceptingOrders is false as well; early closes count."""
    lives, market, said = life(START_MS)
    lives.hear(said(accepting=False), START_MS)
    before = market.phase
    lives.hear(said(), START_MS + 1_000)
    lives.hear(said(accepting=False), START_MS + 2_000)
    assert (before, market.phase) == (Phase.OPEN, Phase.CLOSED)


def test_closed_without_a_payout_is_not_resolved_yet() -> None:
    """Gamma closes first and prices later (feeds.md 10.2)."""
    raw: dict[str, Any] = {
        "slug": "s", "outcomes": '["Up", "Down"]', "outcomePrices": '["0.97", "0.03"]',
        "closed": True, "acceptingOrders": False,
    }  # fmt: skip
    assert not read_published(raw).closed
    void = read_published(raw | {"outcomePrices": '["0.5", "0.5"]'})
    assert (void.closed, void.winner) == (True, None)
    assert read_published(raw | {"outcomePrices": '["0", "1"]'}).winner == DOWN


def test_strike_and_result_agree() -> None:
    """Published by A, taken over by B, to the cent and the winner (feeds.md 9, 10.2). Until then
    trading goes on past `endDate`, as it does there (clob.md 8).
    """

    async def test() -> None:
        async with mirrored(start_ms=LATE_MS, intensity=0.02) as pair:
            await until(pair.shows)
            theirs, ours = pair.market(pair.a), pair.market(pair.b)
            assert theirs is not None
            assert ours is not None
            await until(lambda: pair.b.clock.now_ms() > ours.end_ms + 3_000)
            assert ours.phase is Phase.OPEN
            await until(lambda: ours.phase is Phase.RESOLVED, 700)
            assert (ours.strike, ours.winner) == (theirs.strike, theirs.winner)
            assert ours.winner in {UP, DOWN}
            await until(pair.shows)

    run(test)


# --- where from -----------------------------------------------------------------------------------


def test_a_site_of_its_own(tmp_path: Path) -> None:
    """What a file leaves out is Polymarket's; a slash at the end does not matter (feeds.md 1)."""
    path = tmp_path / "site.toml"
    path.write_text('clob = "http://127.0.0.1:1/"\nrtds_ws = ""\n')
    site = read_site(path)
    assert (site.clob, site.rtds_ws) == ("http://127.0.0.1:1", "")
    assert site.gamma == MirrorSite().gamma


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("clob = 1", "must be a URL"),
        ('market_ws = "http://x"', "begins with wss"),
        ('relayer = "http://x"', "the keys are"),
        ("clob", "not TOML"),
        ('prices_key = "k"', "wants all of"),
        ('prices_key = ""', "must be a text"),
        (None, "name a TOML file"),
    ],
)
def test_a_bad_site(tmp_path: Path, text: str | None, remedy: str) -> None:
    """Every refusal says what to do."""
    path = tmp_path / "site.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=remedy):
        read_site(path)


def test_a_site_that_is_not_there() -> None:
    """Nothing starts on a site that does not answer: the error names the URL."""

    async def test() -> None:
        nowhere = MirrorSite(binance_rest="http://127.0.0.1:9")
        world = LiveWorld([SERIES["btc-5m"]], START_MS, nowhere, 1)
        with pytest.raises(ValueError, match=r"127\.0\.0\.1:9.*is the site up"):
            await world.prepare()

    run(test)


def test_live_feeds_by_name(tmp_path: Path) -> None:
    """`live-feeds` is Polymarket, `live-feeds:SITE.toml` another; both begin now."""
    path = tmp_path / "site.toml"
    path.write_text('clob = "http://127.0.0.1:77"')

    async def test() -> None:
        for spec, told in (("live-feeds", "clob.polymarket.com"), (f"live-feeds:{path}", ":77")):
            world = make_world(spec, seed=1, start_ms=None, series=["btc-5m"], intensity=1)
            assert told in world.name
            with pytest.raises(ValueError, match="starts now"):
                make_world(spec, seed=1, start_ms=1, series=["btc-5m"], intensity=1)

    run(test)
