"""The token contracts and the ramps between USDC.e and pUSD (onchain.md 3, 4, 9.2)."""

from __future__ import annotations

from polybot.exchange import chain_logs, contracts
from polybot.exchange.abi import Args
from polybot.exchange.approvals import UNLIMITED, shares_contract
from polybot.exchange.chain_contract import (
    NO_OPERATOR,
    Revert,
    require_cash,
    require_shares,
    spend_allowance,
)
from polybot.exchange.chain_logs import ZERO, Log
from polybot.exchange.chain_state import State
from polybot.exchange.positions import NO_CASH, NO_SHARES


def approve(state: State, sender: str, token: str, args: Args) -> list[Log]:
    spender, amount = args.address(0), args.uint(1)
    state.approvals.approve(sender, token, spender, amount)
    state.touched.add(sender)
    return [chain_logs.approval(token, sender, spender, amount)]


def set_operator(state: State, sender: str, token: str, args: Args) -> list[Log]:
    operator, approved = args.address(0), args.flag(1)
    state.approvals.approve(sender, token, operator, UNLIMITED if approved else 0)
    state.touched.add(sender)
    return [chain_logs.approval_for_all(token, sender, operator, approved=approved)]


def transfer(state: State, sender: str, token: str, args: Args) -> list[Log]:
    recipient, amount = args.address(0), args.uint(1)
    if token == contracts.USDC_E:
        _move_usdc_e(state, sender, recipient, amount)
    else:
        require_cash(state, sender, amount)
        state.accounts.transfer(sender, recipient, amount)
        state.touched.add(sender)
    return [chain_logs.transfer(token, sender, recipient, amount)]


def _move_usdc_e(state: State, sender: str, recipient: str, amount: int) -> None:
    """The zero address mints and burns."""
    if sender != ZERO:
        held = state.usdc_e.get(sender, 0)
        if held < amount:
            raise Revert(NO_CASH)
        state.usdc_e[sender] = held - amount
    if recipient != ZERO:
        state.usdc_e[recipient] = state.usdc_e.get(recipient, 0) + amount


def transfer_shares(state: State, sender: str, contract: str, args: Args) -> list[Log]:
    """safeTransferFrom of one's own; a market's shares live in its own contract."""
    owner, recipient, token, amount = (
        args.address(0), args.address(1), str(args.uint(2)), args.uint(3),
    )  # fmt: skip
    if owner != sender:
        raise Revert(NO_OPERATOR)
    market = state.by_token.get(token)
    if market is None or shares_contract(market) != contract:
        raise Revert(NO_SHARES)
    require_shares(state, sender, token, amount)
    state.accounts.add_shares(sender, (token,), -amount)
    state.accounts.add_shares(recipient, (token,), amount)
    state.touched.add(sender)
    return [chain_logs.shares_moved(contract, sender, sender, recipient, [(token, amount)])]


# --- collateral in and out ---------------------------------------------------------------


def wrap(state: State, sender: str, ramp: str, args: Args) -> list[Log]:
    asset, recipient, amount = args.address(0), args.address(1), args.uint(2)
    if asset != contracts.USDC_E:
        raise Revert("wrapping of this asset is paused")
    spend_allowance(state, sender, asset, ramp, amount)
    _move_usdc_e(state, sender, ramp, amount)
    state.accounts.deposit(recipient, amount, approved=False)
    return [
        chain_logs.transfer(asset, sender, ramp, amount),
        chain_logs.transfer(contracts.COLLATERAL, ZERO, recipient, amount),
    ]


def unwrap(state: State, sender: str, ramp: str, args: Args) -> list[Log]:
    asset, recipient, amount = args.address(0), args.address(1), args.uint(2)
    if asset != contracts.USDC_E:
        raise Revert("unwrapping to this asset is paused")
    spend_allowance(state, sender, contracts.COLLATERAL, ramp, amount)
    require_cash(state, sender, amount)
    state.accounts.withdraw(sender, amount)
    state.touched.add(sender)
    _move_usdc_e(state, ZERO, recipient, amount)
    return [
        chain_logs.transfer(contracts.COLLATERAL, sender, ZERO, amount),
        chain_logs.transfer(asset, ramp, recipient, amount),
    ]
