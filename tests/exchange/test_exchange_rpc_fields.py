"""Fields of the node's answers, against the JSON-RPC of Polygon's own (onchain.md 9.2, 9.3)."""

from __future__ import annotations

from typing import Any, cast

import orjson
import pytest
from chain_kit import ANN, ChainKit, split

from polybot.clock import Clock
from polybot.exchange import chain_logs, contracts
from polybot.exchange.faucet import GAS
from polybot.exchange.mempool import Mempool
from polybot.exchange.request import Request
from polybot.exchange.rpc import BAD_PARAMS, RpcService

GWEI = 10**9
LEGACY = {"gasPrice": 30 * GWEI}
DYNAMIC = {"maxFeePerGas": 30 * GWEI, "maxPriorityFeePerGas": 30 * GWEI, "type": 2}


class Node(ChainKit):
    """The kit's chain behind a node; two splits of one dollar are in its newest block."""

    def __init__(self) -> None:
        super().__init__()
        self.chain.gas[self.ann] = GAS
        self.service = RpcService(self.chain, Mempool(self.chain), cast("Clock", self))

    def now_ms(self) -> int:
        return self.now

    async def post(self, method: str, *params: object) -> Any:
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return orjson.loads((await self.service.handle(Request("POST", "/", {}, {}, body))).body)

    async def ask(self, method: str, *params: object) -> Any:
        return (await self.post(method, *params))["result"]

    async def send(self, nonce: int, fees: dict[str, int]) -> str:
        call = split(self.plain, 1_000_000)
        fields: dict[str, Any] = {
            "to": str(call.to), "value": 0, "data": call.data, "gas": 200_000, "nonce": nonce,
            "chainId": 137,
        }  # fmt: skip
        signed = ANN.sign_transaction(fields | fees)
        return str(await self.ask("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex()))

    async def two_mined(self) -> list[str]:
        hashes = [await self.send(0, LEGACY), await self.send(1, DYNAMIC)]
        self.advance(2_000)
        return hashes


async def test_a_receipt_tells_the_gas_of_its_block_up_to_it() -> None:
    """`cumulativeGasUsed` is a sum over the block, the last one being the block's own figure."""
    node = Node()
    first, last = [await node.ask("eth_getTransactionReceipt", h) for h in await node.two_mined()]
    block = await node.ask("eth_getBlockByNumber", last["blockNumber"], False)

    assert first["cumulativeGasUsed"] == first["gasUsed"]
    assert int(last["cumulativeGasUsed"], 16) == int(first["gasUsed"], 16) + int(
        last["gasUsed"], 16
    )
    assert last["cumulativeGasUsed"] == block["gasUsed"]
    assert [first["transactionIndex"], last["transactionIndex"]] == ["0x0", "0x1"]


async def test_a_transaction_is_of_its_type() -> None:
    """An EIP-1559 one was told as a legacy one, waiting without any type."""
    node = Node()
    waiting = await node.ask("eth_getTransactionByHash", await node.send(0, DYNAMIC))
    node.advance(2_000)
    receipt = await node.ask("eth_getTransactionReceipt", waiting["hash"])
    mined = await node.ask("eth_getTransactionByHash", waiting["hash"])

    assert [waiting["type"], receipt["type"], mined["type"]] == ["0x2"] * 3


async def test_a_transaction_is_told_whole_when_mined() -> None:
    """What it asked for and could spend, as while it waited: clients read no other than whole ones,
    and of a block's it was missing.
    """
    node = Node()
    waiting = await node.ask("eth_getTransactionByHash", await node.send(0, DYNAMIC))
    node.advance(2_000)
    mined = await node.ask("eth_getTransactionByHash", waiting["hash"])

    assert mined.keys() == waiting.keys()
    places = {"blockNumber", "blockHash", "transactionIndex"}
    assert {key for key in mined if mined[key] != waiting[key]} == places
    assert len(mined["input"]) > 10


@pytest.mark.parametrize("asked", [{"address": []}, {"topics": [[]]}, {"topics": []}])
async def test_an_empty_list_in_a_filter_means_any(asked: dict[str, object]) -> None:
    """A node finds every log where a list names none; here none was found."""
    node = Node()
    [first, _] = await node.two_mined()
    receipt = await node.ask("eth_getTransactionReceipt", first)

    found = await node.ask("eth_getLogs", {"fromBlock": receipt["blockNumber"]} | asked)

    own = [log for log in found if log["transactionHash"] == first]
    assert own == receipt["logs"]
    assert chain_logs.POSITION_SPLIT in {log["topics"][0] for log in own}
    assert contracts.CTF.lower() in {log["address"] for log in own}


async def test_a_block_named_by_its_hash_is_refused() -> None:
    """It was passed over, and the newest block's logs told as that block's."""
    node = Node()
    [first, _] = await node.two_mined()
    receipt = await node.ask("eth_getTransactionReceipt", first)

    answer = await node.post("eth_getLogs", {"blockHash": receipt["blockHash"]})

    assert answer["error"]["code"] == BAD_PARAMS
