"""A position is paired by taking, through the whole bot against the exchange."""

from __future__ import annotations

import attrs
import orjson
from shell_kit import HOUR_MS, Scene, clean, playing, shell_config
from venue_bent import Handler, lose_reply

from polybot.config import Config
from polybot.domain.market_books import MarketBooks
from polybot.domain.units import SHARE
from polybot.exchange.model import BUY, SELL
from polybot.exchange.net import Request, Response
from polybot.patient_clock import PatientClock

EAGER = 0.02  # gamma per share: fifty shares are a great risk to this maker
LATE_MS = HOUR_MS + 180_000  # twenty seconds before the stop
CUTOFF_S = 20.0


def config(*, enabled: bool = True) -> Config:
    """Merges wait, so that the pairs can be counted; our own bids are far, so that nobody's are
    better. The market's word counts most, however far the two are apart: the model alone might come
    to call the missing side too dear. Sizes are large and do not fade: of ten shares of a cheap
    side a slice is less than the dollar a taker needs.
    """
    made = shell_config(
        fade_fraction=0.0,
        size_shares=50,
        gamma_per_share=EAGER,
        stop_twap_s=100.0,
        cutoff_twap_s=CUTOFF_S,
        levels=1,
        model_weight_max=0.2,
        disagree_log_odds=5.0,
    )
    return attrs.evolve(
        made,
        inventory=attrs.evolve(made.inventory, merge_shares=100_000),
        completion=attrs.evolve(made.completion, enabled=enabled),
    )


def takes(it: Scene) -> list[dict[str, object]]:
    """The orders that take which we have sent, in our words."""
    bodies = [orjson.loads(seen.body) for seen in it.venue.asked("POST", "/order", "/orders")]
    rows = [row for body in bodies for row in (body if isinstance(body, list) else [body])]
    return [row for row in rows if row["orderType"] in ("FAK", "FOK")]


def books_of(it: Scene) -> MarketBooks:
    return it.bot.ctx.account.ledger.books[it.market.condition_id]


async def alone_on_one_side(it: Scene) -> None:
    """Somebody fills one of our bids, and nobody any more; one member is left, who rests two cents
    around the bot's own fair price, so that the missing side can be had.
    """
    await it.filled()
    it.venue.crowd.hushed = True
    await it.until(lambda: books_of(it).holdings().net, "it is booked")
    quote = it.bot.supervisor.scopes[it.market.slug].quote
    await it.until(lambda: quote.quoter.decision.fair, "a fair price")
    fair = quote.quoter.decision.fair or 0.5
    engine, now_ms, hand = it.venue.engine, it.venue.clock.now_ms(), it.venue.taker
    for owner in set(engine.desk.resting.live) - {it.venue.wallet.api_key}:
        engine.cancel_where(owner, now_ms, condition_id=it.market.condition_id)
    for side, price in ((BUY, fair - 0.02), (SELL, fair + 0.02)):
        on_grid = round(price * 100) * 100
        assert hand.rest(it.market, side, on_grid, 200 * SHARE, now_ms, post_only=False)


def part_of(net: int, before: int) -> bool:
    """Whether `net` is less of the same side than `before`, or nothing."""
    return abs(net) < abs(before) and net * before >= 0


async def lose_takes(request: Request, handle: Handler) -> Response:
    """Carry out what takes and never say so."""
    takes = b'"FAK"' in request.body or b'"FOK"' in request.body
    return await (lose_reply(request, handle) if takes else handle(request))


def to_cutoff_s(it: Scene) -> float:
    return (it.market.end_ms - it.venue.clock.now_ms()) / 1000 - CUTOFF_S


async def test_what_is_missing_is_taken_before_the_cutoff(fast_clock: PatientClock) -> None:
    """One leg is held at the stop: of the other as much is bought from others as is worth its price
    and fee, and never more than is missing (strategy.md 7).
    """
    async with playing(at_ms=LATE_MS, config=config()) as it:
        await alone_on_one_side(it)
        books = books_of(it)
        before = books.holdings().net
        await it.until(lambda: books.fees > 0, "something is taken", 150)
        await it.until(lambda: to_cutoff_s(it) <= 0, "the cutoff", 150)
        assert part_of(books.holdings().net, before)
        taken = takes(it)
        report = await it.end()

    assert taken
    assert not any(row["postOnly"] for row in taken)
    clean(report)


async def test_completion_can_be_switched_off(fast_clock: PatientClock) -> None:
    """Then a position is paired by bids that rest, or kept."""
    async with playing(at_ms=LATE_MS, config=config(enabled=False)) as it:
        await alone_on_one_side(it)
        await it.until(lambda: to_cutoff_s(it) <= 0, "the cutoff", 150)
        report = await it.end()
        assert takes(it) == []

    clean(report)


async def test_a_take_without_an_answer_is_not_repeated(fast_clock: PatientClock) -> None:
    """The venue carries it out and the reply is lost: what it bought is found, and the position is
    not turned around (S3).
    """
    async with playing(at_ms=LATE_MS, config=config()) as it:
        await alone_on_one_side(it)
        it.venue.bend("POST", "/order", "/orders", act=lose_takes)
        books = books_of(it)
        before = books.holdings().net
        await it.until(lambda: books.fees > 0, "what was bought is found", 150)
        await it.until(lambda: to_cutoff_s(it) <= 0, "the cutoff", 150)
        assert part_of(books.holdings().net, before)
        it.venue.bends.clear()
        report = await it.end()

    clean(report)
