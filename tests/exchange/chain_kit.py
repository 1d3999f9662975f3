"""A chain for tests: one engine, a market of each kind, and calls made by the official SDK."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

from eth_abi.abi import decode as abi_decode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from polymarket._internal.actions.relayer import calls as sdk
from polymarket.types import EvmAddress

from polybot.exchange import contracts, identities
from polybot.exchange.chain import Chain, Outcome
from polybot.exchange.chain_contract import Call
from polybot.exchange.chain_logs import Log
from polybot.exchange.engine import Engine
from polybot.exchange.invariants import check
from polybot.exchange.model import BUY, UP, Kind, Market, Order, Phase, Series
from polybot.exchange.money import UNIT
from polybot.exchange.session_signers import SessionSigners
from polybot.exchange.settlement import ClearingPolicy
from polybot.exchange.terms import Terms

T0 = 1_795_132_800_000
FUNDS = 1_000 * UNIT
DOLLAR = UNIT


def account(byte: int) -> LocalAccount:
    """A key of the official library, `byte` repeated 32 times."""
    return cast("LocalAccount", Account.from_key("0x" + f"{byte:02x}" * 32))


ANN, BOB = account(0x11), account(0x22)
PUSD = EvmAddress(contracts.COLLATERAL)
CTF_ADDRESS = EvmAddress(contracts.CTF)


def market(name: str, version: str = "v1", *, neg_risk: bool = False) -> Market:
    ids = identities.identity(1, name, version, neg_risk=neg_risk)
    return Market(
        condition_id=ids.condition_id,
        question_id=ids.question_id,
        gamma_id="1",
        slug=name,
        question="Up or Down?",
        series=Series("btc", "5m", 300, "twap"),
        tokens=ids.tokens,
        listed_ms=T0,
        start_ms=T0,
        end_ms=T0 + 300_000,
        taker_delay_ms=0,
        version=version,
        neg_risk=neg_risk,
    )


class ChainKit:
    """`plain`, `risky` (neg-risk) and `modern` (Protocol V2) are open; ann and bob are funded."""

    def __init__(self, *, terms: Terms = Terms(), fail_ppm: int = 0, approved: bool = True) -> None:
        self.engine = Engine(
            rng=random.Random(3), policy=ClearingPolicy(fail_ppm=fail_ppm), auto_tick=False
        )
        self.chain = Chain(self.engine, SessionSigners(), terms)
        self.now = T0
        self.plain, self.modern = market("plain"), market("modern", "v2")
        self.risky = market("risky", neg_risk=True)
        for one in (self.plain, self.risky, self.modern):
            self.engine.list_market(one, T0)
            self.engine.open_market(one, T0)
        self.ann, self.bob = str(ANN.address), str(BOB.address)
        for address in (self.ann, self.bob):
            self.engine.accounts.deposit(address, FUNDS, approved=approved)
        self._serial = 0

    def run(self, who: str, *calls: sdk.TransactionCall | Call) -> Outcome:
        """One transaction, at once. Every invariant holds afterwards."""
        outcome = self.chain.execute(who, [ours(call) for call in calls], self.now)
        check(self.engine)
        return outcome

    def done(self, who: str, *calls: sdk.TransactionCall | Call) -> tuple[Log, ...]:
        """The logs of a transaction that must not revert."""
        outcome = self.run(who, *calls)
        assert outcome.reverted is None, outcome.reverted
        return outcome.logs

    def reverted(self, who: str, *calls: sdk.TransactionCall | Call) -> str:
        """The reason of one that must; nothing has changed by it."""
        before = self.books()
        outcome = self.run(who, *calls)
        assert outcome.reverted is not None, "it went through"
        assert outcome.logs == ()
        assert self.books() == before
        return outcome.reverted

    def books(self) -> object:
        """Everything a transaction can change, as one comparable value."""
        accounts = self.engine.accounts
        holdings = {
            name: (wallet.cash, dict(wallet.shares))
            for name, wallet in accounts.wallets.items()
            if wallet.cash or wallet.shares
        }
        approvals = {name: dict(row) for name, row in accounts.approvals._allowed.items()}
        return holdings, approvals, dict(self.chain.usdc_e), dict(accounts.collateral)

    def cash(self, who: str) -> int:
        return self.engine.accounts.cash(who)

    def shares(self, who: str, market: Market) -> list[int]:
        return [self.engine.accounts.shares(who, token) for token in market.tokens]

    def order(
        self, who: str, side: str = BUY, cents: int = 50, shares: int = 10, **more: Any
    ) -> Order:
        self._serial += 1
        fields: dict[str, Any] = {
            "id": f"0x{self._serial:064x}",
            "owner": f"key-{who}",
            "account": who,
            "market": self.plain,
            "side": side,
            "price": cents * 100,
            "size": shares * UNIT,
            "kind": Kind.GTC,
        } | more
        return Order(token=fields["market"].tokens[fields.pop("outcome", UP)], **fields)

    def place(self, order: Order) -> object:
        replies: list[object] = []
        self.engine.place(order, self.now, replies.append)
        check(self.engine)
        return replies[0]

    def advance(self, ms: int) -> None:
        """Engine and chain, in order of what is due."""
        end = self.now + ms
        while True:
            parts = (self.engine, self.chain)
            due = [when for part in parts if (when := part.next_due_ms()) is not None]
            if not due or min(due) > end:
                break
            for part in parts:
                part.advance(min(due))
            check(self.engine)
        self.now = end
        self.engine.advance(end)

    def resolve(self, market: Market, winner: int) -> None:
        if market.phase is Phase.OPEN:
            self.engine.close_market(market, self.now)
        self.engine.resolve_market(market, winner, self.now)
        check(self.engine)


def ours(call: sdk.TransactionCall | Call) -> Call:
    if isinstance(call, Call):
        return call
    return Call(str(call.to), bytes.fromhex(call.data[2:]), call.value)


def decoded(types: Sequence[str], log: Log) -> tuple[Any, ...]:
    """A log's data as the official decoder reads it."""
    return tuple(abi_decode(list(types), log.data))


# --- the SDK's calls, shorter ----------------------------------------------------------------


def split(market: Market, amount: int, adapter: str = contracts.CTF_ADAPTER) -> sdk.TransactionCall:
    return sdk.ctf_split_position_call(
        target=EvmAddress(adapter), collateral=PUSD, condition_id=market.condition_id, amount=amount
    )


def merge(market: Market, amount: int, adapter: str = contracts.CTF_ADAPTER) -> sdk.TransactionCall:
    return sdk.ctf_merge_positions_call(
        target=EvmAddress(adapter), collateral=PUSD, condition_id=market.condition_id, amount=amount
    )


def redeem(market: Market, adapter: str = contracts.CTF_ADAPTER) -> sdk.TransactionCall:
    return sdk.ctf_redeem_positions_call(
        ctf=EvmAddress(adapter), collateral=PUSD, condition_id=market.condition_id
    )


def approve(spender: str, amount: int, token: str = PUSD) -> sdk.TransactionCall:
    return sdk.erc20_approval_call(
        token_address=EvmAddress(token), spender=EvmAddress(spender), amount=amount
    )


def operate(operator: str, approved: bool, token: str = CTF_ADDRESS) -> sdk.TransactionCall:
    return sdk.erc1155_set_approval_for_all_call(
        token_address=EvmAddress(token), operator=EvmAddress(operator), approved=approved
    )


def transfer(recipient: str, amount: int, token: str = PUSD) -> sdk.TransactionCall:
    return sdk.erc20_transfer_call(
        token_address=EvmAddress(token), recipient=EvmAddress(recipient), amount=amount
    )
