"""The live-feeds world against a second instance of our own exchange, over real sockets.

A plays Polymarket with its synthetic crowd; B mirrors it. Both live on one fast clock in one
process, and every wait is for a state, never for a time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from polybot.clock import Clock
from polybot.exchange.book_wire import BookText
from polybot.exchange.calendar import SERIES
from polybot.exchange.crowd import SyntheticWorld
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.invariants import check
from polybot.exchange.mirror_live import LiveWorld
from polybot.exchange.mirror_site import MirrorSite, read_site
from polybot.exchange.model import BUY, DOWN, SELL, UP, Market, Order, Phase
from polybot.exchange.money import UNIT
from polybot.exchange.server import Exchange, Urls
from polybot.exchange.world import make_world

START_MS = 1_795_132_800_000 + 30_000  # half a minute into a BTC 5m window
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
async def mirrored(*, silent_s: float = 15, intensity: float = 0.1) -> AsyncGenerator[Pair]:
    clock = Clock.starting_at(START_MS)
    synthetic = SyntheticWorld(3, START_MS, [SERIES["btc-5m"]], intensity)
    a = Exchange(synthetic, clock, 3)
    async with trio.open_nursery() as nursery:
        urls: Urls = await nursery.start(a.run)
        line = Line(urls.market_ws)
        port = await nursery.start(line.serve)
        site = MirrorSite(
            urls.clob,
            urls.gamma,
            f"ws://127.0.0.1:{port}/ws/market",
            urls.rtds_ws,
            urls.binance_rest,
            urls.binance_ws,
        )
        world = LiveWorld([SERIES["btc-5m"]], clock.now_ms(), site, 1, silent_s=silent_s)
        await world.prepare()
        b = Exchange(world, clock, 4)
        await nursery.start(b.run)
        yield Pair(a, b, world, line)
        check(b.engine)
        nursery.cancel_scope.cancel()


def run(test: Callable[[], Awaitable[None]]) -> None:
    trio.run(test, clock=MockClock(rate=RATE))


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


def test_strike_and_result_agree() -> None:
    """Published by A, taken over by B, to the cent and the winner (feeds.md 9, 10.2)."""

    async def test() -> None:
        async with mirrored() as pair:
            await until(pair.shows)
            theirs, ours = pair.market(pair.a), pair.market(pair.b)
            assert theirs is not None
            assert ours is not None
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
