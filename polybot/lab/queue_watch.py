"""What a tape shows of the queues that our orders stood in.

For every order that rested alone at its price: how much was ahead of it when it arrived, then each
change of its level and each print at its price, and what of each print was ours. A trade shows
twice, as a level that shrinks and some 80 ms later as a print (feeds.md 2.3); only what no print
explains was cancelled.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import attrs
import msgpack

from polybot.core_tape import INPUTS, Applied, Learnt, Restarted, ScopeBegan, ScopeEnded
from polybot.domain.market import Market, Outcome, Side
from polybot.domain.orders import Acked, OrderSeen, TradeSeen, TradeStatus
from polybot.domain.units import ONE
from polybot.journal.entries import Told
from polybot.journal.tape import Event, Kind
from polybot.order_messages import CancelAnswered, Posted
from polybot.venue.market_messages import BookMessage, LastTrade, PriceChange, decode_market

PRINT_AFTER_MS = 300  # at most so long after its book change
FILL_NEAR_MS = 2_000  # a fill is told within this of its print
SHOWN_MS = 2_000  # our own order shows in the book within this
_OVER = (OrderSeen.Kind.DEAD, OrderSeen.Kind.MATCHED)


class Did(enum.Enum):
    ADDED = "added"
    CANCELLED = "cancelled"
    TRADED = "traded"


@attrs.define
class Step:
    """Something at our price: shares of 10⁻⁶; `ours` of a trade were filled to us."""

    at_ms: int
    did: Did
    shares: int
    ours: int = 0


@attrs.define
class Stay:
    """One order's time in its queue. `ahead`: others' shares at its price when it was sent, and
    what joined them before it was shown.
    """

    size: int
    ahead: int
    steps: list[Step] = attrs.field(factory=list)


Level = tuple[str, Side, int]  # token, side of the book, price


class _Place(NamedTuple):
    slug: str
    level: Level
    sent_ms: int
    stay: Stay


def stays(events: Iterable[Event]) -> list[Stay]:
    """The stays that a tape shows, each observed from its order's sending to its end."""
    watch = _Watch()
    for event in events:
        watch.take(event)
    return [stay for stay in watch.done if any(step.did is Did.TRADED for step in stay.steps)]


