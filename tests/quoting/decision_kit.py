"""Random situations for the quoter, drawn wide: everything that a decision may depend on."""

from __future__ import annotations

import random

import attrs
from market_kit import BTC_5M

from polybot.domain.market import Candle, Market, Outcome, RewardPool, TwapPair
from polybot.domain.market_states import MarketState
from polybot.domain.prices import Feed
from polybot.domain.units import ONE, SHARE
from polybot.pricing.board import PriceBoard
from polybot.pricing.fair import Caution, Fair, NoFair, Quality, WhyNoFair
from polybot.pricing.params import PricingParams
from polybot.quoting.model import BookView, QuoteInputs, Stock
from polybot.quoting.params import CompletionParams, QuoteParams, RewardParams
from polybot.risk.checks import Standing
from polybot.risk.limits import RiskParams
from polybot.risk.timetable import Times, Timetable
from polybot.signal.advice import NEUTRAL, Advice, Veto

POOL = RewardPool(20_000 * SHARE, 20 * SHARE, 300, 30)
RULES = (
    TwapPair("btcusd", 60),
    TwapPair("btcusd", 60),
    TwapPair("btcusd", 0),
    Candle("BTCUSDT", "1h"),
)
PARAMS = (
    QuoteParams(),
    QuoteParams(levels=3),
    QuoteParams(levels=3, size_shares=33.0, size_growth=1.3, step_ticks=2, sell_held="always"),
    QuoteParams(levels=1, size_floor=1.0, fade_fraction=0.0, sell_held="never", kappa=0.0),
    QuoteParams(gamma_per_share=0.0, rebate_counts=0.0, base_edge=0.01, disagree_s=0.0),
)
# The refusals of the day of the digests; which one it is makes no difference to a quoter.
NEWER = (WhyNoFair.TERMS_CHANGED, WhyNoFair.UNCONFIRMED)
NO_FAIR = tuple(why for why in WhyNoFair if why not in NEWER)
LOOSE = PricingParams(vol_prior_annual=0.5, jumps_per_hour=6.0, vol_error=0.1)


def market(rng: random.Random) -> Market:
    pool = POOL if rng.random() < 0.2 else None
    tick = rng.choice((100, 100, 100, 10))
    return attrs.evolve(BTC_5M, tick=tick, rule=rng.choice(RULES), rewards=pool)


def board(rng: random.Random, of: Market, now_ms: int) -> PriceBoard:
    """Some minutes of prices up to now; now and then a stream is late, torn, frozen or missing."""
    made = PriceBoard(rng.choice((PricingParams(), PricingParams(), LOOSE)))
    price, noise = 90_000.0, rng.choice((2e-5, 8e-5, 3e-4))
    last_ms = now_ms - rng.choice((0, 0, 0, 300, 1900, 4000))
    quiet = rng.choice((None, None, None, None, *Feed))
    first_ms = last_ms - 1000 * rng.choice((20, 130, 200))
    for at_ms in range(first_ms - first_ms % 1000, last_ms + 1, 1000):
        price *= 1 + rng.uniform(-noise, noise)
        apart = 40.0 if quiet is None and at_ms > last_ms - 4000 and noise > 1e-4 else 0.0
        told = (
            (Feed.BINANCE, "BTCUSDT", price + 20.0 + apart, at_ms),
            (Feed.CHAINLINK, "btcusd", price, at_ms - 1000),
            (Feed.TWAP60, "btcusd", price * (1 + rng.uniform(-1e-4, 1e-4)), at_ms - 2000),
        )
        for feed, symbol, value, stamp_ms in told:
            if feed is not quiet or at_ms < last_ms - 8000:
                made.on_tick(feed, symbol, value, stamp_ms, at_ms)
    if rng.random() < 0.9:
        made.official_strike(of, price * (1 + rng.uniform(-1e-3, 1e-3)), of.start_ms)
        if rng.random() < 0.1:
            made.official_strike(of, price * (1 + rng.uniform(-1e-3, 1e-3)), now_ms - 500)
    return made


def fair(rng: random.Random) -> Fair | NoFair:
    if rng.random() < 0.05:
        return NoFair(rng.choice(NO_FAIR), (("age_s", "3"),))
    quality = Quality(
        rng.choice((0.0, 1e-4)),
        rng.choice((0.0, 0.0, 4e-4)),
        rng.choice((1.0, 1.0, 0.5)),
        rng.choice(((), (), ((Caution.JUMP, (("share", "0.8"),)),))),
    )
    return Fair(
        rng.uniform(0.01, 0.99),
        rng.uniform(-4, 4) * rng.choice((0.1, 1)),
        rng.choice((0.0, 0.004, rng.uniform(0.0, 0.05))),
        rng.uniform(0.0, 0.4),
        rng.uniform(2e-5, 3e-4),
        rng.uniform(0.1, 300),
        90_000.0,
        90_010.0,
        rng.choice((0.0, 0.3, 2.0)),
        quality,
    )


