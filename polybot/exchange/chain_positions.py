"""Split, merge and redeem through the adapters and the Router (onchain.md 6).

The adapters are held to what the SDK sends: pUSD, no parent collection, partition [1, 2].
"""

from __future__ import annotations

from polybot.exchange import chain_logs, contracts
from polybot.exchange.abi import Args
from polybot.exchange.approvals import shares_contract
from polybot.exchange.chain_contract import (
    Revert,
    done,
    require_cash,
    require_operator,
    require_shares,
    spend_allowance,
)
from polybot.exchange.chain_logs import ZERO, Log
from polybot.exchange.chain_state import State
from polybot.exchange.model import Market
from polybot.exchange.positions import NO_RESULT, payouts

NOT_PREPARED = "condition not prepared yet"
BAD_PARTITION = "invalid index set"

# --- positions of protocol v1 ------------------------------------------------------------


def _condition(state: State, adapter: str, args: Args) -> Market:
    """The market that the first three arguments of an adapter's call name."""
    neg_risk = adapter == contracts.NEG_RISK_CTF_ADAPTER
    market = state.markets.get("0x" + args.fixed(2, 32).hex())
    if args.address(0) != contracts.COLLATERAL or any(args.fixed(1, 32)):
        raise Revert("unexpected collateral or parent collection")
    if market is None or market.version == "v2" or market.neg_risk != neg_risk:
        raise Revert(NOT_PREPARED)
    if args.uints(3) != [1, 2]:
        raise Revert(BAD_PARTITION)
    return market


def split_position(state: State, sender: str, adapter: str, args: Args) -> list[Log]:
    return _make_pairs(state, sender, adapter, _condition(state, adapter, args), args.uint(4))


def merge_positions(state: State, sender: str, adapter: str, args: Args) -> list[Log]:
    market = _condition(state, adapter, args)
    return _undo_pairs(state, sender, contracts.CTF, adapter, market, args.uint(4))


def _make_pairs(state: State, sender: str, spender: str, market: Market, amount: int) -> list[Log]:
    spend_allowance(state, sender, contracts.COLLATERAL, spender, amount)
    require_cash(state, sender, amount)
    done(state.split(sender, market, amount))
    pair = [(token, amount) for token in market.tokens]
    shares = shares_contract(market)
    return [
        chain_logs.transfer(contracts.COLLATERAL, sender, spender, amount),
        chain_logs.pairs(chain_logs.POSITION_SPLIT, market, sender, amount),
        chain_logs.shares_moved(shares, spender, ZERO, sender, pair),
    ]


def _undo_pairs(
    state: State, sender: str, shares: str, operator: str, market: Market, amount: int
) -> list[Log]:
    require_operator(state, sender, shares, operator)
    for token in market.tokens:
        require_shares(state, sender, token, amount)
    done(state.merge(sender, market, amount))
    pair = [(token, amount) for token in market.tokens]
    return [
        chain_logs.shares_moved(shares, operator, sender, ZERO, pair),
        chain_logs.pairs(chain_logs.POSITIONS_MERGE, market, sender, amount),
        chain_logs.transfer(contracts.COLLATERAL, operator, sender, amount),
    ]


def redeem_positions(state: State, sender: str, adapter: str, args: Args) -> list[Log]:
    """Burns whatever the chain has of both outcomes: what is still on its way stays."""
    market = _condition(state, adapter, args)
    up, down = (state.shares(sender, token) for token in market.tokens)
    return _pay_out(state, sender, contracts.CTF, adapter, market, (up, down))


def _pay_out(
    state: State, sender: str, shares: str, operator: str, market: Market, burn: tuple[int, int]
) -> list[Log]:
    if payouts(market) is None:
        raise Revert(NO_RESULT)
    require_operator(state, sender, shares, operator)
    payout = done(state.redeem(sender, market, burn))
    burnt = [(token, n) for token, n in zip(market.tokens, burn, strict=True) if n]
    moved = [chain_logs.shares_moved(shares, operator, sender, ZERO, burnt)] if burnt else []
    return [
        *moved,
        chain_logs.redemption(market, sender, payout),
        chain_logs.transfer(contracts.COLLATERAL, operator, sender, payout),
    ]


# --- positions of protocol v2 ------------------------------------------------------------


def _v2_market(state: State, args: Args) -> Market:
    """A position id is the 31-byte condition id and the outcome's byte (onchain.md 6.2)."""
    position = int.from_bytes(args.fixed(0, 31) + b"\0", "big")
    market = state.by_token.get(str(position))
    if market is None or market.version != "v2":
        raise Revert(NOT_PREPARED)
    return market


def router_split(state: State, sender: str, router: str, args: Args) -> list[Log]:
    return _make_pairs(state, sender, router, _v2_market(state, args), args.uint(1))


def router_merge(state: State, sender: str, router: str, args: Args) -> list[Log]:
    market = _v2_market(state, args)
    return _undo_pairs(state, sender, contracts.POSITION_MANAGER, router, market, args.uint(1))


def router_redeem(state: State, sender: str, router: str, args: Args) -> list[Log]:
    market, outcome, amount = _v2_market(state, args), args.uint(1), args.uint(2)
    if outcome > 1:
        raise Revert("invalid outcome index")
    require_shares(state, sender, market.tokens[outcome], amount)
    burn = (0, amount) if outcome else (amount, 0)
    return _pay_out(state, sender, contracts.POSITION_MANAGER, router, market, burn)
