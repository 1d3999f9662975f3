"""A small venue that keeps the truth about one market's orders and answers as badly as told.

It has three queues, so that every delay and every order of arrival can be chosen: requests that
have not reached it, replies and private messages that have not reached us. An order held "at the
edge" has outlived its request and is accepted later (F18). A match may be told late: till then its
order's messages have the amount of before, also that of its end (feeds.md 4.5).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from itertools import cycle

import attrs

from polybot.domain.market import Outcome
from polybot.domain.orders import (
    Acked,
    CancelResult,
    Failure,
    FillLeg,
    NewOrder,
    OrderRow,
    OrderSeen,
    PostResult,
    PrivateEvent,
    Reject,
    Rejected,
    SignedOrder,
    TimeInForce,
    TradeSeen,
    TradeStatus,
    Unknown,
)
from polybot.domain.units import LOT, ONE, notional
from polybot.execution.actions import Action, Cancel, Post
from polybot.execution.doubts import LookUp, Survey

Kind = OrderSeen.Kind

EDGE_MS = 30_000  # the longest the edge ever held a request (F18)
MUCH = 10**15
LATE_MS = 600  # after which at the latest a match is told


class PostFate(enum.Enum):
    ACCEPT = "accepted"
    DELAY = "accepted, held"
    REFUSE = "refused"
    LOSE_REPLY = "accepted, reply lost"
    LOSE_REQUEST = "never arrived"
    EDGE = "arrives long after its time-out"


class CancelFate(enum.Enum):
    DO = "done"
    REFUSE = "refused, whatever is true"
    LOSE_REPLY = "done, reply lost"
    LOSE_REQUEST = "never arrived"
    SKIP = "answered without naming anything"
    PRETEND = "acknowledged and not carried out"


class ReadFate(enum.Enum):
    ANSWER = "the truth"
    FAIL = "no answer"
    LAG = "does not show orders younger than a second"


@attrs.frozen
class Fates:
    """What happens to the next request, by its kind; by default what should."""

    posts: tuple[PostFate, ...] = (PostFate.ACCEPT,)
    cancel: CancelFate = CancelFate.DO
    read: ReadFate = ReadFate.ANSWER
    taken_percent: int = 100  # of an order that takes
    better: int = 0  # 10⁻⁴ below its limit, or as far as there is room


@attrs.define
class Resting:
    """One order as the venue has it."""

    signed: SignedOrder
    accepted_ms: int
    matched: int = 0
    hidden: int = 0  # the part of it that no message tells yet
    kind: Kind = Kind.LIVE
    fates: Fates = Fates()

    @property
    def remaining(self) -> int:
        return max(0, self.signed.order.size - self.matched)

    @property
    def alive(self) -> bool:
        return self.kind in (Kind.LIVE, Kind.DELAYED)


@attrs.frozen
class Posted:
    results: tuple[PostResult, ...]


@attrs.frozen
class Cancelled:
    ids: tuple[str, ...]
    result: CancelResult


@attrs.frozen
class Read:
    order_id: str
    answer: OrderRow | Failure | None


@attrs.frozen
class Found:
    """A survey's answer."""

    begun_ms: int
    rows: list[OrderRow] | Failure
    trades: list[TradeSeen] | Failure


@attrs.frozen
class Asked:
    """A request on its way, and when it was sent."""

    action: Action
    at_ms: int


Reply = Posted | Cancelled | Read | Found


