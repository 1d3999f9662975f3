"""The JSON-RPC node, asked by the official SDK's own client code."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from chain_kit import ANN, BOB, DOLLAR, FUNDS, T0, ChainKit, approve, merge, redeem, split
from hypothesis import given, settings, strategies as st
from polymarket._internal.actions.relayer import calls as sdk
from polymarket._internal.eoa.rpc import (
    JsonRpcCallError,
    _parse_rpc_response,
    is_json_rpc_contract_revert as is_revert,
)

from polybot.clock import Clock
from polybot.exchange import chain_logs, contracts
from polybot.exchange.abi import address_word, selector, word
from polybot.exchange.faucet import GAS
from polybot.exchange.mempool import Mempool
from polybot.exchange.model import BUY, UP, Market
from polybot.exchange.positions import NO_SHARES
from polybot.exchange.request import Request
from polybot.exchange.rpc import RpcService
from polybot.exchange.wallets import wallets_of


class Node(ChainKit):
    """The kit's chain behind a node whose clock is the kit's `now`."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.mempool = Mempool(self.chain)
        clock = cast("Clock", self)
        self.service = RpcService(self.chain, self.mempool, clock)
        self.chain.gas[self.ann] = GAS

    def now_ms(self) -> int:
        return self.now

    async def post(self, body: object) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await self.service.handle(Request("POST", "/", {}, {}, raw))
        assert response.status == 200
        return json.loads(response.body)

    async def ask(self, method: str, *params: object) -> Any:
        """The result as the SDK reads it; its exception for an error."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return _parse_rpc_response(method, await self.post(body))

    async def call(self, call: sdk.TransactionCall, sender: str | None = None) -> str:
        message = {"to": str(call.to), "data": call.data}
        if sender is not None:
            message["from"] = sender
        result = await self.ask("eth_call", message, "latest")
        return str(result)

    async def view(self, contract: str, signature: str, *words: bytes) -> int:
        data = "0x" + (selector(signature) + b"".join(words)).hex()
        return int(await self.ask("eth_call", {"to": contract, "data": data}, "latest"), 16)

    def signed(self, call: sdk.TransactionCall, nonce: int, **more: object) -> str:
        fields: dict[str, Any] = {
            "to": str(call.to),
            "value": 0,
            "data": call.data,
            "gas": 200_000,
            "gasPrice": 30_000_000_000,
            "nonce": nonce,
            "chainId": 137,
        } | more
        return "0x" + ANN.sign_transaction(fields).raw_transaction.hex()


@pytest.mark.conforms("onchain-9.2-rpc-methods")
async def test_the_methods_of_the_sdk() -> None:
    """Chain, blocks, nonces, gas: quantities in hex, on the exchange's clock (onchain.md 9.2)."""
    node = Node()

    assert await node.ask("eth_chainId") == "0x89"
    assert await node.ask("eth_getTransactionCount", node.ann, "pending") == "0x0"
    assert int(await node.ask("eth_gasPrice"), 16) > 0
    assert int(await node.ask("eth_getBalance", node.ann, "latest"), 16) == GAS
    block = await node.ask("eth_getBlockByNumber", "latest", False)
    assert 0 <= T0 // 1000 - int(block["timestamp"], 16) < 2
    assert block["number"] == await node.ask("eth_blockNumber")
    node.now += 60_000
    later = await node.ask("eth_getBlockByNumber", "latest", False)
    assert int(later["number"], 16) - int(block["number"], 16) == 30
    assert int(later["timestamp"], 16) - int(block["timestamp"], 16) == 60
    ahead = hex(int(later["number"], 16) + 1)
    assert await node.ask("eth_getBlockByNumber", ahead, False) is None


async def test_code_is_where_contracts_and_wallets_are() -> None:
    """(onchain.md 9.2)."""
    node = Node()
    wallet = wallets_of(node.ann).deposit

    assert await node.ask("eth_getCode", contracts.CTF, "latest") != "0x"
    assert await node.ask("eth_getCode", wallet, "latest") == "0x"
    node.chain.deployed.add(wallet)
    assert await node.ask("eth_getCode", wallet, "latest") != "0x"


