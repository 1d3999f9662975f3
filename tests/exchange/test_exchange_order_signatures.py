"""Signature types 0 to 3 and session keys, byte for byte against both official clients."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from clob_kit import SECRET, T0, UP_TOKEN, Wallet, make_market
from eth_account import Account
from polymarket._internal import wallet as sdk_wallet
from polymarket._internal.actions.orders import orders as sdk_orders, post as sdk_post
from polymarket._internal.actions.orders.typed_data import (
    build_order_signature,
    build_order_typed_data,
)
from polymarket._internal.actions.orders.types import OrderDraft
from py_clob_client_v2.order_utils.exchange_order_builder_v2 import ExchangeOrderBuilderV2
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderV2
from py_clob_client_v2.order_utils.model.side import Side
from py_clob_client_v2.order_utils.model.signature_type_v2 import SignatureTypeV2

from polybot.exchange import contracts, eip712, order_signatures
from polybot.exchange.auth import ApiKey
from polybot.exchange.eip712 import OrderFields
from polybot.exchange.model import BUY, Market, Order, Refused
from polybot.exchange.money import UNIT
from polybot.exchange.order_entry import OLD_WALLET, WRONG_SIGNER, OrderReader
from polybot.exchange.order_signatures import BAD_SIGNATURE, WRONG_VERSION, Domains, refusal
from polybot.exchange.restrictions import Restrictions
from polybot.exchange.session_signers import LONGEST_S, SessionSigners
from polybot.exchange.terms import Terms
from polybot.exchange.wallets import WalletKind, wallets_of

POSITION = "663574927012476832975694178961957910328055987427402067619466963999000625152"
NOW_S = T0 // 1000

# How each kind of market is signed for: (token, contract, domain version, the market's own fields).
NORMAL: tuple[Any, ...] = (UP_TOKEN, contracts.EXCHANGE, "2", {})
NEG_RISK = (UP_TOKEN, contracts.NEG_RISK_EXCHANGE, "2", {"neg_risk": True})
V3 = (POSITION, contracts.EXCHANGE_V3, "3", {"version": "v2"})
MARKETS = pytest.mark.parametrize(
    "kind_of_market", [NORMAL, NEG_RISK, V3], ids=["v1", "neg_risk", "v2"]
)
KINDS = pytest.mark.parametrize("kind", list(WalletKind))


def key_of(wallet: Wallet) -> ApiKey:
    return ApiKey(wallet.creds.api_key, SECRET, wallet.creds.api_passphrase, wallet.address)


def reader(
    token: str, *, sessions: SessionSigners | None = None, terms: Terms = Terms(), **market: Any
) -> OrderReader:
    by_token: dict[str, Market] = {token: make_market(tokens=(token, "1"), **market)}
    unrestricted = Restrictions(lambda: False)
    return OrderReader(by_token, sessions or SessionSigners(), unrestricted, terms)


def sdk_payload(
    wallet: Wallet, token: str, contract: str, *, maker: str = "", session: bool = False
) -> dict[str, Any]:
    """The POST body of polymarket-client, by the functions its `SecureClient` calls."""
    signer = Account.from_key(wallet.signer.private_key)
    draft = OrderDraft(
        chain_id=137,
        exchange_address=contract,  # type: ignore[arg-type]
        expiration=0,
        funder_address=maker or wallet.maker,  # type: ignore[arg-type]
        offered_amount=5_300_000,
        order_type="GTC",
        side="BUY",
        signer=wallet.address,  # type: ignore[arg-type]
        requested_amount=10 * UNIT,
        asset_id=token,  # type: ignore[arg-type]
    )
    kinds = ("EOA", "POLY_PROXY", "GNOSIS_SAFE", "DEPOSIT_WALLET")
    kind: Any = kinds[WalletKind.DEPOSIT if maker else wallet.kind]
    unsigned = sdk_orders.create_unsigned_order(
        draft,
        wallet=draft.funder_address,
        wallet_type=kind,
    )
    raw = signer.sign_typed_data(full_message=build_order_typed_data(unsigned)).signature.hex()
    signature = sdk_wallet.wrap_deposit_wallet_signature(
        signer=wallet.address,
        signer_type="SESSION_KEY" if session else "OWNER",
        signature=build_order_signature(unsigned, "0x" + raw),
    )
    signed = sdk_orders.create_signed_order(unsigned, signature)
    request = sdk_post.build_post_order_request(signed, owner_api_key=wallet.creds.api_key)
    return request[1]


@pytest.mark.conforms("clob-3.3-eoa", "clob-3.3-proxy", "clob-3.3-safe", "clob-3.3-deposit")
@MARKETS
@KINDS
def test_py_clob_client_v2s_orders_are_accepted(kind: WalletKind, kind_of_market: Any) -> None:
    """Every type under every exchange, signed by py_clob_client_v2 (clob.md 3.2, 3.3): the
    account is the maker's wallet, and the id is the one the client computes itself.
    """
    token, contract, version, market = kind_of_market
    wallet = Wallet(0x11, kind=kind, contract=contract, version=version)
    payload = wallet.order(BUY, token, 5_300_000, 10 * UNIT)

    order = reader(token, **market).read(payload, key_of(wallet), T0)

    assert isinstance(order, Order), order
    assert order.account == wallets_of(wallet.address).of(kind)[0]
    order_v2 = _client_order(payload["order"])
    builder = ExchangeOrderBuilderV2(contract, 137, wallet.signer, domain_version=version)
    assert order.id == builder.build_order_hash(builder.build_order_typed_data(order_v2))


def _client_order(fields: dict[str, Any]) -> OrderV2:
    return OrderV2(
        salt=str(fields["salt"]),
        maker=fields["maker"],
        signer=fields["signer"],
        tokenId=fields["tokenId"],
        makerAmount=fields["makerAmount"],
        takerAmount=fields["takerAmount"],
        side=Side.BUY,
        signatureType=SignatureTypeV2(fields["signatureType"]),
        timestamp=fields["timestamp"],
        metadata=fields["metadata"],
        builder=fields["builder"],
        expiration="0",
    )


@MARKETS
@KINDS
def test_polymarket_clients_orders_are_accepted(kind: WalletKind, kind_of_market: Any) -> None:
    """The same by the current SDK, which signs through typed data (clob.md 3.2, 3.3)."""
    token, contract, _, market = kind_of_market
    wallet = Wallet(0x11, kind=kind)

    order = reader(token, **market).read(sdk_payload(wallet, token, contract), key_of(wallet), T0)

    assert isinstance(order, Order), order
    assert order.account == wallet.maker


def test_the_older_deposit_wallets_trade_too() -> None:
    """A key has two deposit wallets, one of each derivation (onchain.md 5)."""
    wallet = Wallet(0x11, kind=WalletKind.DEPOSIT)
    wallet.maker = wallets_of(wallet.address).deposit_uups

    order = reader(UP_TOKEN).read(wallet.limit(BUY, UP_TOKEN, 50, 10), key_of(wallet), T0)

    assert isinstance(order, Order), order
    assert order.account == wallet.maker


def test_the_reference_vector_of_type_3() -> None:
    """clob.md 2.3: a deposit wallet's order has the hash of the plain struct, and 317 bytes."""
    wallet = "0x" + "22" * 20
    fields = OrderFields(
        479249096354, wallet, wallet, int(UP_TOKEN), 11_326_100, 21_370_000, 0, 3, T0,
        bytes(32), bytes(32),
    )  # fmt: skip
    domains = Domains.of("v1", neg_risk=False)
    expected = "48612ad07356bfc798e49a14a90e5b1cc80aafa374b93c48e3c71133a9dbdb64"
    assert eip712.order_digest(fields, domains.right).hex() == expected

    key = Wallet(0x11)
    builder = ExchangeOrderBuilderV2(contracts.EXCHANGE, 137, key.signer)
    typed = builder.build_order_typed_data(_client_order(_vector_fields(wallet)))
    signature = bytes.fromhex(builder.build_order_signature(typed)[2:])
    assert len(signature) == 317
    assert refusal(fields, signature, key.address, domains, session=False) is None
    assert refusal(fields, signature, Wallet(0x12).address, domains, session=False)


