"""Read-only keys, several keys of one wallet, and accounts that are shut out (clob.md 2.1, 3.6)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio
from clob_kit import UP_TOKEN, ClobKit, Wallet, decoded
from polymarket._internal.actions.auth import parse_api_key_creds, parse_api_keys_response
from trio.testing import MockClock

from polybot.exchange.auth import READ_ONLY, UNAUTHORIZED
from polybot.exchange.model import BUY, SELL
from polybot.exchange.money import UNIT
from polybot.exchange.net import serve
from polybot.exchange.request import Request
from polybot.exchange.terms import Terms
from polybot.exchange.wallets import WalletKind, wallets_of

READERS = "/auth/readonly-api-keys"
READER = "/auth/readonly-api-key"


@pytest.fixture
async def kit(autojump_clock: MockClock) -> ClobKit:
    return ClobKit()


async def reader_of(kit: ClobKit, wallet: Wallet) -> str:
    status, reply = await kit.call(wallet, "POST", READER)
    assert (status, list(reply)) == (200, ["apiKey"])
    return str(reply["apiKey"])


async def read(
    kit: ClobKit, wallet: Wallet, reader: str, method: str, path: str, body: object = None
) -> tuple[int, Any]:
    """A call with a read-only key, which has no secret to sign with."""
    headers = {"poly_address": wallet.address, "poly_api_key": reader}
    text = b"" if body is None else json.dumps(body).encode()
    return decoded(await kit.server.handle(Request(method, path, {}, headers, text)))


@pytest.mark.conforms("clob-2.1-readonly-life")
async def test_read_only_keys_are_made_listed_and_deleted(kit: ClobKit) -> None:
    """The reply shape is UNSURE: an object with the uuid, a list of uuids, "OK" (clob.md 2.1)."""
    first, second = await reader_of(kit, kit.ann), await reader_of(kit, kit.ann)
    assert await kit.call(kit.ann, "GET", READERS) == (200, [first, second])
    assert await kit.call(kit.bob, "GET", READERS) == (200, [])
    foreign = await kit.call(kit.bob, "DELETE", READER, {"key": first})
    assert foreign == (404, {"error": "api key not found"})
    assert (await kit.call(kit.ann, "DELETE", READER, {"id": first}))[0] == 400
    assert (await kit.call(kit.ann, "DELETE", READER, []))[0] == 400
    assert await kit.call(kit.ann, "DELETE", READER, {"key": first}) == (200, "OK")
    assert await kit.call(kit.ann, "GET", READERS) == (200, [second])
    refused = (401, {"error": UNAUTHORIZED})
    assert await read(kit, kit.ann, first, "GET", "/data/orders") == refused


@pytest.mark.conforms("clob-2.1-readonly-reads")
async def test_a_read_only_key_reads_and_does_nothing_else(kit: ClobKit) -> None:
    """It sees what the key that made it sees; placing, cancelling and keys are refused."""
    reader = await reader_of(kit, kit.ann)
    order = kit.ann.limit(BUY, UP_TOKEN, 50, 10)
    _, placed = await kit.call(kit.ann, "POST", "/order", order)
    _, page = await read(kit, kit.ann, reader, "GET", "/data/orders")
    assert [row["id"] for row in page["data"]] == [placed["orderID"]]
    assert (await read(kit, kit.ann, reader, "GET", "/data/trades"))[0] == 200
    assert (await read(kit, kit.ann, reader, "POST", "/orders-scoring", []))[0] == 200
    for method, path in [
        ("POST", "/order"), ("POST", "/orders"), ("DELETE", "/order"), ("DELETE", "/orders"),
        ("DELETE", "/cancel-all"), ("DELETE", "/cancel-market-orders"), ("DELETE", "/auth/api-key"),
        ("POST", "/v1/heartbeats"), ("POST", READER), ("GET", READERS), ("GET", "/auth/api-keys"),
    ]:  # fmt: skip
        assert await read(kit, kit.ann, reader, method, path, {}) == (403, {"error": READ_ONLY})
    assert len(kit.engine.live_orders(kit.ann.creds.api_key)) == 1
    stranger = await read(kit, kit.bob, reader, "GET", "/data/orders")
    assert stranger == (401, {"error": UNAUTHORIZED})
    assert kit.server.keys.valid(reader, "", "") is None  # the user stream wants a secret


async def test_a_deleted_key_takes_its_readers_along(kit: ClobKit) -> None:
    """Nobody reads for a key that is gone (clob.md 2.1)."""
    reader = await reader_of(kit, kit.ann)
    assert await kit.call(kit.ann, "DELETE", "/auth/api-key") == (200, "OK")
    assert (await read(kit, kit.ann, reader, "GET", "/data/orders"))[0] == 401


@pytest.mark.conforms("clob-2.2-header-case")
async def test_header_names_count_in_any_case(kit: ClobKit) -> None:
    """HTTP/2 clients send `poly_address`; underscores are kept (clob.md 2.2)."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, kit.server.service_rest, 0)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for change in (str.lower, str.upper, str.title):
                headers = kit.ann.headers("GET", "/data/orders")
                named = {change(name): value for name, value in headers.items()}
                assert (await client.get("/data/orders", headers=named)).status_code == 200
                dashed = {name.replace("_", "-"): value for name, value in headers.items()}
                assert (await client.get("/data/orders", headers=dashed)).status_code == 401
        nursery.cancel_scope.cancel()


