"""The chain as a JSON-RPC node shows it (onchain.md 9.2): single requests and batches.

Every answer shows the newest block. Errors are the node's: -32700 no JSON, -32600 no request,
-32601 no such method, -32602 bad parameters, -32000 a refused transaction, 3 a revert.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from polybot.clock import Clock
from polybot.exchange import eip712
from polybot.exchange.abi import revert_data
from polybot.exchange.chain import Chain, Outcome, gas_of
from polybot.exchange.chain_contract import Call
from polybot.exchange.chain_logs import ZERO
from polybot.exchange.contracts import CHAIN_ID
from polybot.exchange.mempool import Mempool
from polybot.exchange.raw_transaction import BadTransaction
from polybot.exchange.request import Request, Response, error_response, json_response
from polybot.exchange.rpc_calls import Views
from polybot.exchange.rpc_objects import (
    Filter,
    block_json,
    log_rows,
    quantity,
    receipt_json,
    transaction_json,
)

BATCH_MOST = 1_000
LOG_BLOCKS_MOST = 10_000
REVERTED = 3
REFUSED, NO_METHOD, BAD_PARAMS = -32_000, -32_601, -32_602
NO_REQUEST, NO_JSON = -32_600, -32_700

Params = list[object]


class RpcError(Exception):
    """An error object of the reply: code, message, and data where there is some."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.error: dict[str, object] = {"code": code, "message": message}
        if data is not None:
            self.error["data"] = data


class RpcService:
    """One node on one chain."""

    def __init__(self, chain: Chain, mempool: Mempool, clock: Clock) -> None:
        self._chain, self._mempool, self._clock = chain, mempool, clock
        self._views = Views(chain)
        self._methods: dict[str, Callable[[Params], object]] = {
            "eth_chainId": lambda _: quantity(CHAIN_ID),
            "net_version": lambda _: str(CHAIN_ID),
            "web3_clientVersion": lambda _: "polybot/exchange",
            "eth_blockNumber": lambda _: quantity(self._newest()),
            "eth_gasPrice": lambda _: quantity(chain.terms.gas_price_wei),
            "eth_maxPriorityFeePerGas": lambda _: quantity(chain.terms.gas_price_wei),
            "eth_getBlockByNumber": self._block,
            "eth_getBalance": self._balance,
            "eth_getCode": self._code,
            "eth_getTransactionCount": self._count,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_sendRawTransaction": self._send,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getTransactionByHash": self._transaction,
            "eth_getLogs": self._logs,
        }

    async def handle(self, request: Request) -> Response:
        """Answer one POST."""
        if request.method != "POST":
            return error_response("method not allowed", 405)
        try:
            asked = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return json_response(_failed(None, RpcError(NO_JSON, "parse error")))
        if not isinstance(asked, list):
            return json_response(self._answer(asked))
        if not asked or len(asked) > BATCH_MOST:
            return json_response(_failed(None, RpcError(NO_REQUEST, "invalid batch size")))
        return json_response([self._answer(one) for one in asked])

    def _answer(self, asked: object) -> dict[str, object]:
        if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
            return _failed(None, RpcError(NO_REQUEST, "invalid request"))
        id_ = asked.get("id")
        try:
            result = self._result(asked["method"], asked.get("params", []))
            return {"jsonrpc": "2.0", "id": id_, "result": result}
        except RpcError as error:
            return _failed(id_, error)

    def _result(self, name: str, params: object) -> object:
        method = self._methods.get(name)
        if method is None:
            raise RpcError(NO_METHOD, f"the method {name} does not exist/is not available")
        if not isinstance(params, list):
            raise RpcError(BAD_PARAMS, "params must be an array")
        return method(params)

    def _newest(self) -> int:
        return self._chain.blocks.number(self._clock.now_ms())

    # --- blocks and accounts -------------------------------------------------------------

    def _block(self, params: Params) -> object:
        number = self._number(_at(params, 0))
        if number > self._newest():
            return None
        return block_json(self._chain.blocks, number)

    def _number(self, tag: object) -> int:
        """A block parameter; the tags of finality mean the newest block here too."""
        if tag in (None, "latest", "pending", "safe", "finalized"):
            return self._newest()
        return 0 if tag == "earliest" else _quantity_of(tag)

    def _balance(self, params: Params) -> object:
        return quantity(self._chain.gas.get(_address(_at(params, 0)), 0))

    def _code(self, params: Params) -> object:
        return "0x363d3d37" if self._chain.has_code(_address(_at(params, 0))) else "0x"

    def _count(self, params: Params) -> object:
        pending = _at(params, 1) == "pending"
        return quantity(self._mempool.next_nonce(_address(_at(params, 0)), pending=pending))

    # --- calls and transactions ----------------------------------------------------------

    def _call(self, params: Params) -> object:
        sender, call = _message(_at(params, 0))
        answer = self._views.call(sender, call, self._clock.now_ms())
        if isinstance(answer, Outcome):
            raise _reverted(answer)
        return "0x" + answer.hex()

    def _estimate(self, params: Params) -> object:
        sender, call = _message(_at(params, 0))
        outcome = self._chain.attempt(sender, [call], self._clock.now_ms())
        if outcome.reverted is not None:
            raise _reverted(outcome)
        return quantity(gas_of([call]))

    def _send(self, params: Params) -> object:
        try:
            return self._mempool.send(_data(_at(params, 0)), self._clock.now_ms())
        except BadTransaction as error:
            raise RpcError(REFUSED, str(error)) from None

    def _receipt(self, params: Params) -> object:
        receipt = self._chain.blocks.receipts.get(str(_at(params, 0)).lower())
        return None if receipt is None else receipt_json(self._chain.blocks, receipt)

    def _transaction(self, params: Params) -> object:
        tx_hash = str(_at(params, 0)).lower()
        receipt = self._chain.blocks.receipts.get(tx_hash)
        return transaction_json(self._chain.blocks, receipt, self._mempool.waits(tx_hash))

    def _logs(self, params: Params) -> object:
        asked = _at(params, 0)
        if not isinstance(asked, dict):
            raise RpcError(BAD_PARAMS, "expected a filter object")
        if asked.get("blockHash") is not None:  # passed over, it would mean the newest block
            raise RpcError(BAD_PARAMS, "filters by blockHash are not supported: name the number")
        first, last = self._number(asked.get("fromBlock")), self._number(asked.get("toBlock"))
        if last - first > LOG_BLOCKS_MOST:
            raise RpcError(REFUSED, f"block range is too wide, most is {LOG_BLOCKS_MOST}")
        wanted = Filter.read(asked.get("address"), asked.get("topics"))
        if wanted is None:
            raise RpcError(BAD_PARAMS, "invalid address or topics")
        blocks = self._chain.blocks
        return [row for r in blocks.between(first, last) for row in log_rows(blocks, r, wanted)]


