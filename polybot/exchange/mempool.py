"""Transactions that an EOA has sent and no block holds yet: nonces, gas, and their mining."""

from __future__ import annotations

import attrs

from polybot.exchange.chain import Chain, Outcome, gas_of
from polybot.exchange.raw_transaction import BadTransaction, RawTransaction, decode

OUT_OF_GAS = "out of gas"


@attrs.define
class Mempool:
    """What waits for a block, by sender and nonce. Refusals are the node's own texts."""

    chain: Chain
    _waiting: dict[str, dict[int, RawTransaction]] = attrs.field(factory=dict)

    def send(self, raw: bytes, now_ms: int) -> str:
        """Take a signed transaction in; its hash. Raises BadTransaction."""
        tx = decode(raw)
        mine = self._waiting.get(tx.sender, {})
        error = self._refusal(tx, mine)
        if error is not None:
            raise BadTransaction(error)
        self._waiting.setdefault(tx.sender, {})[tx.nonce] = tx
        due_ms = self.chain.blocks.next_ms(now_ms)
        self.chain.agenda.add(due_ms, lambda at_ms: self._mine(tx.sender, at_ms))
        return tx.tx_hash

    def _refusal(self, tx: RawTransaction, mine: dict[int, RawTransaction]) -> str | None:
        waiting = mine.get(tx.nonce)
        if tx.nonce < self.chain.nonces.get(tx.sender, 0):
            return "nonce too low"
        if waiting is not None:
            same = waiting.tx_hash == tx.tx_hash
            return "already known" if same else "replacement transaction underpriced"
        if tx.gas < gas_of([]):
            return "intrinsic gas too low"
        if tx.gas_price < self.chain.terms.gas_price_wei:
            return "transaction underpriced"
        promised = sum(other.cost for other in mine.values())
        if tx.cost + promised > self.chain.gas.get(tx.sender, 0):
            return "insufficient funds for gas * price + value"
        return None

    def next_nonce(self, address: str, *, pending: bool) -> int:
        """The account's transaction count, with or without those that wait in a row."""
        nonce = self.chain.nonces.get(address, 0)
        waiting = self._waiting.get(address, {})
        while pending and nonce in waiting:
            nonce += 1
        return nonce

    def waits(self, tx_hash: str) -> RawTransaction | None:
        """The transaction with this hash, if it waits."""
        every = (tx for mine in self._waiting.values() for tx in mine.values())
        return next((tx for tx in every if tx.tx_hash == tx_hash), None)

    def _mine(self, sender: str, now_ms: int) -> None:
        """Put the sender's transactions into a block, in order of nonces, up to the first gap."""
        waiting = self._waiting.get(sender, {})
        while (tx := waiting.pop(self.chain.nonces.get(sender, 0), None)) is not None:
            self._include(tx, now_ms)
        if not waiting:
            self._waiting.pop(sender, None)

    def _include(self, tx: RawTransaction, now_ms: int) -> None:
        """Run it; gas is paid whatever comes of it, all of the limit when that was too low."""
        chain, wanted = self.chain, gas_of([tx.call])
        used = min(wanted, tx.gas)
        chain.nonces[tx.sender] = tx.nonce + 1
        chain.gas[tx.sender] -= used * tx.gas_price
        if used < wanted:
            outcome = Outcome(reverted=OUT_OF_GAS)
        else:
            outcome = chain.execute(tx.sender, [tx.call], now_ms)
        chain.record(
            tx.tx_hash, tx.sender, tx.call.target, outcome, now_ms, tx.call.data,
            gas=used, gas_price=tx.gas_price, nonce=tx.nonce, kind=tx.kind,
            limit=tx.gas, value=tx.call.value,
        )  # fmt: skip
