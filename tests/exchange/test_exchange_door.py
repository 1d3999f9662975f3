"""The order of checks in front of the order endpoints (clob.md 10), and what forces a status."""

from __future__ import annotations

from typing import Any

import attrs
import httpx
import pytest
import trio
from clob_kit import UP_TOKEN, ClobKit, Wallet, decoded
from trio.testing import MockClock

from polybot.exchange import contracts
from polybot.exchange.conduct_calls import ConductCalls
from polybot.exchange.door import with_forced_status
from polybot.exchange.geoblock import RESTRICTED, Geoblock
from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, SELL, Status
from polybot.exchange.net import serve
from polybot.exchange.request import Request, error_response
from polybot.exchange.site_service import SiteService
from polybot.exchange.terms import Terms

ORDER_CALLS = [
    ("POST", "/order"), ("POST", "/orders"), ("DELETE", "/order"), ("DELETE", "/orders"),
    ("DELETE", "/cancel-market-orders"), ("DELETE", "/cancel-all"),
]  # fmt: skip
WIPING = Terms(orders_survive_restart=False)


@pytest.fixture
async def kit() -> ClobKit:
    return ClobKit()


async def answer(kit: ClobKit, method: str, path: str, **changes: Any) -> tuple[int, Any]:
    """Ann's signed request with something about it changed after signing."""
    request = attrs.evolve(kit.ann.request(method, path, []), **changes)
    return decoded(await kit.server.handle(request))


@pytest.mark.parametrize(("method", "path"), ORDER_CALLS)
@pytest.mark.conforms("clob-7.3-geoblock")
async def test_each_check_hides_those_behind_it(
    kit: ClobKit, autojump_clock: MockClock, method: str, path: str
) -> None:
    """Geoblock 403, restart 425, credentials 401, mode 503: the first that refuses answers, with
    the same hopeless request each time (clob.md 10).
    """
    now = kit.clock.now_ms()
    kit.server.geoblock.country = "US"
    kit.server.modes.restart(now)
    assert await answer(kit, method, path, headers={}) == (403, {"error": RESTRICTED})
    kit.server.geoblock.country = "IE"
    assert (await answer(kit, method, path, headers={}))[0] == 425
    kit.server.modes.disable(now)
    assert (await answer(kit, method, path, headers={}))[0] == 401
    assert (await answer(kit, method, path))[0] == 503
    kit.server.modes.resume(now)
    assert (await answer(kit, method, path))[0] in {200, 400}