@pytest.mark.conforms("onchain-9.2-rpc-calls")
async def test_every_selector_answers() -> None:
    """Allowances, balances, the factory's beacon, payouts (onchain.md 9.2)."""
    node = Node()
    node.done(node.ann, split(node.plain, 5 * DOLLAR))
    up, down = node.plain.tokens
    ann = address_word(node.ann)
    ctf, pusd = contracts.CTF, contracts.COLLATERAL
    exchange = address_word(contracts.EXCHANGE)
    condition = bytes.fromhex(node.plain.condition_id[2:])

    assert await node.view(pusd, "allowance(address,address)", ann, exchange) == 2**256 - 1
    assert await node.view(ctf, "isApprovedForAll(address,address)", ann, exchange) == 1
    assert await node.view(pusd, "balanceOf(address)", ann) == FUNDS - 5 * DOLLAR
    assert await node.view(ctf, "balanceOf(address,uint256)", ann, word(int(up))) == 5 * DOLLAR
    batch = sdk.erc1155_balance_of_batch_call(
        token_address=cast("Any", ctf), owners=cast("Any", [node.ann, node.bob, node.ann]),
        token_ids=[up, up, down],
    )  # fmt: skip
    result = sdk.decode_erc1155_balance_of_batch_result(await node.call(batch))
    assert result == (5 * DOLLAR, 0, 5 * DOLLAR)
    beacon = await node.ask("eth_call", {"to": contracts.DEPOSIT_FACTORY, "data": "0x49493a4d"})
    assert beacon[-40:] == contracts.DEPOSIT_BEACON[2:].lower()
    assert await node.view(ctf, "payoutDenominator(bytes32)", condition) == 0
    node.resolve(node.plain, UP)
    assert await node.view(ctf, "payoutDenominator(bytes32)", condition) == 1
    numerators = "payoutNumerators(bytes32,uint256)"
    assert await node.view(ctf, numerators, condition, word(0)) == 1
    assert await node.view(ctf, numerators, condition, word(1)) == 0


async def test_balances_are_shown_by_the_contract_that_holds_them() -> None:
    """Neg-risk ones by the old adapter too, Protocol V2's by the PositionManager alone
    (onchain.md 2.1, 6.2).
    """
    node = Node()
    adapter = contracts.NEG_RISK_CTF_ADAPTER
    for market in (node.plain, node.risky, node.modern):
        node.engine.split(node.ann, market, DOLLAR, node.now)

    async def shown(contract: str, token: str) -> int:
        words = address_word(node.ann), word(int(token))
        return await node.view(contract, "balanceOf(address,uint256)", *words)

    assert adapter != contracts.NEG_RISK_ADAPTER
    holders = (contracts.CTF, contracts.NEG_RISK_ADAPTER, contracts.POSITION_MANAGER)
    seen = [
        [await shown(holder, market.tokens[UP]) for holder in holders]
        for market in (node.plain, node.risky, node.modern)
    ]
    assert seen == [[DOLLAR, 0, 0], [DOLLAR, DOLLAR, 0], [0, 0, DOLLAR]]


async def test_a_position_is_worth_its_payout() -> None:
    """PositionManager.getPayout (onchain.md 6.2)."""
    node = Node()
    winner, loser = (word(int(token)) for token in node.modern.tokens)
    ask = (contracts.POSITION_MANAGER, "getPayout(uint256,uint256)")
    assert await node.view(*ask, winner, word(7 * DOLLAR)) == 0

    node.resolve(node.modern, UP)

    assert await node.view(*ask, winner, word(7 * DOLLAR)) == 7 * DOLLAR
    assert await node.view(*ask, loser, word(7 * DOLLAR)) == 0


