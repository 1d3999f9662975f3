"""What the chain says, word for word, and what is no answer (onchain.md 6, 9.2)."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import httpx
import orjson
import pytest
from venue_kit import NOW_MS, POSITION, WALLET, make_market

from polybot.clock import Clock
from polybot.domain.market import Market
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE
from polybot.venue.chain import SILENT_MS, Chain
from polybot.venue.rest import Rest
from polybot.venue.site import CHAIN, CONTRACTS
from polybot.venue.tap import Nobody

CONDITION = "0x" + "15" * 32
V1 = attrs.evolve(make_market(), condition_id=CONDITION)
DOWN_FIRST = attrs.evolve(V1, up_index=1)
V2 = attrs.evolve(
    make_market(up=POSITION, version="v2"),
    condition_id="0x" + f"{int(POSITION) >> 8:062x}",
    down_token=str(int(POSITION) | 1),
)
DENOMINATOR, NUMERATOR = "dd34de67", "0504c814"  # onchain.md 9.2
BATCH = "4e1273f4"

Answer = Callable[[str, list[object]], object]


def words(*numbers: int) -> str:
    return "0x" + "".join(f"{number:064x}" for number in numbers)


def chain(answer: Answer) -> Chain:
    """A node that answers each method and its parameters; an exception is a JSON-RPC error."""

    def handler(request: httpx.Request) -> httpx.Response:
        asked = orjson.loads(request.content)
        assert asked["jsonrpc"] == "2.0"
        reply = {"jsonrpc": "2.0", "id": asked["id"]}
        try:
            reply["result"] = answer(asked["method"], asked["params"])
        except LookupError as error:
            reply["error"] = {"code": -32000, "message": str(error)}
        return httpx.Response(200, json=reply)

    return on(handler)


def on(handler: Callable[[httpx.Request], httpx.Response]) -> Chain:
    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return Chain(Rest(http, "http://rpc", Clock(NOW_MS)), WALLET.address)


def vector(whole: int, *parts: int) -> Answer:
    """A conditional-tokens contract that holds one payout vector."""

    def answer(method: str, params: list[object]) -> object:
        assert method == "eth_call"
        call = params[0]
        assert isinstance(call, dict)
        assert call["to"] == CONTRACTS[CHAIN].conditional_tokens
        data = call["data"].removeprefix("0x")
        assert data[8:72] == CONDITION[2:]
        if data[:8] == DENOMINATOR:
            return words(whole)
        assert data[:8] == NUMERATOR
        return words(parts[int(data[72:], 16)])

    return answer


@pytest.mark.parametrize(
    ("market", "whole", "parts", "payout"),
    [
        (V1, 1, (1, 0), SHARE),
        (V1, 1, (0, 1), 0),
        (V1, 2, (1, 1), SHARE // 2),
        (DOWN_FIRST, 1, (0, 1), SHARE),
        (DOWN_FIRST, 1, (1, 0), 0),
        (V1, 0, (), None),
    ],
)
async def test_the_payout_of_up(
    market: Market, whole: int, parts: tuple[int, ...], payout: int | None
) -> None:
    """Up's part of the vector, wherever Up stands in it; nothing before the resolution (6.1)."""
    assert await chain(vector(whole, *parts)).up_payout(market) == payout


@pytest.mark.parametrize(("whole", "parts"), [(1, (1, 1)), (1, (0, 0)), (3, (1, 2))])
async def test_a_vector_that_makes_no_dollar_is_none(whole: int, parts: tuple[int, int]) -> None:
    """Parts that do not make the whole, or no whole micro-dollars: nothing is redeemed on it."""
    found = await chain(vector(whole, *parts)).up_payout(V1)
    assert isinstance(found, Failure)