def _failed(id_: object, error: RpcError) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id_, "error": error.error}


def _reverted(outcome: Outcome) -> RpcError:
    reason = outcome.reverted or ""
    text = f"execution reverted: {reason}" if reason else "execution reverted"
    return RpcError(REVERTED, text, "0x" + revert_data(reason).hex())


def _at(params: Params, place: int) -> object:
    return params[place] if place < len(params) else None


def _address(value: object) -> str:
    address = eip712.parse_address(value) if isinstance(value, str) else None
    if address is None:
        raise RpcError(BAD_PARAMS, "invalid address")
    return address


def _data(value: object) -> bytes:
    if value in (None, "0x", ""):
        return b""
    data = eip712.parse_hex(value) if isinstance(value, str) else None
    if data is None:
        raise RpcError(BAD_PARAMS, "invalid hex string")
    return data


def _quantity_of(value: object) -> int:
    text = value if isinstance(value, str) else ""
    digits = text[2:]
    if not text.startswith("0x") or not digits.isalnum() or len(digits) > 64:
        raise RpcError(BAD_PARAMS, "invalid quantity")
    try:
        return int(digits, 16)
    except ValueError:
        raise RpcError(BAD_PARAMS, "invalid quantity") from None


def _message(value: object) -> tuple[str, Call]:
    """(sender, call) of a transaction object; without `from` the zero address calls."""
    if not isinstance(value, dict):
        raise RpcError(BAD_PARAMS, "expected a transaction object")
    sender = _address(value["from"]) if value.get("from") else ZERO
    data = _data(value.get("data") or value.get("input"))
    amount = _quantity_of(value["value"]) if value.get("value") else 0
    return sender, Call(_address(value.get("to")), data, amount)
