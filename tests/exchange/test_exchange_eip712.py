"""Digests and recovery, against the reference's vectors and the official client."""

from __future__ import annotations

import pytest
from clob_kit import T0, UP_TOKEN, Wallet
from hypothesis import given, settings, strategies as st
from py_clob_client_v2.order_utils.exchange_order_builder_v2 import ExchangeOrderBuilderV2
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderDataV2
from py_clob_client_v2.order_utils.model.side import Side

from polybot.exchange import contracts, eip712
from polybot.exchange.eip712 import OrderFields, domain_separator, order_digest, recover

EOA = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
V3_POSITION = 663574927012476832975694178961957910328055987427402067619466963999000625152


def fields(token: int = int(UP_TOKEN)) -> OrderFields:
    return OrderFields(
        salt=479249096354,
        maker=EOA,
        signer=EOA,
        token_id=token,
        maker_amount=11_326_100,
        taker_amount=21_370_000,
        side=0,
        signature_type=0,
        timestamp=T0,
        metadata=bytes(32),
        builder=bytes(32),
    )


@pytest.mark.conforms("clob-3.1-type-hash")
def test_the_order_type_is_the_contracts() -> None:
    """The type string's length and hash are those of clob.md 2.3."""
    assert len(eip712.ORDER_TYPE) == 186
    expected = "bb86318a2138f5fa8ae32fbe8e659f8fcf13cc6ae4014a707893055433818589"
    assert eip712.keccak(eip712.ORDER_TYPE.encode()).hex() == expected


@pytest.mark.conforms("clob-3.1-type-hash")
@pytest.mark.parametrize(
    ("version", "contract", "expected"),
    [
        (
            "2",
            contracts.EXCHANGE,
            "3264e159346253e26a64e00b69032db0e7d32f94628de3e6eecb50304d7af3d2",
        ),
        (
            "2",
            contracts.NEG_RISK_EXCHANGE,
            "9b858f53327b0bd13af8ec14cfb35234fb9eb7b0504d1a4e61f433840d30e81a",
        ),
        (
            "3",
            contracts.EXCHANGE_V3,
            "466c63910185bbd55e8679264200c4e0abdcbb0c6264eb3d41d13326022e095b",
        ),
    ],
)
def test_domain_separators(version: str, contract: str, expected: str) -> None:
    """Each exchange has its own domain (clob.md 2.3)."""
    assert domain_separator(version, contract).hex() == expected


ORDER_VECTORS = [
    (
        eip712.order_domain("v1", neg_risk=False),
        int(UP_TOKEN),
        "6c408c1921abd9e0ade488e2e51289fa223905d22608a43cc370c56d91cada86",
        (
            "81c51d54d438fc173ddb42e2c80ffdac3d4a8a61394ce72ca00e13a098422a69"
            "44b2a4622854d0076186f21aa9cc9b0b9526a183e562cb661230d30164f48ec11c"
        ),
    ),
    (
        eip712.order_domain("v1", neg_risk=True),
        int(UP_TOKEN),
        "916e6a0f134a599e3fe097dff57172a41ace9181ee7ccdd6234c807bfac1777d",
        (
            "ac02138f6bb492a17c3380f2c58c3be0c06118edbd5f8714cb6a554e925d3b35"
            "0e183b9854d96934573150ba4a91476e31f543bcfd273f050b1deaffdec1fbca1c"
        ),
    ),
    (
        eip712.order_domain("v2", neg_risk=True),
        V3_POSITION,
        "f40a80fe650b5218a69d50bb24306a91a76a4bfd752246c75a47a782d063cef0",
        (
            "acf87e74eed9be06660522362da7ff17ccde7846b91baad1ff758311fd6ec11d"
            "2943af3035e394e4ffdf47bd157725abff57e56897f21ac0fdd2640af22ece621c"
        ),
    ),
]


@pytest.mark.conforms("clob-3.1-order-hash")
@pytest.mark.parametrize(("domain", "token", "digest", "signature"), ORDER_VECTORS)
def test_order_vectors(domain: bytes, token: int, digest: str, signature: str) -> None:
    """The reference's orders have the reference's ids, and their signer is found."""
    computed = order_digest(fields(token), domain)
    assert computed.hex() == digest
    assert recover(computed, bytes.fromhex(signature)) == EOA


@pytest.mark.conforms("clob-2.1-l1-vector", "clob-2.1-l1-typed-data")
def test_the_auth_vector() -> None:
    """The reference's L1 signature is the wallet's."""
    signature = bytes.fromhex(
        "bfcc380b2878890d5c98e80c0fd53a29419f64dc0edb8cbbf5a6eae7198442d1"
        "7443b135f3bd7750326e678600c9458679f6b9ce11b2c4f0c9ca97ea2191f3ec1b"
    )
    assert recover(eip712.auth_digest(EOA, "1795132800", 0), signature) == EOA


@pytest.mark.conforms("clob-3.1-order-hash")
@given(
    salt=st.integers(0, 2**53 - 1),
    token=st.integers(1, 2**256 - 1),
    amounts=st.tuples(st.integers(1, 10**15), st.integers(1, 10**15)),
    side=st.sampled_from([0, 1]),
    stamp=st.integers(1, 2**50),
)
@settings(max_examples=25, deadline=None)
def test_the_official_client_computes_the_same(
    salt: int, token: int, amounts: tuple[int, int], side: int, stamp: int
) -> None:
    """For any order our digest and signer equal those of py_clob_client_v2."""
    wallet = Wallet(0x33)
    builder = ExchangeOrderBuilderV2(contracts.EXCHANGE, 137, wallet.signer, lambda: str(salt))
    data = OrderDataV2(
        wallet.address, str(token), str(amounts[0]), str(amounts[1]), Side(side),
        timestamp=str(stamp),
    )  # fmt: skip
    signed = builder.build_signed_order(data)
    ours = order_digest(
        OrderFields(
            salt, wallet.address, wallet.address, token, *amounts, side, 0, stamp,
            bytes(32), bytes(32),
        ),
        eip712.order_domain("v1", neg_risk=False),
    )  # fmt: skip
    theirs = builder.build_order_hash(builder.build_order_typed_data(signed))
    assert "0x" + ours.hex() == theirs
    assert recover(ours, bytes.fromhex(signed.signature[2:])) == wallet.address


@given(st.binary(max_size=70), st.binary(min_size=32, max_size=32))
def test_recovery_never_raises(signature: bytes, digest: bytes) -> None:
    """Whatever the bytes, the answer is an address or nothing."""
    for candidate in (signature, signature.ljust(64, b"\1")[:64] + b"\x1b"):
        found = recover(digest, candidate)
        assert found is None or eip712.parse_address(found) == found


@pytest.mark.parametrize(
    "text", ["", "0x", "0x12", "19e7" * 10, "0x" + "zz" * 20, "0x" + "1_" * 20]
)
def test_what_is_no_address(text: str) -> None:
    """Only 0x and forty hex digits are an address."""
    assert eip712.parse_address(text) is None


def test_any_case_of_an_address_is_the_same_account() -> None:
    """Addresses become their checksum form, so that they compare as text."""
    assert eip712.parse_address(EOA.lower()) == EOA
    assert eip712.parse_address("0x" + EOA[2:].upper()) == EOA
