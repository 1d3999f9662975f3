"""Orders signed by hand give the bytes of the reference and of both official packages."""

from __future__ import annotations

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from eth_account import Account
from hypothesis import given, settings, strategies as st
from polymarket._internal.actions.orders.limit import _compute_limit_order_amounts
from polymarket._internal.actions.orders.market import _compute_market_order_amounts
from polymarket._internal.actions.orders.post import _build_send_order_payload
from polymarket._internal.actions.orders.typed_data import (
    build_order_signature,
    build_order_typed_data,
)
from polymarket._internal.actions.orders.types import UnsignedOrder
from py_clob_client_v2.order_utils.exchange_order_builder_v2 import ExchangeOrderBuilderV2
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderDataV2
from py_clob_client_v2.order_utils.model.signature_type_v2 import SignatureTypeV2
from py_clob_client_v2.signer import Signer
from venue_kit import KEY, NOW_MS, POSITION, UP, WALLET, make_market, make_order

from polybot.domain.market import Market, Side
from polybot.domain.orders import NewOrder, TimeInForce
from polybot.venue.secret import Secret
from polybot.venue.signing import (
    ORDER_TYPE_HASH,
    SALT_MAX,
    Wallet,
    amounts,
    domain_separator,
    sign_order,
)
from polybot.venue.site import CHAIN, CONTRACTS, is_position_id

SALT = 479249096354
DEPOSIT = "0x" + "22" * 20
TICKS = {1000: "0.1", 100: "0.01", 50: "0.005", 25: "0.0025", 10: "0.001", 1: "0.0001"}


def body_of(order: NewOrder, **kwargs: Any) -> Any:
    options: dict[str, Any] = {"salt": SALT, "timestamp_ms": NOW_MS, "owner_key": "key"}
    return json.loads(sign_order(order, wallet=WALLET, funder=None, **(options | kwargs)).body)


def test_the_wallets_address() -> None:
    """The address of clob.md's test key, in checksum spelling."""
    assert WALLET.address == "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
    assert "11" not in repr(WALLET).replace(WALLET.address, "")


@pytest.mark.parametrize("key", ["", "0x12", "not hex", "0x" + "00" * 32, "ff" * 32])
def test_what_is_no_key_is_refused_without_being_quoted(key: str) -> None:
    """A bad private key raises, and neither the error nor its cause repeats it."""
    with pytest.raises(ValueError, match="expected a private key") as caught:
        Wallet(Secret(key))

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_constants_are_those_of_the_reference() -> None:
    """Type hash and the three domain separators, clob.md 2.3."""
    contracts = CONTRACTS[CHAIN]
    assert ORDER_TYPE_HASH.hex().startswith("bb86318a2138f5fa")
    assert domain_separator(contracts.exchange, "2", CHAIN).hex().startswith("3264e159346253e2")
    assert (
        domain_separator(contracts.neg_risk_exchange, "2", CHAIN)
        .hex()
        .startswith("9b858f53327b0bd1")
    )
    assert domain_separator(contracts.exchange_v3, "3", CHAIN).hex().startswith("466c63910185bbd5")


@pytest.mark.parametrize(
    ("market", "order_id", "signature"),
    [
        (
            make_market(),
            "0x6c408c1921abd9e0ade488e2e51289fa223905d22608a43cc370c56d91cada86",
            (
                "0x81c51d54d438fc173ddb42e2c80ffdac3d4a8a61394ce72ca00e13a098422a69"
                "44b2a4622854d0076186f21aa9cc9b0b9526a183e562cb661230d30164f48ec11c"
            ),
        ),
        (
            make_market(neg_risk=True),
            "0x916e6a0f134a599e3fe097dff57172a41ace9181ee7ccdd6234c807bfac1777d",
            (
                "0xac02138f6bb492a17c3380f2c58c3be0c06118edbd5f8714cb6a554e925d3b35"
                "0e183b9854d96934573150ba4a91476e31f543bcfd273f050b1deaffdec1fbca1c"
            ),
        ),
        (
            make_market(up=POSITION, version="v2"),
            "0xf40a80fe650b5218a69d50bb24306a91a76a4bfd752246c75a47a782d063cef0",
            (
                "0xacf87e74eed9be06660522362da7ff17ccde7846b91baad1ff758311fd6ec11d"
                "2943af3035e394e4ffdf47bd157725abff57e56897f21ac0fdd2640af22ece621c"
            ),
        ),
    ],
    ids=["normal", "neg-risk", "exchange v3"],
)
def test_the_vectors_of_the_reference(market: Market, order_id: str, signature: str) -> None:
    """Order id and signature equal clob.md 2.3 on all three exchanges."""
    made = sign_order(
        make_order(market),
        wallet=WALLET,
        funder=None,
        owner_key="key",
        salt=SALT,
        timestamp_ms=NOW_MS,
    )

    assert made.id == order_id
    assert json.loads(made.body)["order"]["signature"] == signature
    assert json.loads(made.body)["order"]["makerAmount"] == "11326100"


