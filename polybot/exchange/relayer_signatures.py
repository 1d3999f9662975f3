"""What a wallet's owner signs for the relayer, and who it was (onchain.md 5, 7.3)."""

from __future__ import annotations

from collections.abc import Sequence

from polybot.exchange import contracts
from polybot.exchange.abi import Args, BadCalldata, address_word, word
from polybot.exchange.chain_contract import Call
from polybot.exchange.contracts import CHAIN_ID
from polybot.exchange.eip712 import checksum, keccak, recover

_CALL_TYPE = b"Call(address target,uint256 value,bytes data)"
_BATCH_TYPE = b"Batch(address wallet,uint256 nonce,uint256 deadline,Call[] calls)" + _CALL_TYPE
_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_SAFE_DOMAIN_TYPE = b"EIP712Domain(uint256 chainId,address verifyingContract)"
_SAFE_TYPE = (
    b"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,"
    b"uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
)
SESSION_MARK = bytes.fromhex("6492" * 16)


def batch_digest(wallet: str, nonce: int, deadline: int, calls: Sequence[Call]) -> bytes:
    """The EIP-712 digest of a deposit wallet's batch."""
    domain = keccak(
        keccak(_DOMAIN_TYPE)
        + keccak(b"DepositWallet")
        + keccak(b"1")
        + word(CHAIN_ID)
        + address_word(wallet)
    )
    hashes = b"".join(
        keccak(
            keccak(_CALL_TYPE) + address_word(call.target) + word(call.value) + keccak(call.data)
        )
        for call in calls
    )
    batch = keccak(
        keccak(_BATCH_TYPE) + address_word(wallet) + word(nonce) + word(deadline) + keccak(hashes)
    )
    return keccak(b"\x19\x01" + domain + batch)


def safe_digest(safe: str, call: Call, operation: int, nonce: int) -> bytes:
    """The hash of a Safe transaction without refunds: gas figures and tokens are zero."""
    domain = keccak(keccak(_SAFE_DOMAIN_TYPE) + word(CHAIN_ID) + address_word(safe))
    fields = address_word(call.target) + word(call.value) + keccak(call.data) + word(operation)
    tx = keccak(keccak(_SAFE_TYPE) + fields + bytes(5 * 32) + word(nonce))
    return keccak(b"\x19\x01" + domain + tx)


def proxy_digest(sender: str, data: bytes, gas_limit: int, nonce: int, relay: str) -> bytes:
    """The relay hub's hash of a call to the proxy factory, with no fee and no gas price."""
    return keccak(
        b"rlx:"
        + bytes.fromhex(sender[2:])
        + bytes.fromhex(contracts.PROXY_FACTORY[2:])
        + data
        + word(0)
        + word(0)
        + word(gas_limit)
        + word(nonce)
        + bytes.fromhex(contracts.RELAY_HUB[2:])
        + bytes.fromhex(relay[2:])
    )


def signer_of_message(digest: bytes, signature: bytes) -> str | None:
    """Who signed a digest the `eth_sign` way."""
    return recover(keccak(b"\x19Ethereum Signed Message:\n32" + digest), signature)


def signer_of_safe(digest: bytes, signature: bytes) -> str | None:
    """A Safe's marks: v + 4 says that it was signed the `eth_sign` way."""
    if len(signature) == 65 and signature[64] in (31, 32):
        return signer_of_message(digest, signature[:64] + bytes([signature[64] - 4]))
    return recover(digest, signature)


def signer_of_batch(digest: bytes, signature: bytes) -> str | None:
    """The owner who signed, or the session key that did and says so (onchain.md 5)."""
    if not signature.endswith(SESSION_MARK):
        return recover(digest, signature)
    args = Args(signature[: -len(SESSION_MARK)])
    try:
        named, inner = args.fixed(0, 32), args.blob(2)
    except BadCalldata:
        return None
    signer = recover(digest, inner)
    return signer if signer == checksum(named[12:]) else None
