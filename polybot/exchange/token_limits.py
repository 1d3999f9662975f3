"""A limit on orders per token and second, which a batch meets entry by entry (clob.md 3.6).

The venue documents the text and no figure, so that it is off unless the terms set one.
"""

from __future__ import annotations

from polybot.exchange.signer_limits import TOKEN

MAX_KNOWN = 4096  # buckets kept; a full one forgotten is a full one found


class TokenLimits:
    """One bucket for each signer and token, as large as a second's worth."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s  # 0: no limit
        self._levels: dict[tuple[str, str], tuple[int, int]] = {}  # (thousandths, as of)

    def refusal(self, signer: str, token: str, now_ms: int) -> str | None:
        """The text for an order that comes too soon; counts one that does not."""
        if not self._per_s:
            return None
        level = self._level(signer, token, now_ms)
        if level < TOKEN:
            return f"Rate limit exceeded for tokenId: {token}"
        self._levels.pop((signer, token), None)
        self._levels[signer, token] = (level - TOKEN, now_ms)
        if len(self._levels) > MAX_KNOWN:
            del self._levels[next(iter(self._levels))]  # the one used longest ago
        return None

    def _level(self, signer: str, token: str, now_ms: int) -> int:
        full = self._per_s * TOKEN
        level, at_ms = self._levels.get((signer, token), (full, now_ms))
        return min(full, level + self._per_s * (now_ms - at_ms))
