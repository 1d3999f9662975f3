"""The bodies of `POST /submit`, read strictly and believed only with a good signature.

onchain.md 7.3: a deposit wallet's batch, a Safe's transaction, a proxy's call, the creation of a
deposit wallet. Session keys' calls are batches too, with a body of their own (7.2, SDK
`session_keys.py`).
"""

from __future__ import annotations

import attrs

from polybot.exchange import contracts, eip712, relayer_signatures as signatures
from polybot.exchange.abi import BadCalldata, address_word, selector, word
from polybot.exchange.chain_calls import MULTI_SEND, sent_by_safe
from polybot.exchange.chain_contract import Call
from polybot.exchange.chain_logs import ZERO, address_of
from polybot.exchange.wallets import wallets_of

METADATA_MOST = 500
RELAY = address_of("relay of the exchange")  # who sends the transactions
BAD_SIGNATURE = "invalid signature"


class Rejected(Exception):
    """The body is refused; the text is the 400's."""


@attrs.frozen
class Work:
    """What a wallet is to do. `nonce` and `deadline_s` None where there is none to check."""

    kind: str  # WALLET | WALLET-CREATE | SAFE | PROXY
    owner: str  # the address the body is from
    wallet: str  # whose lock and nonce it takes
    sender: str  # who makes the calls on chain
    calls: tuple[Call, ...]
    target: str
    signer: str  # who has signed it
    nonce: int | None = None
    deadline_s: int | None = None
    metadata: str = ""


def read(body: object) -> Work:
    """Raises Rejected."""
    fields = _object(body)
    readers = {
        "WALLET": _batch,
        "WALLET-CREATE": _creation,
        "SAFE": _safe,
        "PROXY": _proxy,
    }
    reader = readers.get(str(fields.get("type")))
    if reader is None:
        raise Rejected(f"invalid transaction type: {fields.get('type')}")
    metadata = fields.get("metadata", "")
    if not isinstance(metadata, str) or len(metadata) > METADATA_MOST:
        raise Rejected(f"metadata must be at most {METADATA_MOST} characters")
    return attrs.evolve(reader(fields), metadata=metadata)


def _batch(fields: dict[str, object]) -> Work:
    params = _object(fields.get("depositWalletParams"))
    calls = params.get("calls")
    if not isinstance(calls, list) or not calls:
        raise Rejected("depositWalletParams.calls must not be empty")
    _to_factory(fields)
    return batch(
        owner=_address(fields, "from"),
        wallet=_address(params, "depositWallet"),
        nonce=_number(fields, "nonce"),
        deadline_s=_number(params, "deadline"),
        calls=tuple(map(_call, calls)),
        signature=_data(fields, "signature"),
    )


def batch(
    *,
    owner: str | None,
    wallet: str,
    nonce: int,
    deadline_s: int,
    calls: tuple[Call, ...],
    signature: bytes,
) -> Work:
    """A deposit wallet's batch; without an owner given, whoever has signed is the owner."""
    digest = signatures.batch_digest(wallet, nonce, deadline_s, calls)
    signer = signatures.signer_of_batch(digest, signature)
    if signer is None or owner not in (None, signer):
        raise Rejected(BAD_SIGNATURE)
    return Work(
        "WALLET", signer, wallet, wallet, calls, contracts.DEPOSIT_FACTORY, signer,
        nonce, deadline_s,
    )  # fmt: skip


def _call(entry: object) -> Call:
    fields = _object(entry)
    return Call(_address(fields, "target"), _data(fields, "data"), _number(fields, "value"))


def _creation(fields: dict[str, object]) -> Work:
    """Anybody may have a wallet made for anybody: the address is a function of the owner."""
    owner = _address(fields, "from")
    wallet = wallets_of(owner).deposit
    _to_factory(fields)
    return Work("WALLET-CREATE", owner, wallet, wallet, (), contracts.DEPOSIT_FACTORY, owner)


def _to_factory(fields: dict[str, object]) -> None:
    if _address(fields, "to") != contracts.DEPOSIT_FACTORY:
        raise Rejected("to must be the deposit wallet factory")


def _safe(fields: dict[str, object]) -> Work:
    owner, nonce = _address(fields, "from"), _number(fields, "nonce")
    params = _object(fields.get("signatureParams"))
    operation = _number(params, "operation")
    _for_nothing(params, ("baseGas", "gasPrice", "safeTxnGas"), ("gasToken", "refundReceiver"))
    value = _number(fields, "value") if "value" in fields else 0
    call = Call(_address(fields, "to"), _data(fields, "data"), value)
    safe = wallets_of(owner).safe
    if _address(fields, "proxyWallet") != safe:
        raise Rejected("proxyWallet is not the signer's Safe")
    digest = signatures.safe_digest(safe, call, operation, nonce)
    if signatures.signer_of_safe(digest, _data(fields, "signature")) != owner:
        raise Rejected(BAD_SIGNATURE)
    calls = _of_operation(operation, call)
    return Work("SAFE", owner, safe, safe, calls, safe, owner, nonce)


