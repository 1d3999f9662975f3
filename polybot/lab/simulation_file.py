"""Whether a bot trades what its operator has written, and asks for windows by name (S7, S11).

A start may find another file than the one before. What is left of that – a limit, a series that is
gone – no other rule sees where it asks the bot itself what its limits are.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from polybot.app import Bot
from polybot.config import Config
from polybot.exchange.calendar import of_slug
from polybot.exchange.model import Order

ASKED = re.compile(rb"GET /markets/slug/([^ ?\n]+)")


@attrs.define(eq=False)
class File:
    """`config` is what the living bot should have read; `once` tells of a breach by rule, key and
    text.
    """

    config: Callable[[], Config]
    once: Callable[[str, str, str], None]
    _read: Bot | None = None  # who has been looked at

    def look(self, bot: Bot) -> None:
        """S7: limits are those of the file."""
        if bot is not self._read:
            self._read = bot
            for section in ("bot", "quote", "risk", "orders", "inventory", "completion", "signals"):
                here, there = (getattr(one, section) for one in (bot.ctx.config, self.config()))
                if here != there:
                    self.once("S7", section, f"[{section}] is not what the operator has written")

    def placed(self, order: Order) -> None:
        """S11: nothing is traded of a series that the file does not name."""
        series = order.market.series.key
        if series not in self.config().bot.series:
            self.once("S11", series, f"an order in {order.market.slug}, and {series} is not traded")

    def sent(self, stream: str, body: bytes) -> None:
        """S11: a window is asked for by a name that one has; hours go by New York's clock."""
        asked = ASKED.match(body) if stream == "rest gamma" else None
        if asked is not None and of_slug(asked[1].decode()) is None:
            self.once("S11", "name", f"asked for {asked[1].decode()}, and no window is called so")
