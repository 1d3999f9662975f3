"""The signer's limits as a client meets them: costs, headers, 429 (clob.md 7.2)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import trio
from clob_kit import DOWN_TOKEN, SECRET, T0, UP_TOKEN, ClobKit, Wallet
from polymarket.clients._transport import (
    _extract_retry_after,
    _parse_rate_limit_headers,
    _raise_for_response_status,
)
from polymarket.errors import RateLimitError
from polymarket.rate_limit import RateLimitUpdate
from trio.testing import MockClock

from polybot.exchange.model import BUY, SELL
from polybot.exchange.money import UNIT
from polybot.exchange.request import Response
from polybot.exchange.signer_limits import TIERS
from polybot.exchange.terms import Terms
from polybot.exchange.volumes import REFRESH_MS, Volumes


@pytest.fixture
async def kit() -> ClobKit:
    return ClobKit(terms=Terms())


async def send(
    kit: ClobKit, method: str, path: str, body: object = None, wallet: Wallet | None = None
) -> Response:
    return await kit.server.handle((wallet or kit.ann).request(method, path, body))


def official(response: Response) -> httpx.Response:
    request = httpx.Request("POST", "http://venue")
    headers = list(response.headers)
    return httpx.Response(response.status, headers=headers, content=response.body, request=request)


def update(response: Response) -> RateLimitUpdate | None:
    """What the official client's `on_rate_limit_update` would be told."""
    return _parse_rate_limit_headers(official(response).headers)


async def remaining(kit: ClobKit, method: str, path: str, body: object = None) -> float | None:
    said = update(await send(kit, method, path, body))
    return said.remaining if said else None


def batch(kit: ClobKit, size: int) -> list[dict[str, Any]]:
    return [kit.ann.limit(BUY, UP_TOKEN, 40, 5, post_only=True) for _ in range(size)]


