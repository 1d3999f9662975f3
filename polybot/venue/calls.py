"""Contract calls that move pairs of shares, written by hand (onchain.md 6.1, 6.2).

The SDK's own verbs ask Gamma for the market first, and fail when Gamma is down or the market closed
(onchain.md 8); these need only what we know of it. Amounts are 10⁻⁶.
"""

from __future__ import annotations

import attrs

from polybot.domain.market import Market
from polybot.venue.signing import address_word, keccak
from polybot.venue.site import CHAIN, CONTRACTS, Contracts

PARENT = bytes(32)
OUTCOMES = (1, 2)  # index sets of the first and the second token


@attrs.frozen
class Call:
    """One call of a contract; `data` is 0x and hex."""

    to: str
    data: str


def split(market: Market, amount: int, chain_id: int = CHAIN) -> list[Call]:
    """Turn `amount` of pUSD into as many shares of each outcome."""
    contracts = CONTRACTS[chain_id]
    if market.version == "v2":
        return [_router(contracts, "split(bytes31,uint256)", market, amount)]
    return [_adapter(contracts, "splitPosition", market, amount)]


def merge(market: Market, amount: int, chain_id: int = CHAIN) -> list[Call]:
    """Turn `amount` pairs of shares back into pUSD."""
    contracts = CONTRACTS[chain_id]
    if market.version == "v2":
        return [_router(contracts, "merge(bytes31,uint256)", market, amount)]
    return [_adapter(contracts, "mergePositions", market, amount)]


def redeem(market: Market, up: int, down: int, chain_id: int = CHAIN) -> list[Call]:
    """Turn the shares of a resolved market into what they pay: v1 burns whatever is there, v2 what
    is named, in one call for each outcome.
    """
    contracts = CONTRACTS[chain_id]
    if market.version == "v2":
        verb = "redeem(bytes31,uint256,uint256)"
        held = {outcome_index(market.up_token): up, outcome_index(market.down_token): down}
        return [
            _router(contracts, verb, market, index, amount)
            for index, amount in sorted(held.items())
            if amount > 0  # a fill that failed after its merge leaves less than nothing (F38)
        ]
    return [_adapter(contracts, "redeemPositions", market, None)]


def outcome_index(position: str) -> int:
    """The outcome in a Protocol V2 position id: its last byte (onchain.md 6.2)."""
    return int(position) & 0xFF


def condition31(condition_id: str) -> bytes:
    """A Protocol V2 condition as 31 bytes; Gamma may show it with an outcome byte at its end."""
    return bytes.fromhex(condition_id.removeprefix("0x"))[:31]


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


def _adapter(contracts: Contracts, verb: str, market: Market, amount: int | None) -> Call:
    """One of the collateral adapter's three: the index sets come last, behind their offset."""
    target = contracts.neg_risk_ctf_adapter if market.neg_risk else contracts.ctf_adapter
    types = "address,bytes32,bytes32,uint256[]" + ("" if amount is None else ",uint256")
    head = [address_word(contracts.collateral), PARENT, _condition32(market)]
    tail = [] if amount is None else [word(amount)]
    offset = word(32 * (len(head) + 1 + len(tail)))
    sets = [word(len(OUTCOMES)), *map(word, OUTCOMES)]
    return _call(target, f"{verb}({types})", [*head, offset, *tail, *sets])


def _router(contracts: Contracts, signature: str, market: Market, *numbers: int) -> Call:
    condition = condition31(market.condition_id).ljust(32, b"\0")
    return _call(contracts.router, signature, [condition, *map(word, numbers)])


def _condition32(market: Market) -> bytes:
    return bytes.fromhex(market.condition_id.removeprefix("0x")).rjust(32, b"\0")


def _call(target: str, signature: str, words: list[bytes]) -> Call:
    return Call(target, "0x" + (selector(signature) + b"".join(words)).hex())