@pytest.mark.parametrize(
    ("paid", "payout"),
    [((SHARE, 0), SHARE), ((0, SHARE), 0), ((SHARE // 2, SHARE // 2), SHARE // 2), ((0, 0), None)],
)
async def test_the_payout_of_a_position(paid: tuple[int, int], payout: int | None) -> None:
    """Protocol V2 tells what one share of each position would be paid (6.2)."""

    def answer(method: str, params: list[object]) -> object:
        call = params[0]
        assert isinstance(call, dict)
        assert call["to"] == CONTRACTS[CHAIN].position_manager
        data = call["data"].removeprefix("0x")
        assert int(data[72:136], 16) == SHARE
        return words(paid[int(data[8:72], 16) & 0xFF])

    assert await chain(answer).up_payout(V2) == payout


@pytest.mark.parametrize("market", [V1, V2], ids=["v1", "v2"])
async def test_shares_of_both_outcomes_in_one_call(market: Market) -> None:
    """`balanceOfBatch` of our wallet, of the contract that holds this protocol's shares (9.2)."""

    def answer(method: str, params: list[object]) -> object:
        call, block = params
        assert isinstance(call, dict)
        held = CONTRACTS[CHAIN]
        wanted = held.position_manager if market.version == "v2" else held.conditional_tokens
        assert (call["to"], block) == (wanted, "latest")
        data = call["data"].removeprefix("0x")
        assert data[:8] == BATCH
        read = [int(data[8 + at : 72 + at], 16) for at in range(0, len(data) - 8, 64)]
        assert read[0] == 64
        owner = int(WALLET.address, 16)
        assert read[2:5] == [2, owner, owner]
        assert read[-2:] == [int(market.up_token), int(market.down_token)]
        return words(32, 2, 7_000_000, 0)

    assert await chain(answer).shares(market) == (7_000_000, 0)


async def test_a_receipt_decides_or_is_not_there_yet() -> None:
    """Status 1 is done, 0 reverted, no receipt means no block holds it."""
    results = {"0xa": {"status": "0x1"}, "0xb": {"status": "0x0"}, "0xc": None}

    def answer(method: str, params: list[object]) -> object:
        assert method == "eth_getTransactionReceipt"
        return results[str(params[0])]

    node = chain(answer)
    assert [await node.succeeded(one) for one in results] == [True, False, None]


async def test_gas_is_a_quantity() -> None:
    """Hex without padding, of our own wallet."""

    def answer(method: str, params: list[object]) -> object:
        assert (method, params) == ("eth_getBalance", [WALLET.address, "latest"])
        return hex(5 * 10**17)

    assert await chain(answer).gas() == 5 * 10**17


@pytest.mark.parametrize("result", ["0x", "0xzz", 7, [], {}, words(1, 2), None])
async def test_what_is_no_answer_is_a_failure(result: object) -> None:
    """Nothing that a node says is taken for a payout, a balance or gas unless it is one."""
    node = chain(lambda method, params: result)
    for found in (await node.up_payout(V1), await node.shares(V1)):
        assert isinstance(found, Failure)
    assert isinstance(await node.gas(), Failure)
    if result is not None:
        assert isinstance(await node.succeeded("0xa"), Failure)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(500, content=b"oops"),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "error": {"message": "busy"}}),
        httpx.Response(200, json={"id": 1, "result": None, "error": {"message": "behind"}}),
    ],
)
async def test_a_node_in_trouble_is_a_failure(response: httpx.Response) -> None:
    """An HTTP error, a page, an error object: never a payout of nothing (F37)."""
    node = on(lambda request: response)
    assert isinstance(await node.up_payout(V1), Failure)
    assert isinstance(await node.up_payout(V2), Failure)
    assert isinstance(await node.shares(V1), Failure)
    assert isinstance(await node.succeeded("0xa"), Failure)
    assert isinstance(await node.gas(), Failure)


class Ear(Nobody):
    """Keeps all that it hears."""

    def __init__(self) -> None:
        self.all = b""

    def heard(self, stream: str, body: bytes, at_ns: int) -> None:
        self.all += body

    def sent(self, stream: str, body: bytes) -> None:
        self.all += body


@pytest.mark.parametrize("url", ["http://rpc/v2/a-key", "http://rpc/?k=a-key", "http://rpc?a-key"])
@pytest.mark.parametrize("status", [200, 500])
async def test_a_nodes_key_is_not_on_the_tape(url: str, status: int) -> None:
    """Who sells a node puts a key in its URL: it is asked by all of it, and none is recorded."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, json={"result": "0x89"})

    ear, base = Ear(), on(handler)
    node = attrs.evolve(base, rest=attrs.evolve(base.rest, base=url, tap=ear))
    answer = await node.chain_id()

    assert "a-key" in asked[0]
    assert answer == CHAIN if status == 200 else isinstance(answer, Failure)
    assert b"POST /\n" in ear.all
    assert b"a-key" not in ear.all
    assert "a-key" not in repr(node) + repr(answer)


async def test_a_node_is_silent_after_minutes_without_an_answer() -> None:
    """One failure may be anything; the first answer ends it."""
    node = on(lambda _: httpx.Response(200, json={"result": "0x89"}))
    for late_ms, silent in ((0, False), (SILENT_MS - 1, False), (SILENT_MS, True)):
        node.reads.note(Failure("HTTP 503"), NOW_MS + late_ms)
        assert bool(node.reads.silence) is silent
    assert await node.chain_id() == CHAIN
    assert node.reads.silence is None
