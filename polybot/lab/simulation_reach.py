"""What a run has been through: the rare moments that it must have met, or its silence says nothing
("sometimes" properties, reliability.md 3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs

from polybot.app import Bot
from polybot.domain.halts import Halt
from polybot.exchange.model import Event, OrderEvent, TickChanged, Traded, TradeUpdated
from polybot.exchange.modes import Mode
from polybot.exchange.server import Exchange
from polybot.execution.lifecycle import State
from polybot.execution.tracked import Tracked
from polybot.journal.recorder import CORE
from polybot.lab.simulation_money import COME, REDEEMED, WITHDRAWN

# The reference's list, and what else a large run must have reached at least once.
TO_LIVE, TO_ABSENT = "unknown was live", "unknown was absent"
EARLY_FILL = "fill before its answer"
LOST_RACE = "fill after its cancel left"
REVERSED = "trade failed at its merge"
TICK = "tick change with live orders"
POST_ONLY = "order in the post-only time"
SWITCHED = "price stream replaced while averaging"
CORRECTED = "strike corrected"
FOREIGN = "foreign order"
LOST = "loss limit passed"
REFUSED = "venue refused us"
UNAPPROVED = "approval gone"
HALTED = {
    Halt.FOREIGN_ORDERS.value: FOREIGN,
    Halt.VENUE_REFUSES.value: REFUSED,
    Halt.NOT_APPROVED.value: UNAPPROVED,
}
WRITTEN, SENT = "killed between journal and wire", "killed between wire and answer"
TWICE = "double signal"
EMPTIED = "stop --now"
JOURNAL_LOST = "journal lost"
EDITED = "started with another file"
TRIED, UNTRIED = "switch tried", "switch could not be tried"
NEVER_LEFT = "POST that never left"
STOOD = "stood still"
REACHED = (
    "PLACEMENT", "CANCELLATION", "TRADE", "stop", "kill", "link cut", "link held", "link refused",
    "link dark", NEVER_LEFT, STOOD,
    "ended by its disk", "tape ended by its disk", "clock stepped back", "clock stepped ahead",
    TO_LIVE, TO_ABSENT, EARLY_FILL, LOST_RACE, REVERSED, WRITTEN, SENT, TWICE, EMPTIED,
    TICK, POST_ONLY, SWITCHED, FOREIGN, CORRECTED, LOST, REFUSED, UNAPPROVED, JOURNAL_LOST,
    TRIED, UNTRIED, EDITED, COME, REDEEMED, WITHDRAWN,
)  # fmt: skip
POLYBOLT = b"prices polybolt"
CLOB, NO_POST = "rest clob", b"- POST /order"
UNMET = (b"ConnectError", b"no connection within", b"Withheld")
AVERAGE_MS, GRID_MS = 60_000, 300_000  # every window of ours ends on the grid of five minutes


@attrs.define(eq=False)
class Reach:
    """`bot` is the one that is alive; `leaving` are the orders whose cancel has left it."""

    exchange: Exchange
    address: str
    bot: Callable[[], tuple[str, Bot] | None]
    leaving: Callable[[], set[str]]
    met: Counter[str]
    _unknown: dict[str, Tracked] = attrs.field(factory=dict)
    _dialled: set[str] = attrs.field(factory=set)  # owners that have had prices before
    _tried: set[str] = attrs.field(factory=set)  # owners that the switch has let through
    _corrections: int = 0  # the number of the last event that told of one

    hears = (Traded, TradeUpdated, TickChanged, OrderEvent)

    def hear(self, event: Event) -> None:
        """An event of the exchange's engine, in its own step."""
        if isinstance(event, Traded):
            for fill in event.trade.makers:
                if fill.order.account == self.address:
                    self._filled(fill.order.id)
        elif isinstance(event, TradeUpdated) and event.trade.status == "FAILED":
            self._failed(event)
        elif isinstance(event, TickChanged):
            ours = self.exchange.engine.live_orders(self.exchange.wallet.api_key)
            self.met[TICK] += any(order.market is event.market for order in ours)
        elif isinstance(event, OrderEvent) and event.order.account == self.address:
            post_only = self.exchange.clob.modes.at(event.at_ms) is Mode.POST_ONLY
            self.met[POST_ONLY] += post_only and event.kind == "PLACEMENT"

    def _filled(self, order_id: str) -> None:
        tracked = self._tracked(order_id)
        if tracked is not None and tracked.state in (State.IN_FLIGHT, State.UNKNOWN):
            self.met[EARLY_FILL] += 1
        self.met[LOST_RACE] += order_id in self.leaving()

    def _failed(self, event: TradeUpdated) -> None:
        alive, market = self.bot(), event.trade.market.condition_id
        ours = any(fill.order.account == self.address for fill in event.trade.makers)
        if ours and alive is not None:
            account = alive[1].ctx.account
            self.met[REVERSED] += market in account.moving or bool(account.claims.get(market))

    def _tracked(self, order_id: str) -> Tracked | None:
        alive = self.bot()
        for scope in alive[1].supervisor.scopes.values() if alive is not None else ():
            if order_id in scope.orders.desk.table:
                return scope.orders.desk.table[order_id]
        return None

    def look(self) -> None:
        """To be called a few times a second: a doubt lasts longer."""
        alive = self.bot()
        if alive is None:
            self._unknown.clear()
            return
        for key, tracked in list(self._unknown.items()):
            if tracked.state is not State.UNKNOWN:
                del self._unknown[key]
                self.met[TO_LIVE] += tracked.existed
                self.met[TO_ABSENT] += tracked.state is State.ABSENT
        for scope in alive[1].supervisor.scopes.values():
            for tracked in scope.orders.desk.table.open():
                if tracked.state is State.UNKNOWN:
                    self._unknown[tracked.id] = tracked
        self._strikes(alive[1])
        self._switch(*alive)

    def _switch(self, owner: str, bot: Bot) -> None:
        """One that had to try the venue's switch, and trades."""
        had_to = bot.certify and bot.ctx.recovered.certified_ms is None
        if had_to and bot.supervisor.scopes and owner not in self._tried:
            self._tried.add(owner)
            self.met[TRIED] += 1

    def _strikes(self, bot: Bot) -> None:
        for event in bot.ctx.events:
            if "strike corrected" in event.text and event.at_ms > self._corrections:
                self._corrections = event.at_ms
                self.met[CORRECTED] += 1

    def kept(self, stream: str, body: bytes) -> None:
        """What is told on the tape: a POST that never left, or that the count of the price stream
        begins anew, which has been dialled then, and not for the first time.
        """
        if stream == CLOB and body.startswith(NO_POST):
            self.met[NEVER_LEFT] += any(words in body for words in UNMET)
        if stream != CORE or b"Restarted" not in body or POLYBOLT not in body:
            return
        alive = self.bot()
        if alive is None:
            return
        owner, now_ms = alive[0], self.exchange.clock.now_ms()
        averaging = now_ms % GRID_MS >= GRID_MS - AVERAGE_MS
        self.met[SWITCHED] += averaging and owner in self._dialled
        self._dialled.add(owner)