def book(rng: random.Random, tick: int, middle: float) -> BookView | None:
    """Five levels a side around the middle; now and then a side or the whole is missing."""
    if rng.random() < 0.04:
        return None
    bid = round(middle * ONE / tick) * tick - tick * rng.randint(0, 2)
    ask = bid + tick * rng.randint(0 if rng.random() < 0.03 else 1, 3)

    def size() -> int:
        return SHARE * rng.choice((3, 10, 40, 200, 1000)) + 10_000 * rng.randint(0, 99)

    bids = tuple((bid - n * tick, size()) for n in range(5) if bid - n * tick >= tick)
    asks = tuple((ask + n * tick, size()) for n in range(5) if ask + n * tick <= ONE - tick)
    return BookView(bids if rng.random() < 0.97 else (), asks if rng.random() < 0.97 else ())


def mirrored(of: BookView | None) -> BookView | None:
    if of is None:
        return None
    return BookView(
        tuple((ONE - price, size) for price, size in of.asks),
        tuple((ONE - price, size) for price, size in of.bids),
    )


def _own(
    rng: random.Random, up: BookView | None, down: BookView | None
) -> dict[tuple[Outcome, int], int]:
    """Orders of ours at prices of the books, some of them all that is there."""
    own = {}
    for outcome, seen in ((Outcome.UP, up), (Outcome.DOWN, down)):
        for price, size in seen.bids[: rng.randint(0, 3)] if seen is not None else ():
            if rng.random() < 0.6:
                own[outcome, price] = rng.choice((size, min(size, 10 * SHARE)))
    return own


def _advice(rng: random.Random) -> Advice:
    if rng.random() < 0.6:
        return NEUTRAL
    return Advice(
        widen=rng.choice((1.0, 1.5)),
        adverse=rng.choice((0.0, 0.004)),
        shrinks=rng.choice(((), (("toxicity", 0.5),), (("regime", 0.7), ("correlation", 0.4)))),
        shift=rng.choice((0.0, 0.01, -0.02)),
        improve=rng.random() < 0.7,
        deeper=rng.choice((0, 0, 1)),
        smallest=rng.random() < 0.1,
        veto=rng.choice((None,) * 9 + tuple(Veto)[:1]),
        because=("flow",),
    )


def _stock(rng: random.Random, up: int, down: int) -> Stock | None:
    if not (up or down) or rng.random() < 0.4:
        return None
    cash = rng.choice((0, 3, 20, 10_000)) * SHARE
    standing = Standing(cash, 10_000 * SHARE, sellable_up=up, sellable_down=down // 2)
    late = rng.choice((None, None, "no gas"))
    return Stock(up, down, standing, RiskParams(), late, rng.random() < 0.3)


def situation(rng: random.Random) -> QuoteInputs:
    """All that a decision depends on, but for the settings."""
    of = market(rng)
    now_ms = of.start_ms + rng.randint(-20_000, of.end_ms - of.start_ms)
    priced = board(rng, of, now_ms).fair(of, now_ms) if rng.random() < 0.03 else fair(rng)
    q = priced.q if isinstance(priced, Fair) else 0.5
    middle = min(max(q + rng.choice((0.0, 0.02, 0.2)) * rng.uniform(-1, 1), 0.02), 0.98)
    up = book(rng, of.tick, middle)
    down = mirrored(up) if rng.random() < 0.9 else book(rng, of.tick, 1 - middle)
    held_up, held_down = (rng.choice((0, 0, 0, 5, 12, 40, 130)) * SHARE for _ in range(2))
    usual = (MarketState.QUOTING,) * 20 + (MarketState.REDUCE,) * 8
    return QuoteInputs(
        market=of,
        now_ms=now_ms,
        fair=priced,
        up=up,
        down=down,
        tick=of.tick,
        held_up=held_up,
        held_down=held_down,
        own=_own(rng, up, down),
        net_limit=rng.choice((50, 100, 100)) * SHARE,
        state=rng.choice(usual + tuple(MarketState)),
        table=Timetable.of(of, Times(120_000, 60_000, rng.choice((0, 10_000)))),
        net_confirmed=rng.choice((held_up - held_down,) * 4 + (0,)),
        taking=rng.random() < 0.1,
        post_only=rng.random() < 0.1,
        book_age_s=rng.choice((0.0, 0.4, 3.0)),
        apart_since_ms=rng.choice((None, now_ms - 20_000, now_ms - 1000)),
        advice=_advice(rng),
        stock=_stock(rng, held_up, held_down),
        scoring=rng.choice((1.0, 0.5)),
        unscored=rng.choice(((), (Outcome.UP,))),
        reward_refused=rng.random() < 0.1,
        rewarded=rng.random() < 0.3,
    )


def settings(
    rng: random.Random,
) -> tuple[QuoteParams, CompletionParams | None, RewardParams | None]:
    completion = rng.choice(
        (None, CompletionParams(), CompletionParams(), CompletionParams(enabled=False))
    )
    rewards = rng.choice((None, RewardParams(), RewardParams(), RewardParams(enabled=False)))
    return rng.choice(PARAMS), completion, rewards
