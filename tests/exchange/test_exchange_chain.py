"""Transactions on the exchange's own chain: what each call does, tells and refuses."""

from __future__ import annotations

import pytest
from chain_kit import (
    DOLLAR,
    FUNDS,
    ChainKit,
    approve,
    decoded,
    merge,
    operate,
    ours,
    redeem,
    split,
    transfer,
)
from polymarket._internal.actions.relayer import calls as sdk
from polymarket.types import EvmAddress

from polybot.exchange import chain_logs, contracts
from polybot.exchange.abi import address_word, selector, word
from polybot.exchange.chain_calls import sent_by_safe
from polybot.exchange.chain_contract import NO_ALLOWANCE, NO_OPERATOR, Call
from polybot.exchange.chain_logs import ZERO
from polybot.exchange.chain_positions import BAD_PARTITION, NOT_PREPARED
from polybot.exchange.model import BUY, DOWN, SELL, UP, Kind, Market, Status
from polybot.exchange.positions import NO_CASH, NO_RESULT, NO_SHARES
from polybot.exchange.wallets import wallets_of

ROUTER = EvmAddress(contracts.ROUTER)


def _topic(address: str) -> str:
    return "0x" + address_word(address).hex()


# --- protocol v1 -----------------------------------------------------------------------------


@pytest.mark.conforms("onchain-6.1-calldata")
def test_the_references_calldata() -> None:
    """The vector of a split of ten pairs, word for word (onchain.md 6.1)."""
    kit = ChainKit()
    data = bytes.fromhex("72ce4275") + address_word(contracts.COLLATERAL) + word(0)
    data += bytes.fromhex(kit.plain.condition_id[2:])
    data += b"".join(map(word, (0xA0, 0x989680, 2, 1, 2)))
    assert data == ours(split(kit.plain, 10_000_000)).data
    assert selector("redeemPositions(address,bytes32,bytes32,uint256[])").hex() == "01b7037c"

    kit.done(kit.ann, Call(contracts.CTF_ADAPTER, data))

    assert kit.shares(kit.ann, kit.plain) == [10 * DOLLAR] * 2


@pytest.mark.conforms("onchain-6.1-split")
def test_a_split_tells_what_it_did() -> None:
    """Dollars become pairs; Transfer, PositionSplit and TransferBatch say so (onchain.md 9.3)."""
    kit = ChainKit()

    paid, told, moved = kit.done(kit.ann, split(kit.plain, 7 * DOLLAR))

    assert kit.cash(kit.ann) == FUNDS - 7 * DOLLAR
    assert kit.shares(kit.ann, kit.plain) == [7 * DOLLAR] * 2
    assert (paid.address, paid.topics[0]) == (contracts.COLLATERAL, chain_logs.TRANSFER)
    assert decoded(["uint256"], paid) == (7 * DOLLAR,)
    assert told.topics == (
        chain_logs.POSITION_SPLIT, _topic(kit.ann), "0x" + "00" * 32, kit.plain.condition_id,
    )  # fmt: skip
    collateral, partition, amount = decoded(["address", "uint256[]", "uint256"], told)
    assert (collateral, partition, amount) == (contracts.COLLATERAL.lower(), (1, 2), 7 * DOLLAR)
    assert moved.topics[2:] == (_topic(ZERO), _topic(kit.ann))
    ids, amounts = decoded(["uint256[]", "uint256[]"], moved)
    assert [str(one) for one in ids] == list(kit.plain.tokens)
    assert amounts == (7 * DOLLAR,) * 2


@pytest.mark.conforms("onchain-6.1-merge")
def test_a_merge_gives_the_dollars_back() -> None:
    """Pairs become dollars; more than is held reverts and changes nothing (onchain.md 6.1)."""
    kit = ChainKit()
    kit.done(kit.ann, split(kit.plain, 5 * DOLLAR))

    assert kit.reverted(kit.ann, merge(kit.plain, 5 * DOLLAR + 1)) == NO_SHARES
    moved, told, paid = kit.done(kit.ann, merge(kit.plain, 2 * DOLLAR))

    assert kit.cash(kit.ann) == FUNDS - 3 * DOLLAR
    assert (moved.topics[0], told.topics[0]) == (
        chain_logs.TRANSFER_BATCH, chain_logs.POSITIONS_MERGE,
    )  # fmt: skip
    assert paid.topics[2] == _topic(kit.ann)


