"""The edge's limits per address: excess waits, then 429 (clob.md 7.1, feeds.md 8.3)."""

from __future__ import annotations

import httpx
import pytest
import trio
from clob_kit import T0
from hypothesis import given, strategies as st
from trio.testing import MockClock
from world_kit import START_MS

from polybot.clock import Clock
from polybot.exchange.calendar import SERIES
from polybot.exchange.crowd import SyntheticWorld
from polybot.exchange.ip_limits import (
    CLOB_RULES,
    DATA_RULES,
    GAMMA_RULES,
    MAX_COUNTERS,
    IpLimits,
    Rule,
    limited,
)
from polybot.exchange.net import Service, serve
from polybot.exchange.request import Request, Response, text_response
from polybot.exchange.server import Exchange

THREE = (Rule("all", ("*",), 1_000), Rule("/a", ("/a",), 3))
START = T0 // 600_000 * 600_000  # the beginning of both windows


def names(limits: IpLimits, method: str, path: str) -> list[str]:
    return [rule.name for rule in limits.classes(method, path)]


def test_every_request_is_counted_where_the_page_says() -> None:
    """By path and method; the sum of the service always (clob.md 7.1)."""
    clob = IpLimits(CLOB_RULES)
    assert names(clob, "POST", "/order") == ["all CLOB", "POST /order"]
    assert names(clob, "DELETE", "/order") == ["all CLOB", "DELETE /order"]
    assert names(clob, "GET", "/data/orders") == ["all CLOB", "/data/orders", "ledger"]
    assert names(clob, "GET", "/data/order/0x1") == ["all CLOB", "ledger"]
    assert names(clob, "GET", "/auth/api-keys") == ["all CLOB", "/auth"]
    assert names(clob, "GET", "/time") == ["all CLOB"]
    gamma = IpLimits(GAMMA_RULES)
    assert names(gamma, "GET", "/markets/slug/x") == ["all Gamma", "/markets", "listings"]
    assert names(IpLimits(DATA_RULES), "GET", "/v2/trades") == ["all Data", "trades"]


@pytest.mark.parametrize(
    ("method", "path", "short", "long"),
    [
        ("POST", "/order", 5_000, 120_000),
        ("POST", "/orders", 2_000, 21_000),
        ("DELETE", "/orders", 2_000, 15_000),
        ("DELETE", "/cancel-all", 250, 6_000),
        ("DELETE", "/cancel-market-orders", 1_500, 21_000),
        ("GET", "/book", 1_500, None),
        ("GET", "/balance-allowance/update", 50, None),
        ("GET", "/ok", 100, None),
    ],
)
@pytest.mark.conforms("clob-7.1-ip-limits")
def test_the_figures(method: str, path: str, short: int, long: int | None) -> None:
    """So many in one instant and not one more (clob.md 7.1)."""
    limits = IpLimits(CLOB_RULES)
    rules = limits.classes(method, path)
    assert all(limits.ask("ip", rules, START) == 0 for _ in range(short))
    assert limits.ask("ip", rules, START) > 0
    assert rules[-1].per_10_min == long


def test_ten_minutes_have_a_limit_of_their_own() -> None:
    """Full bursts each ten seconds run into the long window (clob.md 7.1)."""
    limits = IpLimits(CLOB_RULES)
    rules = limits.classes("DELETE", "/cancel-all")
    passed = sum(
        limits.ask("ip", rules, START + second * 1_000) == 0
        for second in range(0, 600, 5)
        for _ in range(120)
    )
    assert passed == 6_000


def test_addresses_are_apart() -> None:
    """One client's flood is not another's (clob.md 7.1)."""
    limits = IpLimits(THREE)
    rules = limits.classes("GET", "/a")
    assert [limits.ask("one", rules, START) for _ in range(4)][-1] > 0
    assert limits.ask("two", rules, START) == 0


def test_addresses_without_end_do_not_fill_the_memory() -> None:
    """A flood of addresses costs the counters, not the process."""
    limits = IpLimits(THREE)
    rules = limits.classes("GET", "/a")
    for number in range(2 * MAX_COUNTERS):
        assert limits.ask(str(number), rules, START) == 0
    assert len(limits._counters) <= MAX_COUNTERS


@given(st.lists(st.integers(0, 4_000), max_size=80))
def test_waiting_as_told_is_enough_and_necessary(gaps: list[int]) -> None:
    """A refused request counts nothing and passes at the moment named, not a millisecond before,
    while nobody else asks (clob.md 7.1).
    """
    limits, now = IpLimits(THREE), START
    rules = limits.classes("GET", "/a")
    for gap in gaps:
        now += gap
        wait_ms = limits.ask("ip", rules, now)
        if wait_ms:
            assert limits.ask("ip", rules, now + wait_ms - 1) > 0
            now += wait_ms
            while again := limits.ask("ip", rules, now):
                now += again  # the next window begins with the weight of this one