async def test_a_payout_is_told_by_the_contract_that_pays_it() -> None:
    """The old contract has no condition of Protocol V2's, and the PositionManager no position of
    the old one's: who asks the wrong one is told that nothing is resolved, and never redeems
    (onchain.md 6, 11).
    """
    node = Node()
    for market in (node.plain, node.risky, node.modern):
        node.resolve(market, UP)

    async def told(market: Market) -> list[int]:
        condition = bytes.fromhex(market.condition_id[2:]).ljust(32, b"\0")
        position = word(int(market.tokens[UP])), word(DOLLAR)
        return [
            await node.view(contracts.CTF, "payoutDenominator(bytes32)", condition),
            await node.view(contracts.CTF, "payoutNumerators(bytes32,uint256)", condition, word(0)),
            await node.view(contracts.POSITION_MANAGER, "getPayout(uint256,uint256)", *position),
        ]

    assert await told(node.plain) == [1, 1, 0]
    assert await told(node.risky) == [1, 1, 0]
    assert await told(node.modern) == [0, 0, DOLLAR]


async def test_a_batch_is_answered_by_ids() -> None:
    """Seventeen allowance reads in one POST, as the SDK asks them (onchain.md 9.2)."""
    node = Node()
    request = {"method": "eth_chainId", "params": []}
    bodies = [{"jsonrpc": "2.0", "id": id_, **request} for id_ in range(40, 57)]

    replies = await node.post([*bodies, {"id": 99, "method": "eth_none"}, 5])

    assert [reply.get("id") for reply in replies] == [*range(40, 57), 99, None]
    assert all(reply["result"] == "0x89" for reply in replies[:17])
    assert [reply["error"]["code"] for reply in replies[17:]] == [-32601, -32600]


async def test_a_revert_tells_its_reason() -> None:
    """In calls and estimates, as the SDK recognises it (onchain.md 9.2, 9.4)."""
    node = Node()
    call = merge(node.plain, DOLLAR)
    message = {"from": node.ann, "to": str(call.to), "data": call.data}
    for method in ("eth_call", "eth_estimateGas"):
        with pytest.raises(JsonRpcCallError, match=f"execution reverted: {NO_SHARES}") as caught:
            await node.ask(method, message)
        assert is_revert(caught.value)
        assert str(caught.value.data).startswith("0x08c379a0")


async def test_a_call_or_an_estimate_changes_nothing() -> None:
    """They run on a copy (onchain.md 9.2)."""
    node = Node()
    before = node.books()

    assert await node.call(split(node.plain, DOLLAR), node.ann) == "0x"
    call = approve(contracts.EXCHANGE, 0)
    message = {"from": node.ann, "to": str(call.to), "data": call.data}
    assert 21_000 < int(await node.ask("eth_estimateGas", message), 16) < 1_000_000

    assert node.books() == before


# --- transactions ----------------------------------------------------------------------------


@pytest.mark.conforms("onchain-9.2-raw-transaction", "onchain-9.2-receipt-null")
async def test_a_raw_transaction_is_mined_with_the_next_block() -> None:
    """A hash at once, null until the block, then status, logs and the gas paid (onchain.md 9.2)."""
    node = Node()
    call = split(node.plain, 5 * DOLLAR)

    tx_hash = await node.ask("eth_sendRawTransaction", node.signed(call, 0))
    assert await node.ask("eth_getTransactionReceipt", tx_hash) is None
    waiting = await node.ask("eth_getTransactionByHash", tx_hash)
    assert (waiting["blockNumber"], waiting["from"]) == (None, node.ann.lower())
    assert await node.ask("eth_getTransactionCount", node.ann, "pending") == "0x1"
    assert await node.ask("eth_getTransactionCount", node.ann, "latest") == "0x0"
    assert node.shares(node.ann, node.plain) == [0, 0]
    node.advance(2_000)

    receipt = await node.ask("eth_getTransactionReceipt", tx_hash)
    assert (receipt["status"], len(receipt["logs"])) == ("0x1", 3)
    assert node.shares(node.ann, node.plain) == [5 * DOLLAR] * 2
    assert await node.ask("eth_getTransactionCount", node.ann, "latest") == "0x1"
    paid = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert int(await node.ask("eth_getBalance", node.ann), 16) == GAS - paid
    mined = await node.ask("eth_getTransactionByHash", tx_hash)
    assert mined["blockNumber"] == receipt["blockNumber"]
    block = await node.ask("eth_getBlockByNumber", receipt["blockNumber"], False)
    assert block["transactions"] == [tx_hash]
    assert int(block["timestamp"], 16) * 1000 <= node.now


