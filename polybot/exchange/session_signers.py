"""Which session keys may sign orders for which deposit wallet, and until when (clob.md 3.3).

The wallet's calls `authorizeSessionSigner(address,uint256)` and `revokeSessionSigner(address)` end
here (onchain.md 5). Addresses are in checksum form, times Unix seconds.
"""

from __future__ import annotations

LONGEST_S = 180 * 86_400  # "at most about 180 days" (onchain.md 5, beta)


class SessionSigners:
    """The authorisations of all deposit wallets."""

    def __init__(self) -> None:
        self._until_s: dict[str, dict[str, int]] = {}  # wallet → session key → expiry

    def authorise(self, wallet: str, signer: str, until_s: int, now_s: int) -> bool:
        """Let `signer` act for `wallet`; a second call moves the expiry. False: refused."""
        if not now_s < until_s <= now_s + LONGEST_S:
            return False
        self._until_s.setdefault(wallet, {})[signer] = until_s
        return True

    def revoke(self, wallet: str, signer: str) -> None:
        """Take it back; what the key has resting stays, it just cannot sign anything new."""
        self._until_s.get(wallet, {}).pop(signer, None)

    def allowed(self, wallet: str, signer: str, now_s: int) -> bool:
        return now_s < self._until_s.get(wallet, {}).get(signer, 0)

    def wallets_of(self, signer: str, now_s: int) -> tuple[str, ...]:
        """The wallets for which this key may sign now, in the order they first named any key."""
        return tuple(wallet for wallet in self._until_s if self.allowed(wallet, signer, now_s))
