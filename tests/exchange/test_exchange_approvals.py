"""Approvals: what an exchange may take decides what an order may promise."""

from __future__ import annotations

import pytest
from chain_kit import ANN, BOB, DOLLAR, ChainKit, approve, operate
from hypothesis import given, strategies as st
from polymarket._internal.actions.relayer.approvals import _required_trading_approvals
from polymarket._internal.environment import PRODUCTION_CONFIG

from polybot.exchange import contracts, rules
from polybot.exchange.approvals import STANDARD, UNLIMITED, Approvals
from polybot.exchange.model import BUY, DOWN, SELL, Accepted, Kind, Refused, Status

NEEDS = {
    "plain": contracts.EXCHANGE,
    "risky": contracts.NEG_RISK_EXCHANGE,
    "modern": contracts.EXCHANGE_V3,
}


@pytest.mark.conforms("onchain-4-approvals")
def test_the_seventeen_are_the_official_ones() -> None:
    """Token and spender of each, in the SDK's order (onchain.md 4)."""
    erc20, erc1155 = _required_trading_approvals(PRODUCTION_CONFIG)
    official = [(str(one.token_address), str(one.spender)) for one in erc20]
    official += [(str(one.token_address), str(one.operator)) for one in erc1155]

    assert list(STANDARD) == official
    assert len(STANDARD) == 17


def test_a_wallet_starts_with_none_and_can_have_all() -> None:
    """Nobody may take anything until the owner says so (onchain.md 4)."""
    approvals = Approvals()
    assert not any(approvals.allowance("ann", *pair) for pair in STANDARD)

    approvals.approve_all("ann")

    assert all(approvals.allowance("ann", *pair) == UNLIMITED for pair in STANDARD)
    assert not any(approvals.allowance("bob", *pair) for pair in STANDARD)


def test_an_introduction_never_undoes_a_revocation() -> None:
    """Later money of the operator's leaves alone what the wallet has decided (onchain.md 4)."""
    kit = ChainKit()
    kit.done(kit.ann, approve(contracts.EXCHANGE, 0))

    kit.engine.accounts.deposit(kit.ann, DOLLAR)

    allowed = kit.engine.accounts.approvals.allowances(kit.ann, "COLLATERAL")
    assert allowed[contracts.EXCHANGE] == 0
    assert allowed[contracts.NEG_RISK_EXCHANGE] == UNLIMITED


@pytest.mark.conforms("onchain-4-order-needs-allowance")
@pytest.mark.parametrize("name", NEEDS)
@pytest.mark.conforms("clob-3.2-v3-approvals")
def test_a_bid_needs_its_own_exchange(name: str) -> None:
    """pUSD for Exchange V2, neg-risk or V3: the others do not help (clob.md 3.2)."""
    kit = ChainKit(approved=False)
    order = kit.order(kit.ann, BUY, market=getattr(kit, name))
    for other in set(NEEDS.values()) - {NEEDS[name]}:
        kit.done(kit.ann, approve(other, UNLIMITED))
    refusal = kit.place(order)
    assert isinstance(refusal, Refused)
    assert refusal.error.startswith(f"{rules.NO_BALANCE}: the allowance is not enough -> spender: ")
    assert f"{NEEDS[name]}, allowance: 0, " in refusal.error

    kit.done(kit.ann, approve(NEEDS[name], UNLIMITED))

    assert isinstance(kit.place(order), Accepted)


@pytest.mark.parametrize("name", NEEDS)
@pytest.mark.conforms("clob-3.2-v3-approvals")
def test_an_offer_needs_the_right_token_contract(name: str) -> None:
    """CTF shares for the V2 exchanges, the PositionManager's for V3 (clob.md 3.2)."""
    kit = ChainKit(approved=False)
    market = getattr(kit, name)
    kit.engine.split(kit.ann, market, 20 * DOLLAR, kit.now)
    order = kit.order(kit.ann, SELL, market=market)
    token = contracts.POSITION_MANAGER if name == "modern" else contracts.CTF
    wrong = contracts.CTF if name == "modern" else contracts.POSITION_MANAGER
    kit.done(kit.ann, operate(NEEDS[name], True, wrong))
    assert isinstance(kit.place(order), Refused)

    kit.done(kit.ann, operate(NEEDS[name], True, token))

    assert isinstance(kit.place(order), Accepted)


@pytest.mark.conforms("onchain-4-resting-cancelled")
def test_revoking_cancels_what_rests() -> None:
    """Bids go with the allowance, offers with the operator, other exchanges' orders stay
    (onchain.md 4; reliability.md F35).
    """
    kit = ChainKit()
    kit.engine.split(kit.ann, kit.plain, 20 * DOLLAR, kit.now)
    bid, offer = kit.order(kit.ann, BUY, 40), kit.order(kit.ann, SELL, 60)
    elsewhere = kit.order(kit.ann, BUY, 40, market=kit.risky)
    for order in (bid, offer, elsewhere):
        kit.place(order)

    kit.done(kit.ann, approve(contracts.EXCHANGE, 0))
    assert (bid.status, offer.status) == (Status.CANCELED_NOT_ENOUGH_BALANCE, Status.LIVE)

    kit.done(kit.ann, operate(contracts.EXCHANGE, False))
    assert offer.status is Status.CANCELED_NOT_ENOUGH_BALANCE
    assert elsewhere.status is Status.LIVE


