"""Faults of the chain, on a whole exchange: trades, transactions, approvals and results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import orjson
import pytest
from chain_kit import merge, ours
from fault_kit import planned
from world_kit import START_MS, synthetic

from polybot.exchange import contracts, invariants
from polybot.exchange.abi import address_word
from polybot.exchange.approvals import shares_contract
from polybot.exchange.chain_contract import Call
from polybot.exchange.faults import plan
from polybot.exchange.faults.kinds_settlement import KINDS, TRADES, TRANSACTIONS
from polybot.exchange.model import (
    BUY,
    DOWN,
    SELL,
    UP,
    Accepted,
    Event,
    Kind,
    Market,
    Order,
    Phase,
    Refused,
    Status,
    Trade,
    TradeUpdated,
)
from polybot.exchange.money import UNIT
from polybot.exchange.positions import NO_SHARES, payouts
from polybot.exchange.relayer_bodies import Work
from polybot.exchange.relayer_queue import CONFIRMED, FAILED, Transaction
from polybot.exchange.request import Request
from polybot.exchange.server import Exchange
from polybot.exchange.settlement import parties

T1 = START_MS + 90_000  # half a minute into a window
FUNDS = 1_000 * UNIT


class HandClock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = T1

    def now_ms(self) -> int:
        return self.now


class Stage:
    """An exchange whose time is moved by hand; `ann` is a client, and so is `bob`."""

    def __init__(self) -> None:
        self.hand = HandClock()
        clock: Any = self.hand
        self.exchange = Exchange(synthetic(start_ms=T1, intensity=0.0001), clock, 1)
        self.engine = self.exchange.engine
        self.market = next(
            market
            for market in self.engine.markets.values()
            if market.phase is Phase.OPEN and market.start_ms <= T1 < market.end_ms
        )
        self.market.taker_delay_ms = 0
        self.ann, self.bob = self.exchange.wallet.address, "0xbob"
        self.told: list[tuple[str, str]] = []
        self.engine.listeners.append(self._hear)
        self.engine.deposit(self.bob, 2 * FUNDS, self.now)
        for account in (self.ann, self.bob):
            self.engine.split(account, self.market, FUNDS, self.now)
        self._serial = 0

    @property
    def now(self) -> int:
        return self.hand.now

    def _hear(self, event: Event) -> None:
        clients = {self.ann, self.bob}
        if isinstance(event, TradeUpdated) and clients >= set(parties(event.trade)):
            self.told.append((event.trade.status, event.trade.tx_hash))

    def spoil(self, fault: str, **row: Any) -> None:
        self.exchange.faults.start(planned({"fault": fault} | row), self.now)

    def pass_s(self, seconds: float) -> None:
        until = self.now + round(seconds * 1000)
        while self.now < until:
            self.hand.now = min(self.now + 10_000, until)
            self.exchange.advance(self.now)
            invariants.check(self.engine)

    def place(self, who: str, side: str, outcome: int, cents: int, shares: int) -> Order | Refused:
        self._serial += 1
        order = Order(
            f"0x{self._serial}", f"key of {who}", who, self.market, self.market.tokens[outcome],
            side, cents * 100, shares * UNIT, Kind.GTC, created_ms=self.now,
        )  # fmt: skip
        heard: list[Accepted | Refused] = []
        self.engine.place(order, self.now, heard.append)
        return heard[0] if isinstance(heard[0], Refused) else order

    def trade(self, shares: int = 10) -> Trade:
        """ann buys Up of bob at 60 cents: above whatever the crowd has shown by now."""
        before = set(self.engine.trades)
        self.place(self.bob, SELL, UP, 60, shares)
        self.place(self.ann, BUY, UP, 60, shares)
        (new,) = set(self.engine.trades) - before
        return self.engine.trades[new]

    def books(self, who: str) -> tuple[int, int, int]:
        accounts = self.engine.accounts
        up, down = (accounts.shares(who, token) for token in self.market.tokens)
        return accounts.cash(who), up, down

    @property
    def struck(self) -> dict[str, int]:
        return dict(self.exchange.faults.struck)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    invariants.check(stage.engine)


# --- trades ---------------------------------------------------------------------------------------


def test_trade_failed(stage: Stage) -> None:
    """FAILED after MATCHED, and every figure is what it was (reliability.md F31)."""
    before = stage.books(stage.ann), stage.books(stage.bob)
    stage.spoil("trade_failed", after_ms=10_000)
    trade = stage.trade()
    assert stage.books(stage.ann) != before[0]
    stage.pass_s(9)
    assert trade.status == "RETRYING"
    stage.pass_s(2)

    assert trade.status == "FAILED"
    assert (stage.books(stage.ann), stage.books(stage.bob)) == before
    assert stage.struck == {"trade_failed": 1}


def test_trade_retried(stage: Stage) -> None:
    """RETRYING for minutes; the hash that is mined is another one (F32)."""
    stage.spoil("trade_retried", for_ms=180_000)
    trade = stage.trade()
    stage.pass_s(170)
    assert trade.status == "RETRYING"
    stage.pass_s(30)

    assert [status for status, _ in stage.told] == ["RETRYING", "MINED", "CONFIRMED"]
    assert stage.told[0][1] != stage.told[1][1]
    assert stage.struck == {"trade_retried": 1}


def test_trade_reorganised(stage: Stage) -> None:
    """A CONFIRMED trade is undone to the unit (F38)."""
    before = stage.books(stage.ann)
    stage.spoil("trade_reorganised", after_ms=30_000)
    trade = stage.trade()
    stage.pass_s(20)
    assert trade.status == "CONFIRMED"
    stage.pass_s(40)

    assert trade.status == "FAILED"
    assert stage.books(stage.ann) == before
    assert stage.struck == {"trade_reorganised": 1}


def test_a_market_can_be_named(stage: Stage) -> None:
    """`match` is a part of a slug; other markets' trades are not struck."""
    stage.spoil("trade_failed", match="eth-updown", after_ms=1_000)
    trade = stage.trade()
    stage.pass_s(20)

    assert (trade.status, stage.struck) == ("CONFIRMED", {})