async def test_reads_and_heartbeats_pass_in_every_mode(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """Only order endpoints close: a restart must not cost the dead-man switch (clob.md 7.3)."""
    kit.server.geoblock.country = "US"
    kit.server.modes.restart(kit.clock.now_ms())
    for path in ("/data/orders", "/data/trades"):
        assert (await kit.call(kit.ann, "GET", path))[0] == 200
    assert (await kit.call(kit.ann, "POST", "/v1/heartbeats", {"heartbeat_id": ""}))[0] == 200
    assert (await kit.get("/book", token_id=UP_TOKEN))[0] == 200


# --- post-only mode ----------------------------------------------------------------------


@pytest.mark.conforms("clob-4.1-cancel-only-mode", "clob-7.3-post-only-after")
async def test_post_only_mode_takes_what_can_only_rest(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """A plain order is 503 with code and delay; post-only orders and cancels work (clob.md 7.3)."""
    kit.server.modes.restart(kit.clock.now_ms(), for_s=1)
    await trio.sleep(1)
    plain = kit.ann.limit(BUY, UP_TOKEN, 50, 10)
    status, reply = await kit.call(kit.ann, "POST", "/order", plain)
    assert (status, reply["code"], reply["retry_after_seconds"]) == (503, "post_only_mode", 120)
    resting = kit.ann.limit(BUY, UP_TOKEN, 50, 10, post_only=True)
    status, reply = await kit.call(kit.ann, "POST", "/order", resting)
    assert (status, reply["status"]) == (200, "live")
    cancel = {"orderID": reply["orderID"]}
    assert (await kit.call(kit.ann, "DELETE", "/order", cancel))[1]["canceled"]


@pytest.mark.conforms("clob-7.3-post-only-batch")
async def test_a_batch_in_post_only_mode_is_200_with_errors_of_its_entries(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """Each entry is judged alone, also one that is no order at all (clob.md 7.3)."""
    kit.server.modes.restart(kit.clock.now_ms(), for_s=1)
    await trio.sleep(1)
    plain = kit.ann.limit(BUY, UP_TOKEN, 50, 10)
    resting = kit.ann.limit(BUY, UP_TOKEN, 50, 10, post_only=True)
    status, entries = await kit.call(kit.ann, "POST", "/orders", [plain, resting, "nonsense"])
    text = "post-only mode: only post-only orders and cancels are allowed"
    assert status == 200
    assert [entry["errorMsg"] for entry in entries] == [text, "", text]
    assert [bool(entry["orderID"]) for entry in entries] == [False, True, False]


@pytest.mark.conforms("clob-7.3-cancel-only")
async def test_a_batch_in_cancel_only_mode_is_refused_as_a_whole(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """503 like a single order (clob.md 7.3)."""
    kit.server.modes.cancel_only(kit.clock.now_ms())
    batch = [kit.ann.limit(BUY, UP_TOKEN, 50, 10, post_only=True)]
    status, reply = await kit.call(kit.ann, "POST", "/orders", batch)
    assert status == 503
    assert "cancel-only" in reply["error"]


# --- resting orders and restarts -----------------------------------------------------------


async def rest_one(kit: ClobKit) -> str:
    _, reply = await kit.call(
        kit.ann, "POST", "/order", kit.ann.limit(BUY, UP_TOKEN, 50, 10, post_only=True)
    )
    return str(reply["orderID"])


@pytest.mark.conforms("clob-7.3-restart-resting")
async def test_resting_orders_survive_a_restart(kit: ClobKit, autojump_clock: MockClock) -> None:
    """The default where no source says (clob.md 7.3)."""
    order_id = await rest_one(kit)
    kit.server.modes.restart(kit.clock.now_ms())
    assert kit.engine.orders[order_id].status is Status.LIVE


async def test_or_they_are_gone_with_the_engines_memory(autojump_clock: MockClock) -> None:
    """With the term set, everybody's orders are cancelled and nothing stays reserved."""
    kit = ClobKit(terms=WIPING)
    order_id = await rest_one(kit)
    kit.crowd(SELL, UP_TOKEN, 5500, 10)
    kit.server.modes.restart(kit.clock.now_ms())
    assert kit.engine.orders[order_id].status is Status.CANCELED
    assert kit.engine.levels(UP_TOKEN) == ([], [])
    check(kit.engine)


# --- the website's probe -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "region", "blocked", "close_only"),
    [
        ("IE", "", False, False),
        ("US", "NY", True, False),
        ("CA", "ON", True, False),
        ("CA", "BC", False, False),
        ("SG", "", False, True),
    ],
)
def test_countries_and_regions(country: str, region: str, blocked: bool, close_only: bool) -> None:
    """Whole countries, parts of them, and those that may only close (clob.md 7.3)."""
    place = Geoblock(Terms(country=country, region=region))
    assert (place.blocked, place.close_only) == (blocked, close_only)
    assert (place.refusal() is not None) == blocked


@pytest.mark.conforms("clob-7.3-geoblock")
async def test_the_probe_tells_where_the_caller_is(
    nursery: trio.Nursery,
) -> None:
    """The website answers over a real socket with the client's own address (clob.md 7.3)."""
    site = SiteService(Geoblock(Terms(country="US", region="NY")))
    port = await nursery.start(serve, site.service, 0)
    async with httpx.AsyncClient(trust_env=False) as web:
        reply = await web.get(f"http://127.0.0.1:{port}/api/geoblock")
        assert (await web.get(f"http://127.0.0.1:{port}/other")).status_code == 404
    assert reply.json() == {
        "blocked": True, "ip": "127.0.0.1", "country": "US", "region": "NY",
    }  # fmt: skip
    nursery.cancel_scope.cancel()


# --- statuses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "forced"),
    [
        ("Order Not Found", 400, 404),
        ("Unauthorized/Invalid api key", 400, 401),
        ("rpc: context canceled", 500, 400),
        ("Invalid orderID", 400, 400),
    ],
)
@pytest.mark.conforms("clob-7.3-not-found-404")
def test_some_words_force_a_status(error: str, status: int, forced: int) -> None:
    """Whatever the handler meant, the text decides; the body stays (clob.md 7.3)."""
    reply = with_forced_status(error_response(error, status))
    assert reply == error_response(error, forced)


async def test_a_known_path_with_a_wrong_method(kit: ClobKit, autojump_clock: MockClock) -> None:
    """405 where another method would do, 404 elsewhere."""
    for method, path in [
        ("GET", "/order"), ("POST", "/cancel-all"), ("DELETE", "/book"), ("PUT", "/ok"),
        ("PATCH", "/data/orders"),
    ]:  # fmt: skip
        assert (await answer(kit, method, path))[0] == 405
    assert (await answer(kit, "GET", "/nowhere"))[0] == 404


# --- the admin's calls ---------------------------------------------------------------------


def said(calls: ConductCalls, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    return decoded(calls.routes[method, path](Request(method, path, {}, {}, body)))


async def test_an_operator_switches_modes_and_places(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """POST /mode and /region act at once; GET /mode tells what is on and for how long."""
    calls = ConductCalls(kit.clock, kit.server.modes, kit.server.geoblock)
    on = said(calls, "POST", "/mode", b'{"mode": "restarting"}')
    assert on == (200, {"mode": "restarting", "seconds_left": 90})
    await trio.sleep(100)
    assert said(calls, "GET", "/mode") == (200, {"mode": "post_only", "seconds_left": 110})
    on = said(calls, "POST", "/mode", b'{"mode": "cancel_only", "for_s": 5}')
    assert on == (200, {"mode": "cancel_only", "seconds_left": 5})
    on = said(calls, "POST", "/mode", b'{"mode": "normal"}')
    assert on == (200, {"mode": "normal", "seconds_left": None})
    assert said(calls, "POST", "/region", b'{"country": "FR"}')[1]["blocked"] is True


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/mode", b"no json"),
        ("/mode", b'{"mode": "asleep"}'),
        ("/mode", b'{"mode": ["normal"]}'),
        ("/mode", b'{"mode": "normal", "for_s": 0}'),
        ("/mode", b'{"mode": "normal", "for_s": true}'),
        ("/mode", b'{"mode": "normal", "for": 3}'),
        ("/region", b'{"country": 1}'),
        ("/region", b"[]"),
    ],
)
async def test_a_bad_admin_call_changes_nothing(
    kit: ClobKit, autojump_clock: MockClock, path: str, body: bytes
) -> None:
    """400 with the reason."""
    calls = ConductCalls(kit.clock, kit.server.modes, kit.server.geoblock)
    assert said(calls, "POST", path, body)[0] == 400
    assert said(calls, "GET", "/mode")[1]["mode"] == "normal"
    assert kit.server.geoblock.country == "IE"


# --- heartbeats on the wire (clob.md 4.2) ----------------------------------------------------


@pytest.mark.conforms("clob-4.2-legacy")
async def test_the_unversioned_heartbeat(kit: ClobKit, autojump_clock: MockClock) -> None:
    """No body, `{"status":"ok"}`; the chained call then starts with an empty id (clob.md 4.2)."""
    assert await kit.call(kit.ann, "POST", "/heartbeats") == (200, {"status": "ok"})
    status, _ = await kit.call(kit.ann, "POST", "/v1/heartbeats", {"heartbeat_id": ""})
    assert status == 200


@pytest.mark.conforms("clob-4.2-v3-covered")
async def test_the_switch_covers_orders_of_exchange_v3(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """It goes by the API key, whatever contract an order is signed for (clob.md 4.2)."""
    kit = ClobKit(version="v2")
    nursery.start_soon(kit.server.run)
    wallet = Wallet(0x11, contract=contracts.EXCHANGE_V3, version="3")
    order = wallet.limit(BUY, UP_TOKEN, 40, 5, post_only=True)
    status, placed = await kit.call(wallet, "POST", "/order", order)
    assert status == 200, placed
    assert (await kit.call(wallet, "POST", "/v1/heartbeats", {"heartbeat_id": ""}))[0] == 200
    await trio.sleep(9.9)
    assert kit.engine.orders[placed["orderID"]].status is Status.LIVE
    await trio.sleep(5.2)
    assert kit.engine.orders[placed["orderID"]].status is Status.CANCELED
    nursery.cancel_scope.cancel()


async def test_a_lapse_during_a_restart_is_punished_after_it(
    kit: ClobKit, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Nothing moves while the engine restarts; the first sweep after it cancels (clob.md 4.2)."""
    nursery.start_soon(kit.server.run)
    order_id = await rest_one(kit)
    assert (await kit.call(kit.ann, "POST", "/v1/heartbeats", {"heartbeat_id": ""}))[0] == 200
    kit.server.modes.restart(kit.clock.now_ms(), for_s=31)
    await trio.sleep(30.5)
    assert kit.engine.orders[order_id].status is Status.LIVE
    await trio.sleep(5)
    assert kit.engine.orders[order_id].status is Status.CANCELED
    nursery.cancel_scope.cancel()