@pytest.mark.conforms("clob-7.2-headers")
async def test_the_official_client_reads_every_reply(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """Remaining, reset and tier on accepted and on refused orders alike (clob.md 7.2)."""
    good = await send(kit, "POST", "/order", kit.ann.limit(BUY, UP_TOKEN, 40, 5))
    told = RateLimitUpdate(remaining=59, reset=T0 // 1000, tier="standard")
    assert update(good) == told
    bad = await send(kit, "POST", "/order", {"order": "nonsense"})
    assert bad.status == 400
    told = RateLimitUpdate(remaining=58, reset=T0 // 1000, tier="standard")
    assert update(bad) == told


async def test_reads_carry_no_such_headers(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Nor do refusals before the limiter is asked (clob.md 7.2)."""
    assert update(await send(kit, "GET", "/data/orders")) is None
    assert update(await send(kit, "POST", "/v1/heartbeats", {"heartbeat_id": ""})) is None
    kit.server.modes.disable(T0)
    assert update(await send(kit, "DELETE", "/cancel-all")) is None


@pytest.mark.conforms("clob-7.2-costs")
async def test_costs(kit: ClobKit, autojump_clock: MockClock) -> None:
    """A batch its length, DELETE orders the ids sent, mass cancels 1 + cancelled (clob.md 7.2)."""
    assert await remaining(kit, "POST", "/orders", batch(kit, 15)) == 45
    assert await remaining(kit, "POST", "/order", batch(kit, 1)[0]) == 44
    some = "0x" + "00" * 32
    assert await remaining(kit, "DELETE", "/order", {"orderID": some}) == 119
    assert await remaining(kit, "DELETE", "/orders", [some, some]) == 117
    market = {"market": "0xabc"}
    assert await remaining(kit, "DELETE", "/cancel-market-orders", market) == 116
    assert await remaining(kit, "DELETE", "/cancel-all") == 116 - 1 - 16
    assert await remaining(kit, "DELETE", "/cancel-all") == 98


@pytest.mark.parametrize("body", [[], {"a": 1}, "x"])
async def test_what_is_no_batch_is_not_counted(
    kit: ClobKit, autojump_clock: MockClock, body: object
) -> None:
    """Without entries there is no cost; the shape is refused later (clob.md 10)."""
    reply = await send(kit, "POST", "/orders", body)
    assert (reply.status, update(reply)) == (400, None)


async def test_an_oversized_batch_is_counted_before_it_is_refused(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """The limiter comes before the shape (clob.md 10)."""
    reply = await send(kit, "POST", "/orders", [1] * 20)
    assert reply.status == 400
    assert b"Too many orders in payload: 20" in reply.body
    assert update(reply) == RateLimitUpdate(remaining=40, reset=T0 // 1000, tier="standard")


@pytest.mark.conforms("clob-7.2-refused", "clob-7.2-all-or-nothing")
async def test_429_is_what_the_official_client_expects(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """Nothing is accepted; state and delay come with it; waiting heals (clob.md 7.2)."""
    for _ in range(4):
        assert (await send(kit, "POST", "/orders", batch(kit, 15))).status == 200
    rest = len(kit.engine.live_orders(kit.ann.creds.api_key))
    refused = await send(kit, "POST", "/orders", batch(kit, 15))
    assert len(kit.engine.live_orders(kit.ann.creds.api_key)) == rest == 60
    with pytest.raises(RateLimitError) as caught:
        _raise_for_response_status(official(refused), path="/orders")
    assert caught.value.retry_after == 1
    told = RateLimitUpdate(remaining=0, reset=T0 // 1000 + 1, tier="standard")
    assert caught.value.rate_limit == told
    await trio.sleep(0.375)
    assert (await send(kit, "POST", "/orders", batch(kit, 15))).status == 200


async def test_a_cancel_passes_however_many_orders_were_placed(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """The buckets are apart: a maker out of orders can still withdraw (clob.md 7.2)."""
    for _ in range(5):
        await send(kit, "POST", "/orders", batch(kit, 15))
    assert (await send(kit, "DELETE", "/cancel-all")).status == 200


async def test_all_keys_of_a_signer_share_its_buckets(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """A second key is no second budget, another signer is (clob.md 7.2)."""
    kit.server.keys.add_key(kit.ann.address, "second", SECRET, "pass")
    assert await remaining(kit, "DELETE", "/cancel-all") == 119
    kit.ann.creds.api_key, kit.ann.creds.api_passphrase = "second", "pass"
    assert await remaining(kit, "DELETE", "/cancel-all") == 118
    said = update(await send(kit, "DELETE", "/cancel-all", wallet=kit.bob))
    assert said
    assert said.remaining == 119


@pytest.mark.conforms("clob-7.2-warning")
async def test_warning_mode(autojump_clock: MockClock) -> None:
    """The term of the first weeks: processed, and marked for those who look (clob.md 7.2)."""
    kit = ClobKit(terms=Terms(signer_limits_enforced=False))
    for _ in range(5):
        reply = await send(kit, "POST", "/orders", batch(kit, 15))
        assert reply.status == 200
    told = update(reply)
    assert told
    assert (told.warning, _extract_retry_after(official(reply))) == (True, None)


async def test_a_busy_token_refuses_entries_of_a_batch(autojump_clock: MockClock) -> None:
    """With the term set: the entry's own error, the other token unharmed (clob.md 3.6)."""
    kit = ClobKit(terms=Terms(orders_per_token_per_s=1))
    orders = [*batch(kit, 2), kit.ann.limit(BUY, DOWN_TOKEN, 40, 5)]
    status, entries = await kit.call(kit.ann, "POST", "/orders", orders)
    text = f"Rate limit exceeded for tokenId: {UP_TOKEN}"
    assert (status, [entry["errorMsg"] for entry in entries]) == (200, ["", text, ""])
    again = await send(kit, "POST", "/order", kit.ann.limit(BUY, UP_TOKEN, 40, 5))
    assert again.status == 429


# --- tiers -------------------------------------------------------------------------------


@pytest.mark.conforms("clob-5.1-tier")
async def test_the_tier_can_be_asked_for(kit: ClobKit, autojump_clock: MockClock) -> None:
    """GET /v1/user/rate-limit-tier (clob.md 5.1)."""
    path = "/v1/user/rate-limit-tier"
    assert await kit.call(kit.ann, "GET", path) == (200, {"tier": "standard"})
    kit.server.volumes.give(kit.ann.address, TIERS["gold"])
    assert await kit.call(kit.ann, "GET", path) == (200, {"tier": "gold"})
    assert await remaining(kit, "DELETE", "/cancel-all") == 1_199


async def test_volume_raises_the_tier_at_the_next_refresh(
    kit: ClobKit, autojump_clock: MockClock
) -> None:
    """Both sides of a trade count, every three hours (clob.md 7.2)."""
    kit.engine.accounts.deposit(kit.ann.address, 40_000 * UNIT)
    kit.engine.split(kit.ann.address, kit.market, 40_000 * UNIT, T0)
    kit.engine.accounts.deposit(kit.bob.address, 40_000 * UNIT)
    await send(kit, "POST", "/order", kit.ann.limit(SELL, UP_TOKEN, 90, 34_000))
    taken = await send(kit, "POST", "/order", kit.bob.limit(BUY, UP_TOKEN, 90, 34_000), kit.bob)
    assert b"matched" in taken.body
    volumes = kit.server.volumes
    for wallet in (kit.ann.address, kit.bob.address):
        assert volumes.volume(wallet, T0) == 30_600 * UNIT
        assert volumes.tier(wallet, T0).name == "standard"
        refresh = T0 // REFRESH_MS * REFRESH_MS + REFRESH_MS
        assert volumes.tier(wallet, refresh - 1).name == "standard"
        assert volumes.tier(wallet, refresh).name == "copper"
        assert volumes.tier(wallet, T0 + 31 * 86_400_000).name == "standard", "thirty days"


def test_a_fixed_tier_is_everybodys() -> None:
    """A term for those who want to know what a larger account would meet."""
    assert Volumes("diamond").tier("0x" + "11" * 20, T0).name == "diamond"


# --- timestamps and replays (clob.md 2.2) --------------------------------------------------


@pytest.mark.parametrize(("late_s", "status"), [(300, 200), (301, 401)])
async def test_a_request_is_good_for_as_long_as_the_terms_say(
    kit: ClobKit, autojump_clock: MockClock, late_s: int, status: int
) -> None:
    """The venue has no nonce: a replay passes until its timestamp is too old (clob.md 2.2)."""
    request = kit.ann.request("DELETE", "/cancel-all")
    assert (await kit.server.handle(request)).status == 200
    await trio.sleep(late_s)
    assert (await kit.server.handle(request)).status == status


async def test_a_replayed_order_is_a_duplicate(kit: ClobKit, autojump_clock: MockClock) -> None:
    """Its hash is known, so that a replay cannot double a position (clob.md 3.1)."""
    request = kit.ann.request("POST", "/order", batch(kit, 1)[0])
    assert (await kit.server.handle(request)).status == 200
    again = await kit.server.handle(request)
    assert (again.status, b"Duplicated" in again.body) == (400, True)
