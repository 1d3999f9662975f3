"""What must never happen, judged by the venue's own books and not by the bot's (reliability.md 3).

The watch hears every event of the exchange's engine in the step in which it happens. The names of
the rules are those of the reference.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

import attrs
import trio

from polybot.config import Config
from polybot.domain.ledger import Ledger
from polybot.domain.orders import TradeStatus
from polybot.exchange.model import BUY, Event, Kind, Market, Order, OrderEvent, Trade, Traded
from polybot.exchange.server import Exchange
from polybot.execution.tracked import DUST
from polybot.lab.simulation_takes import Takes

ONE = 10_000
VIOLATIONS_MOST = 20
LATE, LISTED_MS = "trades_lag", (0, 8_000)  # the fault, and by how much unless it says otherwise
ORPHANED_MOST_S = 25.0  # the reconciler's cadence and a little
ORDER_ID = re.compile(rb"0x[0-9a-f]{64}")
FIGURES = re.compile(r"[-+]?\b\w*\d[\w.]*")
IGNORED = "cancel_ignored"  # the fault that makes a cancel do nothing
TWINS_MOST_S = 6.0  # a cancel that was lost is repeated so soon, after the grace that is set
WRITTEN_MOST_MS = 2_500  # a quote that the disk holds up for longer is one of the past


@attrs.frozen
class Violation:
    """`at_s`: seconds of the run."""

    rule: str
    at_s: float
    what: str

    @property
    def kind(self) -> str:
        """The rule and its words, without figures and ids: what stays where the case is smaller."""
        return f"{self.rule}: {FIGURES.sub('…', self.what)}"

    def __str__(self) -> str:
        return f"{self.rule} at {self.at_s:.3f} s: {self.what}"


@attrs.define(eq=False)
class Watch:
    """One run's judge. `known` are the ids of the orders that the bot holds for possible, None
    while it has just started or is dead, `confirmed` those whose intent its journal has confirmed,
    each with the milliseconds that this took.
    """

    exchange: Exchange
    address: str
    config: Config
    now_s: Callable[[], float]
    known: Callable[[], set[str] | None]
    confirmed: dict[str, int]
    until: str | None = None  # the rule after whose breach nothing more is wanted
    over: trio.Event = attrs.field(factory=trio.Event)
    on_first: Callable[[], None] = lambda: None
    on_placed: Callable[[Order], None] = lambda _: None
    on_sent: Callable[[str, bytes], None] = lambda *_: None
    violations: list[Violation] = attrs.field(factory=list)
    seen: Counter[str] = attrs.field(factory=Counter)
    _live: dict[str, Order] = attrs.field(factory=dict)
    unwanted: set[str] = attrs.field(factory=set)  # orders for which a cancel has left the bot
    _orphans: dict[str, float] = attrs.field(factory=dict)
    _quoted_since: dict[str, int] = attrs.field(factory=dict)  # by market, while one of ours rests
    _quoted_ms: int = 0
    _legs: Counter[tuple[str, str]] = attrs.field(factory=Counter)  # shares by (trade, order)
    _trades: dict[str, Trade] = attrs.field(factory=dict)
    _twins: list[tuple[float, Order, Order]] = attrs.field(factory=list)
    _ignored: int = 0  # cancels, at the last look
    takes: Takes = attrs.field(init=False)

    hears = (OrderEvent, Traded)

    def __attrs_post_init__(self) -> None:
        grace_s = self.config.orders.unknown_grace_s
        self.takes = Takes(
            self.exchange, self.address, self.now_s, self.break_, self._undone, grace_s
        )

    def break_(self, rule: str, what: str) -> None:
        if self.over.is_set():
            return
        if not self.violations:
            self.on_first()
        if len(self.violations) < VIOLATIONS_MOST:
            self.violations.append(Violation(rule, self.now_s(), what))
        if rule == self.until:
            self.over.set()

    def hear(self, event: Event) -> None:
        if isinstance(event, OrderEvent):
            if event.order.account != self.address or event.order.id in self.exchange.acts.foreign:
                return
            self.seen[event.kind] += 1
            if event.kind == "PLACEMENT":
                self._placed(event.order, event.at_ms)
            elif event.kind == "CANCELLATION" or not event.order.remaining:
                self._gone(event.order, event.at_ms)
        elif isinstance(event, Traded):
            ours = [fill for fill in event.trade.makers if fill.order.account == self.address]
            for fill in ours:
                self._legs[event.trade.id, fill.order.id] += fill.shares
            if event.trade.taker.account == self.address:
                self._legs[event.trade.id, event.trade.taker.id] += event.trade.shares
            if ours or event.trade.taker.account == self.address:
                self._trades[event.trade.id] = event.trade
                self.seen["TRADE"] += 1
                self._traded(event)

    def _gone(self, order: Order, at_ms: int) -> None:
        market = order.market.condition_id
        self._live.pop(order.id, None)
        if all(other.market.condition_id != market for other in self._live.values()):
            self._quoted_ms += at_ms - self._quoted_since.pop(market, at_ms)

    def quoted_s(self) -> float:
        """Seconds in which a market had an order of ours, summed over all markets."""
        now_ms = self.exchange.clock.now_ms()
        still = sum(now_ms - since_ms for since_ms in self._quoted_since.values())
        return (self._quoted_ms + still) / 1000

    def _placed(self, order: Order, at_ms: int) -> None:
        self._once(order)
        self._pairs(order)
        self._written(order)
        self.on_placed(order)
        if order.kind in (Kind.GTC, Kind.GTD):
            self._live[order.id] = order
            self._quoted_since.setdefault(order.market.condition_id, at_ms)

    def sent(self, stream: str, body: bytes) -> None:
        """What the bot has sent, and which of its orders it wants to be gone."""
        self.on_sent(stream, body)
        if stream == "rest clob" and body.startswith(b"DELETE "):
            # Also those that the venue does not have yet: a request may come later than its cancel.
            self.unwanted |= {found.decode() for found in ORDER_ID.findall(body)}
            if body.startswith((b"DELETE /cancel-all", b"DELETE /cancel-market")):
                self.unwanted |= self._live.keys()

    def _once(self, order: Order) -> None:
        """S3: nothing asks for the same order twice. One that is on its way out may be replaced by
        its like, and that overtakes the cancel; then both must not last. So may one that is late,
        behind its own cancel (F18). Two rungs of a ladder may meet on one price, where the lower
        one keeps its place; they differ in size. Of what settlement's rounding left over of a match
        the bot rightly takes no notice.
        """
        if order.kind not in (Kind.GTC, Kind.GTD):
            return
        for twin in self._live.values():
            if _same(twin, order) and twin.remaining > DUST:
                self._twins.append((self.now_s(), twin, order))
                if not {twin.id, order.id} & self.unwanted:
                    self.break_("S3", f"{name(order)} again, and {twin.id[:10]} was to stay")

    def look(self) -> None:
        """Judge what needs time to be judged; to be called now and then."""
        late = self.now_s() - TWINS_MOST_S - self.config.orders.unknown_grace_s
        ignored = self.exchange.faults.struck[IGNORED]
        # Who is dead withdraws nothing, and his successor has the time anew; so has who was told
        # that an order is cancelled which is not (six minutes, seed 14: five times in a row).
        if self.known() is None:
            self.takes.forget()
        if self.known() is None or ignored != self._ignored:
            self._ignored = ignored
            self._twins = [(self.now_s(), one, other) for _, one, other in self._twins]
        for since_s, one, other in self._twins:
            if since_s < late and one.id in self._live and other.id in self._live:
                self.break_("S3", f"{name(one)} rests twice")
        self._twins = [twins for twins in self._twins if twins[0] >= late]
        self._look_for_orphans()

    def _look_for_orphans(self) -> None:
        """S4: whatever rests is known to be possible, or soon found out; but for what settlement's
        rounding has left over (feeds.md 4.5).
        """
        known = self.known()
        resting = () if known is None else (o for o in self.live() if o.remaining > DUST)
        orphans = {order.id: order for order in resting if order.id not in (known or ())}
        now_s = self.now_s()
        self._orphans = {key: self._orphans.get(key, now_s) for key in orphans}
        for key, since_s in self._orphans.items():
            if now_s - since_s > ORPHANED_MOST_S:
                self.break_("S4", f"{name(orphans[key])} rests unknown since {since_s:.1f} s")

    def _pairs(self, order: Order) -> None:
        """S24: no two orders that would match each other: two bids that pay a dollar for a pair, a
        bid and an ask on one token that cross, two asks that give a pair away for one.
        """
        outcome, price = _as_bid(order)
        for other in self._live.values():
            theirs, bid = _as_bid(other)
            if other.market is order.market and theirs != outcome and bid + price >= ONE:
                self.break_("S24", f"{name(order)} beside {name(other)}")

    def _written(self, order: Order) -> None:
        """S16: no order whose intent is not durable. S9: nor one that the disk has made old."""
        waited_ms = self.confirmed.get(order.id)
        if waited_ms is None:
            self.break_("S16", f"{name(order)} was sent before its intent was durable")
        elif waited_ms > WRITTEN_MOST_MS:
            self.break_("S9", f"{name(order)} was decided {waited_ms / 1000:.1f} s before it left")

    def _traded(self, event: Traded) -> None:
        """S7: whatever fills, one market's position stays within its limit. What is beyond it for
        a confirmed trade that was undone, nobody has bought; a fill that makes it less is welcome.
        So it is for who holds a trade for good that has failed, as no list shows yet.
        """
        market, accounts = event.trade.market, self.exchange.engine.accounts
        up, down = (accounts.shares(self.address, token) for token in market.tokens)
        most, net = self.config.risk.max_net_shares * 1_000_000, up - down
        change, untold = self._change(event.trade), sum(map(self._change, self._unlisted(market)))
        if all(abs(one) > max(most, abs(one - change)) for one in (net, net + untold)):
            self.break_("S7", f"{market.slug}: {net / 1e6:+.2f} shares net")

    def _unlisted(self, market: Market) -> Iterator[Trade]:
        """Trades that have failed, and which the list does not show, or has so late that nobody has
        looked: whoever had no stream then cannot know (brief seed 3807 with `trades_lag`).
        """
        running = self.exchange.faults.running.values()
        lags = [
            it.entry.values.get("lag_ms", LISTED_MS) for it in running if it.entry.fault == LATE
        ]
        if not lags:
            return
        since_ms = self.exchange.clock.now_ms() - max(map(max, lags)) - int(ORPHANED_MOST_S * 1000)
        for trade in self._trades.values():
            if trade.market is market and trade.status == "FAILED" and trade.matched_ms > since_ms:
                yield trade

    def _undone(self, market: Market) -> bool:
        """Whether a market's position is not what its owner may have heard: a trade was undone, or
        somebody else trades with the same key.
        """
        late_ms = self.exchange.clock.now_ms() - int(ORPHANED_MOST_S * 1000)
        undone = any(
            trade.market is market and trade.status == "FAILED" and trade.updated_ms > late_ms
            for trade in self._trades.values()
        )
        orders = self.exchange.engine.orders
        foreign = (orders[one].market for one in self.exchange.acts.foreign if one in orders)
        return undone or market in foreign

    def _change(self, trade: Trade) -> int:
        """What our parts of a trade add to Up less Down, 10⁻⁶ shares."""
        parts = [(fill.order, fill.shares) for fill in trade.makers] + [(trade.taker, trade.shares)]
        return sum(
            shares if (order.token == trade.market.tokens[0]) is (order.side == BUY) else -shares
            for order, shares in parts
            if order.account == self.address
        )

    def legs_unlike(self, ledger: Ledger) -> Iterator[str]:
        """S5: each of our orders' parts in each trade is booked as it was, once, and those that
        failed are not; in the markets whose books are open.
        """
        booked: Counter[tuple[str, str]] = Counter()
        for books in ledger.books.values():
            for key, one in books.trades.items():
                failed = one.status is TradeStatus.FAILED
                booked[key] += (
                    0 if failed else sum(leg.shares * times for leg, times in one.legs.items())
                )
        for key, shares in self._legs.items():
            trade = self._trades[key[0]]
            if trade.market.condition_id not in ledger.books:
                continue
            there = 0 if trade.status == "FAILED" else shares
            if booked[key] != there:
                leg = f"{trade.market.slug}: trade {key[0][:8]} of order {key[1][:10]}"
                yield f"{leg}: {booked[key]} shares here, {there} there"

    def forget(self) -> frozenset[str]:
        """The journal is lost: what was traded or split is not in the next one's books. Its
        markets.
        """
        self._legs.clear()
        engine = self.exchange.engine
        held = map(engine.by_token.__getitem__, engine.accounts.wallet(self.address).shares)
        traded = (trade.market for trade in self._trades.values())
        return frozenset(market.condition_id for market in (*held, *traded))

    def taken_back(self, condition_id: str) -> int:
        """Shares of our trades in a market that a block had, and that were undone after all."""
        undone = {
            trade.id
            for trade in self._trades.values()
            if trade.status == "FAILED" and trade.block_ms is not None
        }
        return sum(
            shares
            for (trade_id, _), shares in self._legs.items()
            if trade_id in undone and self._trades[trade_id].market.condition_id == condition_id
        )

    def live(self) -> list[Order]:
        """What the venue itself says rests, but for what somebody else has placed with our key."""
        owner, engine = self.exchange.wallet.api_key, self.exchange.engine
        resting = engine.live_orders(owner) + engine.held_orders(owner)
        return [order for order in resting if order.id not in self.exchange.acts.foreign]


def _same(one: Order, other: Order) -> bool:
    """What is left of each counts: one that has been filled in part may serve for a smaller rung,
    and stay where the larger one is wanted again (brief seed 1929).
    """
    return (one.token, one.side, one.price, one.remaining) == (
        other.token,
        other.side,
        other.price,
        other.remaining,
    )


def _as_bid(order: Order) -> tuple[int, int]:
    """The outcome that an order moves its owner toward, and at which price: to sell the one is to
    buy the other.
    """
    outcome = order.market.tokens.index(order.token)
    return (outcome, order.price) if order.side == BUY else (1 - outcome, ONE - order.price)


def name(order: Order) -> str:
    price = order.price / ONE
    return f"{order.side} {order.size / 1e6:g} at {price:g} in {order.market.slug}"
