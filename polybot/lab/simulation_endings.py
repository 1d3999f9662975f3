"""Whether every order comes to a known end (L1): no doubt lasts, and what is asked away goes.

Each of both can hide the other. A cancel without proof is looked up, which ends the doubt and shows
the order alive; so it is asked for again, and never is anything in doubt for long.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from polybot.app import Bot
from polybot.exchange.modes import ANSWERS, Call
from polybot.exchange.server import Exchange
from polybot.execution.lifecycle import State
from polybot.execution.tracked import Tracked

ENDS_WITHIN_S = 15.0  # L1: ten, and the flatten that ends it
# Cancels of one order that come no further apart are one wish to be rid of it: a look-up and a new
# decision lie between.
AGAIN_WITHIN_S = 6.0
DOUBTFUL = (State.IN_FLIGHT, State.UNKNOWN)


@attrs.define(eq=False)
class Endings:
    """`once` tells of a breach by rule, key and text, `lasts` how long something has been so."""

    exchange: Exchange
    now_s: Callable[[], float]
    once: Callable[[str, str, str], None]
    lasts: Callable[[str, bool], float]
    _open: dict[str, Tracked] = attrs.field(factory=dict)
    _asked: dict[str, tuple[int, float]] = attrs.field(factory=dict)  # last cancel, seen when

    def look(self, bot: Bot, *, calm: bool) -> None:
        """To be called a few times a second; only the calm is judged."""
        tables = [scope.orders.desk.table for scope in bot.supervisor.scopes.values()]
        before, self._open = self._open, {t.id: t for table in tables for t in table.open()}
        for order_id in before.keys() - self._open.keys():
            self._asked.pop(order_id, None)
            self.lasts(f"doubt {order_id}", False)
            self.lasts(f"asked away {order_id}", False)
        for order_id, tracked in sorted(self._open.items()):
            doubt_s = self.lasts(f"doubt {order_id}", tracked.state in DOUBTFUL)
            away_s = self.lasts(f"asked away {order_id}", self._asked_away(tracked))
            if calm and doubt_s > ENDS_WITHIN_S:
                self.once("L1", order_id, f"order {order_id[:10]} stays in doubt")
            elif calm and away_s > ENDS_WITHIN_S:
                what = f"order {order_id[:10]} is still there, asked away {away_s:.1f} s ago"
                self.once("L1", order_id, what)

    def _asked_away(self, tracked: Tracked) -> bool:
        """Whether its sender wants it gone, of a venue that takes cancels."""
        mode = self.exchange.clob.modes.at(self.exchange.clock.now_ms())
        sent_ms, now_s = tracked.cancel_sent_ms, self.now_s()
        if sent_ms is None or ANSWERS[mode][Call.CANCEL] is not None:
            return False
        known_ms, at_s = self._asked.get(tracked.id, (None, now_s))
        if known_ms != sent_ms:
            at_s = now_s
            self._asked[tracked.id] = sent_ms, at_s
        return tracked.state is State.CANCELLING or now_s - at_s <= AGAIN_WITHIN_S