def test_the_nested_types_hash_is_the_wallets() -> None:
    """The keccak of the TypedDataSign type string is clob.md 2.3's."""
    expected = "6ba028565cb324c2aa02bb714b9816d0bddd557a2f33bb36cf13272a4256bd42"
    assert order_signatures._NESTED_TYPE_HASH.hex() == expected


def _vector_fields(wallet: str) -> dict[str, Any]:
    zero = "0x" + "00" * 32
    return {
        "salt": 479249096354, "maker": wallet, "signer": wallet, "tokenId": UP_TOKEN,
        "makerAmount": "11326100", "takerAmount": "21370000", "signatureType": 3,
        "timestamp": str(T0), "metadata": zero, "builder": zero,
    }  # fmt: skip


@KINDS
def test_another_versions_domain_is_told_apart(kind: WalletKind) -> None:
    """A well-signed order of the other exchange version says so, of every type (clob.md 3.6)."""
    third = Wallet(0x11, kind=kind, contract=contracts.EXCHANGE_V3, version="3")
    other = Wallet(0x11, kind=kind, contract=contracts.NEG_RISK_EXCHANGE)
    for wallet, expected in ((third, WRONG_VERSION), (other, BAD_SIGNATURE)):
        answer = reader(UP_TOKEN).read(wallet.limit(BUY, UP_TOKEN, 50, 10), key_of(wallet), T0)
        assert answer == Refused(expected)


