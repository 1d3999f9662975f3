"""A market's row on the screen: no figure of the past passes for one of now."""

from __future__ import annotations

from shell_kit import Scene, playing

from polybot.console.snapshot import MarketSnapshot
from polybot.market_scope import MarketScope
from polybot.patient_clock import PatientClock


async def quoted(it: Scene) -> MarketScope:
    """The scope of the window under way, with everything to show."""
    await it.filled()
    scope = it.bot.supervisor.scopes[it.market.slug]
    await it.until(lambda: figures(scope.snapshot()).count(None) == 0, "all is known")
    return scope


def figures(shown: MarketSnapshot) -> list[float | None]:
    return [shown.spot, shown.fair, shown.bid, shown.ask, shown.unrealised]


async def test_a_book_that_is_not_believed_is_not_shown(fast_clock: PatientClock) -> None:
    """Its last levels stood on the screen for as long as the market's stream was away."""
    async with playing() as it:
        scope = await quoted(it)
        scope.feed.book.restart()
        shown = scope.snapshot()
        assert (shown.bid, shown.ask) == (None, None)
        assert shown.fair is not None, "nobody has decided otherwise yet"
        await it.end()


async def test_a_market_that_is_emptied_shows_what_is_still_known(fast_clock: PatientClock) -> None:
    """Its tasks have ended, and the venue may not let it be emptied for hours: prices, reasons and
    signals of the last turn stood on the screen as if they were of now.
    """
    async with playing() as it:
        scope = await quoted(it)
        before = scope.snapshot()
        scope.state = "flattening"
        shown = scope.snapshot()
        assert figures(shown) == [None] * 5
        assert (shown.reasons, shown.signals, shown.rewards) == ((), (), "")
        assert (shown.up, shown.down, shown.fills) == (before.up, before.down, before.fills)
        assert shown.up_quotes + shown.down_quotes, "and what rests"
        scope.state = ""
        await it.end()
