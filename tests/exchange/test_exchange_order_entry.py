"""From signed JSON to the engine's order: amounts, identity, and every malformed shape."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from clob_kit import DOWN_TOKEN, SECRET, T0, UP_TOKEN, Wallet, make_market
from hypothesis import given, settings, strategies as st
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderDataV2, order_to_json_v2
from py_clob_client_v2.order_utils.model.side import Side

from polybot.exchange import contracts
from polybot.exchange.auth import ApiKey
from polybot.exchange.model import BUY, SELL, Kind, Market, Order, Refused
from polybot.exchange.money import UNIT
from polybot.exchange.order_entry import (
    BAD_PAYLOAD,
    WRONG_OWNER,
    WRONG_SIGNER,
    OrderReader,
    implied_limit,
)
from polybot.exchange.order_signatures import BAD_SIGNATURE, WRONG_VERSION
from polybot.exchange.restrictions import Restrictions
from polybot.exchange.session_signers import SessionSigners

ANN = Wallet(0x11)
KEY = ApiKey(ANN.creds.api_key, SECRET, ANN.creds.api_passphrase, ANN.address)


def by_token(**market: Any) -> dict[str, Market]:
    return dict.fromkeys((UP_TOKEN, DOWN_TOKEN), make_market(**market))


def read(payload: object, **market: Any) -> Order | Refused:
    return OrderReader(by_token(**market), SessionSigners(), Restrictions(lambda: False)).read(
        payload, KEY, T0
    )


def accepted(payload: object, **market: Any) -> Order:
    order = read(payload, **market)
    assert isinstance(order, Order), order
    return order


def refused(payload: object, **market: Any) -> str:
    answer = read(payload, **market)
    assert isinstance(answer, Refused), answer
    return answer.error


@pytest.mark.conforms("clob-3.4-exact-quote")
def test_a_gtc_buy_becomes_an_order() -> None:
    """21.37 shares at 0.53: exact integers, the wallet as account, the digest as id."""
    order = accepted(ANN.order(BUY, UP_TOKEN, 11_326_100, 21_370_000, post_only=True))
    assert (order.side, order.price, order.size, order.dollars) == (BUY, 5300, 21_370_000, None)
    assert (order.owner, order.account, order.token) == (KEY.key, ANN.address, UP_TOKEN)
    assert (order.kind, order.post_only, order.created_ms) == (Kind.GTC, True, T0)
    assert len(order.id) == 66


def test_a_sell_gives_shares() -> None:
    """For a SELL the maker amount is shares."""
    order = accepted(ANN.order(SELL, DOWN_TOKEN, 10 * UNIT, 4_700_000, "GTD", expiration=99))
    assert (order.price, order.size, order.kind) == (4700, 10 * UNIT, Kind.GTD)
    assert order.expiration_s == 99


@pytest.mark.conforms("clob-3.4-market-rounding")
def test_a_market_buy_spends_dollars() -> None:
    """The reference's $10 at a limit of 0.52 (clob.md 3.4): rounded shares, limit on the grid."""
    order = accepted(ANN.order(BUY, UP_TOKEN, 10 * UNIT, 19_230_700, "FOK"))
    assert (order.dollars, order.price, order.size) == (10 * UNIT, 5200, 19_230_700)


@pytest.mark.parametrize(
    ("side", "money", "shares", "tick", "limit"),
    [
        (BUY, 10_000_000, 19_230_700, 100, 5200),
        (BUY, 10_000_000, 19_230_800, 100, 5100),  # rounded up: the ratio is below 0.52
        (BUY, 5_000_000, 10_000_000, 10, 5000),
        (SELL, 2_650_000, 5_000_000, 100, 5300),
        (SELL, 2_649_999, 5_000_000, 100, 5300),  # never below what was signed
        (SELL, 2_650_001, 5_000_000, 100, 5400),
    ],
)
def test_implied_limits(side: str, money: int, shares: int, tick: int, limit: int) -> None:
    """The ratio, on the grid, in the signer's favour."""
    assert implied_limit(side, money, shares, tick) == limit


def test_a_limit_price_must_be_exact() -> None:
    """Amounts whose ratio is off 10⁻⁴ break the tick rule, with the price they imply."""
    error = refused(ANN.order(BUY, UP_TOKEN, 5_300_001, 10_000_000))
    assert error.startswith("order 0x")
    assert error.endswith("is invalid. Price (0.53) breaks minimum tick size rule: 0.01")
    error = refused(ANN.order(SELL, UP_TOKEN, 10_000_000, 5_333_333))
    assert "Price (0.533333) breaks" in error


@pytest.mark.conforms("clob-3.6-owner-refused", "clob-3.5-owner-uuid")
def test_the_owner_is_the_key_that_calls() -> None:
    """Another key's uuid is refused (clob.md 3.6)."""
    payload = ANN.limit(BUY, UP_TOKEN, 50, 10) | {"owner": "somebody"}
    assert refused(payload) == WRONG_OWNER


@pytest.mark.conforms("clob-3.6-signer-refused")
def test_the_signer_is_the_keys_wallet() -> None:
    """An order of another wallet, even well signed, is refused."""
    payload = Wallet(0x22).limit(BUY, UP_TOKEN, 50, 10) | {"owner": KEY.key}
    assert refused(payload) == WRONG_SIGNER


