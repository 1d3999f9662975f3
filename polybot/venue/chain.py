"""What the chain says, by JSON-RPC: payouts, balances, receipts, gas (onchain.md 9.2, 11).

It is the last word on money: the CLOB's balances are a cache, Gamma's result is an announcement.
"""

from __future__ import annotations

import attrs
import orjson

from polybot.domain.market import Market
from polybot.domain.orders import Failure
from polybot.domain.units import SHARE
from polybot.venue import fields
from polybot.venue.calls import selector, word
from polybot.venue.rest import Rest
from polybot.venue.signing import address_word
from polybot.venue.site import CHAIN, CONTRACTS, Contracts

_DENOMINATOR = selector("payoutDenominator(bytes32)")
_NUMERATOR = selector("payoutNumerators(bytes32,uint256)")
_PAYOUT = selector("getPayout(uint256,uint256)")
_BALANCES = selector("balanceOfBatch(address[],uint256[])")

SILENT_MS = 180_000


@attrs.define(eq=False)
class Reads:
    """How the node has answered of late: the first failure since it last did, and the newest."""

    _since_ms: int | None = None
    _last_ms: int = 0
    _what: str = ""

    def note(self, answer: object, now_ms: int) -> None:
        if not isinstance(answer, Failure):
            self._since_ms = None
            return
        self._since_ms = now_ms if self._since_ms is None else self._since_ms
        self._last_ms, self._what = now_ms, answer.what

    @property
    def silence(self) -> str | None:
        """Why the chain cannot be read, once that has lasted for minutes."""
        if self._since_ms is None or self._last_ms - self._since_ms < SILENT_MS:
            return None
        return f"the Polygon node does not answer: {self._what}"