def test_the_crowds_trades_are_left_alone(stage: Stage) -> None:
    """A fault is not spent on trades that no client can see."""
    stage.engine.unread |= {f"key of {who}" for who in (stage.ann, stage.bob)}
    stage.spoil("trade_failed", after_ms=1_000)
    stage.trade()

    assert stage.struck == {}


def test_trade_failed_at_merge(stage: Stage) -> None:
    """The purchase behind a merge fails as the merge arrives, which then finds too little; the
    trade's own later steps never come (F31).
    """
    trade = stage.trade(10)
    while trade.status != "MINED":
        stage.pass_s(0.5)
    stage.spoil("trade_failed_at_merge", times=1)
    queue = stage.exchange.chain.relayer.queue
    call = ours(merge(stage.market, FUNDS + 10 * UNIT))
    work = Work(
        "PROXY", stage.ann, stage.ann, stage.ann, (call,), contracts.PROXY_FACTORY, stage.ann,
        queue.nonce_of(stage.ann),
    )  # fmt: skip
    merged = queue.submit(work, "key", stage.now)

    assert (trade.status, stage.books(stage.ann)[1]) == ("FAILED", FUNDS)
    stage.pass_s(60)
    assert (merged.state, merged.error) == (FAILED, f"execution reverted: {NO_SHARES}")
    assert stage.books(stage.ann)[1] == FUNDS
    assert [status for status, _ in stage.told] == ["MINED", "FAILED"]
    assert stage.struck == {"trade_failed_at_merge": 1}


# --- the relayer ----------------------------------------------------------------------------------


def relay(stage: Stage, amount: int) -> Transaction:
    """A transfer out of the demo key's Safe, as a sound batch would have it."""
    safe = stage.exchange.demo_wallets.safe
    data = bytes.fromhex("a9059cbb") + bytes(12) + b"\x11" * 20 + amount.to_bytes(32, "big")
    call = Call(contracts.COLLATERAL, data)
    queue = stage.exchange.chain.relayer.queue
    work = Work(
        "SAFE", stage.ann, safe, safe, (call,), contracts.COLLATERAL, stage.ann,
        queue.nonce_of(safe),
    )  # fmt: skip
    return queue.submit(work, "key", stage.now)


# fault → the state at the end, how often the transfer was done
RELAYED: dict[str, tuple[str, int]] = {
    "transaction_lost": (FAILED, 0),
    "transaction_reverted": (FAILED, 0),
    "transaction_twice": (CONFIRMED, 2),
    "transaction_late": (CONFIRMED, 1),
}