@pytest.mark.conforms("onchain-6.1-redeem", "onchain-6.1-redeem-early")
@pytest.mark.parametrize("winner", [UP, DOWN])
def test_a_redemption_burns_everything_and_pays_the_winners(winner: int) -> None:
    """Not before the result; then a dollar a winner, and the losers burn too (onchain.md 6.1)."""
    kit = ChainKit()
    kit.done(kit.ann, split(kit.plain, 9 * DOLLAR))
    kit.engine.accounts.add_shares(kit.ann, [kit.plain.tokens[DOWN]], -2 * DOLLAR)
    kit.engine.accounts.add_shares(kit.bob, [kit.plain.tokens[DOWN]], 2 * DOLLAR)
    assert kit.reverted(kit.ann, redeem(kit.plain)) == NO_RESULT
    kit.resolve(kit.plain, winner)

    burnt, told, _ = kit.done(kit.ann, redeem(kit.plain))

    payout = 9 * DOLLAR if winner == UP else 7 * DOLLAR
    assert kit.cash(kit.ann) == FUNDS - 9 * DOLLAR + payout
    assert kit.shares(kit.ann, kit.plain) == [0, 0]
    condition, sets, paid = decoded(["bytes32", "uint256[]", "uint256"], told)
    assert (told.topics[0], condition.hex()) == (chain_logs.PAYOUT, kit.plain.condition_id[2:])
    assert (sets, paid) == ((1, 2), payout)
    assert burnt.topics[0] == chain_logs.TRANSFER_BATCH
    kit.done(kit.ann, redeem(kit.plain))
    assert kit.cash(kit.ann) == FUNDS - 9 * DOLLAR + payout, "a second one pays nothing"


def test_a_resolved_market_merges_but_does_not_split() -> None:
    """CTF semantics as the reference has them (onchain.md 6.4)."""
    kit = ChainKit()
    kit.done(kit.ann, split(kit.plain, 5 * DOLLAR))
    kit.resolve(kit.plain, UP)

    kit.reverted(kit.ann, split(kit.plain, DOLLAR))
    kit.done(kit.ann, merge(kit.plain, 5 * DOLLAR))

    assert kit.cash(kit.ann) == FUNDS


@pytest.mark.conforms("onchain-6.4-merge-cancels")
def test_a_merge_cancels_the_offers_it_leaves_without_shares() -> None:
    """Reserve first, or lose the order (onchain.md 6.4)."""
    kit = ChainKit()
    kit.done(kit.ann, split(kit.plain, 10 * DOLLAR))
    offer = kit.order(kit.ann, SELL, 60, 10)
    kit.place(offer)

    kit.done(kit.ann, merge(kit.plain, DOLLAR))

    assert offer.status is Status.CANCELED_NOT_ENOUGH_BALANCE


def test_the_adapter_must_be_allowed() -> None:
    """Without the approval it cannot take what it would give (onchain.md 4, 9.4)."""
    kit = ChainKit()
    adapter = contracts.CTF_ADAPTER
    kit.done(kit.ann, split(kit.plain, 5 * DOLLAR))
    kit.done(kit.ann, operate(adapter, False), approve(adapter, DOLLAR - 1))

    assert kit.reverted(kit.ann, split(kit.plain, DOLLAR)) == NO_ALLOWANCE
    assert kit.reverted(kit.ann, merge(kit.plain, DOLLAR)) == NO_OPERATOR
    kit.resolve(kit.plain, UP)
    assert kit.reverted(kit.ann, redeem(kit.plain)) == NO_OPERATOR