@given(st.lists(st.integers(0, 3_000), max_size=120))
def test_two_windows_never_hold_more_than_twice_the_limit(gaps: list[int]) -> None:
    """The weighted count keeps every fixed window within its limit (clob.md 7.1)."""
    limits, now = IpLimits(THREE), START
    rules = limits.classes("GET", "/a")
    passed: dict[int, int] = {}
    for gap in gaps:
        now += gap
        if not limits.ask("ip", rules, now):
            passed[now // 10_000] = passed.get(now // 10_000, 0) + 1
    assert all(count <= 3 for count in passed.values())


# --- before a service ---------------------------------------------------------------------


class Edge:
    """A service that notes when it was reached, behind a limit of three in ten seconds."""

    def __init__(self, delay_ms: int) -> None:
        self.clock = Clock.starting_at(START)
        self.reached: list[tuple[str, int]] = []
        self.replies: list[int] = []
        service = limited(Service(self._handle, None), THREE, self.clock, delay_ms)
        assert service.http is not None
        self._http = service.http

    async def _handle(self, request: Request) -> Response:
        self.reached.append((request.query["n"], self.clock.now_ms() - START))
        return text_response("ok")

    async def ask(self, number: int, peer: str = "127.0.0.1") -> None:
        request = Request("GET", "/a", {"n": str(number)}, {}, b"", peer)
        self.replies.append((await self._http(request)).status)


@pytest.mark.conforms("clob-7.1-ip-queue")
async def test_excess_is_held_and_then_served_in_order(autojump_clock: MockClock) -> None:
    """First a delay, no error: the silent throttling of reliability.md F41 (clob.md 7.1)."""
    edge = Edge(delay_ms=20_000)
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(edge.ask, number)
            await trio.testing.wait_all_tasks_blocked()
        assert len(edge.reached) == 3
    assert edge.replies == [200] * 5
    held = edge.reached[3:]
    assert [number for number, _ in held] == ["3", "4"]
    assert [at_ms for _, at_ms in held] == [13_334, 16_667]


@pytest.mark.conforms("clob-7.1-ip-queue")
async def test_excess_that_waits_too_long_is_refused(autojump_clock: MockClock) -> None:
    """429 without the signer's headers, the service never reached (clob.md 7.1, 7.3)."""
    edge = Edge(delay_ms=2_000)
    for number in range(4):
        await edge.ask(number)
    assert edge.replies == [200, 200, 200, 429]
    assert edge.clock.now_ms() == START + 2_000
    assert len(edge.reached) == 3
    await trio.sleep(20)
    await edge.ask(9)
    assert edge.replies[-1] == 200, "the line is open again"


@pytest.mark.conforms("clob-7.1-ip-alone")
async def test_others_do_not_wait_in_that_line(autojump_clock: MockClock) -> None:
    """Another address passes at once."""
    edge = Edge(delay_ms=5_000)
    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(edge.ask, number)
        await trio.testing.wait_all_tasks_blocked()
        await edge.ask(9, "127.0.0.2")
        assert edge.reached[-1] == ("9", 0)


async def test_the_key_is_the_peers_address(nursery: trio.Nursery) -> None:
    """Over real sockets: 127.0.0.2 is another client than 127.0.0.1 (clob.md 7.1)."""
    seen: list[str] = []

    async def handle(request: Request) -> Response:
        seen.append(request.peer)
        return text_response("ok")

    rules = (Rule("one", ("*",), 1),)
    service = limited(Service(handle, None), rules, Clock.starting_at(START), 0)
    port = await nursery.start(serve, service, 0)
    statuses = []
    for address in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
        async with httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(local_address=address), trust_env=False
        ) as web:
            reply = await web.get(f"http://127.0.0.1:{port}/")
            statuses.append((reply.status_code, "poly-ratelimit-remaining" in reply.headers))
    assert statuses == [(200, False), (429, False), (200, False)]
    assert seen == ["127.0.0.1", "127.0.0.2"]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("path", ["/v2/positions", "/v2/trades"])
async def test_the_data_api_has_limits_too(path: str, autojump_clock: MockClock) -> None:
    """Who asks 200 times in ten seconds for trades or positions is refused: a changing dummy
    parameter gets past the cache, not past the limit (feeds.md 11).
    """
    world = SyntheticWorld(1, START_MS, [SERIES["btc-5m"]], 0.1)
    exchange = Exchange(world, Clock.starting_at(START_MS), 1)
    [data] = [service for names, service in exchange.services() if names == ("data http",)]
    assert data.http is not None
    statuses = []
    for number in range(203):
        query = {"user": exchange.wallet.address, "_": str(number)}
        reply = await data.http(Request("GET", path, query, {}, b"", "127.0.0.1"))
        statuses.append(reply.status)
    assert statuses == [200] * 200 + [429] * 3
