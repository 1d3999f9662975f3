"""The most that a wallet may have been worth, over all and since the day began: how far below it a
halt for a loss must find it (G25).

What it is worth for sure counts open shares for nothing, and what it may be worth at a dollar. A
day's loss is none of the day before: who counts that one as well halts where nothing was lost.
"""

from __future__ import annotations

import attrs

from polybot.exchange.server import Exchange
from polybot.lab.simulation_losses import DAY_MS, TURNS_MS


@attrs.define(eq=False)
class Worth:
    """10⁻⁶ dollars. By the bot's clock a day turns within `TURNS_MS` of when it does."""

    exchange: Exchange
    address: str
    most: int = 0
    _today: int = 0
    _day: int = -1

    def look(self) -> None:
        """To be called a few times a second."""
        engine = self.exchange.engine
        alone: dict[str, int] = {}
        for token, shares in engine.accounts.wallet(self.address).shares.items():
            market = engine.by_token[token]
            if market.payouts is None:
                change = shares if token == market.tokens[0] else -shares
                alone[market.condition_id] = alone.get(market.condition_id, 0) + change
        most = engine.equity(self.address) + sum(map(abs, alone.values()))
        self.most = max(self.most, most)
        day = (self.exchange.clock.now_ms() + TURNS_MS) // DAY_MS
        self._today = most if day != self._day else max(self._today, most)
        self._day = day

    def took(self, amount: int) -> None:
        """So much was taken out: no loss."""
        self.most -= amount
        self._today -= amount

    def lost(self, percent: int, *, daily: bool) -> bool:
        """Whether as much as a limit allows may be gone."""
        now_ms = self.exchange.clock.now_ms()
        turned = now_ms // DAY_MS == (now_ms - TURNS_MS) // DAY_MS
        most = self._today if daily and turned else self.most
        sure = self.exchange.engine.equity(self.address)
        return percent < 100 and sure * 100 <= most * (100 - percent)
