"""Crowd makers: two-sided ladders around a late view of the true probability.

Each maker reads the truth `lag_ms` late and keeps `edge` away from it; how near to that limit it
goes is a habit: the two fastest undercut each other, the next one joins them, the slow ones keep
behind. An act moves the ladder when the view or the others have moved, and otherwise resizes one
level, mostly at the touch; the more it changed, the longer the maker pauses. Figures from
calibration.json (full_rate_btc5m, depth_by_ttc): 64 % of changes at the touch, almost all resize a
level, by a median of 10 shares.
"""

from __future__ import annotations

import enum
import math
import random

import attrs

from polybot.exchange.crowd_hand import CENT, LEAST, SELL_SHARE, Hand
from polybot.exchange.crowd_odds import MarketOdds, View
from polybot.exchange.crowd_takers import over, pace
from polybot.exchange.model import BUY, SELL, Market, Order
from polybot.exchange.money import ONE

Ladder = dict[int, list[Order]]  # by Up price, own first order of a level first

CHANGES_PER_S = 570.0  # level changes by all makers of one busy market at intensity 1 (380–540)
LONGEST_PAUSE = 2.0  # in lags: however low the intensity, nobody leaves quotes alone for longer
LINGER_MS = 6_000  # makers stay this long after the close, if the venue lets them
BUILD_MS = 50  # between the acts that first build a ladder
BARRED_MS = 500  # between them where the venue takes no orders
OPS_PER_ACT = 12  # placements in one act, so that no act stalls the exchange
LEAST_STEP = 30  # of price: a fine tick is not worth following move by move
# Of a second's movement: no touch follows every flicker of a fast market. But half a cent at most:
# in the last seconds, when all is movement, makers do follow.
RESTRAINT, RESTRAINT_MOST = 0.07, 0.005
FAR_SLACK = 4  # steps a ladder may be longer than it should: fewer cancels for nothing
THIN_S = 60  # before the end: from here on depth is withdrawn, all but one step of slack with it
_OTHER = {BUY: SELL, SELL: BUY}
BIAS = 0.003  # each maker's error of judgement, redrawn now and then
BIAS_REDRAW = 0.01  # chance in each act
AT_TOUCH = 0.8  # of resizes; the ladders' own moves dilute it (64 % of all changes measured)
ADDED_LOG = math.log(10)  # of the shares that a resize adds, at the median
ADDED_MOST = 4  # small orders of one maker beside its first at a level


class Habit(enum.Enum):
    """What a maker makes of the others' quotes; its own limit always comes first.

    UNDERCUTS steps one tick inside the best of the others, and no further: nobody shows more than
    it takes to be first. JOINS stands beside the best of the others and never in front of it. Both
    stay where they are when the others leave: it is their own view that makes them leave, too,
    and a late view is what others live on. KEEPS stays one tick behind, and when it finds itself
    in front it steps back, for whoever left first may know something.
    """

    UNDERCUTS = enum.auto()
    JOINS = enum.auto()
    KEEPS = enum.auto()


@attrs.frozen
class Persona:
    """A maker's character.

    Its limit, the best price it would quote, is `edge` (probability) plus `caution` times one
    standard deviation of the fair price's move within its own lag away from its view; `habit` says
    which of the prices up to there it takes. `patience` is by how many ticks the view may leave
    a touch before the touch follows; `share` its part of all makers' changes.
    """

    name: str
    habit: Habit
    lag_ms: int
    edge: float
    caution: float
    patience: float
    share: float
    levels: int
    touch_size: float  # median shares at its best level
    deep_size: float  # and behind it
    coarse: bool = False  # steps of one cent whatever the tick
    slope: float = 0.0  # how much more, relative to that, at each further level
    leaves_ms: int = 0  # before the close; 0 for who stays until nothing trades any more


PERSONAS = (
    Persona("swift", Habit.UNDERCUTS, 300, 0.0027, 0.02, 0.6, 0.26, 3, 100, 20),
    Persona("keen", Habit.UNDERCUTS, 360, 0.0027, 0.02, 0.6, 0.22, 3, 100, 20),
    Persona("steady", Habit.JOINS, 500, 0.0040, 0.1, 0.9, 0.32, 5, 175, 40),
    Persona("calm", Habit.KEEPS, 900, 0.0060, 0.3, 1.6, 0.08, 6, 45, 30, leaves_ms=15_000),
    Persona("slow", Habit.KEEPS, 1400, 0.0120, 0.6, 2.5, 0.02, 7, 60, 60, leaves_ms=30_000),
    Persona("late", Habit.KEEPS, 2000, 0.0200, 0.8, 3.5, 0.02, 8, 90, 100, leaves_ms=30_000),
    Persona(
        "deep", Habit.KEEPS, 2000, 0.0700, 0.3, 6.0, 0.08, 92, 225, 225,
        coarse=True, slope=0.095, leaves_ms=10_000,
    ),
)  # fmt: skip


