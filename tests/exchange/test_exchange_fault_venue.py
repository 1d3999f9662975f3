"""Faults of the venue itself and of Gamma, on a whole exchange, and the admin calls."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio
from clob_kit import UP_TOKEN, ClobKit
from fault_kit import jumping, planned
from trio.testing import MockClock
from world_kit import START_MS, WINDOW_MS, synthetic

from polybot.clock import Clock
from polybot.exchange import invariants
from polybot.exchange.faults import gamma_lies, plan
from polybot.exchange.faults.kinds import REST, STREAMS
from polybot.exchange.faults.kinds_rest import METADATA
from polybot.exchange.faults.kinds_venue import KINDS
from polybot.exchange.faults.plan import Plan
from polybot.exchange.heartbeats import Beat, Heartbeats
from polybot.exchange.model import BUY, Market, Status
from polybot.exchange.modes import Mode
from polybot.exchange.server import Exchange, Urls

T1 = START_MS + 90_000  # half a minute into a window


@pytest.fixture
def patient_jumps() -> MockClock:
    return jumping()


@attrs.define(eq=False)
class Stage:
    exchange: Exchange
    urls: Urls
    http: httpx.AsyncClient

    @property
    def market(self) -> Market:
        """The window under way."""
        now_ms = self.exchange.clock.now_ms()
        start_s = now_ms // WINDOW_MS * WINDOW_MS // 1000
        return self.exchange.lifecycle.by_slug[f"btc-updown-5m-{start_s}"]

    async def gamma(self, path: str = "", **query: str) -> tuple[int, Any]:
        path = path or f"/markets/slug/{self.market.slug}"
        reply = await self.http.get(self.urls.gamma + path, params=query)
        return reply.status_code, reply.json()

    async def admin(self, body: object = None) -> tuple[int, Any]:
        method = "GET" if body is None else "POST"
        url = f"{self.urls.admin}/faults"
        reply = await self.http.request(method, url, content=json.dumps(body))
        return reply.status_code, reply.json()

    def spoil(self, *rows: dict[str, Any]) -> None:
        self.exchange.faults.start(planned(*rows), self.exchange.clock.now_ms())

    @property
    def struck(self) -> dict[str, int]:
        return dict(self.exchange.faults.struck)


@asynccontextmanager
async def stage_at(now_ms: int = T1, faults: Plan = Plan()) -> AsyncIterator[Stage]:
    world = synthetic(start_ms=now_ms, intensity=0.02)
    errors: list[Exception] = []
    exchange = Exchange(world, Clock.starting_at(now_ms), 1, errors.append, faults=faults)
    async with trio.open_nursery() as nursery, httpx.AsyncClient(trust_env=False) as http:
        urls: Urls = await nursery.start(exchange.run)
        yield Stage(exchange, urls, http)
        nursery.cancel_scope.cancel()
    invariants.check(exchange.engine)
    assert errors == []


# --- Gamma ------------------------------------------------------------------------------------

TOKENS = "clobTokenIds"


def turned(before: Any, after: Any, key: str) -> bool:
    return bool(json.loads(after[key]) == json.loads(before[key])[::-1])


GAMMA: dict[str, Any] = {
    "tokens_empty": lambda b, a: a[TOKENS] == "[]",
    "tokens_swapped": lambda b, a: turned(b, a, TOKENS) and a["outcomes"] == b["outcomes"],
    "outcomes_swapped": lambda b, a: turned(b, a, TOKENS) and turned(b, a, "outcomes"),
    "stops_accepting": lambda b, a: (b["acceptingOrders"], a["acceptingOrders"]) == (True, False),
    "rule_changed": lambda b, a: (
        a["cryptoMarketConfig"]["twapLookbackSeconds"] in (1, 30, 120)
        and a["resolutionSource"] != b["resolutionSource"]
    ),
    "fees_missing": lambda b, a: "feeSchedule" in b and "feeSchedule" not in a,
    "fees_changed": lambda b, a: 0.01 <= a["feeSchedule"]["rate"] <= 0.25,
}  # fmt: skip


@pytest.mark.parametrize("fault", GAMMA)
async def test_gamma_says_something_else(fault: str, patient_jumps: MockClock) -> None:
    """In a look-up, in a list and in an event alike; off, it says what it said (F51–F56)."""
    async with stage_at() as stage:
        _, sound = await stage.gamma()
        stage.spoil({"fault": fault})
        _, found = await stage.gamma()
        _, (listed,) = await stage.gamma("/markets", slug=stage.market.slug)
        _, event = await stage.gamma(f"/events/slug/{stage.market.slug}")

        for spoiled in (found, listed, event["markets"][0]):
            assert GAMMA[fault](sound, spoiled)
        assert stage.struck == {fault: 3}
        stage.exchange.faults.clear()
        _, mended = await stage.gamma()
        assert {**mended, "updatedAt": ""}.keys() == sound.keys()
        assert mended[TOKENS] == sound[TOKENS]


async def test_market_missing(patient_jumps: MockClock) -> None:
    """Gamma does not know the market: a look-up is 404, lists are empty (F52)."""
    async with stage_at(faults=planned({"fault": "market_missing"})) as stage:
        status, problem = await stage.gamma()
        assert (status, problem["error"]) == (404, "slug not found")
        assert await stage.gamma("/markets", slug=stage.market.slug) == (200, [])
        assert await stage.gamma("/markets/keyset") == (200, {"markets": []})
        assert (await stage.gamma("/series"))[1] != []
        stage.exchange.faults.clear()
        assert (await stage.gamma())[0] == 200


def strike_of(market: dict[str, Any]) -> float | None:
    metadata: dict[str, float] = market["events"][0]["eventMetadata"]
    return metadata.get("priceToBeat")


async def test_the_strike_is_absent_or_corrected(patient_jumps: MockClock) -> None:
    """priceToBeat does not come, or is another one later (F57)."""
    async with stage_at(START_MS + 60_000 + 180_000) as stage:
        _, sound = await stage.gamma()
        stage.spoil({"fault": "strike_corrected", "shift_bp": 5})
        _, corrected = await stage.gamma()
        stage.spoil({"fault": "strike_absent"})
        _, absent = await stage.gamma()

        strike = strike_of(sound)
        assert strike is not None
        assert strike_of(corrected) == pytest.approx(strike * 1.0005)
        assert strike_of(absent) is None
        assert stage.struck == {"strike_corrected": 2, "strike_absent": 1}


@pytest.mark.parametrize("fault", ["winner_contradicted", "resolution_hidden"])
async def test_a_resolution_is_told_wrongly(fault: str, patient_jumps: MockClock) -> None:
    """Gamma shows the loser as winner, or no resolution at all, and the chain knows (F36, F37)."""
    async with stage_at() as stage:
        market = stage.market
        stage.exchange.engine.close_market(market, stage.exchange.clock.now_ms())
        stage.exchange.engine.resolve_market(market, 0, stage.exchange.clock.now_ms())
        stage.spoil({"fault": fault})
        _, shown = await stage.gamma(f"/markets/slug/{market.slug}")

        wrong = {"winner_contradicted": (True, ["0", "1"]),
                 "resolution_hidden": (False, ["0.5", "0.5"])}[fault]  # fmt: skip
        assert (shown["closed"], json.loads(shown["outcomePrices"])) == wrong
        assert stage.struck == {fault: 1}
        # The lifecycle would close it a second time; the test ends here.
        stage.exchange.lifecycle._steps.clear()


def test_every_fault_of_gamma_is_tried() -> None:
    """Each kind has its lie, and each lie a test above."""
    others = {"strike_absent", "strike_corrected", "winner_contradicted", "resolution_hidden",
              "market_missing"}  # fmt: skip
    lies = {*gamma_lies.MARKET_CHANGES, *gamma_lies.METADATA_CHANGES, "market_missing"}

    assert {*GAMMA, *others} == {kind.name for kind in METADATA} == lies


# --- the venue's own acts -----------------------------------------------------------------------


@pytest.mark.conforms("feeds-12.2-engine-restart")
@pytest.mark.parametrize(
    ("fault", "mode"),
    [
        ("engine_restarted", Mode.RESTARTING),
        ("cancel_only", Mode.CANCEL_ONLY),
        ("trading_disabled", Mode.DISABLED),
    ],
)
async def test_the_venue_changes_its_mode(fault: str, mode: Mode, patient_jumps: MockClock) -> None:
    """For as long as the plan says, and a restart ends in post-only (F39, F40)."""
    async with stage_at() as stage:
        now_ms = stage.exchange.clock.now_ms()
        stage.spoil({"fault": fault, "from_s": 1, "last_s": 30})
        stage.exchange.advance(now_ms + 2_000)
        modes = stage.exchange.clob.modes

        assert modes.at(now_ms + 2_000) is mode
        after = Mode.POST_ONLY if mode is Mode.RESTARTING else Mode.NORMAL
        assert modes.at(now_ms + 32_000) is after
        assert stage.struck == {fault: 1}


async def test_a_tick_changes_and_changes_back(patient_jumps: MockClock) -> None:
    """Finer, and then as before, of the windows under way alone (F08)."""
    async with stage_at() as stage:
        now_ms, market = stage.exchange.clock.now_ms(), stage.market
        stage.spoil({"fault": "tick_changed", "every_s": 1, "times": 2, "tick": 25})
        stage.exchange.advance(now_ms + 500)
        ticks = {m.slug: m.tick for m in stage.exchange.engine.markets.values()}
        stage.exchange.advance(now_ms + 1_500)

        assert [slug for slug, tick in ticks.items() if tick == 25] == [market.slug]
        assert market.tick == 100
        assert stage.struck == {"tick_changed": 2}


async def test_somebody_else_places_an_order(patient_jumps: MockClock) -> None:
    """With the wallet's own key, so that it is in its list of orders, and for its money (F27)."""
    async with stage_at() as stage:
        stage.spoil({"fault": "foreign_order"})
        stage.exchange.advance(stage.exchange.clock.now_ms() + 100)
        wallet = stage.exchange.wallet
        (order,) = stage.exchange.engine.live_orders(wallet.api_key)

        deposit = stage.exchange.demo_wallets.deposit
        assert (order.account, order.side, order.status) == (deposit, BUY, Status.LIVE)
        assert stage.exchange.acts.foreign == {order.id}
        assert stage.struck == {"foreign_order": 1}


