"""Calldata run: a table of contract and selector, and who answers (onchain.md 9.2).

What Solidity would revert on is a `Revert`, with the contract's reason where the reference knows
it. A call to an address that this exchange does not know reverts too: on Polygon it might do
anything, and silence would hide a wrong address.
"""

from __future__ import annotations

from collections.abc import Sequence

from polybot.exchange import chain_positions as positions, chain_tokens as tokens, contracts
from polybot.exchange.abi import Args, BadCalldata, selector
from polybot.exchange.chain_contract import Call, Function, Revert
from polybot.exchange.chain_logs import Log
from polybot.exchange.chain_state import State
from polybot.exchange.eip712 import checksum
from polybot.exchange.wallets import wallets_of


def run(state: State, sender: str, call: Call) -> list[Log]:
    """Let `sender` make one call. Raises Revert; the state is then half changed, throw it away."""
    if call.value:
        _pay(state, sender, call)
        if not call.data:
            return []
    elif not call.data:
        return []
    function = FUNCTIONS.get((call.target, call.data[:4]))
    if call.target == sender:
        function = OWN_FUNCTIONS.get(call.data[:4])
    if function is None:
        raise Revert(f"no function {call.data[:4].hex()} at {call.target}")
    try:
        return function(state, sender, call.target, Args(call.data[4:]))
    except BadCalldata:
        raise Revert("") from None


def _pay(state: State, sender: str, call: Call) -> None:
    if state.gas.get(sender, 0) < call.value:
        raise Revert("insufficient balance for transfer")
    state.gas[sender] = state.gas.get(sender, 0) - call.value
    state.gas[call.target] = state.gas.get(call.target, 0) + call.value


def _proxy(state: State, sender: str, _factory: str, args: Args) -> list[Log]:
    """The caller's own proxy makes the calls; the factory deploys it at the first (7.3)."""
    proxy = wallets_of(sender).proxy
    state.deployed.add(proxy)
    logs: list[Log] = []
    for one in args.tuples(0):
        if one.uint(0) != 1 or one.address(1) == contracts.PROXY_FACTORY:
            raise Revert("only plain calls, and not to the factory")
        logs += run(state, proxy, Call(one.address(1), one.blob(3), one.uint(2)))
    return logs


def _authorise(state: State, sender: str, _wallet: str, args: Args) -> list[Log]:
    signer, until_s = args.address(0), args.uint(1)
    if not state.sessions.authorise(sender, signer, until_s, state.now_ms // 1000):
        raise Revert("invalid session signer expiry")
    return []


def _revoke(state: State, sender: str, _wallet: str, args: Args) -> list[Log]:
    state.sessions.revoke(sender, args.address(0))
    return []


def sent_by_safe(data: bytes) -> list[Call]:
    """The calls in `multiSend(bytes)`: operation, address, value, length, data, packed."""
    packed = Args(data[4:]).blob(0)
    calls: list[Call] = []
    while packed:
        if len(packed) < 85 or packed[0] != 0:
            raise BadCalldata("a packed call is short, or delegates")
        length = int.from_bytes(packed[53:85], "big")
        if len(packed) < 85 + length:
            raise BadCalldata("a packed call ends too early")
        target = checksum(packed[1:21])
        value = int.from_bytes(packed[21:53], "big")
        calls.append(Call(target, packed[85 : 85 + length], value))
        packed = packed[85 + length :]
    return calls


MULTI_SEND = selector("multiSend(bytes)")
_POSITIONS = "(address,bytes32,bytes32,uint256[]"


def _at(places: Sequence[str], functions: dict[str, Function]) -> dict[tuple[str, bytes], Function]:
    return {
        (place, selector(name)): function
        for place in places
        for name, function in functions.items()
    }


FUNCTIONS: dict[tuple[str, bytes], Function] = {
    **_at(
        (contracts.COLLATERAL, contracts.USDC_E),
        {"approve(address,uint256)": tokens.approve, "transfer(address,uint256)": tokens.transfer},
    ),
    **_at(
        (contracts.CTF, contracts.POSITION_MANAGER),
        {
            "setApprovalForAll(address,bool)": tokens.set_operator,
            "safeTransferFrom(address,address,uint256,uint256,bytes)": tokens.transfer_shares,
        },
    ),
    **_at(
        (contracts.CTF_ADAPTER, contracts.NEG_RISK_CTF_ADAPTER),
        {
            f"splitPosition{_POSITIONS},uint256)": positions.split_position,
            f"mergePositions{_POSITIONS},uint256)": positions.merge_positions,
            f"redeemPositions{_POSITIONS})": positions.redeem_positions,
        },
    ),
    **_at(
        (contracts.ROUTER,),
        {
            "split(bytes31,uint256)": positions.router_split,
            "merge(bytes31,uint256)": positions.router_merge,
            "redeem(bytes31,uint256,uint256)": positions.router_redeem,
        },
    ),
    **_at((contracts.ONRAMP,), {"wrap(address,address,uint256)": tokens.wrap}),
    **_at((contracts.OFFRAMP,), {"unwrap(address,address,uint256)": tokens.unwrap}),
    **_at((contracts.PROXY_FACTORY,), {"proxy((uint8,address,uint256,bytes)[])": _proxy}),
}

# What a deposit wallet lets itself do.
OWN_FUNCTIONS: dict[bytes, Function] = {
    selector("authorizeSessionSigner(address,uint256)"): _authorise,
    selector("revokeSessionSigner(address)"): _revoke,
}