@attrs.define(eq=False)
class _Watch:
    done: list[Stay] = attrs.field(factory=list)
    _markets: dict[str, Market] = attrs.field(factory=dict)  # by slug
    _sizes: dict[Level, int] = attrs.field(factory=dict)
    _known: set[str] = attrs.field(factory=set)  # tokens whose book has been shown
    _open: dict[str, _Place] = attrs.field(factory=dict)  # by order id
    _acked: set[str] = attrs.field(factory=set)
    _visible: set[str] = attrs.field(factory=set)  # that are in their level by now
    _lost: set[str] = attrs.field(factory=set)  # of which not all is known

    def take(self, event: Event) -> None:
        at_ms = event.at_ns // 1_000_000
        if event.kind is Kind.HEARD and event.stream.startswith("market "):
            for message in decode_market(event.body.decode()):
                self._heard(message, at_ms)
        elif event.kind is Kind.DECIDED and event.stream.startswith("orders "):
            self._posted(event.stream.removeprefix("orders "), event.body, at_ms)
        elif event.kind is Kind.FED:
            self._fed(INPUTS.unpack(event.body), at_ms)

    # --- our orders -----------------------------------------------------------------------------

    def _posted(self, slug: str, body: bytes, at_ms: int) -> None:
        market = self._markets.get(slug)
        posts = [action[1:] for action in msgpack.unpackb(body) if action[0] == "post"]
        for order_id, outcome, side, price, size, *_ in [row for post in posts for row in post]:
            if market is None:
                continue
            level = (market.token(Outcome(outcome)), Side(side), price)
            alone = all(place.level != level for place in self._open.values())
            if alone and level[0] in self._known:
                stay = Stay(size, self._sizes.get(level, 0))
                self._open[order_id] = _Place(slug, level, at_ms, stay)

    def _fed(self, value: object, at_ms: int) -> None:
        match value:
            case ScopeBegan(market, _):
                self._markets[market.slug] = market
            case ScopeEnded(slug):
                self._close([key for key, it in self._open.items() if it.slug == slug])
            case Restarted(stream) if stream.startswith("market "):
                self._forget(stream.removeprefix("market "))
            case Learnt(facts):
                for fact in facts:
                    if isinstance(fact, Told) and isinstance(fact.event, TradeSeen):
                        self._filled(fact.event, at_ms)
            case Applied(_, Posted(results)):
                self._acked |= {one.order_id for one in results if isinstance(one, Acked)}
                self._drop([one.order_id for one in results if not isinstance(one, Acked)])
            case Applied(_, CancelAnswered(_, result)):
                self._close([*result.cancelled])
            case Applied(_, OrderSeen(order_id, kind)) if kind in _OVER:
                self._close([order_id])

    def _forget(self, slug: str) -> None:
        """A connection is gone: what happens meanwhile nobody sees."""
        self._drop([key for key, it in self._open.items() if it.slug == slug])
        market = self._markets.get(slug)
        if market is not None:
            self._known -= {market.up_token, market.down_token}

    def _drop(self, ids: Iterable[str]) -> None:
        for order_id in ids:
            self._open.pop(order_id, None)

    def _close(self, ids: Iterable[str]) -> None:
        for order_id in ids:
            place = self._open.pop(order_id, None)
            if place is not None and order_id in self._acked and order_id not in self._lost:
                _explain(place.stay.steps)
                self.done.append(place.stay)

    def _filled(self, trade: TradeSeen, at_ms: int) -> None:
        if trade.status is not TradeStatus.MATCHED:
            return
        for leg in trade.legs:
            place = self._open.get(leg.order_id)
            if place is None:
                continue
            near = [
                step
                for step in place.stay.steps
                if step.did is Did.TRADED
                and at_ms - step.at_ms <= FILL_NEAR_MS
                and step.shares - step.ours >= leg.shares
            ]
            if near:
                near[-1].ours += leg.shares
            else:
                # Told before its print, or never printed: it cannot be laid to any.
                self._lost.add(leg.order_id)

    # --- the market -----------------------------------------------------------------------------

    def _heard(self, message: object, at_ms: int) -> None:
        if isinstance(message, BookMessage | PriceChange):
            with suppress(ValueError):  # what cannot be read the run's book has not had, either
                self._changed(message, at_ms)
        elif isinstance(message, LastTrade):
            self._printed(message, at_ms)

    def _changed(self, message: BookMessage | PriceChange, at_ms: int) -> None:
        if isinstance(message, BookMessage):
            self._shown(message, at_ms)
            return
        for change in message.entries:
            self._resized((change.asset, change.side, change.price), change.size, at_ms)

    def _shown(self, book: BookMessage, at_ms: int) -> None:
        self._known.add(book.asset)
        sides = {Side.BUY: book.bids, Side.SELL: book.asks}
        shown = {
            (book.asset, side, level.price): level.size
            for side, levels in sides.items()
            for level in levels
        }
        for level in [key for key in self._sizes if key[0] == book.asset and key not in shown]:
            self._resized(level, 0, at_ms)
        for level, size in shown.items():
            self._resized(level, size, at_ms)

    def _resized(self, level: Level, size: int, at_ms: int) -> None:
        change = size - self._sizes.get(level, 0)
        if size:
            self._sizes[level] = size
        else:
            self._sizes.pop(level, None)
        if not change:
            return
        did, shares = Did.ADDED if change > 0 else Did.CANCELLED, abs(change)
        for order_id, place in self._open.items():
            if place.level != level:
                continue
            own = (
                0
                if order_id in self._visible or at_ms > place.sent_ms + SHOWN_MS
                else place.stay.size
            )
            if did is Did.ADDED and own:
                if shares < own:  # it came while ours was on its way, and stands before it
                    place.stay.ahead += shares
                    continue
                self._visible.add(order_id)  # ours, too: it is in nobody's way
                shares -= own
            if shares:
                place.stay.steps.append(Step(at_ms, did, shares))

    def _printed(self, trade: LastTrade, at_ms: int) -> None:
        """A taker's sale meets the bids of its token, and where the other token is bought."""
        for place in self._open.values():
            token, side, price = place.level
            market = self._markets[place.slug]
            other = market.down_token if token == market.up_token else market.up_token
            taken = Side.SELL if side is Side.BUY else Side.BUY
            same = (trade.asset, trade.side, trade.price) == (token, taken, price)
            twin = (trade.asset, trade.side, trade.price) == (other, side, ONE - price)
            if same or twin:
                place.stay.steps.append(Step(at_ms, Did.TRADED, trade.size))


def _explain(steps: list[Step]) -> None:
    """Take from the decreases what a print just after them explains."""
    for place, printed in enumerate(steps):
        if printed.did is not Did.TRADED:
            continue
        left = printed.shares
        for step in reversed(steps[:place]):
            if step.at_ms < printed.at_ms - PRINT_AFTER_MS or not left:
                break
            if step.did is Did.CANCELLED:
                part = min(left, step.shares)
                step.shares -= part
                left -= part
    steps[:] = [step for step in steps if step.shares]
