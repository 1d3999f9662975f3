"""Our quoter before the crowd: the production decision, its rivals, and where profit comes from."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import attrs
from hypothesis import given, strategies as st
from msgspec.structs import replace

from polybot.domain.market import Candle, Outcome, TwapPair
from polybot.domain.market_states import MarketState
from polybot.exchange import model
from polybot.exchange.crowd_hand import Hand
from polybot.exchange.invariants import check
from polybot.exchange.model import DOWN, SELL, UP
from polybot.exchange.money import ONE, UNIT
from polybot.exchange.oracle import PriceTick
from polybot.lab.crowd_venue import TODAY, CrowdVenue, today
from polybot.lab.maker_account import Account, Fill, Quote
from polybot.lab.maker_match import LATENCY_MS, Arena, Match, Sight
from polybot.lab.maker_ours import (
    FIXED_CENTS,
    Fixed,
    Ours,
    kept,
    no_shift,
    own_bids,
    spot_rule,
    views,
)
from polybot.lab.maker_sources import AFTER_MS, Sources, Truth, sources
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Fair
from polybot.pricing.strikes import Strike, Trust
from polybot.quoting.books import Touch, touch
from polybot.quoting.decide import decide
from polybot.quoting.model import Decision, QuoteInputs
from polybot.quoting.params import CompletionParams, QuoteParams, RewardParams

LIMIT = 100 * UNIT
ARENA = Arena(CrowdVenue(1, 0.02).source, 1)


@attrs.define(eq=False)
class Watched(Ours):
    """Ours, with a note of every decision."""

    seen: list[tuple[Sight, Decision, MarketState, tuple[Quote, ...]]] = attrs.field(factory=list)
    asked: list[QuoteInputs] = attrs.field(factory=list)

    def _inputs(self, sight: Sight) -> QuoteInputs:
        self.asked.append(super()._inputs(sight))
        assert self.asked[-1].fair == self.board.fair(self.market, sight.now_ms)
        return self.asked[-1]

    def quotes(self, sight: Sight) -> Sequence[Quote]:
        found = super().quotes(sight)
        self.seen.append((sight, self.decision, self.machine.state, tuple(found)))
        return found


@functools.cache
def watched() -> tuple[Watched, Match]:
    """Ours after two windows."""
    policies: list[Watched] = []

    def make(arena: Arena) -> Ours:
        policies.append(Watched(arena))
        return policies[0]

    match = Match(make, CrowdVenue(3, 0.05, TODAY), 3)
    for market in match.venue.windows(2):
        match.window(market)
        check(match.venue.engine)
    return policies[0], match


def test_it_quotes_as_the_bot_does() -> None:
    """Both sides while the market's machine says so, only the light side past the stop, nothing at
    the cutoff, never above a cap, never more than the net limit could hold (strategy.md 6, 13).
    """
    ours, match = watched()
    two_sided = [s for s in ours.seen if len({quote.outcome for quote in s[3]}) == 2]

    assert len(two_sided) > 500
    assert {state for _, _, state, _ in two_sided} == {MarketState.QUOTING}
    for sight, decision, state, found in ours.seen:
        if state not in (MarketState.QUOTING, MarketState.REDUCE):
            assert not found
        net = sight.up - sight.down
        for quote in found:
            cap = decision.cap_up if quote.outcome == UP else decision.cap_down
            light = net < 0 if quote.outcome == UP else net > 0
            assert light or state is MarketState.QUOTING
            assert quote.immediate or quote.price <= (cap or 0)
            assert quote.price % sight.market.tick == 0
        for outcome, toward in ((UP, net), (DOWN, -net)):
            wanted = sum(quote.size for quote in found if quote.outcome == outcome)
            assert not wanted or toward + wanted <= LIMIT
    assert sum(one.fills for one in match.account.settled) > 0


def test_an_hour_is_quoted_against_its_open() -> None:
    """The candle's first print tells it, exactly, and what was printed before it says nothing; it
    is believed when both have told three seconds of the hour.
    """
    venue = CrowdVenue(3, 0.002, today("btc-1h"))
    ours = Ours(Arena(venue.source, 3))
    market = next(venue.windows(1))
    ours.on_open(market)
    opened = venue.source.binance("btc", market.start_ms)

    def told(second: int) -> Strike | None:
        at_ms = market.start_ms + second * 1000
        for feed, value in (
            ("chainlink", venue.source.chainlink),
            ("binance", venue.source.binance),
        ):
            ours.on_price(PriceTick(feed, "btc", value("btc", at_ms), at_ms, at_ms))
        return ours.board.strike(ours.market)

    assert [told(second) for second in range(-10, 0)] == [None] * 10
    assert [told(second) for second in range(4)] == [Strike(opened, Trust.UNPROVEN)] * 4
    assert told(4) == Strike(opened, Trust.EXACT)
    assert ours.market.rule == Candle("BTCUSDT", "1h")


def test_the_decision_is_the_production_one() -> None:
    """What it acts on is `decide` of what a bot would have seen, by the production defaults; and
    the model's price in it is the production board's (strategy.md 2, 6).
    """
    ours, _ = watched()

    assert len(ours.asked) == len(ours.seen)
    for inputs, (_, decision, _, _) in zip(ours.asked, ours.seen, strict=True):
        assert decide(inputs, QuoteParams(), CompletionParams(), RewardParams()) == decision
    assert type(ours.board) is PriceBoard
    assert sum(bool(decision.quotes) for _, decision, _, _ in ours.seen) > 500


def test_the_rivals_differ_in_one_thing_each() -> None:
    """The pricer's rule, or the inventory's weight; all else is the same."""
    market = next(CrowdVenue(1, 0.02).windows(1))
    ours, spot, flat = Ours(ARENA), spot_rule(ARENA), no_shift(ARENA)
    for one in (ours, spot, flat):
        one.on_open(market)

    assert isinstance(spot.priced.rule, TwapPair)
    assert spot.priced.rule.lookback_s == 0
    assert attrs.evolve(spot.priced, rule=ours.priced.rule) == ours.priced
    assert spot.machine.table == ours.machine.table == flat.machine.table
    assert flat.params == attrs.evolve(ours.params, gamma_per_share=0.0)
    assert (flat.priced, spot.params) == (ours.priced, ours.params)


@attrs.define(eq=False)
class Twins(Ours):
    """Ours and the spot-rule one on the same prices, and what both thought."""

    spot: Ours = attrs.field(factory=lambda: spot_rule(ARENA))
    thought: list[tuple[float, float]] = attrs.field(factory=list)

    def on_open(self, market: model.Market) -> None:
        super().on_open(market)
        self.spot.on_open(market)

    def on_price(self, tick: PriceTick) -> None:
        super().on_price(tick)
        self.spot.on_price(tick)

    def quotes(self, sight: Sight) -> Sequence[Quote]:
        found = super().quotes(sight)
        self.spot.quotes(sight)
        known = sight.strike is not None and sight.left_ms > 62_000
        if known and isinstance(self.fair, Fair) and isinstance(self.spot.fair, Fair):
            self.thought.append((self.fair.q, self.spot.fair.q))
        return found


def test_the_spot_rule_is_less_sure() -> None:
    """With the same strike and price it is nearer to even: an average has forty seconds of variance
    less to come than the value at the end (strategy.md 2.2).
    """
    twins = Twins(ARENA)
    match = Match(lambda _: twins, CrowdVenue(3, 0.02, TODAY), 3)
    match.window(next(match.venue.windows(1)))

    assert len(twins.thought) > 300
    for ours, spot in twins.thought:
        assert abs(spot - 0.5) <= abs(ours - 0.5) + 1e-9
        assert (spot - 0.5) * (ours - 0.5) >= 0
    assert max(abs(ours - spot) for ours, spot in twins.thought) > 0.005


def sight_of(
    bids: tuple[tuple[int, int], ...] = ((4900, 30 * UNIT),),
    asks: tuple[tuple[int, int], ...] = ((5300, 30 * UNIT),),
    live: tuple[Quote, ...] = (), up: int = 0, down: int = 0, left_ms: int = 200_000,
) -> Sight:  # fmt: skip
    market = next(CrowdVenue(1, 0.02).windows(1))
    return Sight(market.end_ms - left_ms, market, bids, asks, up, down, live, None, {})


def test_the_book_is_shown_with_our_own_orders_in_it() -> None:
    """As on the venue: a bid for Down stands as an ask for Up; both are taken out (feeds.md 2)."""
    live = (Quote(UP, 5000, 10 * UNIT), Quote(DOWN, 4800, 20 * UNIT), Quote(UP, 4900, 5 * UNIT))
    sight = sight_of(live=live)
    own = own_bids(sight)
    up, down = views(sight, own)

    assert up.bids == ((5000, 10 * UNIT), (4900, 35 * UNIT))
    assert up.asks == ((5200, 20 * UNIT), (5300, 30 * UNIT))
    assert down.bids[0] == (4800, 20 * UNIT)
    ours = Ours(ARENA)
    ours.on_open(sight.market)
    inputs = ours._inputs(sight)
    assert touch(inputs, Outcome.UP) == Touch(4900, 5300, 30 * UNIT, 30 * UNIT)
    assert touch(inputs, Outcome.DOWN) == Touch(4700, 5100, 30 * UNIT, 30 * UNIT)


def decision_for(*prices: tuple[Outcome, int], cap_up: int, cap_down: int) -> Decision:
    from polybot.quoting.model import Quote as Wanted  # noqa: PLC0415 - two kinds of one name

    quotes = tuple(Wanted(outcome, price, 10 * UNIT, 0) for outcome, price in prices)
    return Decision(quotes, (), 0.5, 0.5, 0.01, cap_up, cap_down, 9900)


def test_an_order_a_tick_away_keeps_its_place() -> None:
    """Within the hysteresis and its cap it serves; above the cap, or where the pair would be too
    dear, or two ticks away, it goes (strategy.md 6.2).
    """
    wanted = decision_for((Outcome.UP, 5000), (Outcome.DOWN, 4800), cap_up=5100, cap_down=5000)
    near = sight_of(live=(Quote(UP, 4900, 10 * UNIT), Quote(DOWN, 4800, 8 * UNIT)))
    assert kept(wanted, near) == [
        Quote(DOWN, 4800, 10 * UNIT),
        Quote(UP, 4900, 10 * UNIT),
    ]

    above = sight_of(live=(Quote(UP, 5100, 10 * UNIT),))
    assert Quote(UP, 5100, 10 * UNIT) in kept(wanted, above)
    tight = replace(wanted, cap_up=5000)
    assert Quote(UP, 5000, 10 * UNIT) in kept(tight, above)
    dear = decision_for((Outcome.UP, 5000), (Outcome.DOWN, 4900), cap_up=5100, cap_down=5000)
    assert Quote(UP, 5000, 10 * UNIT) in kept(dear, above)
    far = sight_of(live=(Quote(UP, 4800, 10 * UNIT),))
    assert Quote(UP, 5000, 10 * UNIT) in kept(wanted, far)


def test_the_fixed_one_keeps_our_limits() -> None:
    """A cent off the mid on either side, no further than the net limit, nothing at the cutoff."""
    fixed = Fixed(ARENA)
    sight = sight_of()
    fixed.on_open(sight.market)
    tops = [quote for quote in fixed.quotes(sight) if quote.size]

    assert [(quote.outcome, quote.price) for quote in tops] == [
        (UP, 5100 - FIXED_CENTS), (UP, 4900), (DOWN, 4900 - FIXED_CENTS), (DOWN, 4700),
    ]  # fmt: skip
    full = fixed.quotes(attrs.evolve(sight, up=LIMIT - 12 * UNIT))
    assert [(quote.outcome, quote.size) for quote in full] == [
        (UP, 10 * UNIT), (DOWN, 10 * UNIT), (DOWN, 10 * UNIT),
    ]  # fmt: skip
    assert not fixed.quotes(sight_of(left_ms=60_000))
    assert not fixed.quotes(sight_of(bids=()))


# --- an order that never rests --------------------------------------------------------------------


def test_an_immediate_order_takes_once_and_never_rests() -> None:
    """It spends its dollars at its price or better, pays the fee, and leaves nothing behind; asked
    for again it is sent again (clob.md 3.4, 6.1).
    """
    venue = CrowdVenue(1, 0.02, TODAY)
    market = next(venue.windows(1))
    for hand in venue.crowd.hands:
        hand.leave(market, venue.now_ms)
    other = Hand.make(venue.engine, "other")
    other.stock_up(market, venue.now_ms)
    fills: list[Fill] = []
    account = Account(
        Hand.make(venue.engine, "policy"), fills.append, lambda _: None, LATENCY_MS
    )  # fmt: skip
    account.enter(market)
    now_ms = venue.now_ms
    other.rest(market, SELL, 5000, 6 * UNIT, now_ms)
    take = Quote(UP, 5000, 10 * UNIT, post_only=False, immediate=True)
    account.want([take], now_ms)
    assert not account.live
    for later_ms in (LATENCY_MS, market.taker_delay_ms, LATENCY_MS):
        now_ms += later_ms
        venue.engine.advance(now_ms)
        account.advance(now_ms)

    (fill,) = fills
    assert (fill.shares, fill.maker, fill.fee > 0) == (6 * UNIT, False, True)
    assert not venue.engine.live_orders(account.hand.owner)
    assert account.held == (6 * UNIT, 0)
    check(venue.engine)


# --- sources --------------------------------------------------------------------------------------


def fill_of(outcome: int, side: str, shares: int, price: int, at_ms: int, fee: int = 0) -> Fill:
    cash = shares * price // ONE
    return Fill(
        outcome, side, shares, (cash if side == SELL else -cash) - fee, fee, 0, fee == 0, at_ms
    )


def test_a_profit_is_split_by_the_truth() -> None:
    """Bought a cent below what it was worth, half a cent lost in ten seconds, won at the end."""
    truth = Truth(0, 1_000, [0.5] * 10 + [0.495] * 20)
    fill = fill_of(UP, model.BUY, 10 * UNIT, 4900, 4_000)

    assert sources([fill], truth, 5_100_000) == Sources(100_000, -50_000, 0, 5_050_000)
    late = attrs.evolve(fill, matched_ms=9_001)  # what a racer saw then is in the next note
    assert sources([late], truth, 5_100_000) == Sources(50_000, 0, 0, 5_050_000)
    assert sources([], truth, 0) == Sources()


@given(
    st.lists(
        st.builds(
            fill_of, st.sampled_from([UP, DOWN]), st.sampled_from([model.BUY, SELL]),
            st.integers(1, 10**9), st.integers(1, ONE - 1), st.integers(-5, 400_000),
            st.integers(0, 10**6),
        )
    ),
    st.lists(st.floats(0, 1), min_size=1, max_size=50),
    st.integers(-(10**9), 10**9),
)  # fmt: skip
def test_the_parts_are_the_whole(fills: list[Fill], up: list[float], profit: int) -> None:
    """To the unit, whatever the truth was, and beyond both of its ends."""
    parts = sources(fills, Truth(0, 150, up), profit if fills else 0)

    assert sum(attrs.astuple(parts)) == (profit if fills else 0)
    assert parts.fees == -sum(fill.fee for fill in fills)
    assert AFTER_MS > 0


def test_a_match_tells_its_sources() -> None:
    """Every settled window's parts are its profit; the truth was noted (strategy.md 3)."""
    _, match = watched()

    for one in match.account.settled:
        assert sum(attrs.astuple(one.sources)) == one.profit - one.rebate
    assert any(one.sources.spread for one in match.account.settled)