def _for_nothing(
    params: dict[str, object], amounts: tuple[str, ...], addresses: tuple[str, ...]
) -> None:
    """Nobody pays the relayer: what was signed has noughts there, another figure was not signed."""
    for name in amounts:
        if _number(params, name):
            raise Rejected(f"signatureParams.{name} must be 0")
    for name in addresses:
        if _address(params, name) != ZERO:
            raise Rejected(f"signatureParams.{name} must be the zero address")


def _of_operation(operation: int, call: Call) -> tuple[Call, ...]:
    """A plain call, or a delegated one to multisend, which is the only one relayed."""
    if operation == 0:
        return (call,)
    multi = call.target == contracts.SAFE_MULTISEND and call.data[:4] == MULTI_SEND
    if operation != 1 or not multi:
        raise Rejected("only multisend may be delegated to")
    try:
        return tuple(sent_by_safe(call.data))
    except BadCalldata as error:
        raise Rejected(f"invalid multisend: {error}") from None


def _proxy(fields: dict[str, object]) -> Work:
    owner, nonce = _address(fields, "from"), _number(fields, "nonce")
    params = _object(fields.get("signatureParams"))
    data, proxy = _data(fields, "data"), wallets_of(owner).proxy
    if _address(fields, "to") != contracts.PROXY_FACTORY:
        raise Rejected("to must be the proxy factory")
    if _address(fields, "proxyWallet") != proxy:
        raise Rejected("proxyWallet is not the signer's proxy")
    _for_nothing(params, ("gasPrice", "relayerFee"), ())
    relay = _address(params, "relay")
    digest = signatures.proxy_digest(owner, data, _number(params, "gasLimit"), nonce, relay)
    if signatures.signer_of_message(digest, _data(fields, "signature")) != owner:
        raise Rejected(BAD_SIGNATURE)
    if relay != RELAY or _address(params, "relayHub") != contracts.RELAY_HUB:
        raise Rejected("unknown relay or relay hub")
    calls = (Call(contracts.PROXY_FACTORY, data),)
    return Work("PROXY", owner, proxy, owner, calls, contracts.PROXY_FACTORY, owner, nonce)


# --- session keys --------------------------------------------------------------------------


@attrs.frozen
class SessionWork:
    """An authorisation or a revocation: the batch that does it, and what the registry keeps."""

    work: Work
    session: str
    scopes: tuple[str, ...] = ()
    until_s: int = 0


def read_authorisation(body: object) -> SessionWork:
    """`POST /v1/session-signers/authorizations`. Raises Rejected."""
    fields = _object(body)
    session, until_s = _address(fields, "sessionSignerAddress"), _number(fields, "validUntil")
    scopes = fields.get("scopes")
    if not isinstance(scopes, list) or not scopes or not all(map(_is_text, scopes)):
        raise Rejected("scopes must be a non-empty array of strings")
    data = selector("authorizeSessionSigner(address,uint256)") + address_word(session)
    work = _session_batch(fields, data + word(until_s))
    return SessionWork(work, session, tuple(map(str, scopes)), until_s)


def read_revocation(body: object) -> SessionWork:
    """`POST /v1/session-signers/revocations`. Raises Rejected."""
    fields = _object(body)
    session = _address(fields, "sessionSignerAddress")
    data = selector("revokeSessionSigner(address)") + address_word(session)
    return SessionWork(_session_batch(fields, data), session)


def _session_batch(fields: dict[str, object], data: bytes) -> Work:
    wallet = _address(fields, "walletAddress")
    return batch(
        owner=None,
        wallet=wallet,
        nonce=_number(fields, "nonce"),
        deadline_s=_number(fields, "deadline"),
        calls=(Call(wallet, data),),
        signature=_data(fields, "signature"),
    )


# --- fields --------------------------------------------------------------------------------


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Rejected("invalid request body")
    return value


def _address(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    address = eip712.parse_address(value) if isinstance(value, str) else None
    if address is None:
        raise Rejected(f"invalid {name}")
    return address


def _number(fields: dict[str, object], name: str) -> int:
    value = fields.get(name)
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 77):
        raise Rejected(f"invalid {name}")
    return int(value)


def _data(fields: dict[str, object], name: str) -> bytes:
    value = fields.get(name)
    if value == "0x":
        return b""
    data = eip712.parse_hex(value) if isinstance(value, str) else None
    if data is None:
        raise Rejected(f"invalid {name}")
    return data