def test_a_limited_allowance_is_used_up_by_claims_and_trades() -> None:
    """Open orders count against it, and what a trade has spent is gone (onchain.md 4)."""
    kit = ChainKit()
    kit.done(kit.ann, approve(contracts.EXCHANGE, 10 * DOLLAR))
    first, second = kit.order(kit.ann, BUY, 50, 10), kit.order(kit.ann, BUY, 50, 12)
    assert isinstance(kit.place(first), Accepted)
    assert isinstance(kit.place(second), Refused), "five of ten dollars are promised"

    kit.place(kit.order(kit.bob, BUY, 50, 10, outcome=DOWN, kind=Kind.FAK))
    assert first.status is Status.MATCHED
    left = kit.engine.accounts.approvals.allowances(kit.ann, "COLLATERAL")[contracts.EXCHANGE]
    assert left == 5 * DOLLAR
    assert isinstance(kit.place(kit.order(kit.ann, BUY, 50, 12)), Refused)
    assert isinstance(kit.place(kit.order(kit.ann, BUY, 50, 10)), Accepted)


def test_lowering_an_allowance_cancels_the_newest_first() -> None:
    """Orders that the smaller sum still covers stay (onchain.md 4)."""
    kit = ChainKit()
    old, new = kit.order(kit.ann, BUY, 40, 10), kit.order(kit.ann, BUY, 41, 10)
    kit.place(old)
    kit.place(new)

    kit.done(kit.ann, approve(contracts.EXCHANGE, 5 * DOLLAR))

    assert (old.status, new.status) == (Status.LIVE, Status.CANCELED_NOT_ENOUGH_BALANCE)


def test_a_failed_trade_gives_a_limited_allowance_back() -> None:
    """What never settled was never spent (onchain.md 11)."""
    kit = ChainKit(fail_ppm=1_000_000)
    kit.done(kit.ann, approve(contracts.EXCHANGE, 10 * DOLLAR))
    kit.place(kit.order(kit.ann, BUY, 50, 10))
    kit.place(kit.order(kit.bob, BUY, 50, 10, outcome=DOWN, kind=Kind.FAK))

    kit.advance(60_000)

    allowed = kit.engine.accounts.approvals.allowances(kit.ann, "COLLATERAL")
    assert allowed[contracts.EXCHANGE] == 10 * DOLLAR


@pytest.mark.parametrize(("anew", "left"), [(0, 0), (3 * DOLLAR, 8 * DOLLAR)])
def test_a_failed_trade_gives_nothing_back_of_what_was_revoked(anew: int, left: int) -> None:
    """The chain has taken nothing of it: five dollars of an approval that was gone were back, and
    nobody gave the rest (brief seed 1682).
    """
    approvals = ChainKit().engine.accounts.approvals
    pair = contracts.COLLATERAL, contracts.EXCHANGE
    approvals.approve(str(ANN.address), *pair, 10 * DOLLAR)
    approvals.spend(str(ANN.address), *pair, 5 * DOLLAR)
    approvals.approve(str(ANN.address), *pair, 0)
    if anew:
        approvals.approve(str(ANN.address), *pair, anew)

    approvals.spend(str(ANN.address), *pair, -5 * DOLLAR)

    assert approvals.allowance(str(ANN.address), *pair) == left


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["bid", "offer", "approve", "operate", "cross"]),
            st.integers(0, 12),
            st.sampled_from([str(ANN.address), str(BOB.address)]),
        ),
        max_size=25,
    )
)
def test_no_order_ever_promises_what_may_not_be_taken(
    steps: list[tuple[str, int, str]],
) -> None:
    """Whatever is approved, revoked, placed and matched: the invariants hold at every step
    (onchain.md 4, clob.md 3.8).
    """
    kit = ChainKit()
    for who in (kit.ann, kit.bob):
        kit.engine.split(who, kit.plain, 50 * DOLLAR, kit.now)
    for what, size, who in steps:
        if what == "approve":
            kit.run(who, approve(contracts.EXCHANGE, size * DOLLAR))
        elif what == "operate":
            kit.run(who, operate(contracts.EXCHANGE, size > 6))
        else:
            side = SELL if what == "offer" else BUY
            kind = Kind.FAK if what == "cross" else Kind.GTC
            kit.place(kit.order(who, side, 47 + size % 5, 5 + size, kind=kind))