def test_heartbeat_ids_are_rotated() -> None:
    """The id a client holds is the wrong one from now on, and the refusal tells the right one
    (F45).
    """
    heartbeats = Heartbeats(random.Random(1))
    first = heartbeats.beat("key", "", 0)
    assert isinstance(first, Beat)

    assert heartbeats.rotate() == 1
    refused = heartbeats.beat("key", first.heartbeat_id, 1)
    assert not isinstance(refused, Beat)
    assert isinstance(heartbeats.beat("key", refused.expected, 2), Beat)


@pytest.mark.parametrize("ignored", [True, False])
async def test_orders_outlive_the_heartbeat(
    ignored: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """With the lapse ignored they rest on; else they are gone within 15 s (clob.md 4.2; F46)."""
    kit = ClobKit()
    if ignored:
        kit.faults.start(planned({"fault": "heartbeat_lapse_ignored"}), kit.clock.now_ms())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kit.server.run)
        await kit.call(kit.ann, "POST", "/v1/heartbeats", {"heartbeat_id": ""})
        await kit.call(kit.ann, "POST", "/order", kit.ann.limit(BUY, UP_TOKEN, 40, 10))
        await trio.sleep(20)
        nursery.cancel_scope.cancel()

    assert len(kit.engine.live_orders(kit.ann.creds.api_key)) == ignored
    assert kit.faults.struck == ({"heartbeat_lapse_ignored": 1} if ignored else {})


