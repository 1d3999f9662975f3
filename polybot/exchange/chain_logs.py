"""What the contracts tell: event logs as receipts and `eth_getLogs` show them (onchain.md 9.3)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from polybot.exchange import contracts
from polybot.exchange.abi import WORD, address_word, array, topic, word
from polybot.exchange.accounts import leg_cash
from polybot.exchange.approvals import exchange_of, shares_contract
from polybot.exchange.eip712 import checksum, keccak, parse_address, parse_hex
from polybot.exchange.model import BUY, Market, Order, Trade

ZERO = "0x" + "00" * 20
UMA_ADAPTER = "0x6A9D222616C90FcA5754cd1333cFD9b7fb6a4F74"  # the oracle of conditions (2.1)

TRANSFER = topic("Transfer(address,address,uint256)")
APPROVAL = topic("Approval(address,address,uint256)")
APPROVAL_FOR_ALL = topic("ApprovalForAll(address,address,bool)")
TRANSFER_SINGLE = topic("TransferSingle(address,address,address,uint256,uint256)")
TRANSFER_BATCH = topic("TransferBatch(address,address,address,uint256[],uint256[])")
POSITION_SPLIT = topic("PositionSplit(address,address,bytes32,bytes32,uint256[],uint256)")
POSITIONS_MERGE = topic("PositionsMerge(address,address,bytes32,bytes32,uint256[],uint256)")
PAYOUT = topic("PayoutRedemption(address,address,bytes32,bytes32,uint256[],uint256)")
RESOLUTION = topic("ConditionResolution(bytes32,address,bytes32,uint256,uint256[])")
ORDER_FILLED = topic(
    "OrderFilled(bytes32,address,address,uint8,uint256,uint256,uint256,uint256,bytes32,bytes32)"
)


@attrs.frozen
class Log:
    """One event. Topics are `0x` and 64 hex digits, the first names the event."""

    address: str
    topics: tuple[str, ...]
    data: bytes


def address_of(account: str) -> str:
    """An account's address; the crowd's members have names, and get an address made of those."""
    return parse_address(account) or checksum(keccak(account.encode())[12:])


def _topic(account: str) -> str:
    return "0x" + address_word(address_of(account)).hex()


def bytes32(text: str) -> bytes:
    """An id as 32 bytes: shorter ones on the right, as Protocol V2's condition ids are shown."""
    return (parse_hex(text) or keccak(text.encode())).ljust(WORD, b"\0")[:WORD]


def transfer(token: str, sender: str, recipient: str, amount: int) -> Log:
    return Log(token, (TRANSFER, _topic(sender), _topic(recipient)), word(amount))


def approval(token: str, owner: str, spender: str, amount: int) -> Log:
    return Log(token, (APPROVAL, _topic(owner), _topic(spender)), word(amount))


def approval_for_all(token: str, owner: str, operator: str, *, approved: bool) -> Log:
    return Log(token, (APPROVAL_FOR_ALL, _topic(owner), _topic(operator)), word(approved))


def shares_moved(
    token: str, operator: str, sender: str, recipient: str, moved: Sequence[tuple[str, int]]
) -> Log:
    """TransferSingle for one outcome, TransferBatch for several; (token id, amount) each."""
    parties = (_topic(operator), _topic(sender), _topic(recipient))
    if len(moved) == 1:
        id_, amount = moved[0]
        return Log(token, (TRANSFER_SINGLE, *parties), word(int(id_)) + word(amount))
    ids = array([int(id_) for id_, _ in moved])
    amounts = array([amount for _, amount in moved])
    offsets = word(2 * WORD) + word(2 * WORD + len(ids))
    return Log(token, (TRANSFER_BATCH, *parties), offsets + ids + amounts)


def pairs(event: str, market: Market, holder: str, amount: int) -> Log:
    """PositionSplit or PositionsMerge of a market's condition."""
    condition = "0x" + bytes32(market.condition_id).hex()
    partition = array([1, 2])
    data = address_word(contracts.COLLATERAL) + word(3 * WORD) + word(amount) + partition
    return Log(shares_contract(market), (event, _topic(holder), "0x" + "00" * 32, condition), data)


def redemption(market: Market, holder: str, payout: int) -> Log:
    data = bytes32(market.condition_id) + word(3 * WORD) + word(payout) + array([1, 2])
    topics = (PAYOUT, _topic(holder), _topic(contracts.COLLATERAL), "0x" + "00" * 32)
    return Log(shares_contract(market), topics, data)


def resolution(market: Market, vector: tuple[int, int]) -> Log:
    condition, question = bytes32(market.condition_id), bytes32(market.question_id)
    topics = (RESOLUTION, "0x" + condition.hex(), _topic(UMA_ADAPTER), "0x" + question.hex())
    return Log(shares_contract(market), topics, word(2) + word(2 * WORD) + array(vector))


def settled(trade: Trade) -> tuple[Log, ...]:
    """One settlement: what each order gave and got, between it and the exchange contract.

    The taker's OrderFilled names the exchange as its counterparty (9.3).
    """
    exchange = exchange_of(trade.market)
    logs: list[Log] = []
    taker_cash = 0
    for fill in trade.makers:
        theirs, ours = leg_cash(trade.taker, fill.order, fill.shares)
        taker_cash += ours
        logs += _sides(fill.order, fill.shares, theirs, 0, trade.taker.account)
    return (*logs, *_sides(trade.taker, trade.shares, taker_cash, trade.fee, exchange))


def _sides(order: Order, shares: int, cash: int, fee: int, counterparty: str) -> list[Log]:
    exchange, account = exchange_of(order.market), order.account
    buys = order.side == BUY
    payer, payee = (account, exchange) if buys else (exchange, account)
    paid = cash + fee if buys else cash - fee
    gives, gets = (cash, shares) if buys else (shares, cash)
    topics = (ORDER_FILLED, "0x" + bytes32(order.id).hex(), _topic(account), _topic(counterparty))
    fields = (int(not buys), int(order.token), gives, gets, fee, 0, 0)
    return [
        transfer(contracts.COLLATERAL, payer, payee, paid),
        shares_moved(
            shares_contract(order.market), exchange, payee, payer, [(order.token, shares)]
        ),
        Log(exchange, topics, b"".join(map(word, fields))),
    ]