@pytest.mark.conforms("clob-3.3-deposit-tampered")
@pytest.mark.parametrize("at", [0, 40, 64, 65, 96, 97, 128, 129, 200, 314, 315, 316])
def test_every_part_of_the_trailer_is_checked(at: int) -> None:
    """Signature, domain, contents, type string and its length (clob.md 3.3, step 4)."""
    wallet = Wallet(0x11, kind=WalletKind.DEPOSIT)
    payload = wallet.limit(BUY, UP_TOKEN, 50, 10)
    raw = bytearray(bytes.fromhex(payload["order"]["signature"][2:]))
    raw[at] ^= 1
    payload["order"]["signature"] = "0x" + raw.hex()
    assert reader(UP_TOKEN).read(payload, key_of(wallet), T0) == Refused(BAD_SIGNATURE)


@pytest.mark.parametrize("cut", [slice(65), slice(316), slice(1, None), slice(0)])
def test_a_shortened_wrapping_is_refused(cut: slice) -> None:
    """A plain 65-byte signature does not speak for a deposit wallet (clob.md 3.3)."""
    wallet = Wallet(0x11, kind=WalletKind.DEPOSIT)
    payload = wallet.limit(BUY, UP_TOKEN, 50, 10)
    raw = bytes.fromhex(payload["order"]["signature"][2:])[cut]
    payload["order"]["signature"] = "0x" + raw.hex()
    answer = reader(UP_TOKEN).read(payload, key_of(wallet), T0)
    assert isinstance(answer, Refused)
    assert answer.error in {BAD_SIGNATURE, "Invalid order payload"}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (WalletKind.EOA, BAD_SIGNATURE),
        (WalletKind.PROXY, BAD_SIGNATURE),
        (WalletKind.SAFE, BAD_SIGNATURE),
        (WalletKind.DEPOSIT, WRONG_SIGNER),
    ],
)
def test_nobody_trades_from_anothers_wallet(kind: WalletKind, error: str) -> None:
    """The maker must be the key's own wallet of that type, whoever signs (clob.md 10, 7)."""
    wallet = Wallet(0x11, kind=kind)
    wallet.maker = wallets_of(Wallet(0x22).address).of(kind)[0]
    answer = reader(UP_TOKEN).read(wallet.limit(BUY, UP_TOKEN, 50, 10), key_of(wallet), T0)
    assert answer == Refused(error)


@pytest.mark.parametrize("kind", [WalletKind.PROXY, WalletKind.SAFE, WalletKind.DEPOSIT])
def test_a_wallet_of_another_type_is_refused(kind: WalletKind) -> None:
    """A wallet is known by its signature type: the key's Safe is not its proxy (clob.md 3.3)."""
    wallet = Wallet(0x11, kind=kind)
    wrong = WalletKind.SAFE if kind is WalletKind.PROXY else WalletKind.PROXY
    wallet.maker = wallets_of(wallet.address).of(wrong)[0]
    answer = reader(UP_TOKEN).read(wallet.limit(BUY, UP_TOKEN, 50, 10), key_of(wallet), T0)
    assert isinstance(answer, Refused)