@attrs.frozen
class Chain:
    """Reads of the newest block for one wallet. None raises for what the node does."""

    rest: Rest
    wallet: str
    contracts: Contracts = CONTRACTS[CHAIN]
    reads: Reads = attrs.field(factory=Reads, eq=False, repr=False)

    async def up_payout(self, market: Market) -> int | Failure | None:
        """What one Up share pays, 10⁻⁶ dollars; None while the chain holds no resolution."""
        if market.version == "v2":
            return await self._v2_payout(market)
        condition = bytes.fromhex(market.condition_id.removeprefix("0x"))
        tokens = self.contracts.conditional_tokens
        whole = await self._uint(tokens, _DENOMINATOR + condition)
        if isinstance(whole, Failure):
            return whole
        if whole == 0:
            return None
        parts = [await self._uint(tokens, _NUMERATOR + condition + word(n)) for n in (0, 1)]
        return _up_part(parts if market.up_index == 0 else parts[::-1], whole)

    async def _v2_payout(self, market: Market) -> int | Failure | None:
        """The same from what a share of each position would be paid; nothing before the end."""
        manager = self.contracts.position_manager
        parts = [
            await self._uint(manager, _PAYOUT + word(int(token)) + word(SHARE))
            for token in (market.up_token, market.down_token)
        ]
        return None if parts == [0, 0] else _up_part(parts, SHARE)

    async def shares(self, market: Market) -> tuple[int, int] | Failure:
        """Shares of (Up, Down) in the wallet, 10⁻⁶, as of the newest block."""
        v2 = market.version == "v2"
        holder = self.contracts.position_manager if v2 else self.contracts.conditional_tokens
        owner = address_word(self.wallet)
        tokens = [word(int(token)) for token in (market.up_token, market.down_token)]
        data = (
            _BALANCES + word(64) + word(64 + 96) + word(2) + owner + owner + word(2)
            + b"".join(tokens)
        )  # fmt: skip
        answer = await self._call(holder, data)
        if isinstance(answer, Failure):
            return answer
        words = [int.from_bytes(answer[at : at + 32], "big") for at in range(0, len(answer), 32)]
        if len(words) != 4 or words[1] != 2:
            return Failure("balanceOfBatch: unreadable")
        return words[2], words[3]

    async def succeeded(self, transaction_hash: str) -> bool | Failure | None:
        """Whether a transaction did what it was to do; None while no block holds it."""
        receipt = await self._ask("eth_getTransactionReceipt", [transaction_hash])
        if isinstance(receipt, Failure) or receipt is None:
            return receipt
        if not fields.is_object(receipt) or receipt.get("status") not in ("0x0", "0x1"):
            return Failure("eth_getTransactionReceipt: unreadable")
        return receipt["status"] == "0x1"

    async def gas(self) -> int | Failure:
        """The wallet's POL, in units of 10⁻¹⁸: what a plain wallet pays its transactions with."""
        answer = await self._ask("eth_getBalance", [self.wallet, "latest"])
        return answer if isinstance(answer, Failure) else _number(answer, "eth_getBalance")

    async def pending(self) -> int | Failure:
        """How many transactions of the wallet's own the node knows that no block holds."""
        asked, held = await self._count("pending"), await self._count("latest")
        if isinstance(asked, Failure) or isinstance(held, Failure):
            return asked if isinstance(asked, Failure) else held
        return max(0, asked - held)

    async def _count(self, tag: str) -> int | Failure:
        answer = await self._ask("eth_getTransactionCount", [self.wallet, tag])
        if isinstance(answer, Failure):
            return answer
        return _number(answer, "eth_getTransactionCount")

    async def deployed(self) -> bool | Failure:
        """Whether the wallet is a contract: that of a key is derived long before there is one."""
        answer = await self._ask("eth_getCode", [self.wallet, "latest"])
        if isinstance(answer, Failure):
            return answer
        if not isinstance(answer, str) or not answer.startswith("0x"):
            return Failure("eth_getCode: unreadable")
        return len(answer) > len("0x")

    async def chain_id(self) -> int | Failure:
        """Which chain the node is of."""
        answer = await self._ask("eth_chainId", [])
        return answer if isinstance(answer, Failure) else _number(answer, "eth_chainId")

    # --- the wire ----------------------------------------------------------------------------

    async def _uint(self, target: str, data: bytes) -> int | Failure:
        answer = await self._call(target, data)
        if isinstance(answer, Failure):
            return answer
        if len(answer) != 32:
            return Failure("eth_call: expected one word")
        return int.from_bytes(answer, "big")

    async def _call(self, target: str, data: bytes) -> bytes | Failure:
        answer = await self._ask("eth_call", [{"to": target, "data": "0x" + data.hex()}, "latest"])
        if isinstance(answer, Failure):
            return answer
        try:
            return bytes.fromhex(fields.as_text(answer).removeprefix("0x"))
        except ValueError:
            return Failure("eth_call: unreadable")

    async def _ask(self, method: str, params: list[object]) -> object | Failure:
        answer = await self._answer(method, params)
        self.reads.note(answer, self.rest.clock.now_ms())
        return answer

    async def _answer(self, method: str, params: list[object]) -> object | Failure:
        value = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        reply = await self.rest.call("POST", "", body=orjson.dumps(value))
        if isinstance(reply, Failure):
            return reply
        if reply.status != 200:
            return reply.failure(method)
        try:
            row = fields.as_object(reply.json())
        except ValueError as error:
            return Failure(f"{method}: unreadable: {error}")
        if "result" not in row or row.get("error") is not None:  # some write a null beside it
            return Failure(f"{method}: {fields.shown(row.get('error'), 200)}")
        return row["result"]


def _up_part(parts: list[int | Failure], whole: int) -> int | Failure:
    numbers: list[int] = []
    for part in parts:
        if isinstance(part, Failure):
            return part
        numbers.append(part)
    if sum(numbers) != whole or numbers[0] * SHARE % whole:
        return Failure(f"a payout of {numbers} in {whole} is not understood")
    return numbers[0] * SHARE // whole


def _number(value: object, what: str) -> int | Failure:
    """A JSON-RPC quantity: hex with its prefix, at most a word."""
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 2 + 64:
        return Failure(f"{what}: unreadable")
    try:
        return int(value, 16)
    except ValueError:
        return Failure(f"{what}: unreadable")