@pytest.mark.parametrize("fault", RELAYED)
def test_a_transaction_meets_a_fault(fault: str, stage: Stage) -> None:
    """Lost, reverted, done twice, or late; the next one is sound (F33)."""
    state, times = RELAYED[fault]
    safe = stage.exchange.demo_wallets.safe
    before = stage.engine.accounts.cash(safe)
    stage.spoil(fault, times=1, **({"extra_ms": 90_000} if fault == "transaction_late" else {}))
    tx = relay(stage, UNIT)
    stage.pass_s(60)
    if fault == "transaction_late":
        assert stage.engine.accounts.cash(safe) == before
    stage.pass_s(300)

    assert tx.state == state
    assert before - stage.engine.accounts.cash(safe) == times * UNIT
    assert stage.struck == {fault: 1}
    sound = relay(stage, UNIT)
    stage.pass_s(60)
    assert sound.state == CONFIRMED


# --- wallets --------------------------------------------------------------------------------------


def test_balances_stale(stage: Stage) -> None:
    """What a wallet gained since the window began counts for nothing: 400 for money that is there;
    without the fault the same order rests (F34).
    """
    stage.spoil("balances_stale", for_s=60)
    cash = stage.engine.accounts.cash(stage.ann) // UNIT
    assert isinstance(stage.place(stage.ann, BUY, UP, 1, 100), Order)
    stage.engine.deposit(stage.ann, FUNDS, stage.now)
    stage.pass_s(3)  # the usual lag is over
    refused = stage.place(stage.ann, BUY, DOWN, 1, 100 * (cash + 10))

    assert isinstance(refused, Refused)
    assert refused.error.startswith("not enough balance / allowance: the balance is not enough")
    assert stage.struck == {"balances_stale": 1}
    stage.pass_s(61)
    assert isinstance(stage.place(stage.ann, BUY, DOWN, 1, 100 * (cash + 10)), Order)


def test_allowance_revoked(stage: Stage) -> None:
    """Approvals go on chain and resting orders with them; reads show none, new orders are refused;
    then they come back (F35).
    """
    resting = stage.place(stage.ann, BUY, UP, 1, 100)
    others = stage.place(stage.bob, BUY, UP, 1, 100)
    wallets = set(stage.engine.accounts.wallets)
    stage.spoil("allowance_revoked", last_s=60)
    stage.pass_s(1)
    allowed = stage.engine.accounts.approvals

    assert set(stage.engine.accounts.wallets) == wallets, "the key's older wallet is none by that"
    assert isinstance(resting, Order)
    assert isinstance(others, Order)
    assert resting.status is not Status.LIVE
    assert others.status is Status.LIVE
    assert set(allowed.allowances(stage.ann, "COLLATERAL").values()) == {0}
    assert isinstance(stage.place(stage.ann, BUY, UP, 1, 100), Refused)
    stage.pass_s(61)
    assert isinstance(stage.place(stage.ann, BUY, UP, 1, 100), Order)
    assert stage.struck == {"allowance_revoked": 1}


def test_who_approves_anew_keeps_that(stage: Stage) -> None:
    """The fault's end undoes its own revocation and nothing else (F35)."""
    stage.spoil("allowance_revoked", last_s=60)
    stage.pass_s(1)
    allowed = stage.engine.accounts.approvals
    allowed.approve(stage.ann, contracts.COLLATERAL, contracts.EXCHANGE, 5 * UNIT)
    stage.pass_s(61)

    assert allowed.allowance(stage.ann, contracts.COLLATERAL, contracts.EXCHANGE) == 5 * UNIT


# --- results --------------------------------------------------------------------------------------


def usual_end(market: Market) -> int:
    """When a sound exchange of the same seed resolves this market, and for whom."""
    sound = Stage()
    sound.pass_s((market.end_ms - T1) / 1000 + 170)
    resolved_ms = sound.market.resolved_ms
    assert resolved_ms is not None
    return resolved_ms


def to_the_end(stage: Stage, more_s: float = 170) -> None:
    stage.pass_s((stage.market.end_ms - stage.now) / 1000 + more_s)


def test_resolution_late(stage: Stage) -> None:
    """The result comes as much later as the plan says (F36)."""
    stage.spoil("resolution_late", late_s=600)
    to_the_end(stage)
    assert stage.market.phase is not Phase.RESOLVED
    stage.pass_s(600)

    assert stage.market.resolved_ms == usual_end(stage.market) + 600_000
    assert stage.struck == {"resolution_late": 1}


