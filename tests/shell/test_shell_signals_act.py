"""Signals in the whole bot: in shadow they are shown and scored, named in `acting` they decide."""

from __future__ import annotations

import attrs
import trio
from shell_kit import SERIES, Scene, clean, playing, scene, shell_config

from polybot.patient_clock import PatientClock
from polybot.quoting.reasons import Why
from polybot.signal.params import SignalParams
from polybot.signal.toxicity import SeriesToxicity, Standing


def stopped(it: Scene) -> SeriesToxicity:
    """The series' fills have been found so toxic that it is left alone for this window."""
    series = it.bot.ctx.signals.of_series(SERIES)
    series._standing, series._stopped_windows = Standing.STOPPED, 2
    return series


def reasons(it: Scene) -> set[object]:
    scopes = it.bot.supervisor.scopes.values()
    return {reason.why for scope in scopes for reason in scope.quote.quoter.decision.reasons}


async def test_a_stopped_series_is_not_quoted_where_toxicity_acts(fast_clock: PatientClock) -> None:
    """With `acting = ["toxicity"]` nothing is placed, and the screen and the reasons say why; when
    the series is released, it is quoted again.
    """
    config = attrs.evolve(
        shell_config(), signals=SignalParams(acting=("toxicity",), earn_calls=0.0)
    )
    async with scene(config=config) as it, trio.open_nursery() as nursery:
        series = stopped(it)
        nursery.start_soon(it.run)
        await it.until(lambda: Why.SIGNAL in reasons(it), "withheld by a signal")
        await trio.sleep(5)
        assert it.venue.placed() == []
        shown = [text for market in it.bot.snapshot().markets for text in market.signals]
        assert "fills stopped" in shown

        series._standing = Standing.CLEAN
        await it.quoting()
        report = await it.end()
    clean(report)
    for side in ("Up", "Down"):
        assert report.reasons[side][Why.SIGNAL.value].withheld > 0, "and the summary says how long"


async def test_in_shadow_it_is_shown_and_quoted(fast_clock: PatientClock) -> None:
    """By default the same verdict changes nothing but the screen; prints and fills are heard, and
    the state of the market is its machine's.
    """
    async with playing() as it:
        stopped(it)
        await it.filled()
        board = it.bot.ctx.signals.boards[it.market.condition_id]
        await it.until(lambda: board.readings.flow is not None, "a print is heard")
        await it.until(lambda: board.markouts._to_settle, "our fill is heard")
        (market,) = (m for m in it.bot.snapshot().markets if m.slug == it.market.slug)
        assert market.state == "quoting"
        assert "fills stopped" in market.signals
        clean(await it.end())