@pytest.mark.conforms("clob-3.3-old-types-refused")
@KINDS
def test_old_wallet_kinds_can_be_turned_away(kind: WalletKind) -> None:
    """The term for what new accounts meet since May 2026 (clob.md 3.3); off by default."""
    wallet = Wallet(0x11, kind=kind)
    strict = reader(UP_TOKEN, terms=Terms(deposit_wallets_only=True))
    answer = strict.read(wallet.limit(BUY, UP_TOKEN, 50, 10), key_of(wallet), T0)
    if kind is WalletKind.DEPOSIT:
        assert isinstance(answer, Order)
    else:
        assert answer == Refused(OLD_WALLET)


# --- session keys ------------------------------------------------------------------------


OWNER, SESSION = Wallet(0x11, kind=WalletKind.DEPOSIT), Wallet(0x22)


def session_order(sessions: SessionSigners, at_ms: int = T0, **changes: Any) -> Order | Refused:
    payload = sdk_payload(SESSION, UP_TOKEN, contracts.EXCHANGE, maker=OWNER.maker, session=True)
    payload["order"] |= changes
    return reader(UP_TOKEN, sessions=sessions).read(payload, key_of(SESSION), at_ms)


def authorised(until_s: int = NOW_S + 3600) -> SessionSigners:
    sessions = SessionSigners()
    assert sessions.authorise(OWNER.maker, SESSION.address, until_s, NOW_S)
    return sessions


@pytest.mark.conforms("clob-3.3-session-key")
def test_a_session_key_signs_for_the_wallet_that_authorised_it() -> None:
    """The SDK's 0x6492… wrapping is accepted; the order is the session's own API key's, the
    account the owner's wallet (clob.md 3.3).
    """
    order = session_order(authorised())
    assert isinstance(order, Order), order
    assert (order.owner, order.account) == (SESSION.creds.api_key, OWNER.maker)


def test_a_session_key_needs_an_authorisation_that_holds() -> None:
    """Never given, revoked or expired: the key is not the wallet's signer (clob.md 3.3)."""
    revoked = authorised()
    revoked.revoke(OWNER.maker, SESSION.address)
    assert session_order(SessionSigners()) == Refused(WRONG_SIGNER)
    assert session_order(revoked) == Refused(WRONG_SIGNER)
    assert isinstance(session_order(authorised(), T0 + 3_599_999), Order)
    assert session_order(authorised(), T0 + 3_600_000) == Refused(WRONG_SIGNER)


@pytest.mark.parametrize("at", [0, 12, 31, 40, 95, 127, 128, 200, 444, 447, 448, 479])
def test_every_part_of_the_session_wrapping_is_checked(at: int) -> None:
    """Key, zero word, offset, length, inner signature, padding and mark (clob.md 3.3)."""
    payload = sdk_payload(SESSION, UP_TOKEN, contracts.EXCHANGE, maker=OWNER.maker, session=True)
    raw = bytearray(bytes.fromhex(payload["order"]["signature"][2:]))
    assert len(raw) == 128 + 320 + 32
    raw[at] ^= 1
    assert session_order(authorised(), signature="0x" + raw.hex()) == Refused(BAD_SIGNATURE)


def test_a_session_key_cannot_sign_as_the_owner() -> None:
    """Without the wrapping its signature is nobody's, authorised or not (clob.md 3.3)."""
    payload = sdk_payload(SESSION, UP_TOKEN, contracts.EXCHANGE, maker=OWNER.maker)
    answer = reader(UP_TOKEN, sessions=authorised()).read(payload, key_of(SESSION), T0)
    assert answer == Refused(BAD_SIGNATURE)


def test_an_authorisation_has_a_longest_life() -> None:
    """At most about 180 days, and never in the past (onchain.md 5)."""
    sessions = SessionSigners()
    assert not sessions.authorise("0xW", "0xS", NOW_S, NOW_S)
    assert not sessions.authorise("0xW", "0xS", NOW_S + LONGEST_S + 1, NOW_S)
    assert sessions.authorise("0xW", "0xS", NOW_S + LONGEST_S, NOW_S)
    assert sessions.wallets_of("0xS", NOW_S) == ("0xW",)
    sessions.revoke("0xW", "0xS")
    sessions.revoke("0xNobody", "0xS")
    assert sessions.wallets_of("0xS", NOW_S) == ()


def test_domains_are_data() -> None:
    """A market's right domain is never among the foreign ones (clob.md 3.2)."""
    for version in ("v1", "v2"):
        for neg_risk in (False, True):
            domains = Domains.of(version, neg_risk=neg_risk)
            assert domains.right not in domains.foreign
            assert attrs.astuple(domains) == (domains.right, domains.foreign)