def levels_left(levels: int, to_end_s: float) -> int:
    """How deep a ladder stands near the end: depth behind the touch vanishes (depth_by_ttc)."""
    if to_end_s >= THIN_S:
        return levels
    return min(levels // 2, 2) if to_end_s < 30 else levels // 2


class Desk:
    """One maker in one market. Sides are the book's, in Up terms: BUY bids, SELL asks."""

    def __init__(
        self, persona: Persona, hand: Hand, market: Market, odds: MarketOdds,
        rng: random.Random, rate: float, thickness: float = 1.0, cashed_till_ms: int = 0,
    ) -> None:  # fmt: skip
        """`rate`: level changes per second that this desk makes once the window runs.

        `thickness` scales the sizes it lays out. Until `cashed_till_ms` what is nearly won is sold
        at the last price there is: the book keeps both sides.
        """
        self.persona, self.hand, self.market, self.odds = persona, hand, market, odds
        self._rng, self._rate, self._thickness = rng, rate, thickness
        self._bias = rng.gauss(0, BIAS)
        self._cashed_till_ms = cashed_till_ms
        self._touch: tuple[int, int] | None = None
        self._built = False
        self.ladders: dict[str, Ladder] = {BUY: {}, SELL: {}}
        self._settled: tuple[object, ...] | None = None  # the wish the ladders stand at, if at one
        self._book = hand.engine.desk.resting.books[market.condition_id]
        self._blind_root_s = math.sqrt(persona.lag_ms / 1000)  # √s in which it sees no move
        hand.ended[market.condition_id] = self._ended

    def act(self, now_ms: int) -> int | None:
        """One act at its due time; returns the next due time, None when this market is over."""
        market, leaves_ms = self.market, self.persona.leaves_ms
        if over(market, now_ms + leaves_ms, 0 if leaves_ms else LINGER_MS):
            self.hand.leave(market, now_ms)
            self.hand.ended.pop(market.condition_id, None)
            return None
        rng = self._rng
        if rng.random() < BIAS_REDRAW:
            self._bias = rng.gauss(0, BIAS)
        bid, ask = self._targets(self.odds.at(now_ms - self.persona.lag_ms), now_ms)
        bid, ask = self._stance(BUY, bid), self._stance(SELL, ask)
        barred = self.hand.barred(now_ms)
        changes = self._requote(bid, ask, now_ms, barred=barred)
        if not self._built:
            self._built = changes < OPS_PER_ACT and not barred
            return now_ms + (BARRED_MS if barred else BUILD_MS)
        changes = changes or (0 if barred else self._resize(bid, ask, now_ms))
        rate = self._rate * pace(market, now_ms)
        pause_ms = max(1, changes) * rng.expovariate(rate) * 1000
        due = now_ms + 1 + round(min(pause_ms, LONGEST_PAUSE * self.persona.lag_ms))
        left_ms = market.end_ms - leaves_ms - now_ms
        return min(due, now_ms + left_ms) if left_ms > 0 else due

    def _targets(self, view: View, now_ms: int) -> tuple[int, int]:
        """Own limits, bid and ask in Up terms, kept while the view stays near both."""
        tick, persona = self.market.tick, self.persona
        moved = view.speed * self._blind_root_s
        edge = (persona.edge + persona.caution * moved) * ONE
        fair = (view.up + self._bias) * ONE
        low, high = fair - edge, fair + edge
        if self._touch is not None and self._touch[0] % tick == self._touch[1] % tick == 0:
            was_bid, was_ask = self._touch
            restraint = min(RESTRAINT * view.speed, RESTRAINT_MOST)
            slack = persona.patience * max(tick, LEAST_STEP) + restraint * ONE
            near_bid = was_bid - slack <= low <= was_bid + tick + slack
            if near_bid and was_ask - tick - slack <= high <= was_ask + slack:
                return self._touch
        bid, ask = math.floor(low / tick) * tick, math.ceil(high / tick) * tick
        if now_ms < self._cashed_till_ms:
            bid, ask = min(bid, ONE - 2 * tick), max(ask, 2 * tick)
            bid, ask = max(bid, tick), min(ask, ONE - tick)
        self._touch = bid, max(ask, bid + tick)
        return self._touch

    def _stance(self, side: str, limit: int) -> int:
        """The price of the own best level on one side: what habit makes of the limit."""
        others = self._others(side)
        if others is None:
            return limit
        inside = self.market.tick if side == BUY else -self.market.tick
        better, worse = (max, min) if side == BUY else (min, max)
        if self.persona.habit is Habit.KEEPS:
            return worse(limit, others - inside)
        nearest = others + inside if self.persona.habit is Habit.UNDERCUTS else others
        return worse(limit, better([nearest, *self.ladders[side]]))

    def _others(self, side: str) -> int | None:
        """The best price at which anybody else rests."""
        own = self.ladders[side]
        for level in self._book.side(side).best_first():
            left = level.total
            for order in own.get(level.price, ()):
                left -= order.size - order.matched
            if left > 0:
                return level.price
        return None

    def _requote(self, bid: int, ask: int, now_ms: int, *, barred: bool) -> int:
        """Bring both ladders to their targets: cancels first, then what is missing. Counts both.

        `barred`: the venue takes no orders. Nothing is placed, and the wish stays open.
        """
        depth, left_s = self.persona.levels, (self.market.end_ms - now_ms) / 1000
        if self.persona.habit is not Habit.KEEPS:
            depth = levels_left(depth, left_s)
        wish = bid, ask, depth, self._book.best()
        if wish == self._settled:
            return 0
        changes = self._drop(BUY, 0, bid, now_ms) + self._drop(SELL, ask, ONE, now_ms)
        best_bid, best_ask = self._book.best()
        tick, step = self.market.tick, 100 if self.persona.coarse else self.market.tick
        if best_ask is not None:
            bid = min(bid, best_ask - tick)
        if best_bid is not None:
            ask = max(ask, best_bid + tick)
        bid, ask = bid // step * step, -(-ask // step) * step
        reach = (depth - 1 + (FAR_SLACK if left_s >= THIN_S else 1)) * step
        changes += self._drop(BUY, bid - reach, ONE, now_ms)
        changes += self._drop(SELL, 0, ask + reach, now_ms)
        bids, asks = range(bid, bid - depth * step, -step), range(ask, ask + depth * step, step)
        if barred:
            self._settled = None
            return changes
        placed = self._fill(BUY, bids, OPS_PER_ACT, now_ms)
        changes += placed + self._fill(SELL, asks, OPS_PER_ACT - placed, now_ms)
        self._settled = None if changes else wish
        return changes

    def _drop(self, side: str, low: int, high: int, now_ms: int) -> int:
        """Cancel whatever rests outside [low, high]. Counts the cancels."""
        ladder = self.ladders[side]
        outside = [price for price in ladder if not low <= price <= high]
        if not outside:
            return 0
        orders = [order for price in outside for order in ladder[price]]
        return sum([self.hand.pull(order, now_ms) for order in orders])

    def _ended(self, order: Order) -> None:
        """An order of this ladder has died, by whatever hand: the ladders hold the living only."""
        self._settled = None
        ladder, price = self.ladders[order.up_side], order.up_price
        orders = ladder.get(price, [])
        if order in orders:  # else it died while it was being placed
            orders.remove(order)
            if not orders:
                del ladder[price]

    def _fill(self, side: str, prices: range, budget: int, now_ms: int) -> int:
        """Place missing levels from the touch outwards, at most `budget`. Counts them."""
        placed, ladder = 0, self.ladders[side]
        for level, price in enumerate(prices):
            if placed >= budget or not 0 < price < ONE:
                break
            if price in ladder:
                continue
            median = self.persona.deep_size if level else self.persona.touch_size
            median *= self._thickness * (1 + self.persona.slope * level)
            order = self._rest(side, price, self._rng.lognormvariate(math.log(median), 0.8), now_ms)
            placed += 1
            if order is not None:
                ladder[price] = [order]
        return placed

    def _resize(self, bid: int, ask: int, now_ms: int) -> int:
        """Add a little at one level, or take back what was added there. Counts the change."""
        rng, (best_bid, best_ask) = self._rng, self._book.best()
        # Whether this maker's own limits let it rest at the market's touch.
        joins = {
            BUY: best_bid is not None and best_bid <= bid,
            SELL: best_ask is not None and best_ask >= ask,
        }
        side = BUY if rng.random() < 0.5 else SELL
        if not joins[side] and joins[_OTHER[side]]:
            side = _OTHER[side]
        ladder, best = self.ladders[side], best_bid if side == BUY else best_ask
        if not ladder:
            return 0
        if best is not None and joins[side] and rng.random() < AT_TOUCH:
            price = best
        else:
            price = rng.choice(list(ladder))
        added = len(ladder.get(price, ())) - 1
        if added > 0 and (added >= ADDED_MOST or rng.random() < 0.5):
            self.hand.pull(ladder[price][-1], now_ms)
            return 1
        order = self._rest(side, price, rng.lognormvariate(ADDED_LOG, 0.86), now_ms)
        if order is not None:
            ladder.setdefault(price, []).append(order)
        return 1

    def _rest(self, side: str, price: int, shares: float, now_ms: int) -> Order | None:
        size = max(LEAST, round(shares * 100) * CENT)
        sell = self._rng.random() < SELL_SHARE
        return self.hand.rest(self.market, side, price, size, now_ms, sell=sell)
