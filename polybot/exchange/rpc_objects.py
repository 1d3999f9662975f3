"""Blocks, receipts and logs as JSON-RPC writes them: quantities and data in hex."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from polybot.exchange.blocks import Blocks, Receipt
from polybot.exchange.chain_logs import ZERO, Log
from polybot.exchange.raw_transaction import RawTransaction

Row = dict[str, object]
NO_BLOOM = "0x" + "00" * 256  # nobody has asked for a real one: clients ask `eth_getLogs`
BLOCK_GAS = 45_000_000
LOG_STEP = 1_000  # more logs than a transaction has


def quantity(value: int) -> str:
    return hex(value)


@attrs.frozen
class Filter:
    """Which logs are wanted: contracts, and for each place of a topic the ones that will do."""

    addresses: frozenset[str] | None
    topics: tuple[frozenset[str] | None, ...]

    @classmethod
    def read(cls, address: object, topics: object) -> Filter | None:
        """From the JSON of a filter; None when it is none."""
        places = [] if topics is None else topics
        if not isinstance(places, list) or len(places) > 4:
            return None
        try:
            addresses = _choice(address)
            return cls(addresses, tuple(_choice(place) for place in places))
        except TypeError:
            return None

    def wants(self, log: Log) -> bool:
        if self.addresses is not None and log.address.lower() not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(
            choice is None or topic in choice
            for topic, choice in zip(log.topics, self.topics, strict=False)
        )


def _choice(value: object) -> frozenset[str] | None:
    """One value or several, in lower case; None for any, which an empty list means as well.
    TypeError for anything else.
    """
    if value is None or value == []:
        return None
    values = value if isinstance(value, list) else [value]
    texts = [one.lower() for one in values if isinstance(one, str)]
    if len(texts) < len(values):
        raise TypeError("neither a string nor a list of them")
    return frozenset(texts)


def block_json(blocks: Blocks, number: int) -> Row:
    mined = [receipt.tx_hash for receipt in blocks.between(number, number)]
    return {
        "number": quantity(number),
        "hash": blocks.hash_of(number),
        "parentHash": blocks.hash_of(number - 1),
        "timestamp": quantity(blocks.at_ms(number) // 1000),
        "nonce": "0x0000000000000000",
        "sha3Uncles": blocks.hash_of(0),
        "logsBloom": NO_BLOOM,
        "transactionsRoot": blocks.hash_of(number),
        "stateRoot": blocks.hash_of(number),
        "receiptsRoot": blocks.hash_of(number),
        "miner": ZERO,
        "difficulty": "0x1",
        "totalDifficulty": quantity(number),
        "extraData": "0x",
        "size": "0x400",
        "gasLimit": quantity(BLOCK_GAS),
        "gasUsed": quantity(sum(r.gas for r in blocks.between(number, number))),
        "transactions": mined,
        "uncles": [],
    }


def receipt_json(blocks: Blocks, receipt: Receipt) -> Row:
    return {
        "transactionHash": receipt.tx_hash,
        "transactionIndex": quantity(receipt.index),
        "blockHash": blocks.hash_of(receipt.block),
        "blockNumber": quantity(receipt.block),
        "from": receipt.sender.lower(),
        "to": receipt.target.lower(),
        "cumulativeGasUsed": quantity(receipt.gas_before + receipt.gas),
        "gasUsed": quantity(receipt.gas),
        "effectiveGasPrice": quantity(receipt.gas_price),
        "contractAddress": None,
        "logs": list(log_rows(blocks, receipt, Filter(None, ()))),
        "logsBloom": NO_BLOOM,
        "status": "0x1" if receipt.ok else "0x0",
        "type": quantity(receipt.kind),
    }


def log_rows(blocks: Blocks, receipt: Receipt, wanted: Filter) -> Iterator[Row]:
    """The receipt's logs that are wanted; `logIndex` is unique in a block, with gaps."""
    for place, log in enumerate(receipt.logs()):
        if wanted.wants(log):
            yield {
                "address": log.address.lower(),
                "topics": list(log.topics),
                "data": "0x" + log.data.hex(),
                "blockNumber": quantity(receipt.block),
                "blockHash": blocks.hash_of(receipt.block),
                "transactionHash": receipt.tx_hash,
                "transactionIndex": quantity(receipt.index),
                "logIndex": quantity(receipt.index * LOG_STEP + place),
                "removed": False,
            }


def transaction_json(
    blocks: Blocks, receipt: Receipt | None, waiting: RawTransaction | None
) -> Row | None:
    """A transaction in a block, or waiting for one; None when nobody knows it."""
    if receipt is not None:
        return {
            "hash": receipt.tx_hash,
            "from": receipt.sender.lower(),
            "to": receipt.target.lower(),
            "nonce": quantity(receipt.nonce),
            "blockNumber": quantity(receipt.block),
            "blockHash": blocks.hash_of(receipt.block),
            "transactionIndex": quantity(receipt.index),
            "gasPrice": quantity(receipt.gas_price),
            "type": quantity(receipt.kind),
            "gas": quantity(receipt.limit or receipt.gas),
            "value": quantity(receipt.value),
            "input": "0x" + receipt.data.hex(),
        }
    if waiting is None:
        return None
    return {
        "hash": waiting.tx_hash,
        "from": waiting.sender.lower(),
        "to": waiting.call.target.lower(),
        "nonce": quantity(waiting.nonce),
        "blockNumber": None,
        "blockHash": None,
        "transactionIndex": None,
        "gasPrice": quantity(waiting.gas_price),
        "type": quantity(waiting.kind),
        "gas": quantity(waiting.gas),
        "value": quantity(waiting.call.value),
        "input": "0x" + waiting.call.data.hex(),
    }