def test_every_act_of_the_venue_is_tried() -> None:
    """A kind that is added is tried above."""
    assert {kind.name for kind in KINDS} == {
        "engine_restarted", "cancel_only", "trading_disabled", "tick_changed", "foreign_order",
        "heartbeat_rotated", "heartbeat_lapse_ignored",
        "batch_partly_done",  # with the other batches, where an order's sender is at hand
    }  # fmt: skip


# --- the admin calls ------------------------------------------------------------------------------


async def test_faults_are_switched_while_it_runs(patient_jumps: MockClock) -> None:
    """Added, shown with their numbers and blows, removed, replaced, cleared."""
    async with stage_at() as stage:
        row = {"fault": "market_missing", "match": ["/markets"]}
        assert await stage.admin() == (200, {"faults": [], "struck": {}})
        status, shown = await stage.admin({"add": {"fault": [row, {"fault": "stall"}]}})
        assert (status, [one["number"] for one in shown["faults"]]) == (200, [1, 2])
        assert (await stage.gamma())[0] == 404

        _, shown = await stage.admin({"remove": [2]})
        (one,) = shown["faults"]
        assert one == row | {"number": 1, "struck": 1, "since_ms": one["since_ms"]}
        assert shown["struck"] == {"market_missing": 1}
        _, shown = await stage.admin({"replace": "feeds"})
        assert len(shown["faults"]) == len(plan.load("feeds").entries)
        assert (await stage.gamma())[0] == 200
        _, shown = await stage.admin({"clear": True})
        assert shown == {"faults": [], "struck": {"market_missing": 1}}


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"add": {"fault": [{"fault": "x"}, {"fault": "stall", "for_s": -1}]}}, 2),
        ({"replace": "config.toml"}, 1),
        ({"replace": 3}, 1),
        ({"remove": [7, "1"]}, 2),
        ({"remove": [1], "clear": True}, 1),
        ({"clear": False}, 1),
        ([], 1),
        (7, 1),
    ],
)
async def test_a_bad_call_changes_nothing(
    body: Any, problems: int, patient_jumps: MockClock
) -> None:
    """All problems are told, and the plan stays as it was."""
    async with stage_at(faults=planned({"fault": "stall", "from_s": 1000})) as stage:
        before = await stage.admin()
        status, told = await stage.admin(body)

        assert (status, len(told["errors"])) == (400, problems)
        assert await stage.admin() == before


async def test_every_service_of_a_client_is_a_link(patient_jumps: MockClock) -> None:
    """A service that is added later must be on a link too, or be named here."""
    own = {"admin", "site"}

    assert {field.name for field in attrs.fields(Urls)} - own == {*REST, *STREAMS}