@pytest.mark.conforms("clob-3.3-foreign-maker")
def test_nobody_signs_for_another_wallets_funds() -> None:
    """An EOA order (type 0) whose maker is somebody else is refused, however well it is signed."""
    data = OrderDataV2(
        maker=Wallet(0x22).address,
        signer=ANN.address,
        tokenId=UP_TOKEN,
        makerAmount=str(5 * UNIT),
        takerAmount=str(10 * UNIT),
        side=Side.BUY,
        timestamp=str(T0),
    )
    signed = ANN._builder.build_signed_order(data)
    assert refused(order_to_json_v2(signed, KEY.key, "GTC")) == BAD_SIGNATURE


@pytest.mark.conforms("clob-3.6-bad-signature")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("salt", 1),
        ("makerAmount", "4000000"),
        ("timestamp", "1"),
        ("side", SELL),
        ("signatureType", 1),
        ("maker", "0x" + "22" * 20),
        ("builder", "0x" + "01" * 32),
        ("signature", "0x" + "11" * 65),
        ("signature", "0x1b"),
        ("tokenId", DOWN_TOKEN),
    ],
)
def test_every_signed_field_is_covered(name: str, value: object) -> None:
    """Changing any field after signing is an invalid signature (clob.md 3.1)."""
    payload = ANN.limit(BUY, UP_TOKEN, 50, 10)
    payload["order"][name] = value
    assert refused(payload) == BAD_SIGNATURE


@pytest.mark.conforms(
    "clob-3.2-normal", "clob-3.2-neg-risk", "clob-3.2-v3", "clob-3.2-wrong-exchange"
)
def test_each_kind_of_market_has_its_exchange() -> None:
    """Normal, neg-risk and V3 orders are valid on their own kind only."""
    normal = ANN.limit(BUY, UP_TOKEN, 50, 10)
    neg_risk = Wallet(0x11, contract=contracts.NEG_RISK_EXCHANGE).limit(BUY, UP_TOKEN, 50, 10)
    third = Wallet(0x11, contract=contracts.EXCHANGE_V3, version="3").limit(BUY, UP_TOKEN, 50, 10)
    accepted(normal)
    accepted(neg_risk, neg_risk=True)
    accepted(third, version="v2", neg_risk=True)
    assert refused(normal, neg_risk=True) == BAD_SIGNATURE
    assert refused(neg_risk) == BAD_SIGNATURE
    assert refused(normal, version="v2") == WRONG_VERSION
    assert refused(third) == WRONG_VERSION


def test_an_unknown_token_has_no_book() -> None:
    """Without a market there is no exchange to check the signature against."""
    assert refused(ANN.limit(BUY, "12345", 50, 10)) == "the orderbook 12345 does not exist"


@pytest.mark.conforms("clob-3.5-default-gtc", "clob-3.5-post-only-optional")
def test_optional_keys_have_the_servers_defaults() -> None:
    """Without orderType and postOnly it is a plain GTC."""
    payload = ANN.limit(BUY, UP_TOKEN, 50, 10)
    del payload["orderType"], payload["postOnly"], payload["deferExec"]
    order = accepted(payload)
    assert (order.kind, order.post_only) == (Kind.GTC, False)


MALFORMED: list[tuple[str, object]] = [
    ("salt", "479249096354"), ("salt", 2**53), ("salt", True), ("salt", 1.5), ("salt", None),
    ("maker", "0x12"), ("signer", 5), ("tokenId", 5), ("tokenId", "-5"), ("tokenId", "9" * 79),
    ("tokenId", str(2**256)), ("makerAmount", 5000000), ("makerAmount", "0"),
    ("takerAmount", "0"), ("takerAmount", "1e6"), ("takerAmount", "٣"), ("side", "buy"),
    ("side", 0), ("expiration", 0), ("expiration", ""), ("signatureType", "0"),
    ("signatureType", 4), ("timestamp", 1), ("metadata", "0x00"), ("builder", None),
    ("signature", "11"), ("signature", "0xzz"),
]  # fmt: skip


@pytest.mark.conforms("clob-3.5-json-types", "clob-3.5-side-word", "clob-3.1-salt")
@pytest.mark.parametrize(("name", "value"), MALFORMED)
def test_malformed_fields(name: str, value: object) -> None:
    """JSON types and ranges are the reference's (clob.md 3.5)."""
    payload = ANN.limit(BUY, UP_TOKEN, 50, 10)
    payload["order"][name] = value
    assert refused(payload) == BAD_PAYLOAD


@pytest.mark.conforms("clob-3.5-bad-shape")
@pytest.mark.parametrize(
    "payload",
    [None, [], "x", 5, {}, {"order": []}, {"order": {}}],
)
def test_what_is_no_order(payload: object) -> None:
    """Shapes that are not an order at all."""
    assert refused(payload) == BAD_PAYLOAD


@pytest.mark.parametrize(
    ("name", "value"),
    [("orderType", "IOC"), ("orderType", []), ("postOnly", "true"), ("owner", None)],
)
def test_malformed_outer_keys(name: str, value: object) -> None:
    """The keys beside the signed struct are checked too."""
    assert refused(ANN.limit(BUY, UP_TOKEN, 50, 10) | {name: value}) == BAD_PAYLOAD


TEMPLATE = ANN.limit(BUY, UP_TOKEN, 50, 10)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.sampled_from([*TEMPLATE["order"], "owner", "orderType", "postOnly", "order"]), JSON)
@settings(max_examples=150, deadline=None)
def test_no_json_breaks_it(name: str, value: object) -> None:
    """Any value in any place is an order or a typed refusal, never an exception."""
    payload = copy.deepcopy(TEMPLATE)
    if name in payload:
        payload[name] = value
    else:
        payload["order"][name] = value
    assert isinstance(read(payload), Order | Refused)
    assert isinstance(read(value), Refused)