async def test_a_reverted_transaction_costs_its_gas() -> None:
    """Status 0x0, no logs, nonce and gas gone (onchain.md 9.2)."""
    node = Node()
    tx_hash = await node.ask("eth_sendRawTransaction", node.signed(redeem(node.plain), 0))
    node.advance(2_000)

    receipt = await node.ask("eth_getTransactionReceipt", tx_hash)

    assert (receipt["status"], receipt["logs"]) == ("0x0", [])
    assert await node.ask("eth_getTransactionCount", node.ann, "latest") == "0x1"
    assert node.chain.gas[node.ann] < GAS


async def test_too_little_gas_reverts() -> None:
    """The limit is burnt whole, nothing is done (onchain.md 9.2)."""
    node = Node()
    raw = node.signed(split(node.plain, DOLLAR), 0, gas=30_000)
    tx_hash = await node.ask("eth_sendRawTransaction", raw)
    node.advance(2_000)

    receipt = await node.ask("eth_getTransactionReceipt", tx_hash)

    assert (receipt["status"], int(receipt["gasUsed"], 16)) == ("0x0", 30_000)
    assert node.shares(node.ann, node.plain) == [0, 0]


async def test_nonces_are_taken_in_order() -> None:
    """A gap waits; one block takes all that are in a row (onchain.md 9.2)."""
    node = Node()
    later = node.signed(split(node.plain, 2 * DOLLAR), 1)
    await node.ask("eth_sendRawTransaction", later)
    node.advance(4_000)
    assert node.shares(node.ann, node.plain) == [0, 0]
    assert await node.ask("eth_getTransactionCount", node.ann, "pending") == "0x0"

    await node.ask("eth_sendRawTransaction", node.signed(split(node.plain, DOLLAR), 0))
    assert await node.ask("eth_getTransactionCount", node.ann, "pending") == "0x2"
    node.advance(2_000)

    assert node.shares(node.ann, node.plain) == [3 * DOLLAR] * 2
    hashes = [receipt.index for receipt in node.chain.blocks.receipts.values()]
    assert hashes == [0, 1]


async def test_refusals_of_the_node() -> None:
    """Nonce, gas, price and funds, in the node's words (onchain.md 9.2)."""
    node = Node()
    call = split(node.plain, DOLLAR)

    async def refused(raw: str) -> str:
        with pytest.raises(JsonRpcCallError) as caught:
            await node.ask("eth_sendRawTransaction", raw)
        error = cast("Any", caught.value)
        assert error.code == -32000
        return str(error.message)

    await node.ask("eth_sendRawTransaction", node.signed(call, 0))
    assert await refused(node.signed(call, 0)) == "already known"
    assert "underpriced" in await refused(node.signed(call, 0, gas=210_000))
    node.advance(2_000)
    assert await refused(node.signed(call, 0)) == "nonce too low"
    assert "intrinsic" in await refused(node.signed(call, 1, gas=20_000))
    assert "underpriced" in await refused(node.signed(call, 1, gasPrice=1))
    node.chain.gas[node.ann] = 1
    assert "insufficient funds" in await refused(node.signed(call, 1))
    assert await refused(node.signed(call, 1, chainId=1)) == "invalid sender"
    assert (await refused("0xdead")).startswith("rlp")


async def test_plain_pol_is_sent() -> None:
    """(onchain.md 9.2)."""
    node = Node()
    nothing = sdk.TransactionCall(to=cast("Any", BOB.address), data=cast("Any", "0x"))
    await node.ask("eth_sendRawTransaction", node.signed(nothing, 0, value=10**18))
    node.advance(2_000)

    assert int(await node.ask("eth_getBalance", node.bob), 16) == 10**18


# --- logs --------------------------------------------------------------------------------------