def test_an_unlimited_allowance_stays_and_a_limited_one_shrinks() -> None:
    """max uint256 is never used up (onchain.md 4)."""
    kit = ChainKit()
    approvals = kit.engine.accounts.approvals
    adapter = (contracts.COLLATERAL, contracts.CTF_ADAPTER)
    kit.done(kit.ann, split(kit.plain, DOLLAR))
    assert approvals.allowance(kit.ann, *adapter) == sdk.MAX_UINT256

    kit.done(kit.ann, approve(contracts.CTF_ADAPTER, 3 * DOLLAR), split(kit.plain, DOLLAR))

    assert approvals.allowance(kit.ann, *adapter) == 2 * DOLLAR


def test_more_than_the_cash_reverts() -> None:
    """(onchain.md 9.4)."""
    kit = ChainKit()
    assert kit.reverted(kit.ann, split(kit.plain, FUNDS + 1)) == NO_CASH


def test_each_adapter_has_its_own_markets() -> None:
    """Neg-risk markets through theirs, Protocol V2 through neither (onchain.md 6.1, 6.3)."""
    kit = ChainKit()
    other = contracts.NEG_RISK_CTF_ADAPTER
    kit.done(kit.ann, split(kit.risky, DOLLAR, other), merge(kit.risky, DOLLAR, other))

    assert kit.reverted(kit.ann, split(kit.risky, DOLLAR)) == NOT_PREPARED
    assert kit.reverted(kit.ann, split(kit.plain, DOLLAR, other)) == NOT_PREPARED
    assert kit.reverted(kit.ann, split(kit.modern, DOLLAR)) == NOT_PREPARED


def test_bad_calldata_reverts() -> None:
    """An unknown condition, another partition, cut data, a foreign contract (onchain.md 9.4)."""
    kit = ChainKit()
    good = ours(split(kit.plain, DOLLAR))
    unknown = good.data.replace(bytes.fromhex(kit.plain.condition_id[2:]), b"\x77" * 32)
    swapped = good.data[:-64] + word(2) + word(1)

    assert kit.reverted(kit.ann, Call(good.target, unknown)) == NOT_PREPARED
    assert kit.reverted(kit.ann, Call(good.target, swapped)) == BAD_PARTITION
    assert kit.reverted(kit.ann, Call(good.target, good.data[:-1])) == ""
    assert "no function" in kit.reverted(kit.ann, Call(kit.bob, good.data))
    assert "no function" in kit.reverted(kit.ann, Call(good.target, b"\1\2\3\4"))


# --- protocol v2 -----------------------------------------------------------------------------


@pytest.mark.conforms("onchain-6.2-router")
def test_protocol_v2_goes_through_the_router() -> None:
    """Split, merge, and a redemption by outcome and amount (onchain.md 6.2)."""
    kit = ChainKit()
    condition = kit.modern.condition_id

    kit.done(
        kit.ann,
        sdk.router_split_call(router=ROUTER, condition_id=condition, amount=9 * DOLLAR),
        sdk.router_merge_call(router=ROUTER, condition_id=condition, amount=2 * DOLLAR),
    )
    assert kit.shares(kit.ann, kit.modern) == [7 * DOLLAR] * 2
    up = sdk.router_redeem_call(
        router=ROUTER, condition_id=condition, outcome_index=0, amount=3 * DOLLAR
    )
    assert kit.reverted(kit.ann, up) == NO_RESULT
    kit.resolve(kit.modern, UP)
    burnt, *_ = kit.done(kit.ann, up)

    assert burnt.address == contracts.POSITION_MANAGER
    assert burnt.topics[0] == chain_logs.TRANSFER_SINGLE
    assert kit.shares(kit.ann, kit.modern) == [4 * DOLLAR, 7 * DOLLAR]
    assert kit.cash(kit.ann) == FUNDS - 7 * DOLLAR + 3 * DOLLAR
    more = sdk.router_redeem_call(
        router=ROUTER, condition_id=condition, outcome_index=0, amount=5 * DOLLAR
    )
    assert kit.reverted(kit.ann, more) == NO_SHARES