def l1(wallet: Wallet, method: str, path: str, nonce: int) -> Request:
    headers = {name.lower(): value for name, value in wallet.l1_headers(nonce).items()}
    return Request(method, path, {}, headers, b"")


@pytest.mark.conforms("clob-2.1-owner-eoa")
async def test_a_wallet_has_a_key_for_each_nonce(kit: ClobKit) -> None:
    """Several key sets side by side, deleted one by one; all belong to the EOA (clob.md 2.1)."""
    eve = Wallet(0x66, kind=WalletKind.DEPOSIT)
    handle = kit.server.handle
    made = []
    for nonce in range(3):
        _, reply = decoded(await handle(l1(eve, "POST", "/auth/api-key", nonce)))
        assert decoded(await handle(l1(eve, "GET", "/auth/derive-api-key", nonce)))[1] == reply
        made.append(parse_api_key_creds(reply))
    assert len({creds.key for creds in made}) == 3
    first = made[0]
    eve.creds.api_key, eve.creds.api_secret = first.key, first.secret
    eve.creds.api_passphrase = first.passphrase
    _, listed = await kit.call(eve, "GET", "/auth/api-keys")
    assert parse_api_keys_response(listed) == tuple(creds.key for creds in made)
    kit.engine.accounts.deposit(wallets_of(eve.address).deposit, 100 * UNIT)
    status, reply = await kit.call(eve, "POST", "/order", eve.limit(BUY, UP_TOKEN, 50, 10))
    assert (status, reply["status"]) == (200, "live")
    assert await kit.call(eve, "DELETE", "/auth/api-key") == (200, "OK")
    assert decoded(await handle(l1(eve, "GET", "/auth/derive-api-key", 0)))[0] == 400
    assert decoded(await handle(l1(eve, "GET", "/auth/derive-api-key", 1)))[0] == 200
    again = decoded(await handle(l1(eve, "POST", "/auth/api-key", 0)))[1]
    assert again["apiKey"] != first.key


# --- accounts that are shut out ------------------------------------------------------------


def restrict(kit: ClobKit, **asked: object) -> tuple[int, Any]:
    route = kit.server.restrictions.routes["POST", "/restrictions"]
    return decoded(route(Request("POST", "/restrictions", {}, {}, json.dumps(asked).encode())))


async def place(kit: ClobKit, side: str) -> tuple[int, Any]:
    return await kit.call(kit.ann, "POST", "/order", kit.ann.limit(side, UP_TOKEN, 50, 10))


@pytest.mark.conforms("clob-3.6-banned", "clob-2.1-closed-only-flag")
@pytest.mark.conforms("clob-7.3-closed-only")
async def test_a_closed_only_account_sells_and_cancels(kit: ClobKit) -> None:
    """It may only reduce positions, and the flag shows (clob.md 3.6, 7.3)."""
    _, resting = await place(kit, BUY)
    address = kit.ann.address
    shown = {"address": address, "banned": False, "closed_only": True}
    assert restrict(kit, address=address.lower(), closed_only=True) == (200, shown)
    flag = await kit.call(kit.ann, "GET", "/auth/ban-status/closed-only")
    assert flag == (200, {"closed_only": True})
    assert await place(kit, BUY) == (400, {"error": f"'{address}' address in closed only mode"})
    status, batch = await kit.call(
        kit.ann, "POST", "/orders", [kit.ann.limit(s, UP_TOKEN, 51, 10) for s in (BUY, SELL)]
    )
    assert status == 200
    assert batch[0]["errorMsg"] == f"'{address}' address in closed only mode"
    assert batch[1]["status"] == "live"
    _, reply = await kit.call(kit.ann, "DELETE", "/order", {"orderID": resting["orderID"]})
    assert reply["canceled"] == [resting["orderID"]]
    assert restrict(kit, address=address, closed_only=False)[0] == 200
    assert (await place(kit, BUY))[0] == 200


@pytest.mark.conforms("clob-3.6-banned")
async def test_a_banned_account_places_nothing(kit: ClobKit) -> None:
    """Refused by name, also when only the wallet it trades from is banned (clob.md 3.6)."""
    address = kit.ann.address
    restrict(kit, address=address, banned=True)
    for side in (BUY, SELL):
        assert await place(kit, side) == (400, {"error": f"'{address}' address banned"})
    restrict(kit, address=address, banned=False)
    kit.ann = Wallet(0x11, kind=WalletKind.SAFE)
    restrict(kit, address=kit.ann.maker, banned=True)
    assert await place(kit, BUY) == (400, {"error": f"'{kit.ann.maker}' address banned"})


async def test_whole_countries_may_only_close(autojump_clock: MockClock) -> None:
    """In some countries everybody is in closed-only mode on the API (clob.md 7.3)."""
    kit = ClobKit(terms=Terms(country="PL"))
    flag = await kit.call(kit.ann, "GET", "/auth/ban-status/closed-only")
    assert flag == (200, {"closed_only": True})
    assert (await place(kit, BUY))[0] == 400
    assert (await place(kit, SELL))[0] == 200


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"address": "me"},
        {"address": "0x" + "11" * 20, "banned": 1},
        {"address": "0x" + "11" * 20, "closed_only": None},
        {"address": "0x" + "11" * 20, "ban": True},
    ],
)
async def test_a_bad_restriction_changes_nothing(kit: ClobKit, asked: dict[str, object]) -> None:
    """The admin call names what is wrong."""
    status, reply = restrict(kit, **asked)
    assert (status, list(reply)) == (400, ["error"])
    assert not kit.server.restrictions.banned | kit.server.restrictions.closing
