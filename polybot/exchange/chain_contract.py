"""What the venue's contracts have in common: a call, a revert, and the checks they share."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from polybot.exchange.abi import Args
from polybot.exchange.chain_logs import Log
from polybot.exchange.chain_state import State
from polybot.exchange.model import Refused
from polybot.exchange.positions import NO_CASH, NO_SHARES

NO_ALLOWANCE = "ERC20: insufficient allowance"
NO_OPERATOR = "ERC1155: caller is not token owner or approved"


class Revert(Exception):
    """The transaction undoes itself; the text is the contract's reason, "" for none."""

    @property
    def reason(self) -> str:
        return str(self.args[0])


@attrs.frozen
class Call:
    """One call as a wallet makes it. `value` is POL in wei."""

    target: str
    data: bytes
    value: int = 0


Function = Callable[[State, str, str, Args], list[Log]]  # state, sender, contract, arguments


def done(moved: Refused | int) -> int:
    if isinstance(moved, Refused):
        raise Revert(moved.error)
    return moved


def require_shares(state: State, owner: str, token: str, amount: int) -> None:
    if state.shares(owner, token) < amount:
        raise Revert(NO_SHARES)


def spend_allowance(state: State, owner: str, token: str, spender: str, amount: int) -> None:
    """transferFrom's allowance."""
    if state.approvals.allowance(owner, token, spender) < amount:
        raise Revert(NO_ALLOWANCE)
    state.approvals.spend(owner, token, spender, amount)


def require_operator(state: State, owner: str, contract: str, operator: str) -> None:
    if not state.approvals.allowance(owner, contract, operator):
        raise Revert(NO_OPERATOR)


def require_cash(state: State, owner: str, amount: int) -> None:
    if state.cash(owner) < amount:
        raise Revert(NO_CASH)