async def test_logs_are_found_by_block_contract_and_topic() -> None:
    """Each place of a topic is one value, several, or any (onchain.md 9.3, 11)."""
    node = Node()
    await node.ask("eth_sendRawTransaction", node.signed(split(node.plain, DOLLAR), 0))
    node.advance(2_000)
    first = await node.ask("eth_blockNumber")
    node.advance(4_000)
    await node.ask("eth_sendRawTransaction", node.signed(merge(node.plain, DOLLAR), 1))
    node.advance(2_000)

    async def found(**asked: object) -> list[str]:
        rows = await node.ask("eth_getLogs", {"fromBlock": "earliest"} | asked)
        assert all(row["removed"] is False for row in rows)
        return [row["topics"][0] for row in rows]

    both = [chain_logs.POSITION_SPLIT, chain_logs.POSITIONS_MERGE]
    newest = int(first, 16)
    near = {"fromBlock": hex(newest)}
    assert await found(**near, topics=[both]) == both
    assert await found(**near, topics=[both[:1]]) == both[:1]
    assert await found(**near, toBlock=first, topics=[both]) == both[:1]
    assert await found(**near, topics=[None, "0x" + address_word(node.bob).hex()]) == []
    who = "0x" + address_word(node.ann).hex()
    assert len(await found(**near, address=contracts.CTF.lower(), topics=[both, who])) == 2
    assert len(await found(**near, address=[contracts.COLLATERAL])) == 2


async def test_bad_filters_are_refused() -> None:
    """Too wide a range, and what is no filter (onchain.md 9.2)."""
    node = Node()
    bad: list[dict[str, object]] = [
        {"fromBlock": "0x0"}, {"topics": 5}, {"topics": [1]}, {"address": {}},
    ]  # fmt: skip
    for asked in bad:
        with pytest.raises(JsonRpcCallError):
            await node.ask("eth_getLogs", asked)


async def test_a_trade_can_be_followed_on_chain() -> None:
    """From the match's transaction hash to its receipt (onchain.md 9.3)."""
    node = Node()
    node.place(node.order(node.ann, BUY, 50, 10))
    node.place(node.order(node.bob, BUY, 50, 10, outcome=1))
    node.advance(60_000)
    (trade,) = node.engine.trades.values()

    receipt = await node.ask("eth_getTransactionReceipt", trade.tx_hash)

    assert (receipt["status"], receipt["to"]) == ("0x1", contracts.EXCHANGE.lower())
    names = [log["topics"][0] for log in receipt["logs"]]
    assert names.count(chain_logs.ORDER_FILLED) == 2
    assert names.count(chain_logs.TRANSFER_SINGLE) == 2


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"", -32700),
        (b"[]", -32600),
        (b"5", -32600),
        (b'{"id":1,"method":7}', -32600),
        (b'{"id":1,"method":"eth_call","params":{}}', -32602),
        (b'{"id":1,"method":"eth_call","params":[]}', -32602),
        (b'{"id":1,"method":"eth_call","params":[{"to":"0x12"}]}', -32602),
        (b'{"id":1,"method":"eth_getBalance","params":["0x"]}', -32602),
        (b'{"id":1,"method":"eth_getBlockByNumber","params":["newest"]}', -32602),
        (b'{"id":1,"method":"eth_sendRawTransaction","params":["0xzz"]}', -32602),
        (b'{"id":1,"method":"eth_getLogs","params":["x"]}', -32602),
    ],
)
async def test_bad_requests_have_their_codes(body: bytes, code: int) -> None:
    """JSON-RPC's own numbers, with 200 as a node sends them (onchain.md 9.2)."""
    assert (await Node().post(body))["error"]["code"] == code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
METHODS = st.sampled_from(
    [
        "eth_call", "eth_estimateGas", "eth_getLogs", "eth_getBalance", "eth_getCode",
        "eth_getTransactionCount", "eth_getTransactionReceipt", "eth_getBlockByNumber",
        "eth_sendRawTransaction", "eth_getTransactionByHash", "eth_chainId",
    ]
)  # fmt: skip
SHARED: list[Node] = []


@settings(max_examples=300)
@given(METHODS, JSON)
async def test_no_request_breaks_the_node(method: str, params: object) -> None:
    """Whatever is asked: a result or an error (onchain.md 9.2)."""
    node = SHARED[0] if SHARED else Node()
    SHARED[:] = [node]

    reply = await node.post({"id": 1, "method": method, "params": params})

    assert ("result" in reply) != ("error" in reply)