@attrs.define(eq=False)
class ToyVenue:
    orders: dict[str, Resting] = attrs.field(factory=dict)
    requests: list[Asked] = attrs.field(factory=list)
    replies: list[Reply] = attrs.field(factory=list)
    stream: list[PrivateEvent] = attrs.field(factory=list)
    edge: list[tuple[int, SignedOrder]] = attrs.field(factory=list)
    trades: dict[str, TradeSeen] = attrs.field(factory=dict)  # as they stand
    untold: list[tuple[int, TradeSeen]] = attrs.field(factory=list)  # and when they will be
    late: set[str] = attrs.field(factory=set)  # every order the edge ever held
    pretended: set[str] = attrs.field(factory=set)  # whose cancel was acknowledged and not done
    sold_untold: set[Outcome] = attrs.field(factory=set)  # some of it, at some time
    holds: Callable[[Outcome], int] = lambda _: MUCH  # shares in the wallet

    def possible(self) -> list[tuple[SignedOrder, int]]:
        """Every order that may still match, now or once it arrives, with what is left of it."""
        here = [(o.signed, o.remaining) for o in self.orders.values() if o.alive]
        posts = [r.action for r in self.requests if isinstance(r.action, Post)]
        coming = [(each, each.order.size) for post in posts for each in post.orders]
        return here + coming + [(each, each.order.size) for _, each in self.edge]

    # --- requests arrive -----------------------------------------------------------------

    def take(self, n: int, now_ms: int, fates: Fates | None = None) -> None:
        """Let request `n` arrive; a batch of orders goes through `fates.posts` in turn."""
        fates = fates or Fates()
        asked = self.requests.pop(n)
        match asked.action:
            case Post(orders):
                turns = zip(orders, cycle(fates.posts), strict=False)
                results = tuple(self._post(each, fate, fates, now_ms) for each, fate in turns)
                self.replies.append(Posted(results))
            case Cancel(ids, _):
                self.replies.append(Cancelled(ids, self._cancel(ids, fates.cancel, now_ms)))
            case LookUp(order_id):
                self.replies.append(Read(order_id, self._read(order_id, fates.read, now_ms)))
            case Survey():
                self.replies.append(self._survey(asked.at_ms, fates.read, now_ms))

    def _survey(self, begun_ms: int, fate: ReadFate, now_ms: int) -> Found:
        if fate is ReadFate.FAIL:
            return Found(begun_ms, Failure("timed out"), list(self.trades.values()))
        lag_ms = 1000 if fate is ReadFate.LAG else 0
        return Found(begun_ms, self.open_orders(now_ms - lag_ms), list(self.trades.values()))

    def _post(self, each: SignedOrder, fate: PostFate, fates: Fates, now_ms: int) -> PostResult:
        if self._gone(each.order) or (fate is PostFate.REFUSE and each.order.selling):
            return Rejected(each.id, Reject.NOT_ENOUGH_BALANCE, "the cache is behind")
        if fate is PostFate.REFUSE:
            return Rejected(each.id, Reject.POST_ONLY_CROSSES, "would cross")
        if fate is PostFate.EDGE:
            self.edge.append((now_ms + EDGE_MS, each))
            self.late.add(each.id)
        elif fate is not PostFate.LOSE_REQUEST:
            kind = Kind.DELAYED if fate is PostFate.DELAY else Kind.LIVE
            self._accept(each, kind, now_ms, fates)
        if fate in (PostFate.ACCEPT, PostFate.DELAY):
            return self._answer(self.orders[each.id])
        return Unknown(each.id, fate.value)

    def _gone(self, order: NewOrder) -> bool:
        """Whether the shares that an ask offers are gone by a sale that nobody had been told of: it
        is refused then. What is offered for no such reason is taken, and for the truth to judge.
        """
        if not order.selling or order.outcome not in self.sold_untold:
            return False
        same = (o for o in self.orders.values() if o.signed.order.token == order.token)
        bound = sum(o.remaining for o in same if o.alive and o.signed.order.selling)
        return self.holds(order.outcome) < order.size + bound

    @staticmethod
    def _answer(found: Resting) -> PostResult:
        each = found.signed
        if each.order.taking and found.kind is not Kind.DELAYED:
            if not found.matched:
                return Rejected(each.id, Reject.NO_MATCH, "no orders found to match")
            return Acked(each.id, "matched", 0, found.matched, ())
        return Acked(each.id, found.kind.value, 0, 0, ())

    def _accept(
        self, each: SignedOrder, kind: Kind, now_ms: int, fates: Fates | None = None
    ) -> None:
        if each.id in self.orders:
            raise AssertionError(f"{each.id} was sent twice")
        self.orders[each.id] = Resting(each, now_ms, kind=kind, fates=fates or Fates())
        if each.order.taking and kind is Kind.LIVE:
            self._match_at_once(each.id, now_ms)
        else:
            self._say(each.id, now_ms)

    def _match_at_once(self, order_id: str, now_ms: int) -> None:
        """Fill a taking order by its dollars, as the venue does: cheaper means more shares."""
        found = self.orders[order_id]
        made, fates = found.signed.order, found.fates
        price = max(made.price - fates.better, made.market.tick)
        percent = fates.taken_percent
        if made.tif is TimeInForce.FOK:
            percent = 100 if percent == 100 else 0
        shares = notional(made.price, made.size) * percent // 100 * ONE // price // LOT * LOT
        if shares:
            trade_id = f"t{len(self.trades)}"
            leg = FillLeg(order_id, made.token, made.side, price, shares, maker=False)
            where = (trade_id, made.market.condition_id, TradeStatus.MATCHED)
            self.trades[trade_id] = TradeSeen(*where, (leg,), now_ms)
            self.stream.append(self.trades[trade_id])
            found.matched = shares
        self._end(order_id, Kind.MATCHED if shares else Kind.DEAD, now_ms)

    def _cancel(self, ids: tuple[str, ...], fate: CancelFate, now_ms: int) -> CancelResult:
        if fate is CancelFate.REFUSE:
            text = "order can't be found - already canceled or matched"
            return CancelResult(frozenset(), dict.fromkeys(ids, text))
        if fate is CancelFate.SKIP:
            return CancelResult(frozenset(), {})
        done = [i for i in ids if i in self.orders and self.orders[i].kind is Kind.LIVE]
        if fate is CancelFate.PRETEND:
            self.pretended |= set(done)
            return CancelResult(frozenset(ids), {})
        if fate is not CancelFate.LOSE_REQUEST:
            for order_id in done:
                self._end(order_id, Kind.DEAD, now_ms)
        if fate in (CancelFate.LOSE_REPLY, CancelFate.LOSE_REQUEST):
            return CancelResult(frozenset(), {}, "timed out")
        refused = {i: "already canceled or matched" for i in ids if i not in done}
        return CancelResult(frozenset(done), refused)

    def _read(self, order_id: str, fate: ReadFate, now_ms: int) -> OrderRow | Failure | None:
        if fate is ReadFate.FAIL:
            return Failure("timed out")
        found = self.orders.get(order_id)
        if found is None or (fate is ReadFate.LAG and now_ms - found.accepted_ms < 1000):
            return None
        return self._row(found)

    @staticmethod
    def _row(found: Resting) -> OrderRow:
        made, order_id = found.signed.order, found.signed.id
        where = (order_id, made.market.condition_id, made.token, made.side)
        return OrderRow(*where, made.price, made.size, found.matched, found.kind, found.kind.value)

    def open_orders(self, placed_by_ms: int) -> list[OrderRow]:
        """The list, without orders younger than that."""
        alive = [o for o in self.orders.values() if o.alive and o.accepted_ms <= placed_by_ms]
        return [self._row(found) for found in alive]

    # --- things happen there -------------------------------------------------------------

    def _word(self, order_id: str, now_ms: int) -> OrderSeen:
        found = self.orders[order_id]
        told = found.matched - found.hidden
        return OrderSeen(order_id, found.kind, told, found.kind.value, now_ms)

    def _say(self, order_id: str, now_ms: int) -> None:
        self.stream.append(self._word(order_id, now_ms))

    def _end(self, order_id: str, kind: Kind, now_ms: int) -> None:
        self.orders[order_id].kind = kind
        self._say(order_id, now_ms)

    def fill(self, order_ids: list[str], shares: int, now_ms: int) -> None:
        """Match up to `shares` of each in one trade (F26). A rest no larger than the dust is gone
        with it (feeds.md 4.5). The trade is told leg by leg, each message with one more.
        """
        legs: list[FillLeg] = []
        trade_id = f"t{len(self.trades)}"
        for order_id in order_ids:
            found = self.orders[order_id]
            some = min(shares, found.remaining)
            found.matched += some
            made = found.signed.order
            legs.append(FillLeg(order_id, made.token, made.side, made.price, some, maker=True))
            key, status = made.market.condition_id, TradeStatus.MATCHED
            self.trades[trade_id] = TradeSeen(trade_id, key, status, tuple(legs), now_ms)
            self.stream.append(self.trades[trade_id])
            if found.remaining <= LOT:
                self._end(order_id, Kind.MATCHED, now_ms)
            else:
                self._say(order_id, now_ms)

    def fill_untold(
        self, order_id: str, shares: int, now_ms: int, *, ends: bool
    ) -> OrderSeen | None:
        """Match some of one order, and tell of it later. Perhaps it is withdrawn then and there:
        the word of that goes ahead of all others.
        """
        found = self.orders[order_id]
        some = min(shares, found.remaining - LOT - 1)
        if some <= 0:
            return None
        found.matched += some
        found.hidden += some
        if found.signed.order.selling:
            self.sold_untold.add(found.signed.order.outcome)
        made, trade_id = found.signed.order, f"t{len(self.trades)}"
        leg = FillLeg(order_id, made.token, made.side, made.price, some, maker=True)
        where = (trade_id, made.market.condition_id, TradeStatus.MATCHED)
        self.trades[trade_id] = TradeSeen(*where, (leg,), now_ms)
        self.untold.append((now_ms + LATE_MS, self.trades[trade_id]))
        if not ends:
            return None
        found.kind = Kind.DEAD
        return self._word(order_id, now_ms)

    def overdue(self, now_ms: int) -> list[PrivateEvent]:
        """What can be told no later than now: matches, and their orders' messages again."""
        told: list[PrivateEvent] = []
        for due_ms, trade in list(self.untold):
            if due_ms <= now_ms:
                self.untold.remove((due_ms, trade))
                for leg in trade.legs:
                    self.orders[leg.order_id].hidden -= leg.shares
                    told += [trade, self._word(leg.order_id, now_ms)]
        return told

    def tell_trade(self, trade_id: str, status: TradeStatus) -> None:
        """Tell a status: a new one, or an old one late. What has failed confirms no more."""
        now = self.trades[trade_id]
        if now.status is TradeStatus.FAILED and status is TradeStatus.CONFIRMED:
            return
        if status > now.status:
            self.trades[trade_id] = attrs.evolve(now, status=status)
        self.stream.append(attrs.evolve(now, status=status))

    def pass_time(self, now_ms: int) -> None:
        """Let the edge give up what it has held long enough, and every taker delay end."""
        for until, each in list(self.edge):
            if now_ms >= until:
                self.edge.remove((until, each))
                if not self._gone(each.order):
                    self._accept(each, Kind.LIVE, now_ms)
        for order_id, found in self.orders.items():
            if found.kind is Kind.DELAYED and now_ms - found.accepted_ms >= 150:
                found.kind = Kind.LIVE
                if found.signed.order.taking:
                    self._match_at_once(order_id, now_ms)
                else:
                    self._say(order_id, now_ms)
