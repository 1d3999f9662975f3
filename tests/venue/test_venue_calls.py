"""Calls of the contracts, byte for byte those of the official SDK (onchain.md 6)."""

from __future__ import annotations

import attrs
import pytest
from polymarket._internal.actions.relayer import calls as sdk
from polymarket._internal.environment import PRODUCTION_CONFIG
from polymarket.types import EvmAddress
from venue_kit import POSITION, make_market

from polybot.domain.market import Market
from polybot.venue import calls

CONDITION = "0x" + "15" * 32
CONDITION_V2 = "0x" + f"{int(POSITION) >> 8:062x}"
AMOUNT = 10_000_000
V1 = attrs.evolve(make_market(), condition_id=CONDITION)
NEG_RISK = attrs.evolve(V1, neg_risk=True)
V2 = attrs.evolve(
    make_market(up=POSITION, version="v2"),
    condition_id=CONDITION_V2,
    down_token=str(int(POSITION) | 1),
)


def plain(call: sdk.TransactionCall) -> calls.Call:
    assert call.value == 0
    return calls.Call(str(call.to), str(call.data))


@pytest.mark.parametrize("market", [V1, NEG_RISK], ids=["normal", "neg-risk"])
def test_v1_goes_through_the_collateral_adapter(market: Market) -> None:
    """Split, merge and redeem equal the SDK's on either adapter (onchain.md 6.1, 6.3)."""
    config = PRODUCTION_CONFIG
    name = "neg_risk_collateral_adapter" if market.neg_risk else "collateral_adapter"
    target = EvmAddress(
        next(
            value
            for key, value in attrs_of(config).items()
            if key.endswith(name) and ("neg_risk" in key) == market.neg_risk
        )
    )
    pusd = EvmAddress(config.collateral_token)

    assert calls.split(market, AMOUNT) == [
        plain(
            sdk.split_position_call(
                target=target, collateral=pusd, condition_id=CONDITION, amount=AMOUNT
            )
        )
    ]
    assert calls.merge(market, AMOUNT) == [
        plain(
            sdk.merge_positions_call(
                target=target, collateral=pusd, condition_id=CONDITION, amount=AMOUNT
            )
        )
    ]
    (redeemed,) = calls.redeem(market, 5, 7)
    assert redeemed.to == str(target)
    assert redeemed.data[:10] == "0x01b7037c"


def attrs_of(config: object) -> dict[str, str]:
    return {
        name: value
        for name in dir(config)
        if not name.startswith("_") and isinstance(value := getattr(config, name), str)
    }


def test_the_vectors_of_the_reference() -> None:
    """Split and redeem have the words that onchain.md 6.1 lists."""
    (made,) = calls.split(V1, AMOUNT)
    words = [made.data[10:][at : at + 64] for at in range(0, len(made.data) - 10, 64)]

    assert made.data[:10] == "0x72ce4275"
    assert words[1:] == [
        "0" * 64, "15" * 32, f"{0xA0:064x}", f"{0x989680:064x}", f"{2:064x}", f"{1:064x}",
        f"{2:064x}",
    ]  # fmt: skip
    (redeemed,) = calls.redeem(V1, 1, 0)
    assert redeemed.data[10 + 3 * 64 :] == f"{0x80:064x}{2:064x}{1:064x}{2:064x}"


def test_v2_goes_through_the_router() -> None:
    """Split, merge, and a redemption for each outcome that is held (onchain.md 6.2)."""
    router = EvmAddress(PRODUCTION_CONFIG.protocol_v2_router)
    condition = CONDITION_V2

    assert calls.split(V2, AMOUNT) == [
        plain(sdk.split_v2_call(router=router, condition_id=condition, amount=AMOUNT))
    ]
    assert calls.merge(V2, AMOUNT) == [
        plain(sdk.merge_v2_call(router=router, condition_id=condition, amount=AMOUNT))
    ]
    assert calls.redeem(V2, AMOUNT, 0) == [
        plain(
            sdk.redeem_v2_call(
                router=router, condition_id=condition, outcome_index=0, amount=AMOUNT
            )
        )
    ]
    assert [call.data[:10] for call in calls.redeem(V2, 1, 2)] == ["0xd217a3cc"] * 2
    assert calls.redeem(V2, -1, 2) == calls.redeem(V2, 0, 2), "there is no call for less than none"
    assert calls.redeem(V2, 0, 0) == []
