"""The chain under the exchange: wallets with code, gas and nonces, transactions and their blocks.

A transaction changes the engine's books in the step that its block is made. Balances that a trade
still on its way has promised are not here yet, see `Engine.settled_shares`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from polybot.exchange import chain_logs, contracts
from polybot.exchange.agenda import Agenda
from polybot.exchange.approvals import exchange_of, shares_contract
from polybot.exchange.blocks import Blocks, Receipt
from polybot.exchange.chain_calls import run
from polybot.exchange.chain_contract import Call, Revert
from polybot.exchange.chain_logs import UMA_ADAPTER, Log
from polybot.exchange.chain_state import State
from polybot.exchange.eip712 import keccak
from polybot.exchange.engine import Engine
from polybot.exchange.model import Event, MarketResolved, Trade, TradeUpdated
from polybot.exchange.positions import payouts
from polybot.exchange.session_signers import SessionSigners
from polybot.exchange.terms import Terms

CONTRACTS = frozenset(
    value
    for name, value in vars(contracts).items()
    if name.isupper() and isinstance(value, str) and len(value) == 42
)

BASE_GAS, CALL_GAS, BYTE_GAS = 21_000, 65_000, 16
OPERATOR = chain_logs.address_of("operator of the exchange")


@attrs.frozen
class Outcome:
    """What a transaction comes to: its logs, or the reason of its revert ("" for none)."""

    logs: tuple[Log, ...] = ()
    reverted: str | None = None


def gas_of(calls: Sequence[Call]) -> int:
    """Units of gas, of the right order: nothing here depends on more."""
    return BASE_GAS + sum(CALL_GAS + BYTE_GAS * len(call.data) for call in calls)


class Chain:
    """One chain for one engine. `advance` must be called when `next_due_ms` has come."""

    def __init__(self, engine: Engine, sessions: SessionSigners, terms: Terms = Terms()) -> None:
        self.engine, self.sessions, self.terms = engine, sessions, terms
        self.blocks = Blocks(terms.block_ms)
        self.agenda = Agenda()
        self.deployed: set[str] = set()
        self.nonces: dict[str, int] = {}  # next one, of EOAs and of wallets
        self.gas: dict[str, int] = {}  # POL in wei
        self.usdc_e: dict[str, int] = {}
        # What a node says of a holder's shares of a token: the figure, unless somebody bends it.
        self.shown: Callable[[str, str, int], int] = lambda _holder, _token, figure: figure
        engine.listen(self._hear, TradeUpdated, MarketResolved)
        engine.desk.clearing.to_block = self.blocks.nearest_ms

    # --- time --------------------------------------------------------------------------

    def next_due_ms(self) -> int | None:
        return self.agenda.next_due_ms()

    def advance(self, now_ms: int) -> None:
        """Make every block due by now in which something of ours happens."""
        self.agenda.run(now_ms)

    # --- running -----------------------------------------------------------------------

    def has_code(self, address: str) -> bool:
        return address in CONTRACTS or address in self.deployed

    def state(self, now_ms: int) -> State:
        """The books themselves: for reads, and for what runs for real."""
        return State(
            self.engine, self.engine.accounts, self.usdc_e, self.gas,
            self.sessions, self.deployed, now_ms,
        )  # fmt: skip

    def attempt(self, sender: str, calls: Sequence[Call], now_ms: int) -> Outcome:
        """What these calls in one transaction would come to; nothing is changed."""
        self.engine.advance(now_ms)
        return _run(self.state(now_ms).trial(sender), sender, calls)

    def execute(self, sender: str, calls: Sequence[Call], now_ms: int) -> Outcome:
        """Run the calls as one transaction: all of them, or none if one reverts."""
        outcome = self.attempt(sender, calls, now_ms)
        if outcome.reverted is not None:
            return outcome
        state = self.state(now_ms)
        outcome = _run(state, sender, calls)
        assert outcome.reverted is None, f"ran on the copy, then reverted: {outcome.reverted}"
        self.engine.shed(sorted(state.touched), now_ms)
        return outcome

    def record(
        self,
        tx_hash: str,
        sender: str,
        target: str,
        outcome: Outcome,
        now_ms: int,
        data: bytes = b"",
        **more: int,
    ) -> Receipt:
        """Put a transaction that was run at `now_ms` into its block."""
        receipt = Receipt(
            tx_hash=tx_hash,
            block=self.blocks.number(now_ms),
            sender=sender,
            target=target,
            ok=outcome.reverted is None,
            logs=lambda: outcome.logs,
            reason=outcome.reverted or "",
            data=data,
            **more,
        )
        self.blocks.add(receipt)
        return receipt

    # --- what happens without a wallet's transaction -------------------------------------

    def _hear(self, event: Event) -> None:
        if isinstance(event, TradeUpdated) and event.trade.status in {"MINED", "RETRYING"}:
            self._settled(event.trade, event.at_ms)
        elif isinstance(event, MarketResolved):
            vector = payouts(event.market)
            assert vector is not None, "a resolved market has a payout vector"
            logs = (chain_logs.resolution(event.market, vector),)
            tx_hash = "0x" + keccak(event.market.condition_id.encode()).hex()
            contract = shares_contract(event.market)
            self.record(tx_hash, UMA_ADAPTER, contract, Outcome(logs), event.at_ms)

    def _settled(self, trade: Trade, now_ms: int) -> None:
        """The operator's settlement of a trade; one that has to be retried has reverted."""
        ok = trade.status == "MINED"
        self.blocks.add(
            Receipt(
                tx_hash=trade.tx_hash,
                block=self.blocks.number(now_ms),
                sender=OPERATOR,
                target=exchange_of(trade.market),
                ok=ok,
                logs=lambda: chain_logs.settled(trade) if ok else (),
            )
        )


def _run(state: State, sender: str, calls: Sequence[Call]) -> Outcome:
    logs: list[Log] = []
    try:
        for call in calls:
            logs += run(state, sender, call)
    except Revert as revert:
        return Outcome(reverted=revert.reason)
    return Outcome(tuple(logs))
