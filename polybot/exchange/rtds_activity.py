"""RTDS's public trades: topic `activity`, types `trades` and `orders_matched` (feeds.md 6).

Rows name the wallet, which no other stream does, and come about 1.9 s after the match.
"""

from __future__ import annotations

import hashlib
from collections import deque

import orjson

from polybot.exchange.model import Event, Trade, Traded
from polybot.exchange.money import ONE, UNIT

TOPIC = "activity"
TYPES = ("trades", "orders_matched")
DELAY_MS = 1_900
_MOODS = ("Quiet", "Brisk", "Pale", "Stern", "Lucky", "Blunt", "Amber", "Distant")
_BEASTS = ("Otter", "Heron", "Badger", "Lynx", "Magpie", "Walrus", "Gecko", "Bison")


class Activity:
    """Trades on their way to the public."""

    def __init__(self) -> None:
        self._matched: deque[Trade] = deque()

    def on_event(self, event: Event) -> None:
        """The engine's listener."""
        if isinstance(event, Traded):
            self._matched.append(event.trade)

    def due(self, now_ms: int) -> list[Trade]:
        """The trades that the public hears of by now, each once."""
        told = []
        while self._matched and self._matched[0].matched_ms + DELAY_MS <= now_ms:
            told.append(self._matched.popleft())
        return told


def row(trade: Trade) -> dict[str, object]:
    """The taker's trade; price and size are numbers here, the stamp whole seconds."""
    taker, market = trade.taker, trade.market
    outcome = market.outcome_of(taker.token)
    return {
        "asset": taker.token,
        "conditionId": market.condition_id,
        "eventSlug": market.slug,
        "name": "",
        "outcome": market.outcomes[outcome],
        "outcomeIndex": outcome,
        "price": trade.price / ONE,
        "proxyWallet": taker.account,
        "pseudonym": pseudonym(taker.account),
        "side": taker.side,
        "size": trade.shares / UNIT,
        "slug": market.slug,
        "timestamp": trade.matched_ms // 1000,
        "title": market.question,
        "transactionHash": trade.tx_hash,
    }


def pseudonym(account: str) -> str:
    """The two words the venue gives a wallet without a name."""
    digest = hashlib.sha256(account.encode()).digest()
    return f"{_MOODS[digest[0] % len(_MOODS)]}-{_BEASTS[digest[1] % len(_BEASTS)]}"


def wanted_slug(filters: str) -> str | None:
    """The event of `{"event_slug":"…"}`; "" without a filter, None for any other text."""
    try:
        value = orjson.loads(filters or "{}")
    except orjson.JSONDecodeError:
        return None
    slug = value.get("event_slug", "") if isinstance(value, dict) else None
    return slug if isinstance(slug, str) else None
