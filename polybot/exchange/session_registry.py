"""The relayer's register of session keys: their scopes, and the calls about them.

SDK `session_keys.py`; the chain's own list, by which orders are judged, is `SessionSigners`. What a
scope allows is UNSURE (onchain.md 5): here only ALL lets a session key send transactions.
"""

from __future__ import annotations

import attrs

from polybot.exchange.relayer_bodies import SessionWork
from polybot.exchange.session_signers import SessionSigners

ALL = "ALL"


@attrs.frozen
class _Entry:
    scopes: tuple[str, ...]
    until_s: int


class SessionRegistry:
    """What the relayer was told about session keys, by wallet."""

    def __init__(self, signers: SessionSigners) -> None:
        self._signers = signers
        self._entries: dict[str, dict[str, _Entry]] = {}  # wallet → session key

    def authorised(self, asked: SessionWork) -> None:
        """Note the scopes; the key is listed once the chain has authorised it."""
        entry = _Entry(asked.scopes, asked.until_s)
        self._entries.setdefault(asked.work.wallet, {})[asked.session] = entry

    def fenced(self, asked: SessionWork) -> None:
        """A revocation takes effect at once, before the chain has it."""
        self._entries.get(asked.work.wallet, {}).pop(asked.session, None)
        self._signers.revoke(asked.work.wallet, asked.session)

    def may_transact(self, wallet: str, session: str, now_s: int) -> bool:
        entry = self._entries.get(wallet, {}).get(session)
        scopes = entry.scopes if entry is not None else (ALL,)  # authorised by a plain batch
        return ALL in scopes and self._signers.allowed(wallet, session, now_s)

    def rows(self, wallet: str, now_s: int) -> list[dict[str, object]]:
        """The wallet's active keys, as `GET /v1/user/session-signers` lists them."""
        return [
            {"address": session, "scopes": list(entry.scopes), "valid_until": entry.until_s}
            for session, entry in self._entries.get(wallet, {}).items()
            if self._signers.allowed(wallet, session, now_s)
        ]
