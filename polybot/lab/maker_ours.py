"""Our own quoter as a policy, and the three it has to be better than.

Nothing of it is rebuilt here: the production price board hears the feeds, the production machine
keeps the market's state, the production `decide` answers. What is left out of the way to the wire
is the order desk but for its hysteresis, the dollar limits (the limit on net shares binds long
before them), merges, and the signals, which do not act by default.

ours        as it trades
fixed       a cent either side of the mid: our sizes, our limit and our last minute, no model
spot-rule   ours, priced as if the spot at the end decided, as until August 2026
no-shift    ours, with nothing taken off for what it holds already
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import attrs

from polybot.domain.market import Candle, Market, Outcome, TwapPair
from polybot.domain.prices import Feed
from polybot.domain.units import ONE, SHARE, floor_to
from polybot.exchange import model
from polybot.exchange.oracle import PriceTick
from polybot.execution.params import OrderParams
from polybot.lab.crowd_chances import market_seen
from polybot.lab.maker_account import Fill, Quote, Settled
from polybot.lab.maker_match import LATENCY_MS, Arena, Levels, Sight
from polybot.market_times import cutoff_ms, stop_ms
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair, NoFair, WhyNoFair
from polybot.quoting.completion import Take
from polybot.quoting.decide import decide
from polybot.quoting.model import BookView, Decision, QuoteInputs
from polybot.quoting.params import CompletionParams, QuoteParams, RewardParams
from polybot.risk.exposure import inventory_room
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import Known, MarketMachine, Times, Timetable

SPOT_LOOKBACK_S = 0
CONFIRMED_MS = 10_000  # broadcast, block and confirmation at their usual pace (onchain.md)
# A take arrives, is held by the venue's taker delay, and its news comes back.
TAKING_MS = 3 * LATENCY_MS
FIXED_CENTS = 100  # 10⁻⁴
OUTCOMES = {model.UP: Outcome.UP, model.DOWN: Outcome.DOWN}
FEEDS = {
    "binance": (Feed.BINANCE, "BTCUSDT"),
    "chainlink": (Feed.CHAINLINK, "btcusd"),
    "twap60": (Feed.TWAP60, "btcusd"),
}
NOT_NOW = NoFair(WhyNoFair.STRIKE_UNKNOWN)


@attrs.define(eq=False)
class Ours:
    """The production quoter before the crowd."""

    arena: Arena
    params: QuoteParams = QuoteParams()
    spot_rule: bool = False
    board: PriceBoard = attrs.field(factory=PriceBoard)
    decision: Decision = Decision((), ())
    fair: Fair | NoFair = NOT_NOW
    market: Market = attrs.field(init=False)
    priced: Market = attrs.field(init=False)  # the market as the pricer believes it to settle
    machine: MarketMachine = attrs.field(init=False)
    _completion: CompletionParams = CompletionParams()
    _rewards: RewardParams = RewardParams()
    _risk: RiskParams = RiskParams()
    _fresh: list[Fill] = attrs.field(factory=list)  # not confirmed yet
    _official: bool = False
    _book: tuple[Levels, Levels] = ((), ())
    _book_ms: int = 0
    _take_at_ms: int = 0  # when the next one may leave
    _taking_ms: int = 0  # until when one is under way

    def on_open(self, market: model.Market) -> None:
        self.market = market_seen(market)
        rule = TwapPair("btcusd", SPOT_LOOKBACK_S) if self.spot_rule else self.market.rule
        self.priced = attrs.evolve(self.market, rule=rule)
        times = Times(stop_ms(self.market, self.params), cutoff_ms(self.market, self.params))
        self.machine = MarketMachine(self.market, Timetable.of(self.market, times))
        self.decision, self._official = Decision((), ()), False
        self._fresh, self._book_ms = [], market.start_ms
        self._take_at_ms = self._taking_ms = 0

    def on_price(self, tick: PriceTick) -> None:
        feed, symbol = FEEDS[tick.feed]
        self.board.on_tick(feed, symbol, tick.value, tick.stamp_ms, tick.at_ms)
        if feed is Feed.BINANCE and isinstance(self.market.rule, Candle):
            self._tell_open(symbol, tick.at_ms)

    def _tell_open(self, symbol: str, now_ms: int) -> None:
        """The stream of candles tells a new one's open with its first print, and ever again."""
        start_ms = self.market.start_ms
        if now_ms >= start_ms:
            opened = self.arena.source.binance("btc", start_ms)
            self.board.on_tick(Feed.CANDLE_OPEN, symbol, opened, start_ms, now_ms)

    def on_fill(self, fill: Fill) -> None:
        self._fresh.append(fill)

    def on_settled(self, settled: Settled) -> None: ...

    def quotes(self, sight: Sight) -> Sequence[Quote]:
        if sight.strike is not None and not self._official:
            self._official = True
            self.board.official_strike(self.priced, sight.strike, sight.now_ms)
        strike = self.board.strike(self.priced) is not None
        book = bool(sight.bids and sight.asks)
        self.machine.learn(Known(book, strike, len(sight.live)), sight.now_ms)
        self.fair = self.board.fair(self.priced, sight.now_ms)
        self.decision = decide(self._inputs(sight), self.params, self._completion, self._rewards)
        resting = kept(self.decision, sight)
        return [*resting, *self._taken(self.decision.take, sight.now_ms)]

    def _inputs(self, sight: Sight) -> QuoteInputs:
        if (sight.bids, sight.asks) != self._book:
            self._book, self._book_ms = (sight.bids, sight.asks), sight.now_ms
        own = own_bids(sight)
        up, down = views(sight, own)
        return QuoteInputs(
            market=self.market,
            now_ms=sight.now_ms,
            fair=self.fair,
            up=up,
            down=down,
            tick=sight.market.tick,
            held_up=sight.up,
            held_down=sight.down,
            own=own,
            net_limit=self._risk.max_net_shares * SHARE,
            state=self.machine.state,
            table=self.machine.table,
            net_confirmed=sight.up - sight.down - self._unconfirmed(sight.now_ms),
            taking=sight.now_ms < self._taking_ms,
            book_age_s=(sight.now_ms - self._book_ms) / 1000,
            apart_since_ms=self.decision.apart_since_ms,
        )

    def _unconfirmed(self, now_ms: int) -> int:
        """Shares Up less Down that the chain has not confirmed yet."""
        self._fresh = [one for one in self._fresh if now_ms - one.matched_ms < CONFIRMED_MS]
        return sum(f.shares if f.outcome == model.UP else -f.shares for f in self._fresh)

    def _taken(self, take: Take | None, now_ms: int) -> list[Quote]:
        """A completion as an order; each try once, as often as the bot tries."""
        if take is None or now_ms < self._take_at_ms:
            return []
        self._take_at_ms = now_ms + int(self._completion.every_s * 1000)
        self._taking_ms = now_ms + TAKING_MS
        outcome = model.UP if take.outcome is Outcome.UP else model.DOWN
        return [Quote(outcome, take.price, take.size, post_only=False, immediate=True)]


