"""The headers that prove who asks: L1 by the wallet, L2 by the API key (clob.md 2.1, 2.2)."""

from __future__ import annotations

import base64
import hmac

from polybot.venue.secret import Credentials, hmac_key
from polybot.venue.signing import Wallet, keccak
from polybot.venue.site import CHAIN

_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId)")
_AUTH_TYPE = keccak(b"ClobAuth(address address,string timestamp,uint256 nonce,string message)")
_MESSAGE = keccak(b"This message attests that I control the given wallet")


def l2_headers(
    credentials: Credentials, method: str, path: str, body: bytes, timestamp_s: int
) -> dict[str, str]:
    """The five headers of a private call.

    `path` is without host and query; `body` the exact bytes that will be sent, empty for none.
    Raises ValueError if the secret is not base64.
    """
    message = f"{timestamp_s}{method}{path}".encode() + body
    digest = hmac.digest(hmac_key(credentials.secret), message, "sha256")
    return {
        "POLY_ADDRESS": credentials.address,
        "POLY_API_KEY": credentials.api_key,
        "POLY_PASSPHRASE": credentials.passphrase.reveal(),
        "POLY_SIGNATURE": base64.urlsafe_b64encode(digest).decode(),
        "POLY_TIMESTAMP": str(timestamp_s),
    }


def l1_headers(
    wallet: Wallet, timestamp_s: int, *, nonce: int = 0, chain_id: int = CHAIN
) -> dict[str, str]:
    """The headers that create or derive an API key."""
    domain = keccak(
        _DOMAIN_TYPE + keccak(b"ClobAuthDomain") + keccak(b"1") + chain_id.to_bytes(32, "big")
    )
    struct = keccak(
        _AUTH_TYPE
        + wallet.word
        + keccak(str(timestamp_s).encode())
        + nonce.to_bytes(32, "big")
        + _MESSAGE
    )
    signature = wallet.sign_digest(keccak(b"\x19\x01" + domain + struct))
    return {
        "POLY_ADDRESS": wallet.address,
        "POLY_SIGNATURE": "0x" + signature.hex(),
        "POLY_TIMESTAMP": str(timestamp_s),
        "POLY_NONCE": str(nonce),
    }
