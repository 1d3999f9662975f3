"""Blocks, receipts and logs: what the chain shows of what has happened (onchain.md 9.2, 9.3).

Block numbers and times are functions of the exchange's clock: one block every `block_ms`, whatever
is in it. A transaction is in the block in which it was run; of old blocks the receipts are dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import attrs

from polybot.exchange.chain_logs import Log
from polybot.exchange.eip712 import keccak

GENESIS_S = 1_590_824_836  # of Polygon PoS
KEPT = 20_000  # receipts, most of them of the crowd's trades

Logs = Callable[[], tuple[Log, ...]]  # made when somebody asks: most never are


@attrs.frozen
class Receipt:
    """A transaction that a block holds. `reason` is the text of a revert, `gas` in units."""

    tx_hash: str
    block: int
    sender: str
    target: str
    ok: bool
    logs: Logs
    gas: int = 0
    gas_price: int = 0
    reason: str = ""
    nonce: int = 0
    index: int = 0  # in its block
    gas_before: int = 0  # of those before it there
    kind: int = 0  # 2 for an EIP-1559 one
    limit: int = 0  # of its gas; 0: it needed no more than it used
    value: int = 0
    data: bytes = b""


class Blocks:
    """The blocks of one chain. Times are Unix milliseconds."""

    def __init__(self, block_ms: int) -> None:
        self.block_ms = block_ms
        self.receipts: dict[str, Receipt] = {}  # by transaction hash
        self._order: deque[Receipt] = deque()  # as they were mined

    def number(self, now_ms: int) -> int:
        """The newest block at a time."""
        return (now_ms - GENESIS_S * 1000) // self.block_ms

    def at_ms(self, number: int) -> int:
        """When a block was, or will be, made."""
        return GENESIS_S * 1000 + number * self.block_ms

    def next_ms(self, now_ms: int) -> int:
        """The first block after a time: when what is sent at that time is mined."""
        return self.at_ms(self.number(now_ms) + 1)

    def nearest_ms(self, at_ms: int, since_ms: int) -> int:
        """The block nearest to a time, of those made after `since_ms`."""
        nearest_ms = self.at_ms(self.number(at_ms + self.block_ms // 2))
        return max(nearest_ms, self.next_ms(since_ms))

    def hash_of(self, number: int) -> str:
        return "0x" + keccak(b"block %d" % number).hex()

    def add(self, receipt: Receipt) -> None:
        """Put it after those that its block has already."""
        newest = self._order[-1] if self._order else None
        if newest is not None and newest.block == receipt.block:
            gas_before = newest.gas_before + newest.gas
            receipt = attrs.evolve(receipt, index=newest.index + 1, gas_before=gas_before)
        self.receipts[receipt.tx_hash] = receipt
        self._order.append(receipt)
        if len(self._order) > KEPT:
            old = self._order.popleft()
            if self.receipts.get(old.tx_hash) is old:
                del self.receipts[old.tx_hash]

    def between(self, first: int, last: int) -> Iterator[Receipt]:
        """Receipts of the blocks from `first` to `last`, both included, oldest first."""
        return (receipt for receipt in self._order if first <= receipt.block <= last)
