"""Traded volume by wallet and day, and the rate-limit tier it earns (clob.md 7.2)."""

from __future__ import annotations

from collections import defaultdict

from polybot.exchange.model import Event, Traded
from polybot.exchange.money import ONE, UNIT
from polybot.exchange.signer_limits import TIERS, Tier, tier_of_volume
from polybot.exchange.wallets import wallets_of

DAY_MS = 86_400_000
DAYS = 30
REFRESH_MS = 3 * 3_600_000  # tiers are assigned anew every three hours


class Volumes:
    """Append `on_event` to the engine's listeners.

    `fixed` names a tier everybody has, whatever he trades; "volume" lets volume decide, "standard"
    until the first refresh.
    """

    def __init__(self, fixed: str = "volume") -> None:
        self._fixed = fixed
        self._by_day: dict[str, defaultdict[int, int]] = {}  # wallet → UTC day → 10⁻⁶ pUSD
        self._given: dict[str, Tier] = {}  # by signer, by hand
        self._assigned: dict[str, tuple[int, Tier]] = {}  # by signer: (refresh, tier)

    def on_event(self, event: Event) -> None:
        if not isinstance(event, Traded):
            return
        trade, day = event.trade, event.at_ms // DAY_MS
        self._add(trade.taker.account, day, trade.price * trade.shares // ONE)
        for fill in trade.makers:
            self._add(fill.order.account, day, fill.price * fill.shares // ONE)

    def _add(self, wallet: str, day: int, amount: int) -> None:
        days = self._by_day.setdefault(wallet, defaultdict(int))
        days[day] += amount
        if len(days) > DAYS:
            del days[min(days)]

    def volume(self, signer: str, now_ms: int) -> int:
        """What all wallets of one key traded in thirty days, 10⁻⁶ pUSD."""
        first = now_ms // DAY_MS - DAYS + 1
        return sum(
            amount
            for wallet in wallets_of(signer).all()
            for day, amount in self._by_day.get(wallet, {}).items()
            if day >= first
        )

    def give(self, signer: str, tier: Tier) -> None:
        """Assign a tier by hand; it stays."""
        self._given[signer] = tier

    def tier(self, signer: str, now_ms: int) -> Tier:
        if signer in self._given:
            return self._given[signer]
        if self._fixed != "volume":
            return TIERS[self._fixed]
        refresh = now_ms // REFRESH_MS
        assigned = self._assigned.get(signer)
        if assigned is None:
            # New to the venue: standard, until the refresh that follows.
            assigned = self._assigned[signer] = (refresh, TIERS["standard"])
        if assigned[0] != refresh:
            tier = tier_of_volume(self.volume(signer, refresh * REFRESH_MS) // UNIT)
            assigned = self._assigned[signer] = (refresh, tier)
        return assigned[1]