def test_resolution_void(stage: Stage) -> None:
    """Half a dollar for every share (F36)."""
    stage.spoil("resolution_void")
    to_the_end(stage)
    before = stage.engine.accounts.cash(stage.ann)
    paid = stage.engine.redeem(stage.ann, stage.market, stage.now)

    assert (stage.market.winner, paid) == (None, FUNDS)
    assert stage.engine.accounts.cash(stage.ann) - before == FUNDS
    assert stage.struck == {"resolution_void": 1}


def test_winner_disputed(stage: Stage) -> None:
    """The services tell the loser, the chain pays who won by the rule (F37)."""
    stage.spoil("winner_disputed")
    to_the_end(stage)
    market = stage.market
    assert market.final is not None
    assert market.strike is not None
    won = UP if market.final >= market.strike else DOWN

    assert market.winner == 1 - won
    paid = payouts(market)
    assert paid is not None
    assert paid[won] > paid[1 - won] == 0
    assert stage.struck == {"winner_disputed": 1}


def test_faults_of_one_market_add_up(stage: Stage) -> None:
    """A late result can be disputed, too: one does not take the other back."""
    stage.spoil("resolution_late", late_s=60)
    stage.spoil("winner_disputed", from_s=1)
    to_the_end(stage, 240)

    assert stage.market.resolved_ms == usual_end(stage.market) + 60_000
    assert stage.struck == {"resolution_late": 1, "winner_disputed": 1}


def test_closed_early(stage: Stage) -> None:
    """No more orders, before the end (F51)."""
    stage.spoil("closed_early", early_s=60)
    stage.pass_s((stage.market.end_ms - stage.now) / 1000 - 61)
    assert isinstance(stage.place(stage.ann, BUY, UP, 1, 100), Order)
    stage.pass_s(2)

    assert isinstance(stage.place(stage.ann, BUY, UP, 1, 100), Refused)
    assert stage.struck == {"closed_early": 1}


# --- whole ----------------------------------------------------------------------------------------


async def shown(stage: Stage) -> tuple[int, int]:
    """What the node says that ann has, of (Up, Down)."""
    words = [int(token).to_bytes(32, "big") for token in stage.market.tokens]
    found = []
    for token in words:
        data = bytes.fromhex("00fdd58e") + address_word(stage.ann) + token
        call = {"to": shares_contract(stage.market), "data": "0x" + data.hex()}
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
        asked = Request("POST", "/", {}, {}, orjson.dumps(body))
        assert stage.exchange.chain.service_rpc.http is not None
        answer = await stage.exchange.chain.service_rpc.http(asked)
        found.append(int(orjson.loads(answer.body)["result"], 16))
    return found[0], found[1]


async def test_node_behind(stage: Stage) -> None:
    """A balance is what it was so long ago, after a merge as after a trade's block; then it is what
    it is (F33, F34). What is done is done on the books of now.
    """
    had = (FUNDS, FUNDS)
    stage.pass_s(30)
    stage.spoil("node_behind", lag_ms=10_000, for_s=200)
    stage.engine.merge(stage.ann, stage.market, 5 * UNIT, stage.now)
    merged = tuple(shares - 5 * UNIT for shares in had)
    assert await shown(stage) == had
    stage.pass_s(9)
    assert await shown(stage) == had
    stage.pass_s(2)
    assert await shown(stage) == merged

    trade = stage.trade(10)
    while trade.block_ms is None:
        stage.pass_s(0.5)
    assert await shown(stage) == merged
    stage.pass_s(11)
    assert await shown(stage) == (merged[0] + 10 * UNIT, merged[1])
    assert stage.struck["node_behind"] > 0


def test_every_fault_of_the_chain_is_tried() -> None:
    """A kind that is added is tried above."""
    tried = {name.removeprefix("test_") for name in globals()}

    assert {kind.name for kind in KINDS} - {*RELAYED} <= tried
    assert {kind.name for kind in TRANSACTIONS} == {*RELAYED}
    assert {kind.name for kind in TRADES} <= tried


def test_the_preset_has_all_that_a_client_survives() -> None:
    """`settlement` strikes with everything here that does not stop a sound client for good."""
    entries = plan.load("settlement").entries
    wanted = {kind.name for kind in KINDS if kind.storms}

    assert {entry.fault for entry in entries} >= wanted
    assert not any(attrs.evolve(entry).kind.lasting for entry in entries)