def test_the_router_knows_only_v2() -> None:
    """(onchain.md 6.2)."""
    kit = ChainKit()
    call = sdk.router_split_call(
        router=ROUTER, condition_id=kit.plain.condition_id[:-2], amount=DOLLAR
    )
    assert kit.reverted(kit.ann, call) == NOT_PREPARED


# --- transactions ----------------------------------------------------------------------------


def test_a_batch_is_all_or_nothing() -> None:
    """The calls before the one that reverts have never been (onchain.md 7.4)."""
    kit = ChainKit()
    bid = kit.order(kit.ann, BUY, 40, 10)
    kit.place(bid)

    reason = kit.reverted(
        kit.ann,
        approve(contracts.EXCHANGE, 0),
        split(kit.plain, 10 * DOLLAR),
        transfer(kit.bob, DOLLAR),
        merge(kit.plain, 11 * DOLLAR),
    )

    assert reason == NO_SHARES
    assert bid.status is Status.LIVE


def test_a_transfer_moves_cash_and_cancels_what_it_paid_for() -> None:
    """A wallet drained from outside loses its bids (reliability.md F35)."""
    kit = ChainKit()
    bid = kit.order(kit.ann, BUY, 50, 1000)
    kit.place(bid)

    (told,) = kit.done(kit.ann, transfer(kit.bob, 600 * DOLLAR))

    assert (kit.cash(kit.ann), kit.cash(kit.bob)) == (FUNDS - 600 * DOLLAR, FUNDS + 600 * DOLLAR)
    assert bid.status is Status.CANCELED_NOT_ENOUGH_BALANCE
    assert decoded(["uint256"], told) == (600 * DOLLAR,)
    assert kit.reverted(kit.ann, transfer(kit.bob, FUNDS)) == NO_CASH


def test_shares_are_sent_from_their_own_contract() -> None:
    """safeTransferFrom moves one's own shares and nobody else's (onchain.md 9.3)."""
    kit = ChainKit()
    kit.done(kit.ann, split(kit.plain, 5 * DOLLAR))

    def send(owner: str, amount: int, contract: str = contracts.CTF) -> Call:
        data = selector("safeTransferFrom(address,address,uint256,uint256,bytes)")
        data += address_word(owner) + address_word(kit.bob) + word(int(kit.plain.tokens[UP]))
        return Call(contract, data + word(amount) + word(160) + word(0))

    (told,) = kit.done(kit.ann, send(kit.ann, 2 * DOLLAR))

    assert told.topics[0] == chain_logs.TRANSFER_SINGLE
    assert decoded(["uint256", "uint256"], told) == (int(kit.plain.tokens[UP]), 2 * DOLLAR)
    assert kit.shares(kit.bob, kit.plain) == [2 * DOLLAR, 0]
    assert kit.reverted(kit.bob, send(kit.ann, DOLLAR)) == NO_OPERATOR
    assert kit.reverted(kit.ann, send(kit.ann, 4 * DOLLAR)) == NO_SHARES
    assert kit.reverted(kit.ann, send(kit.ann, 1, contracts.POSITION_MANAGER)) == NO_SHARES


def ramp(name: str, asset: str, recipient: str, amount: int) -> bytes:
    data = selector(f"{name}(address,address,uint256)")
    return data + address_word(asset) + address_word(recipient) + word(amount)


def test_nothing_can_be_sent_by_who_has_nothing() -> None:
    """A transfer of zero is one like any other, and no error of the node (onchain.md 9.3)."""
    kit = ChainKit()

    kit.done(kit.ann, transfer(kit.bob, 0, contracts.USDC_E))

    assert sum(kit.chain.usdc_e.values()) == 0