def own_bids(sight: Sight) -> dict[tuple[Outcome, int], int]:
    """What is believed to rest, as the bot keeps it."""
    own: dict[tuple[Outcome, int], int] = {}
    for one in sight.live:
        key = OUTCOMES[one.outcome], one.price
        own[key] = own.get(key, 0) + one.size
    return own


def views(sight: Sight, own: dict[tuple[Outcome, int], int]) -> tuple[BookView, BookView]:
    """Up's and Down's book as the venue shows them, our own bids inside."""
    bids, asks = dict(sight.bids), dict(sight.asks)
    for (outcome, price), size in own.items():
        side, at = (bids, price) if outcome is Outcome.UP else (asks, ONE - price)
        side[at] = side.get(at, 0) + size
    down = sorted(bids.items(), reverse=True)
    up = sorted(asks.items())
    return (
        BookView(tuple(down), tuple(up)),
        BookView(
            tuple((ONE - price, size) for price, size in up),
            tuple((ONE - price, size) for price, size in down),
        ),
    )


def kept(decision: Decision, sight: Sight) -> list[Quote]:
    """The wanted bids; one that rests near enough, inside its cap, keeps its place for them, as the
    order desk has it.
    """
    slack, pair_cap = OrderParams().hysteresis_ticks * sight.market.tick, decision.pair_cap
    wanted = [(q, model.UP if q.outcome is Outcome.UP else model.DOWN) for q in decision.quotes]
    live = [one for one in sight.live if one.side == model.BUY]
    found = []
    for reach in (0, slack):
        for pair in list(wanted):
            quote, outcome = pair
            most = (decision.cap_up if outcome == model.UP else decision.cap_down) or 0
            dearest = max((q.price for q, other in wanted if other != outcome), default=0)
            near = (
                one
                for one in live
                if one.outcome == outcome
                and abs(one.price - quote.price) <= reach
                and one.price <= most
                and (one.price <= quote.price or one.price + dearest <= pair_cap)
                and quote.size <= 2 * one.size
            )
            serves = next(near, None)
            if serves is not None:
                live.remove(serves)
                wanted.remove(pair)
                size = max(quote.size, serves.size)
                found.append(Quote(outcome, serves.price, size))
    return found + [Quote(outcome, quote.price, quote.size) for quote, outcome in wanted]


@attrs.define(eq=False)
class Fixed(Ours):
    """A cent either side of the mid, and a tick deeper the next; nothing from the cutoff on."""

    def quotes(self, sight: Sight) -> Sequence[Quote]:
        if sight.left_ms <= cutoff_ms(self.market, self.params) or not (sight.bids and sight.asks):
            return ()
        twice, tick = sight.bids[0][0] + sight.asks[0][0], sight.market.tick
        tops = {
            Outcome.UP: twice // 2 - FIXED_CENTS,
            Outcome.DOWN: ONE - (-(-twice // 2) + FIXED_CENTS),
        }
        found: list[Quote] = []
        for outcome, level in itertools.product(Outcome, range(self.params.levels)):
            room = inventory_room(
                outcome, sight.up - sight.down, self._risk.max_net_shares * SHARE
            ) - sum(quote.size for quote in found if OUTCOMES[quote.outcome] is outcome)
            size = min(int(self.params.size_shares * SHARE), room)
            price = floor_to(tops[outcome], tick) - level * self.params.step_ticks * tick
            if size >= self.market.min_size and price >= tick:
                side = model.UP if outcome is Outcome.UP else model.DOWN
                found.append(Quote(side, price, size))
        return found


def spot_rule(arena: Arena) -> Ours:
    return Ours(arena, spot_rule=True)


def no_shift(arena: Arena) -> Ours:
    return Ours(arena, attrs.evolve(QuoteParams(), gamma_per_share=0.0))
