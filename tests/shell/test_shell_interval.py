from __future__ import annotations

import orjson
from shell_kit import CUTOFF_S, HOUR_MS, Scene, clean, playing, shell_config

from polybot import summary
from polybot.domain.units import SHARE
from polybot.exchange.model import UP
from polybot.patient_clock import PatientClock
from polybot.summary import Summary, money_json

CUTOFF_MS = int(CUTOFF_S * 1000)
LENGTH_MS = 300_000
ON_ITS_WAY_MS = 500  # an order decided on before the cutoff may arrive a little after it


async def trade_pairs(it: Scene, pairs: int) -> None:
    """Somebody hits whichever side we hold less of, until we hold so many pairs."""
    books = it.bot.ctx.account.ledger.books[it.market.condition_id]
    tokens = it.market.tokens

    def enough() -> bool:
        held = books.holdings()
        light = tokens[0] if held.up <= held.down else tokens[1]
        for order in [o for o in it.venue.live if o.token == light][:1]:
            it.venue.hit(order)
        return held.pairs >= pairs * SHARE

    await it.until(enough, f"{pairs} pairs", 100)


async def test_a_whole_interval_and_the_next(fast_clock: PatientClock) -> None:
    """A window is found, quoted, filled, merged, cut off, settled and redeemed; the next one is
    quoted meanwhile; and both books agree to the micro-dollar at the end.
    """
    async with playing(at_ms=HOUR_MS + 190_000) as it:
        first, records = it.market, it.bot.ctx.records
        ledger = it.bot.ctx.account.ledger
        await trade_pairs(it, 20)
        await it.until(lambda: ledger.books[first.condition_id].merged, "a merge", 100)
        await it.filled()  # something is left to redeem

        await it.until(lambda: len(it.bot.supervisor.scopes) == 2, "the next scope", 200)
        assert it.venue.clock.now_ms() < first.end_ms, "its feed is warm before the first ends"
        await it.until(lambda: it.market is not first, "the end of the window")
        assert not [o for o in it.venue.live if o.market is first], "nothing rests past the end"
        await it.quoting()
        await it.until(lambda: records.by_market[first.condition_id].final, "settlement", 200)
        second = it.market
        report = await it.end()

    assert it.code == 0
    clean(report)
    by_slug = {interval.slug: interval for interval in report.intervals}
    done, under_way = by_slug[first.slug], by_slug[second.slug]
    assert done.outcome == ("Up" if first.winner == UP else "Down")
    assert done.merged >= 20 * SHARE
    # A hurried taker may reach a bid of the second window before the end.
    assert done.fills + under_way.fills == it.venue.fills
    assert done.strike == first.strike
    assert under_way.orders > 0
    assert under_way.outcome is None
    # What the second window cost so far, and what its shares are surely worth.
    pending = under_way.merged - under_way.volume + ledger.books[second.condition_id].worst_value
    assert report.equity_bot == 2_000_000_000 + done.realised_pnl + pending
    assert report.quoted_share is not None
    assert report.quoted_share > 0.5
    assert report.invalid_orders == 0
    assert out_of_time(it, first.slug, first.end_ms) == []
    assert json_says(report)


def out_of_time(it: Scene, slug: str, end_ms: int) -> list[tuple[str, int]]:
    """What happened to orders of a window when nothing should have: a placement before its start or
    after its cutoff, anything after its end. In milliseconds before the end.
    """
    mine = [event for _, event in it.venue.events if event.order.market.slug == slug]
    quoted = range(end_ms - LENGTH_MS, end_ms - CUTOFF_MS + ON_ITS_WAY_MS)
    return [
        (event.kind, end_ms - event.at_ms)
        for event in mine
        if event.at_ms > end_ms or (event.kind == "PLACEMENT" and event.at_ms not in quoted)
    ]


def json_says(report: Summary) -> bool:
    """The line of JSON holds the same figures, money with six decimals."""
    line = summary.text(report)
    said = orjson.loads(line)
    slugs = [interval.slug for interval in report.intervals]
    assert report.equity_bot is not None
    assert f'"equity_bot":{money_json(report.equity_bot)}' in line
    assert said["equity_bot"] == said["equity_exchange"]
    assert [interval["slug"] for interval in said["intervals"]] == slugs
    assert said["exit_reason"] == report.exit_reason
    return bool(said["live_orders_at_exit"] == report.live_orders_at_exit)


async def test_time_is_up(fast_clock: PatientClock) -> None:
    """A bot that was told how long stops by itself, and says that this is why."""
    async with playing(run_ms=12_000, config=shell_config(levels=1)) as it:
        report = await it.ending()

    assert (it.code, report.exit_reason) == (0, "time is up")
    clean(report)
    assert report.venue_seconds >= 12