def test_collateral_comes_in_and_goes_out_by_the_ramps() -> None:
    """USDC.e is wrapped and unwrapped one to one, with allowances; native USDC is paused
    (onchain.md 3).
    """
    kit = ChainKit()
    kit.chain.usdc_e[kit.ann] = 50 * DOLLAR
    wrap = Call(contracts.ONRAMP, ramp("wrap", contracts.USDC_E, kit.bob, 30 * DOLLAR))
    assert kit.reverted(kit.ann, wrap) == NO_ALLOWANCE

    kit.done(kit.ann, approve(contracts.ONRAMP, 30 * DOLLAR, contracts.USDC_E), wrap)
    assert (kit.chain.usdc_e[kit.ann], kit.cash(kit.bob)) == (20 * DOLLAR, FUNDS + 30 * DOLLAR)

    unwrap = Call(contracts.OFFRAMP, ramp("unwrap", contracts.USDC_E, kit.ann, 10 * DOLLAR))
    kit.done(kit.bob, approve(contracts.OFFRAMP, 10 * DOLLAR), unwrap)
    assert (kit.chain.usdc_e[kit.ann], kit.cash(kit.bob)) == (30 * DOLLAR, FUNDS + 20 * DOLLAR)

    paused = Call(contracts.ONRAMP, ramp("wrap", contracts.CTF, kit.ann, 1))
    assert "paused" in kit.reverted(kit.ann, paused)


def test_a_proxy_acts_for_its_owner_only() -> None:
    """The factory runs the list of calls as the caller's own proxy (onchain.md 5, 7.3)."""
    kit = ChainKit()
    proxy = wallets_of(kit.ann).proxy
    kit.engine.accounts.deposit(proxy, 20 * DOLLAR)
    calls = [split(kit.plain, 5 * DOLLAR), merge(kit.plain, 2 * DOLLAR)]
    data = bytes.fromhex(sdk.encode_proxy_call(calls)[2:])

    kit.done(kit.ann, Call(contracts.PROXY_FACTORY, data))

    assert kit.shares(proxy, kit.plain) == [3 * DOLLAR] * 2
    assert (kit.cash(proxy), kit.cash(kit.ann)) == (17 * DOLLAR, FUNDS)
    assert proxy in kit.chain.deployed
    assert kit.reverted(kit.bob, Call(contracts.PROXY_FACTORY, data)) in {NO_ALLOWANCE, NO_CASH}


def test_a_proxy_cannot_call_the_factory() -> None:
    """Or calldata could nest as deep as it is long (onchain.md 7.3)."""
    kit = ChainKit()
    factory = EvmAddress(contracts.PROXY_FACTORY)
    inner = sdk.TransactionCall(to=factory, data=sdk.encode_proxy_call([split(kit.plain, 1)]))
    data = bytes.fromhex(sdk.encode_proxy_call([inner])[2:])

    assert "not to the factory" in kit.reverted(kit.ann, Call(factory, data))


def test_multisend_is_unpacked_as_the_sdk_packs_it() -> None:
    """(onchain.md 7.3)."""
    kit = ChainKit()
    calls = [split(kit.plain, 5), approve(contracts.EXCHANGE, 7), transfer(kit.bob, 1)]
    data = bytes.fromhex(sdk.encode_safe_multisend_call(calls)[2:])

    assert sent_by_safe(data) == [ours(call) for call in calls]


# --- what is settled -------------------------------------------------------------------------


def cross(kit: ChainKit, market: Market) -> None:
    """Ann buys Up from bob's bid for Down: ten pairs at 50 cents each, freshly minted."""
    kit.place(kit.order(kit.ann, BUY, 50, 10, market=market))
    kit.place(kit.order(kit.bob, BUY, 50, 10, market=market, outcome=DOWN, kind=Kind.FAK))