def test_a_deposit_wallets_vector() -> None:
    """Order id, signer and length of the signature equal clob.md 2.3 for type 3."""
    made = sign_order(
        make_order(make_market()), wallet=WALLET, funder=DEPOSIT, owner_key="key", salt=SALT,
        timestamp_ms=NOW_MS, signature_type=3,
    )  # fmt: skip

    order = json.loads(made.body)["order"]
    assert made.id == "0x48612ad07356bfc798e49a14a90e5b1cc80aafa374b93c48e3c71133a9dbdb64"
    assert (order["maker"], order["signer"]) == (DEPOSIT, DEPOSIT)
    assert len(bytes.fromhex(order["signature"][2:])) == 317


def grid(tick: int) -> st.SearchStrategy[int]:
    return st.integers(1, 10_000 // tick - 1).map(lambda n: n * tick)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_both_official_packages_sign_the_same(data: st.DataObject) -> None:
    """Id, signature and body equal py-clob-client-v2's and the unified SDK's for any order."""
    version = data.draw(st.sampled_from(["v1", "v2"]))
    neg_risk = version == "v1" and data.draw(st.booleans())
    market = make_market(up=POSITION if version == "v2" else UP, neg_risk=neg_risk, version=version)
    order = make_order(
        market,
        data.draw(st.sampled_from(Side)),
        data.draw(grid(100)),
        data.draw(st.integers(1, 10**9)) * 10_000,
    )
    salt = data.draw(st.integers(0, SALT_MAX))
    funder, kind = data.draw(st.sampled_from([(None, 0), (DEPOSIT, 3)]))
    maker = funder or WALLET.address

    made = sign_order(
        order, wallet=WALLET, funder=funder, owner_key="key", salt=salt, timestamp_ms=NOW_MS,
        signature_type=kind,
    )  # fmt: skip

    body = json.loads(made.body)
    contracts = CONTRACTS[CHAIN]
    contract = contracts.neg_risk_exchange if neg_risk else contracts.exchange
    contract = contracts.exchange_v3 if version == "v2" else contract
    domain = "3" if version == "v2" else "2"
    given_amount, wanted_amount = amounts(order)
    builder = ExchangeOrderBuilderV2(
        contract, CHAIN, Signer(KEY.reveal(), CHAIN), lambda: salt, domain
    )
    theirs = builder.build_signed_order(
        OrderDataV2(
            maker=maker,
            signer=maker,
            tokenId=order.token,
            makerAmount=str(given_amount),
            takerAmount=str(wanted_amount),
            side=0 if order.side is Side.BUY else 1,
            signatureType=SignatureTypeV2(kind),
            timestamp=str(NOW_MS),
        )
    )
    assert body["order"]["signature"] == theirs.signature
    assert made.id == builder.build_order_hash(builder.build_order_typed_data(theirs))
    unsigned = UnsignedOrder(
        chain_id=CHAIN,
        builder=body["order"]["builder"],
        exchange_address=contract,  # type: ignore[arg-type]
        expiration=0,
        maker=maker,  # type: ignore[arg-type]
        maker_amount=given_amount,
        metadata=body["order"]["metadata"],
        order_type="GTC",
        salt=salt,
        side=order.side.value,
        signature_type=kind,
        signer=maker,  # type: ignore[arg-type]
        taker_amount=wanted_amount,
        timestamp=NOW_MS,
        token_id=order.token,  # type: ignore[arg-type]
        protocol_version=domain,  # type: ignore[arg-type]
    )
    message = build_order_typed_data(unsigned)
    account = Account.from_key(KEY.reveal())
    plain = "0x" + bytes(account.sign_typed_data(full_message=message).signature).hex()
    signature = build_order_signature(unsigned, plain)  # type: ignore[arg-type]
    assert body["order"]["signature"] == signature
    rows = {name: getattr(unsigned, name) for name in UnsignedOrder.__slots__}
    sdk = SimpleNamespace(**rows, signature=signature, post_only=True)
    assert body == _build_send_order_payload(sdk, owner_api_key="key")  # type: ignore[arg-type]


@settings(max_examples=200)
@given(st.data())
def test_limit_amounts_are_the_exact_ones(data: st.DataObject) -> None:
    """Every on-grid price and two-decimal size gives the unified SDK's exact amounts."""
    tick = data.draw(st.sampled_from(sorted(TICKS)))
    order = make_order(
        make_market(tick=tick),
        data.draw(st.sampled_from(Side)),
        data.draw(grid(tick)),
        data.draw(st.integers(1, 10**7)) * 10_000,
    )

    ours = amounts(order)

    theirs = _compute_limit_order_amounts(
        price=Decimal(order.price) / 10_000,
        size=Decimal(order.size) / 10**6,
        side=order.side.value,
        tick_size=Decimal(TICKS[tick]),
    )
    assert ours == tuple(theirs)


@settings(max_examples=200)
@given(st.data())
def test_taking_buys_spend_whole_cents(data: st.DataObject) -> None:
    """A FOK or FAK BUY spends whole cents, buys what the SDK computes, bids at least its limit."""
    tick = data.draw(st.sampled_from(sorted(TICKS)))
    market = make_market(tick=tick)
    price = data.draw(grid(tick))
    size = data.draw(st.integers(1, 10**6)) * 10_000
    tif = data.draw(st.sampled_from([TimeInForce.FOK, TimeInForce.FAK]))
    if price * size < 10_000 * 10_000:
        with pytest.raises(ValueError):
            amounts(make_order(market, price=price, size=size, tif=tif))
        return

    dollars, shares = amounts(make_order(market, price=price, size=size, tif=tif))

    assert dollars % 10_000 == 0
    assert dollars <= price * size // 10_000
    assert dollars * 10_000 >= price * shares
    theirs = _compute_market_order_amounts(
        amount=Decimal(dollars) / 10**6,
        price=Decimal(price) / 10_000,
        side="BUY",
        tick_size=Decimal(TICKS[tick]),
    )
    assert (dollars, shares) == tuple(theirs)


@pytest.mark.parametrize(
    ("tick", "price", "dollars", "shares"),
    [(200, 5400, 10_380_000, 19_222_200), (5, 5405, 10_390_000, 19_222_941)],
)
def test_a_taking_buy_on_a_tick_that_is_new(
    tick: int, price: int, dollars: int, shares: int
) -> None:
    """The venue has added two ticks; one that no table had ended the program with the first FAK.
    Shares have two decimals more than its prices, as on all others.
    """
    order = make_order(make_market(tick=tick), price=price, size=19_240_000, tif=TimeInForce.FAK)

    assert amounts(order) == (dollars, shares)


def test_the_worked_example_of_a_market_buy() -> None:
    """$10 at most 0.52 buys 19.2307 shares, rounded down as the Python packages do."""
    order = make_order(price=5200, size=19_240_000, tif=TimeInForce.FAK)

    assert amounts(order) == (10_000_000, 19_230_700)


def test_a_taking_sell_gives_the_shares() -> None:
    """A FAK SELL gives its shares and asks the exact dollars."""
    order = make_order(side=Side.SELL, price=5300, size=21_370_000, tif=TimeInForce.FAK)

    assert amounts(order) == (21_370_000, 11_326_100)


@pytest.mark.parametrize(
    ("price", "size"),
    [(5350, 5_000_000), (0, 5_000_000), (10_000, 5_000_000), (5300, 5_001_000), (5300, 0)],
)
def test_off_grid_orders_are_bugs(price: int, size: int) -> None:
    """A price off the tick and a size that is no whole lot never get signed."""
    with pytest.raises(ValueError, match="off the grid"):
        amounts(make_order(price=price, size=size))


def test_the_body_says_what_was_meant() -> None:
    """Expiration, kind and post-only travel beside the signed fields."""
    body = body_of(make_order(tif=TimeInForce.GTD, expires_s=1_795_133_200))

    assert body["order"]["expiration"] == "1795133200"
    assert (body["orderType"], body["postOnly"], body["deferExec"]) == ("GTD", True, False)
    assert body["owner"] == "key"


def test_a_proxy_changes_only_the_maker() -> None:
    """Signature types 1 and 2: the funder makes, the wallet signs."""
    funder = "0x" + "22" * 20

    made = sign_order(
        make_order(),
        wallet=WALLET,
        funder=funder,
        owner_key="key",
        salt=1,
        timestamp_ms=NOW_MS,
        signature_type=2,
    )

    order = json.loads(made.body)["order"]
    assert (order["maker"], order["signer"]) == (funder, WALLET.address)
    assert order["signatureType"] == 2


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({"salt": SALT_MAX + 1}, make_order()),
        ({"signature_type": 3}, make_order()),
        ({"signature_type": 1}, make_order()),
        ({}, make_order(make_market(version="v9"))),
        ({}, make_order(tif=TimeInForce.GTD)),
        ({}, make_order(expires_s=5)),
    ],
)
def test_what_cannot_be_signed_raises(options: dict[str, Any], order: NewOrder) -> None:
    """A salt too big, a wallet kind we do not do, an unknown version, a wrong expiration: bugs."""
    with pytest.raises(ValueError):
        body_of(order, **options)


@pytest.mark.parametrize("tif", [TimeInForce.FOK, TimeInForce.FAK])
def test_what_takes_is_never_post_only(tif: TimeInForce) -> None:
    """The venue refuses both at once, and one was not meant: a bug (clob.md 3.5)."""
    taking = make_order(tif=tif)
    assert body_of(taking)["postOnly"] is False

    with pytest.raises(ValueError, match="post-only goes with GTC and GTD only"):
        body_of(attrs.evolve(taking, post_only=True))


@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.FOK, TimeInForce.FAK])
def test_only_gtd_expires(tif: TimeInForce) -> None:
    """A time on any other kind would not be kept, and its order be taken for one that ends."""
    assert body_of(make_order(tif=tif))["order"]["expiration"] == "0"
    with pytest.raises(ValueError, match="does not go with"):
        body_of(make_order(tif=tif, expires_s=1_795_133_200))


def test_position_ids_are_told_from_token_ids() -> None:
    """Bits 40 to 103 decide (clob.md 3.2)."""
    assert is_position_id(POSITION)
    assert not is_position_id(UP)