@pytest.mark.conforms("onchain-6.4-fill-after-block", "onchain-9.4-late-balances")
def test_a_fill_is_on_chain_only_after_its_block() -> None:
    """A merge right after a fill reverts, later it does not (onchain.md 6.4)."""
    kit = ChainKit()
    kit.engine.split(kit.ann, kit.plain, 3 * DOLLAR, kit.now)
    cross(kit, kit.plain)
    up, down = kit.plain.tokens
    kit.engine.accounts.add_shares(kit.ann, [down], 10 * DOLLAR)
    kit.engine.accounts.add_shares(kit.bob, [down], -10 * DOLLAR)

    assert kit.engine.accounts.shares(kit.ann, up) == 13 * DOLLAR
    assert kit.engine.settled_shares(kit.ann, up) == 3 * DOLLAR
    assert kit.engine.settled_cash(kit.ann) == kit.cash(kit.ann) + 5 * DOLLAR
    assert kit.reverted(kit.ann, merge(kit.plain, 4 * DOLLAR)) == NO_SHARES
    kit.advance(60_000)
    assert kit.engine.settled_shares(kit.ann, up) == 13 * DOLLAR
    kit.done(kit.ann, merge(kit.plain, 4 * DOLLAR))


def test_cash_promised_to_a_trade_cannot_be_spent_on_chain() -> None:
    """It is still there, but the operator's settlement is first in the block (onchain.md 6.4)."""
    kit = ChainKit()
    cross(kit, kit.plain)

    assert kit.engine.settled_cash(kit.ann) == FUNDS
    assert kit.reverted(kit.ann, transfer(kit.bob, FUNDS)) == NO_CASH
    kit.done(kit.ann, transfer(kit.bob, FUNDS - 5 * DOLLAR))


@pytest.mark.conforms("onchain-9.4-failed-settlement")
def test_a_failed_trade_was_never_on_chain() -> None:
    """Settled balances do not move when a match fails (onchain.md 9.4, 11)."""
    kit = ChainKit(fail_ppm=1_000_000)
    cross(kit, kit.plain)
    seen = set()
    for _ in range(40):
        kit.advance(500)
        seen.add(
            (
                kit.engine.settled_cash(kit.ann),
                kit.engine.settled_shares(kit.ann, kit.plain.tokens[UP]),
            )
        )

    assert seen == {(FUNDS, 0)}
    assert kit.cash(kit.ann) == FUNDS


def test_settlements_and_results_are_in_the_blocks() -> None:
    """A trade's transaction moves shares and pUSD between the parties and the exchange; the result
    is a ConditionResolution (onchain.md 9.3).
    """
    kit = ChainKit()
    cross(kit, kit.plain)
    kit.advance(60_000)
    (trade,) = kit.engine.trades.values()

    logs = kit.chain.blocks.receipts[trade.tx_hash].logs()
    filled = [log for log in logs if log.topics[0] == chain_logs.ORDER_FILLED]
    assert [log.topics[2] for log in filled] == [_topic(kit.ann), _topic(kit.bob)]
    assert filled[1].topics[3] == _topic(contracts.EXCHANGE)
    kinds = ["uint8", "uint256", "uint256", "uint256", "uint256", "bytes32", "bytes32"]
    side, token, gave, got, fee, *_ = decoded(kinds, filled[0])
    assert (side, str(token)) == (0, kit.plain.tokens[UP])
    assert (gave, got, fee) == (5 * DOLLAR, 10 * DOLLAR, 0)
    kit.resolve(kit.plain, DOWN)
    newest = list(kit.chain.blocks.between(0, kit.chain.blocks.number(kit.now)))[-1]
    (told,) = newest.logs()
    assert told.topics[:2] == (chain_logs.RESOLUTION, kit.plain.condition_id)
    assert decoded(["uint256", "uint256[]"], told) == (2, (0, 1))


def test_event_topics_are_the_references() -> None:
    """The table of onchain.md 9.3."""
    assert chain_logs.TRANSFER.startswith("0xddf252ad")
    assert chain_logs.TRANSFER_SINGLE.startswith("0xc3d58168")
    assert chain_logs.TRANSFER_BATCH.startswith("0x4a39dc06")
    assert chain_logs.POSITION_SPLIT.startswith("0x2e6bb91f")
    assert chain_logs.POSITIONS_MERGE.startswith("0x6f13ca62")
    assert chain_logs.PAYOUT.startswith("0x2682012a")
    assert chain_logs.RESOLUTION.startswith("0xb44d84d3")
    assert chain_logs.ORDER_FILLED.startswith("0xd543adfd")
